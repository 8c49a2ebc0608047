use super::*;
use crate::machine::Machines;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::string::String;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, format, fs};

/// A machine whose domain 0 answers in this process, and its directory.
struct World {
    base: PathBuf,
    link: Option<Link>,
    machines: Machines,
}

impl World {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = env::temp_dir().join(format!("link-host-{}-{number}", process::id()));
        fs::DirBuilder::new().mode(0o700).create(&base).unwrap();
        let machines = Machines::below(&base).unwrap();
        let link = Link::start(machines.create(None).unwrap()).unwrap();
        Self { base, link: Some(link), machines }
    }

    /// Domain 0 with a service that sends back what it gets, in capitals, until a `!`.
    fn boot(&self) -> JoinHandle<()> {
        let socket = UnixStream::connect(self.link.as_ref().unwrap().console()).unwrap();
        thread::spawn(move || domain0(socket))
    }

    fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(self.machines.only().unwrap().xenstored()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.link.take());
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn domain0(mut socket: UnixStream) {
    let mut end = End::new(Side::Domain0, 77);
    let mut buffer = vec![0; 1000];
    let mut replies: BTreeMap<ChannelId, Vec<u8>> = BTreeMap::new();
    let mut readable = BTreeSet::new();
    loop {
        let Ok(()) = send_all(&mut socket, &mut end) else { return };
        let Ok(count @ 1..) = socket.read(&mut buffer) else { return };
        end.input(&buffer[..count]);
        while let Some(event) = end.next_event() {
            match event {
                Event::Opened(id, service) if service == service::XENSTORE => {
                    replies.insert(id, Vec::new());
                }
                Event::Opened(id, _) | Event::Closed(id) => {
                    replies.remove(&id);
                    end.close(id);
                }
                Event::Readable(id) => {
                    readable.insert(id);
                }
                Event::Up | Event::Down => {}
            }
        }
        let mut over = Vec::new();
        for (id, reply) in &mut replies {
            while reply.len() < 100_000 && !end.received(*id).is_empty() {
                let bytes = end.received(*id).to_ascii_uppercase();
                end.consume(*id, bytes.len());
                reply.extend(bytes);
            }
            // As often as there is credit: others may have filled the buffer of output.
            loop {
                let sent = end.send(*id, reply).unwrap();
                if sent == 0 {
                    break;
                }
                if reply[..sent].contains(&b'!') {
                    over.push(*id);
                }
                reply.drain(..sent);
                let Ok(()) = send_all(&mut socket, &mut end) else { return };
            }
        }
        for id in over {
            replies.remove(&id);
            end.close(id);
        }
    }
}

fn send_all(socket: &mut UnixStream, end: &mut End) -> io::Result<()> {
    while !end.output().is_empty() {
        let count = socket.write(end.output())?;
        end.sent(count);
    }
    Ok(())
}

#[test]
fn clients_of_a_socket_have_a_channel_each() {
    let world = World::new();
    // Whoever comes early waits.
    let mut early = world.connect();
    early.write_all(b"early").unwrap();
    let domain0 = world.boot();
    let mut reply = [0; 5];
    early.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"EARLY");
    let clients: Vec<_> = (0..20)
        .map(|number| {
            let mut socket = world.connect();
            thread::spawn(move || {
                let text = format!("client {number} ").repeat(1000 * number);
                let mut writer = socket.try_clone().unwrap();
                let sent = text.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(sent.as_bytes()).unwrap();
                    writer.write_all(b"!").unwrap();
                });
                let mut reply = String::new();
                socket.read_to_string(&mut reply).unwrap();
                writing.join().unwrap();
                assert_eq!(reply, text.to_uppercase() + "!");
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    // Still there after all that.
    early.write_all(b"again").unwrap();
    early.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"AGAIN");
    drop(world);
    domain0.join().unwrap();
}

#[test]
fn a_client_that_never_reads_disturbs_nobody() {
    let world = World::new();
    let domain0 = world.boot();
    let deaf = world.connect();
    deaf.set_nonblocking(true).unwrap();
    let mut polite = world.connect();
    let mut written = 0;
    for round in 0..200 {
        while let Ok(count) = (&deaf).write(&[b'x'; 4096]) {
            written += count;
        }
        polite.write_all(&[b'a' + round % 26]).unwrap();
        let mut reply = [0];
        polite.read_exact(&mut reply).unwrap();
        assert_eq!(reply[0], b'A' + round % 26);
    }
    assert!(written > 4096);
    drop(world);
    domain0.join().unwrap();
}

#[test]
fn a_service_that_nobody_has_hangs_up() {
    let world = World::new();
    let domain0 = world.boot();
    let mut socket = UnixStream::connect(world.machines.only().unwrap().xl()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    drop(world);
    domain0.join().unwrap();
}

#[test]
fn nothing_is_left_when_the_machine_ends() {
    let mut world = World::new();
    // Without an emulator that ever came.
    drop(world.link.take());
    assert!(world.machines.running().unwrap().is_empty());
    world.link = Some(Link::start(world.machines.create(None).unwrap()).unwrap());
    // When the emulator goes, so do the clients.
    let socket = UnixStream::connect(world.link.as_ref().unwrap().console()).unwrap();
    let mut client = world.connect();
    drop(socket);
    let thread = world.link.as_mut().unwrap().thread.take().unwrap();
    thread.join().unwrap();
    assert!(client.read(&mut [0]).map_or(true, |count| count == 0));
    assert!(world.machines.running().unwrap().is_empty());
}
