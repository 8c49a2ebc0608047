use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use xenstore::DomId;
use xenstore::quota::Quotas;
use xenstore::server::{ConnectionId, Server};

/// A connection to a server in the same process.
struct Near {
    server: Rc<RefCell<Server>>,
    id: ConnectionId,
}

impl Near {
    fn new(server: &Rc<RefCell<Server>>) -> Self {
        let id = server.borrow_mut().connect(DomId::new(0));
        Self { server: Rc::clone(server), id }
    }
}

impl Transport for Near {
    type Error = fmt::Error;

    fn send(&mut self, bytes: &[u8]) -> Result<(), fmt::Error> {
        self.server.borrow_mut().input(self.id, bytes);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, fmt::Error> {
        let mut server = self.server.borrow_mut();
        let output = server.output(self.id);
        let count = output.len().min(into.len());
        into[..count].copy_from_slice(&output[..count]);
        server.sent(self.id, count);
        Ok(count)
    }
}

/// Somebody else writes while the person waits, and then types Ctrl-C.
struct Writes(Vec<&'static str>, Client<Near>);

impl Patience<Near> for Writes {
    fn wait(&mut self, _: &Near) -> bool {
        match self.0.pop() {
            Some(path) => self.1.write(path, b"x").is_ok(),
            None => false,
        }
    }
}

#[derive(Default)]
struct Screen(String);

impl fmt::Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        Ok(())
    }
}

impl Terminal for Screen {
    fn read_byte(&mut self) -> Option<u8> {
        None
    }

    fn has_input(&mut self) -> bool {
        false
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(bytes));
    }

    fn at_line_start(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('\n')
    }
}

struct World(Rc<RefCell<Server>>);

impl World {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Server::new(Quotas::default()))))
    }

    /// Runs a line; status and output. `writes`, last first, happen during waits.
    fn run_with(&self, line: &str, writes: &[&'static str]) -> (u8, String) {
        let mut client = Client::new(Near::new(&self.0));
        let mut patience = Writes(writes.to_vec(), Client::new(Near::new(&self.0)));
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let mut screen = Screen::default();
        let status = run(&mut client, &mut patience, &words, &mut screen);
        (status, screen.0)
    }

    fn run(&self, line: &str) -> (u8, String) {
        self.run_with(line, &[])
    }
}

#[test]
fn what_is_written_is_read_listed_and_removed() {
    let world = World::new();
    assert_eq!(world.run("write /a/b one /a/c two"), (OK, "".into()));
    assert_eq!(world.run("read /a/b /a/c"), (OK, "one\ntwo\n".into()));
    assert_eq!(world.run("list /a"), (OK, "b\nc\n".into()));
    assert_eq!(world.run("ls /a"), (OK, "b = \"one\"\nc = \"two\"\n".into()));
    assert_eq!(world.run("exists /a/b"), (OK, "".into()));
    assert_eq!(world.run("rm /a/b"), (OK, "".into()));
    assert_eq!(world.run("exists /a/b"), (FAILED, "".into()));
    assert_eq!(world.run("rm -t /a/c").0, OK);
    assert_eq!(world.run("exists /a"), (FAILED, "".into()));
}

#[test]
fn the_tree_is_shown_as_xenstore_ls_shows_it() {
    let world = World::new();
    world.run("write /t/a 1 /t/a/b 2 /t/c 3");
    assert_eq!(world.run("ls /t").1, "a = \"1\"\n b = \"2\"\nc = \"3\"\n");
    assert_eq!(world.run("ls -f /t").1, "/t/a = \"1\"\n/t/a/b = \"2\"\n/t/c = \"3\"\n");
    world.run("chmod /t/c n1 r2");
    assert_eq!(world.run("ls -f -p /t/c").1, "");
    assert_eq!(
        world.run("ls -p /t").1,
        "a = \"1\"   (n0)\n b = \"2\"   (n0)\nc = \"3\"   (n1,r2)\n"
    );
    assert!(world.run("ls -f").1.contains("/t/a/b = \"2\"\n"));
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let world = World::new();
    assert_eq!(
        world.run("read /nothing"),
        (FAILED, "xenstore read: couldn't read /nothing: no such node\n".into())
    );
    assert_eq!(world.run("list /nothing").0, FAILED);
    assert_eq!(world.run("ls /nothing").0, FAILED);
    assert_eq!(world.run("write /a//b x").0, FAILED);
    for line in [
        "",
        "frobnicate",
        "read",
        "write /a",
        "rm",
        "rm -x /a",
        "ls /a /b",
        "chmod /a",
        "chmod /a x0",
        "watch",
        "watch -n x /a",
        "watch -n 0 /a",
        "control",
    ] {
        let (status, said) = world.run(line);
        assert_eq!(status, USAGE, "{line}");
        assert!(said.starts_with("usage: xenstore VERB"), "{line}");
    }
}

#[test]
fn a_watch_tells_what_changes_until_it_is_enough() {
    let world = World::new();
    let (status, said) = world.run_with("watch -n 3 /w", &["/w/b", "/w/a"]);
    assert_eq!((status, said.as_str()), (OK, "/w\n/w/a\n/w/b\n"));
    let (status, said) = world.run_with("watch /w", &[]);
    assert_eq!((status, said.as_str()), (FAILED, "/w\n"));
}

#[test]
fn the_server_itself_is_commanded() {
    let world = World::new();
    assert_eq!(world.run("control check"), (OK, "OK\n".into()));
    let (status, said) = world.run("control help");
    assert!(status == OK && said.contains("live-update") && !said.ends_with("\n\n"), "{said}");
    let (status, said) = world.run("control frobnicate");
    assert!(status == FAILED && said.starts_with("xenstore control: couldn't do frobnicate: "));
}

#[test]
fn values_do_not_reach_the_terminal_raw() {
    let world = World::new();
    Client::new(Near::new(&world.0)).write("/v", b"a\x1b[2J\xff").unwrap();
    assert_eq!(world.run("read /v").1, "a\\x1b[2J\\xff\n");
}
