//! Connecting, talking, closing, step by step.

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Port};
use xenbus::back::{Back, BackDriver, Ready};
use xenbus::bus::{Changes, Roster, back_ends, front_ends};
use xenbus::console::{Broken, Console, FrontEnd};
use xenbus::device::{Fault, Keys, Life, Node};
use xenbus::front::Front;
use xenbus::handshake::Restart;
use xenbus::memory::SharedMemory;
use xenbus::state::State;

use crate::world::*;

/// A console that works, and both halves of it.
fn connected() -> (World, FrontHalf, BackHalf) {
    let world = World::with_console();
    let (mut front, mut back) = (open_front(&world), open_back(&world));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    (world, front, back)
}

fn print(world: &World, front: &mut FrontHalf, text: &[u8]) -> usize {
    let terminal = front.driver.terminal().expect("connected");
    terminal.write(&mut world.domain(GUEST), text).expect("an honest peer")
}

/// All that was printed since the beginning.
fn printed(world: &World, back: &mut BackHalf) -> Vec<u8> {
    printed_in(world, HOST, back)
}

fn printed_in(world: &World, host: DomId, back: &mut BackHalf) -> Vec<u8> {
    while back.driver.poll(&mut world.domain(host)).expect("an honest peer").more {}
    let mut text = vec![0; 1 << 16];
    let chunk = back.driver.log().read(0, &mut text);
    text.truncate(chunk.count);
    text
}

#[test]
fn the_nodes_are_xens() {
    let (world, _front, _back) = connected();
    let get = |path: String| world.get(&path);
    assert_eq!(get(front() + "/state").as_deref(), Some("4"));
    assert_eq!(get(back() + "/state").as_deref(), Some("4"));
    assert!(get(front() + "/ring-ref").is_some() && get(front() + "/port").is_some());
    assert_eq!(front(), "/local/domain/1/device/console/1");
    assert_eq!(back(), "/local/domain/0/backend/console/1/1");
}

#[test]
fn what_is_printed_arrives_and_so_does_what_is_typed() {
    let (world, mut front, mut back) = connected();
    assert_eq!(print(&world, &mut front, b"login: "), 7);
    assert!(world.take_event(HOST, back.driver.port().expect("connected")));
    assert_eq!(printed(&world, &mut back), b"login: ");
    let guests = front.driver.terminal().expect("connected").port();
    let _ = world.take_event(GUEST, guests);
    assert_eq!(back.driver.type_in(b"root\r"), 5);
    let _ = back.driver.poll(&mut world.domain(HOST)).expect("an honest peer");
    assert!(world.take_event(GUEST, guests));
    let mut text = [0; 8];
    let terminal = front.driver.terminal().expect("connected");
    assert_eq!(terminal.read(&mut world.domain(GUEST), &mut text), Ok(5));
    assert_eq!(&text[..5], b"root\r");
}

#[test]
fn nobody_loses_a_byte_for_want_of_room() {
    let (world, mut front, mut back) = connected();
    assert_eq!(print(&world, &mut front, &[b'x'; 3000]), 2048, "what fits");
    let polled = back.driver.poll(&mut world.domain(HOST)).expect("an honest peer");
    assert_eq!((polled.printed, polled.more), (2048, false));
    assert_eq!(print(&world, &mut front, &[b'y'; 952]), 952);
    assert_eq!(printed(&world, &mut back).len(), 3000);
    // Typed: 1024 in the ring, as many in the daemon.
    assert_eq!(back.driver.type_in(&[b'k'; 5000]), 1024);
    let polled = back.driver.poll(&mut world.domain(HOST)).expect("an honest peer");
    assert_eq!(polled.typed, 1024);
    assert_eq!(back.driver.type_in(&[b'k'; 5000]), 1024);
    let polled = back.driver.poll(&mut world.domain(HOST)).expect("an honest peer");
    assert_eq!((polled.typed, back.driver.type_in(b"k")), (0, 0));
    let terminal = front.driver.terminal().expect("connected");
    assert_eq!(terminal.waiting(), Ok(1024));
    assert_eq!(terminal.read(&mut world.domain(GUEST), &mut [0; 8]), Ok(8));
    let polled = back.driver.poll(&mut world.domain(HOST)).expect("an honest peer");
    assert_eq!((polled.typed, back.driver.type_in(&[b'k'; 9])), (8, 8));
}

