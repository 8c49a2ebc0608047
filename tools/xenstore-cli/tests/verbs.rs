//! What `xenstore-cli` has and Debian's tools have not: JSON, sentences, time limits, completion.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Server, run, text};

const NODES: &[(&str, &str)] = &[
    ("/local/domain/1/name", "shell"),
    ("/local/domain/1/memory/target", "65536"),
    ("/bin", "\\xff\\x00"),
];

fn parsed(server: &Server, words: &[&str]) -> Value {
    let output = run(server.cli(words));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[test]
fn json_on_request() {
    let server = Server::with(NODES);
    for (words, value) in [
        (
            &["ls", "--json", "/local/domain/1"][..],
            json!([
                { "path": "/local/domain/1/memory", "value": "" },
                { "path": "/local/domain/1/memory/target", "value": "65536" },
                { "path": "/local/domain/1/name", "value": "shell" },
            ]),
        ),
        (
            &["--json", "ls", "-p", "/local/domain/1/memory"],
            json!([{ "path": "/local/domain/1/memory/target", "value": "65536", "permissions": ["n0"] }]),
        ),
        (
            &["list", "--json", "/local", "/bin"],
            json!([{ "path": "/local", "children": ["domain"] }, { "path": "/bin", "children": [] }]),
        ),
        (
            &["read", "--json", "/bin", "/local/domain/1/name"],
            json!([
                { "path": "/bin", "value_hex": "ff00" },
                { "path": "/local/domain/1/name", "value": "shell" },
            ]),
        ),
        (
            &["exists", "--json", "/bin", "/nowhere"],
            json!([{ "path": "/bin", "exists": true }, { "path": "/nowhere", "exists": false }]),
        ),
        (&["watch", "--json", "-n", "1", "/bin"], json!({ "path": "/bin" })),
        (&["control", "--json", "print", "x"], json!({ "command": "print x", "reply": "OK" })),
    ] {
        assert_eq!(parsed(&server, words), value, "{words:?}");
    }
}

#[test]
fn who_mistypes_gets_a_sentence_that_helps() {
    let server = Server::with(NODES);
    for (words, code, sentences) in [
        (&["read", "/local/domain/1/nmae"][..], 1, &["did you mean /local/domain/1/name?"][..]),
        (&["ls", "/lcoal/domain"], 1, &["nor is there /lcoal", "did you mean /local?"]),
        (&["list", "/local/domain/7/device"], 1, &["no such node", "nor is there /local/domain/7"]),
        (&["read", "/local/"], 1, &["does not end in `/`"]),
        (&["read", "/local/*"], 1, &["no patterns"]),
        (&["write", "/a=b", "c"], 1, &["a value follows its path"]),
        (&["write", "/a"], 1, &["no value for /a"]),
        (&["write", "/a", "x\\"], 1, &["lone `\\`", "-R"]),
        (&["rm", "/nowhere/at/all"], 1, &["cannot remove /nowhere/at/all"]),
        (&["chmod", "/bin", "x1"], 1, &["n (none)"]),
        (&["chmod", "/bin", "r"], 1, &["as in r5"]),
        (&["chmod", "-u", "bin", "n0"], 1, &["begins with `/`"]),
        (&["chmod", "/nowhere", "n0"], 1, &["cannot set the permissions of /nowhere"]),
        (&["watch", "-n", "many", "/bin"], 1, &["--number"]),
        (&["watch", "-n", "-2", "/bin"], 1, &["-2"]),
        (&["exists", "a b"], 1, &["cannot look for a b", "` `"]),
        (&["watch", "a b"], 1, &["cannot watch a b"]),
        (&["raed", "/bin"], 1, &["'read'"]),
        (&["/local"], 1, &["xenstore-cli ls /local"]),
        (&["control"], 2, &["<COMMAND>"]),
        (&["control", "quit"], 3, &["does not take the command `quit`", "live-update"]),
    ] {
        let output = run(server.cli(words));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
        for sentence in sentences {
            assert!(said.contains(sentence), "{words:?}: {said}");
        }
    }
}

#[test]
fn a_value_that_no_request_can_carry_is_refused_with_its_limit() {
    let server = Server::start();
    let most = "x".repeat(4096 - "/a".len() - 1);
    assert!(run(server.cli(&["write", "/a", &most])).status.success());
    let output = run(server.cli(&["write", "/a", &format!("{most}x")]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("4093 are the most"), "{}", text(&output.stderr));
}

#[test]
fn who_finds_no_server_learns_where_it_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let stale = directory.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let nowhere = directory.path().join("nowhere");
    let long = directory.path().join("l".repeat(120));
    let cli = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore-cli"));
        command.env_remove("XENSTORED_PATH").env_remove("XENSTORED_RUNDIR");
        // No machine of this user's.
        command.env_remove("FERRULE_MACHINE").env("XDG_RUNTIME_DIR", directory.path());
        command
    };
    for (socket, sentence) in [
        (&nowhere, "is its server running?"),
        (&stale, "has left the socket behind"),
        (&file, "is no socket"),
        (&long, "too long for a socket"),
    ] {
        let mut option = cli();
        option.arg("--socket").arg(socket).arg("ls");
        let mut variable = cli();
        variable.env("XENSTORED_PATH", socket).arg("ls");
        for (command, origin) in [(option, "--socket"), (variable, "XENSTORED_PATH")] {
            let output = run(command);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(sentence) && said.contains(origin), "{said}");
        }
    }
    let mut machine = cli();
    machine.args(["--machine", "nobody", "ls"]);
    let said = text(&run(machine).stderr);
    assert!(said.contains("no machine called nobody runs"), "{said}");
}

