//! Both ends against each other, over a stream that splits bytes anywhere and is cut at restarts.

use std::collections::{HashMap, VecDeque};

use link::{ChannelId, End, Event, Refused, Side, WINDOW};
use proptest::prelude::*;

/// What a channel carries in each direction: bytes that follow from its name and their place.
fn byte(token: u32, to_host: bool, at: usize) -> u8 {
    (token as usize * 31 + usize::from(to_host) * 7 + at * 13 + at / 251) as u8
}

/// One end's program: which channels it has, and how far each got.
#[derive(Default)]
struct Program {
    up: bool,
    channels: HashMap<ChannelId, Progress>,
}

struct Progress {
    token: u32,
    sent: usize,
    received: usize,
    peer_closed: bool,
}

struct World {
    ends: [End; 2],
    programs: [Program; 2],
    /// Bytes on their way to each end.
    wires: [VecDeque<u8>; 2],
    next_token: u32,
    next_epoch: u32,
    /// Nobody restarted, and nothing was lost or made up: the session goes on.
    calm: bool,
    /// By token and direction: what was sent and received at most.
    sent: HashMap<(u32, bool), usize>,
}

const SIDES: [Side; 2] = [Side::Host, Side::Domain0];

impl World {
    fn new() -> Self {
        Self {
            ends: [End::new(Side::Host, 100), End::new(Side::Domain0, 200)],
            programs: Default::default(),
            wires: Default::default(),
            next_token: 0,
            next_epoch: 1000,
            calm: true,
            sent: HashMap::new(),
        }
    }

    /// Moves up to `count` bytes of output onto the wire.
    fn transmit(&mut self, side: usize, count: usize) -> bool {
        let output = self.ends[side].output();
        let count = count.min(output.len());
        self.wires[1 - side].extend(&output[..count]);
        self.ends[side].sent(count);
        count > 0
    }

    /// Takes up to `count` bytes off the wire, and sees to the events.
    fn deliver(&mut self, side: usize, count: usize) -> bool {
        let count = count.min(self.wires[side].len());
        let bytes: Vec<u8> = self.wires[side].drain(..count).collect();
        self.ends[side].input(&bytes);
        self.see(side);
        count > 0
    }

    fn see(&mut self, side: usize) {
        let program = &mut self.programs[side];
        while let Some(event) = self.ends[side].next_event() {
            match event {
                Event::Up => {
                    assert!(program.channels.is_empty());
                    program.up = true;
                }
                Event::Down => {
                    assert!(!self.calm, "the session ended for nothing");
                    program.up = false;
                    program.channels.clear();
                }
                Event::Opened(id, service) => {
                    assert_eq!(side, 1);
                    let token = service.parse().unwrap();
                    let progress = Progress { token, sent: 0, received: 0, peer_closed: false };
                    assert!(program.channels.insert(id, progress).is_none());
                }
                Event::Readable(id) => {
                    assert!(program.channels.contains_key(&id));
                    assert!(!self.ends[side].received(id).is_empty());
                }
                Event::Closed(id) => program.channels.get_mut(&id).unwrap().peer_closed = true,
            }
        }
        assert_eq!(program.up, self.ends[side].is_up());
    }

    fn open(&mut self) {
        match self.ends[0].open(&self.next_token.to_string()) {
            Ok(id) => {
                let progress =
                    Progress { token: self.next_token, sent: 0, received: 0, peer_closed: false };
                assert!(self.programs[0].channels.insert(id, progress).is_none());
                self.next_token += 1;
            }
            Err(Refused::Down) => assert!(!self.programs[0].up),
            Err(refused) => assert_eq!(refused, Refused::TooMany),
        }
    }

    fn pick(&self, side: usize, which: usize) -> Option<ChannelId> {
        let mut ids: Vec<_> = self.programs[side].channels.keys().copied().collect();
        ids.sort();
        (!ids.is_empty()).then(|| ids[which % ids.len()])
    }