#[test]
fn what_is_printed_before_the_back_end_is_there_waits() {
    let world = World::with_console();
    let mut front = open_front(&world);
    world.set(&(back() + "/state"), "2");
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    assert_eq!(front.state(), State::Initialised);
    assert_eq!(print(&world, &mut front, b"early"), 5);
    let mut back = open_back(&world);
    settle(&world, &mut front, &mut back);
    assert_eq!(printed(&world, &mut back), b"early");
}

#[test]
fn the_front_end_closes_and_opens_again() {
    let (world, mut front, mut back) = connected();
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    assert_eq!(front.reopen(&mut store, &mut guest), Err(Errno::EBUSY));
    assert_eq!(front.close(&mut store, &mut guest), Ok(Life::Present));
    assert_eq!(front.state(), State::Closing, "the back end still has the ring");
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Closed, State::Closed));
    assert_eq!(world.in_use().2, 0);
    assert_eq!(front.reopen(&mut store, &mut guest), Ok(Life::Present));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    assert_eq!(world.in_use(), (2, 1, 1), "the old ring is gone");
}

#[test]
fn the_toolstack_unplugs_and_plugs_in() {
    let (world, mut front, mut back) = connected();
    world.set(&(back_online()), "0");
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Closed, State::Closed));
    // A last look ends the grants that the back end had mapped.
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    assert_eq!(world.in_use(), (0, 0, 0));
    world.set(&(back_online()), "1");
    settle(&world, &mut front, &mut back);
    assert_eq!(front.reopen(&mut store, &mut guest), Ok(Life::Present));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
}

fn back_online() -> String {
    back() + "/online"
}

#[test]
fn a_daemon_that_dies_takes_the_ring_over_again() {
    let (world, mut front, mut back) = connected();
    print(&world, &mut front, b"one ");
    assert_eq!(printed(&world, &mut back), b"one ");
    print(&world, &mut front, b"two ");
    world.kill(HOST);
    drop(back);
    print(&world, &mut front, b"three");
    let mut back = open_back(&world);
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    assert!(world.take_event(HOST, back.driver.port().expect("connected")), "it is told to look");
    assert_eq!(printed(&world, &mut back), b"two three", "nothing is lost, nothing comes twice");
    assert_eq!(world.in_use(), (2, 1, 1));
}

#[test]
fn a_device_begins_anew_with_a_back_end_in_another_domain() {
    let (world, mut front, back) = connected();
    print(&world, &mut front, b"to nobody");
    world.kill(HOST);
    drop(back);
    world.remove(&crate::world::back());
    assert!(world.take_fired(GUEST, front.path()), "it is told that its peer is gone");
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    assert_eq!((front.state(), world.in_use()), (State::Closed, (0, 0, 0)));
    let watches = world.watches();
    world.link_to(HEIR);
    assert!(world.take_fired(GUEST, front.path()), "it is told of the link");
    let mut back = open_back_of(&world, HEIR);
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    settle_with(&world, &mut front, (HEIR, &mut back));
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    print(&world, &mut front, b"hello");
    assert_eq!(printed_in(&world, HEIR, &mut back), b"hello");
    assert_eq!((world.in_use(), world.watches()), ((2, 1, 1), watches + 3), "no watch is left");
}

#[test]
fn a_device_that_failed_is_opened_again_by_another_back_end() {
    let (world, mut front, back) = connected();
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    let fault = Fault { errno: Errno::EINVAL, what: "the peer broke a ring".into() };
    assert_eq!(front.fail(&mut store, &mut guest, &fault), Ok(Life::Present));
    world.kill(HOST);
    drop(back);
    world.remove(&crate::world::back());
    world.link_to(HEIR);
    let mut back = open_back_of(&world, HEIR);
    settle_with(&world, &mut front, (HEIR, &mut back));
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    assert_eq!(world.in_use(), (2, 1, 1));
}