#[test]
fn the_machine_that_runs_is_found() {
    let server = Server::with(NODES);
    let directory = tempfile::tempdir().unwrap();
    let machines = link::machine::Machines::below(directory.path()).unwrap();
    let machine = machines.create(Some("one")).unwrap();
    std::os::unix::fs::symlink(&server.socket, machine.found().xenstored()).unwrap();
    let cli = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstore-cli"));
        command.env_remove("XENSTORED_PATH").env_remove("XENSTORED_RUNDIR");
        command.env_remove("FERRULE_MACHINE").env("XDG_RUNTIME_DIR", directory.path());
        command.args(words);
        run(command)
    };
    let read = ["read", "/local/domain/1/name"];
    assert_eq!(text(&cli(&read).stdout), "shell\n");
    let other = machines.create(Some("two")).unwrap();
    let said = text(&cli(&read).stderr);
    assert!(said.contains("one, two") && said.contains("--machine"), "{said}");
    let named = [&["--machine", "one"], &read[..]].concat();
    assert_eq!(text(&cli(&named).stdout), "shell\n");
    drop(other);
}

#[test]
fn a_watch_prints_each_event_at_once() {
    let server = Server::with(NODES);
    let mut watch = server.cli(&["watch", "-n", "3", "/local"]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "/local");
    assert!(run(server.cli(&["write", "/local/domain/1/name", "other"])).status.success());
    assert_eq!(lines.next().unwrap(), "/local/domain/1/name");
    assert!(run(server.cli(&["rm", "/local/domain"])).status.success());
    assert_eq!(lines.next().unwrap(), "/local/domain");
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watch_ends_when_its_time_is_up() {
    let server = Server::start();
    let limit = Duration::from_millis(50).as_secs_f64().to_string();
    let output = run(server.cli(&["watch", "-T", &limit, "/tool"]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "/tool\n".into()));
    let output = run(server.cli(&["watch", "-n", "2", "-T", &limit, "/tool"]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), "/tool\n".into()));
}

#[test]
fn a_watch_whose_server_ends_says_so() {
    let server = Server::start();
    let mut watch = server.cli(&["watch", "/tool"]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "/tool");
    drop(server);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("closed the connection"), "{}", text(&output.stderr));
}

#[test]
fn several_operands_are_one_transaction() {
    let server = Server::with(&[("/counter/a", "0"), ("/counter/b", "0")]);
    // Two that write both nodes, and one that must never see them differ.
    let writer = |value: &'static str| {
        let words = ["write", "/counter/a", value, "/counter/b", value];
        (0..20).map(|_| server.cli(&words)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        for commands in [writer("1"), writer("2")] {
            scope.spawn(|| {
                commands.into_iter().for_each(|command| assert!(run(command).status.success()))
            });
        }
        for _ in 0..20 {
            let output = run(server.cli(&["read", "/counter/a", "/counter/b"]));
            let values = text(&output.stdout);
            let (a, b) = values.trim_end().split_once('\n').unwrap();
            assert_eq!(a, b);
        }
    });
}

#[test]
fn a_reader_that_has_enough_is_no_failure_to_speak_of() {
    let server = Server::with(NODES);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut list = server.cli(&["ls"]);
    let output =
        list.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn shells_get_their_completions_and_people_help() {
    let server = Server::start();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(server.cli(&["completions", shell]));
        assert!(output.status.success());
        let script = text(&output.stdout);
        for word in ["xenstore-cli", "chmod", "recurse"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    for verb in ["ls", "list", "read", "write", "rm", "exists", "chmod", "watch", "control"] {
        let output = run(server.cli(&[verb, "--help"]));
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&format!("Usage: xenstore-cli {verb}")), "{verb}");
    }
}