    fn send(&mut self, side: usize, which: usize, count: usize) -> bool {
        let Some(id) = self.pick(side, which) else { return false };
        let progress = self.programs[side].channels.get_mut(&id).unwrap();
        let bytes: Vec<u8> = (progress.sent..progress.sent + count)
            .map(|at| byte(progress.token, side == 1, at))
            .collect();
        match self.ends[side].send(id, &bytes) {
            Ok(sent) => {
                progress.sent += sent;
                let total = self.sent.entry((progress.token, side == 1)).or_default();
                *total = progress.sent;
                sent > 0
            }
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                assert!(progress.peer_closed);
                false
            }
        }
    }

    fn receive(&mut self, side: usize, which: usize, count: usize) -> bool {
        let Some(id) = self.pick(side, which) else { return false };
        let progress = self.programs[side].channels.get_mut(&id).unwrap();
        let received = self.ends[side].received(id);
        assert!(received.len() <= WINDOW);
        let count = count.min(received.len());
        for value in &received[..count] {
            assert_eq!(*value, byte(progress.token, side == 0, progress.received));
            progress.received += 1;
        }
        let sent = self.sent.get(&(progress.token, side == 0)).copied().unwrap_or(0);
        assert!(progress.received <= sent);
        self.ends[side].consume(id, count);
        count > 0
    }

    fn close(&mut self, side: usize, which: usize) {
        if let Some(id) = self.pick(side, which) {
            self.ends[side].close(id);
            self.programs[side].channels.remove(&id);
        }
    }

    /// One side starts again; any part of what is on its way is lost.
    fn restart(&mut self, side: usize, lost: usize) {
        self.calm = false;
        self.next_epoch += 1;
        self.ends[side] = End::new(SIDES[side], self.next_epoch);
        self.programs[side] = Program::default();
        self.wires[side].clear();
        let keep = self.wires[1 - side].len().saturating_sub(lost);
        self.wires[1 - side].truncate(keep);
    }

    /// Lets everything arrive and be received.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for side in 0..2 {
                moved |= self.transmit(side, usize::MAX);
                moved |= self.deliver(side, usize::MAX);
                for which in 0..self.programs[side].channels.len() {
                    moved |= self.receive(side, which, usize::MAX);
                }
            }
            if !moved {
                return;
            }
        }
        panic!("it never settles");
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Transmit(side, count) => {
                self.transmit(side, count);
            }
            Op::Deliver(side, count) => {
                self.deliver(side, count);
            }
            Op::Open => self.open(),
            Op::Send(side, which, count) => {
                self.send(side, which, count);
            }
            Op::Receive(side, which, count) => {
                self.receive(side, which, count);
            }
            Op::Close(side, which) => self.close(side, which),
            Op::Restart(side, lost) => self.restart(side, lost),
            Op::Noise(side, bytes) => {
                // The stream is damaged: what was on its way is lost, junk takes its place.
                self.wires[side].clear();
                self.wires[side].extend(bytes);
                self.restart(1 - side, 0);
            }
        }
    }

    /// What must hold when all is quiet.
    fn check_at_rest(&mut self) {
        self.settle();
        assert!(self.programs.iter().all(|program| program.up));
        for side in 0..2 {
            for progress in self.programs[side].channels.values() {
                let sent = self.sent.get(&(progress.token, side == 0)).copied().unwrap_or(0);
                assert_eq!(progress.received, sent);
            }
            // Who has closed has no channel any more; the other was told.
            for which in (0..self.programs[side].channels.len()).rev() {
                let closed = self.pick(side, which);
                if closed.is_some_and(|id| self.programs[side].channels[&id].peer_closed) {
                    self.close(side, which);
                }
            }
        }
        self.settle();
        let tokens = |side: usize| {
            let channels = self.programs[side].channels.values();
            let mut tokens: Vec<_> = channels.map(|progress| progress.token).collect();
            tokens.sort_unstable();
            tokens
        };
        assert_eq!(tokens(0), tokens(1));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Transmit(usize, usize),
    Deliver(usize, usize),
    Open,
    Send(usize, usize, usize),
    Receive(usize, usize, usize),
    Close(usize, usize),
    Restart(usize, usize),
    Noise(usize, Vec<u8>),
}