#[test]
fn a_guest_that_begins_again_gets_a_new_ring() {
    let (world, mut front, mut back) = connected();
    print(&world, &mut front, b"old");
    drop(front);
    world.kill(GUEST);
    let mut front = open_front(&world);
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    print(&world, &mut front, b"new");
    assert_eq!(printed(&world, &mut back), b"new");
}

#[test]
fn a_directory_that_is_removed_is_not_made_again() {
    let (world, mut front, mut back) = connected();
    world.remove(&crate::world::front());
    world.remove(&crate::world::back());
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    let (mut its_store, mut host) = (world.domain(HOST), world.domain(HOST));
    assert_eq!(back.look(&mut its_store, &mut host), Ok(Life::Gone));
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Gone));
    assert_eq!(world.get(&(crate::world::front() + "/state")), None);
    assert_eq!(world.get(&(crate::world::back() + "/state")), None);
    assert!(front.abandon(&mut store, &mut guest).is_empty());
    back.abandon(&mut its_store, &mut host);
    assert_eq!((world.in_use(), world.watches()), ((0, 0, 0), 0));
}

#[test]
fn pages_that_the_peer_has_mapped_are_kept() {
    let (world, mut front, back) = connected();
    // The back end never lets go: it does not look any more.
    world.set(&(crate::world::back() + "/state"), "5");
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    assert_eq!(front.state(), State::Closed);
    assert_eq!(world.in_use().1, 1, "the page must not be used for anything else");
    let kept = front.abandon(&mut store, &mut guest);
    assert_eq!(kept.len(), 1);
    drop(back);
}

#[test]
fn conflicts_in_the_store_are_sat_out() {
    let world = World::with_console();
    let mut front = open_front(&world);
    let mut back = open_back(&world);
    world.conflict(10);
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
}

#[test]
fn a_store_that_refuses_leaves_things_as_they_were() {
    let world = World::with_console();
    let (mut front, mut back) = (open_front(&world), open_back(&world));
    let (mut its_store, mut host) = (world.domain(HOST), world.domain(HOST));
    world.break_store(true);
    assert_eq!(back.look(&mut its_store, &mut host), Err(Errno::EIO));
    world.break_store(false);
    assert_eq!(back.look(&mut its_store, &mut host), Ok(Life::Present));
    // Conflicts without end: the ring that nobody was told of is taken back.
    let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
    world.conflict(u32::MAX);
    assert_eq!(front.look(&mut store, &mut guest), Err(Errno::EAGAIN));
    assert_eq!((front.state(), world.in_use()), (State::Initialising, (0, 0, 0)));
    world.conflict(0);
    assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
    world.conflict(u32::MAX);
    assert_eq!(back.look(&mut its_store, &mut host), Err(Errno::EAGAIN));
    assert_eq!((back.state(), world.in_use().2), (State::InitWait, 0));
    world.conflict(0);
    assert_eq!(back.look(&mut its_store, &mut host), Ok(Life::Present));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
}

#[test]
fn a_back_end_that_cannot_connect_says_why() {
    for (key, value, why) in [
        ("ring-ref", "99", "22 mapping ring-ref 99"),
        ("ring-ref", "-1", "22 reading /local/domain/1/device/console/1/ring-ref"),
        ("ring-ref", "ring", "22 reading /local/domain/1/device/console/1/ring-ref"),
        ("port", "99", "22 binding port 99"),
    ] {
        let world = World::with_console();
        let mut front = open_front(&world);
        world.set(&(crate::world::back() + "/state"), "2");
        let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
        assert_eq!(front.look(&mut store, &mut guest), Ok(Life::Present));
        world.set(&(format!("{}/{key}", crate::world::front())), value);
        let mut back = open_back(&world);
        settle(&world, &mut front, &mut back);
        assert_eq!((front.state(), back.state()), (State::Closed, State::Closed), "{key}={value}");
        let error = "/local/domain/0/error/backend/console/1/1/error";
        assert_eq!(world.get(error).as_deref(), Some(why));
        assert_eq!(world.in_use(), (0, 0, 0), "{key}={value}");
        // The front end may try again, with what it writes itself.
        assert_eq!(front.reopen(&mut store, &mut guest), Ok(Life::Present));
        settle(&world, &mut front, &mut back);
        assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    }
}