impl Op {
    fn is_calm(&self) -> bool {
        !matches!(self, Op::Restart(..) | Op::Noise(..))
    }
}

/// Mostly small, sometimes all there is.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..40, 0usize..10_000, Just(200_000)]
}

fn op() -> impl Strategy<Value = Op> {
    let side = || 0usize..2;
    prop_oneof![
        8 => (side(), size()).prop_map(|(side, n)| Op::Transmit(side, n)),
        8 => (side(), size()).prop_map(|(side, n)| Op::Deliver(side, n)),
        4 => Just(Op::Open),
        8 => (side(), 0usize..8, size()).prop_map(|(side, c, n)| Op::Send(side, c, n)),
        8 => (side(), 0usize..8, size()).prop_map(|(side, c, n)| Op::Receive(side, c, n)),
        2 => (side(), 0usize..8).prop_map(|(side, c)| Op::Close(side, c)),
        1 => (side(), size()).prop_map(|(side, lost)| Op::Restart(side, lost)),
        1 => (side(), prop::collection::vec(0u8..8, 1..40)).prop_map(|(side, b)| Op::Noise(side, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Every byte that arrives is the one that was sent, in its place and channel; and when all
    /// is quiet, both ends have the same channels, and everything has arrived.
    #[test]
    fn channels_carry_what_was_sent(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        world.settle();
        ops.into_iter().for_each(|op| world.apply(op));
        world.check_at_rest();
    }

    /// As long as nobody restarts there is one session: numbers of channels are used again and
    /// again, and neither side ever takes the other for a liar.
    #[test]
    fn a_calm_session_goes_on(
        ops in prop::collection::vec(op().prop_filter("calm", Op::is_calm), 1..150),
    ) {
        let mut world = World::new();
        world.settle();
        ops.into_iter().for_each(|op| world.apply(op));
        world.check_at_rest();
        assert!(world.calm);
    }

    /// Whatever a peer says, an end neither panics nor grows without bound, and a peer that
    /// keeps the rules is understood afterwards.
    #[test]
    fn hostile_bytes_harm_nobody(
        chunks in prop::collection::vec(hostile(), 0..60),
        take in any::<bool>(),
    ) {
        let mut world = World::new();
        world.settle();
        world.calm = false;
        for bytes in chunks {
            world.ends[1].input(&bytes);
            while world.ends[1].next_event().is_some() {}
            if take {
                world.ends[1].output();
                world.ends[1].sent(usize::MAX);
            }
            prop_assert!(world.ends[1].output().len() < 256 << 10);
        }
        world.programs[1] = Program { up: world.ends[1].is_up(), ..Program::default() };
        world.restart(0, 0);
        world.settle();
        world.open();
        prop_assert!(world.send(0, 0, 10));
        world.settle();
        prop_assert_eq!(world.programs[1].channels.values().next().unwrap().received, 10);
    }
}

/// Frames that look right, with wrong contents more often than not.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    use link::frame::{Frame, Reset};
    let encode = |frame: Frame<'_>| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    };
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30),
        (0u16..4).prop_map(move |channel| encode(Frame::Open { channel, service: "0" })),
        (0u16..4, 1usize..4096).prop_map(move |(channel, size)| {
            encode(Frame::Data { channel, bytes: &vec![9; size] })
        }),
        (0u16..300, 0u32..100_000)
            .prop_map(move |(channel, bytes)| { encode(Frame::Credit { channel, bytes }) }),
        (0u16..4).prop_map(move |channel| encode(Frame::Close { channel })),
        (98u32..102, 198u32..204)
            .prop_map(move |(epoch, heard)| { encode(Frame::Reset(Reset { epoch, heard })) }),
    ]
}