#[test]
fn a_broken_ring_is_given_up() {
    let (world, mut front, mut back) = connected();
    let grant = world.get(&(crate::world::front() + "/ring-ref")).expect("published");
    let memory = world.memory(grant.parse().expect("a number")).expect("a grant");
    memory.store(3084, 5000); // out_prod
    let (mut store, mut host) = (world.domain(HOST), world.domain(HOST));
    let broken = back.driver.poll(&mut host);
    assert!(matches!(broken, Err(Broken::Ring(corrupt)) if corrupt.theirs == 5000));
    let fault = Fault { errno: Errno::EIO, what: "the ring is broken".into() };
    assert_eq!(back.fail(&mut store, &mut host, &fault), Ok(Life::Present));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Closed, State::Closed));
    assert_eq!(
        world.get("/local/domain/0/error/backend/console/1/1/error").as_deref(),
        Some("5 the ring is broken")
    );
}

#[test]
fn a_device_without_links_is_refused() {
    let world = World::with_console();
    world.remove(&(crate::world::front() + "/backend"));
    let opened = Front::open(&mut world.domain(GUEST), "device/console/1", FrontEnd::default());
    let opened: Result<FrontHalf, Fault> = opened;
    assert!(opened.is_err_and(|fault| fault.what.contains("reading device/console/1/backend")));
    world.set(&(crate::world::back() + "/frontend-id"), "70000");
    let opened: Result<BackHalf, Fault> =
        Back::open(&mut world.domain(HOST), "backend/console/1/1", Console::new(1));
    assert!(opened.is_err_and(|fault| fault.errno == Errno::EINVAL));
    assert_eq!(world.watches(), 0);
}

#[test]
fn devices_come_and_go() {
    let world = World::new();
    let mut host = world.domain(HOST);
    let mut guest = world.domain(GUEST);
    let mut roster = Roster::default();
    assert_eq!(back_ends(&mut host, "console"), Ok(vec![]));
    assert_eq!(roster.update(front_ends(&mut guest, "console").expect("none")), Changes::default());
    world.make_device();
    assert_eq!(back_ends(&mut host, "console"), Ok(vec!["backend/console/1/1".into()]));
    let found = front_ends(&mut guest, "console").expect("one");
    assert_eq!(roster.update(found.clone()).appeared, ["device/console/1"]);
    assert_eq!(roster.update(found.clone()), Changes::default());
    for path in ["device", "device/console", "device/console/1", "device/console/10/state"] {
        assert!(roster.concerns(path), "{path}");
    }
    assert!(!roster.concerns("device/console/1/state"), "the known one's own");
    roster.forget("device/console/1");
    assert_eq!(roster.update(found).appeared, ["device/console/1"]);
    world.remove(&crate::world::front());
    let found = front_ends(&mut guest, "console").expect("none");
    assert_eq!(roster.update(found).vanished, ["device/console/1"]);
}

/// A back end whose script takes its time, and which makes rings anew.
struct Disk(Console<Mapping>);

impl Default for Disk {
    fn default() -> Disk {
        Disk(Console::new(16))
    }
}

impl BackDriver<Domain> for Disk {
    const RESTART: Restart = Restart::Anew;

    fn prepare(&mut self, own: &mut Node<'_>) -> Result<Ready, Fault> {
        let status = own.read("hotplug-status").map_err(Fault::while_doing("asking"))?;
        Ok(match status.as_deref() {
            Some(b"connected") => Ready::Yes(Keys::default().with("feature-flush-cache", 1)),
            _ => Ready::Later,
        })
    }

    fn connect(
        &mut self,
        domain: &mut Domain,
        front: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        self.0.connect(domain, front, peer)?;
        Ok(Keys::default().with("sectors", 2048))
    }

    fn disconnect(&mut self, domain: &mut Domain) {
        BackDriver::<Domain>::disconnect(&mut self.0, domain);
    }
}

fn step(world: &World, front: &mut FrontHalf, disk: &mut Back<Domain, Disk>) {
    for _ in 0..20 {
        let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
        let _ = front.look(&mut store, &mut guest).expect("the store works");
        let (mut store, mut host) = (world.domain(HOST), world.domain(HOST));
        let _ = disk.look(&mut store, &mut host).expect("the store works");
    }
}

#[test]
fn scripts_are_waited_for_and_offers_written() {
    let world = World::with_console();
    let mut front = open_front(&world);
    let mut disk =
        Back::open(&mut world.domain(HOST), "backend/console/1/1", Disk::default()).expect("there");
    step(&world, &mut front, &mut disk);
    assert_eq!((front.state(), disk.state()), (State::Initialising, State::Initialising));
    let _ = world.take_fired(HOST, "backend/console/1/1");
    world.set(&(crate::world::back() + "/hotplug-status"), "connected");
    assert!(world.take_fired(HOST, "backend/console/1/1"), "it is watched");
    step(&world, &mut front, &mut disk);
    assert_eq!((front.state(), disk.state()), (State::Connected, State::Connected));
    let get = |key: &str| world.get(&format!("{}/{key}", crate::world::back()));
    assert_eq!(get("feature-flush-cache").as_deref(), Some("1"));
    assert_eq!(get("sectors").as_deref(), Some("2048"));
    let mut host = world.domain(HOST);
    let back = crate::world::back();
    assert_eq!(Node::new(&mut host, &back).has("feature-flush-cache"), Ok(true));
    assert_eq!(Node::new(&mut host, &back).has("feature-barrier"), Ok(false));
}

#[test]
fn a_back_end_that_dies_may_ask_for_new_rings() {
    let world = World::with_console();
    world.set(&(crate::world::back() + "/hotplug-status"), "connected");
    let open = || {
        Back::open(&mut world.domain(HOST), "backend/console/1/1", Disk::default()).expect("there")
    };
    let (mut front, mut disk) = (open_front(&world), open());
    step(&world, &mut front, &mut disk);
    let ring = world.get(&(crate::world::front() + "/ring-ref"));
    world.kill(HOST);
    drop(disk);
    let mut disk = open();
    step(&world, &mut front, &mut disk);
    assert_eq!((front.state(), disk.state()), (State::Connected, State::Connected));
    assert_ne!(world.get(&(crate::world::front() + "/ring-ref")), ring);
    assert_eq!(world.in_use(), (2, 1, 1));
}

#[test]
fn a_device_is_changed_while_it_is_in_use() {
    let (world, mut front, mut back) = connected();
    let (mut store, mut host) = (world.domain(HOST), world.domain(HOST));
    assert_eq!(back.reconfigure(&mut store, &mut host), Ok(Life::Present));
    assert_eq!(back.reconfigure(&mut store, &mut host), Err(Errno::EBUSY));
    settle(&world, &mut front, &mut back);
    assert_eq!((front.state(), back.state()), (State::Connected, State::Connected));
    assert_eq!(print(&world, &mut front, b"still"), 5);
    assert_eq!(printed(&world, &mut back), b"still");
}

#[test]
fn a_port_that_is_gone_is_an_error() {
    let (world, mut front, mut back) = connected();
    let port: Port = back.driver.port().expect("connected");
    print(&world, &mut front, b"x");
    xenbus::access::Events::close(&mut world.domain(HOST), port).expect("it is open");
    assert_eq!(back.driver.poll(&mut world.domain(HOST)), Err(Broken::Event(Errno::EINVAL)));
}