fn connected() -> World {
    let mut world = World::new();
    world.settle();
    world
}

#[test]
fn a_channel_that_nobody_reads_stops_alone() {
    let mut world = connected();
    world.open();
    world.open();
    world.transmit(0, usize::MAX);
    world.deliver(1, usize::MAX);
    // The first is filled; domain 0 takes nothing.
    let mut filled = 0;
    while world.send(0, 0, 10_000) {
        while world.transmit(0, usize::MAX) {}
        world.deliver(1, usize::MAX);
        filled += 1;
    }
    assert!(filled > 1);
    let id = world.pick(0, 0).unwrap();
    assert_eq!(world.programs[0].channels[&id].sent, WINDOW);
    // The second goes on as long as it likes.
    for _ in 0..4 * WINDOW / 10_000 {
        assert!(world.send(0, 1, 10_000));
        world.transmit(0, usize::MAX);
        world.deliver(1, usize::MAX);
        assert!(world.receive(1, 1, usize::MAX));
        while world.receive(1, 1, usize::MAX) {}
        world.transmit(1, usize::MAX);
        world.deliver(0, usize::MAX);
    }
    // And when somebody takes them, the first does, too.
    world.settle();
    assert!(world.send(0, 0, 1));
}

#[test]
fn what_was_sent_before_a_close_arrives() {
    let mut world = connected();
    world.open();
    world.send(0, 0, 5000);
    world.close(0, 0);
    world.transmit(0, usize::MAX);
    world.deliver(1, usize::MAX);
    let id = world.pick(1, 0).unwrap();
    assert!(world.programs[1].channels[&id].peer_closed);
    while world.receive(1, 0, 1000) {}
    assert_eq!(world.programs[1].channels[&id].received, 5000);
    assert!(!world.send(1, 0, 1), "the other side is gone");
    world.close(1, 0);
    world.settle();
    // Every number is free again.
    for _ in 0..link::MAX_CHANNELS {
        world.ends[0].open("0").unwrap();
    }
    assert_eq!(world.ends[0].open("0"), Err(Refused::TooMany));
}

#[test]
fn only_the_host_opens_and_only_while_there_is_somebody() {
    let mut host = End::new(Side::Host, 1);
    assert_eq!(host.open("xenstore"), Err(Refused::Down));
    let mut world = connected();
    assert_eq!(world.ends[1].open("xenstore"), Err(Refused::NotTheHost));
    assert_eq!(world.ends[0].open(""), Err(Refused::Name));
    assert_eq!(world.ends[0].open(&"x".repeat(65)), Err(Refused::Name));
}

#[test]
fn a_channel_of_the_session_before_names_nothing() {
    let mut world = connected();
    world.open();
    let stale = world.pick(0, 0).unwrap();
    world.restart(1, 0);
    world.settle();
    world.open();
    assert_eq!(world.ends[0].send(stale, b"x"), Err(Refused::Closed));
    world.ends[0].close(stale);
    assert!(world.send(0, 0, 1));
}

#[test]
fn sending_beyond_the_credit_ends_the_session() {
    use link::frame::Frame;
    let mut world = connected();
    world.open();
    world.settle();
    let mut bytes = Vec::new();
    for _ in 0..=WINDOW / 4096 {
        Frame::Data { channel: 0, bytes: &[0; 4096] }.encode(&mut bytes);
    }
    world.calm = false;
    world.ends[1].input(&bytes);
    assert!(!world.ends[1].is_up());
    assert_eq!(world.ends[1].next_event(), Some(Event::Down));
    assert_eq!(world.ends[1].next_event(), None);
    world.programs[1] = Program::default();
    world.settle();
    assert!(world.programs.iter().all(|program| program.up && program.channels.is_empty()));
}
