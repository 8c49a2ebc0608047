//! Against a model wire: every frame arrives once, unaltered, and those of a flow in order.

use super::bytes::packet;
use super::lab::{Lab, Mapping, PLAN, connected};
use crate::memory::Words;
use crate::net::back::Rate;
use crate::net::front::{Busy, Plan};
use crate::net::{Checksum, Copes, Family, Frame, Segments, back, front};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::vec;
use std::vec::Vec;

const FLOWS: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A frame of so many bytes in a flow.
    FromGuest(u8, usize, Kind),
    ToGuest(u8, usize, Kind),
    FrontPolls,
    BackPolls,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Valid,
    Blank,
    Segments,
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![0usize..200, 1000usize..1500, 4000usize..4200, Just(20_000usize)];
    let kind = || prop::sample::select(vec![Kind::Plain, Kind::Valid, Kind::Blank, Kind::Segments]);
    prop_oneof![
        (0..FLOWS, size(), kind()).prop_map(|(flow, size, kind)| Op::FromGuest(flow, size, kind)),
        (0..FLOWS, size(), kind()).prop_map(|(flow, size, kind)| Op::ToGuest(flow, size, kind)),
        Just(Op::FrontPolls),
        Just(Op::BackPolls),
    ]
}

/// A frame of a flow, which its first byte of data tells.
fn frame(flow: u8, size: usize, kind: Kind, serial: u32) -> Frame {
    let mut data = vec![flow; size + 5];
    data[1..5].copy_from_slice(&serial.to_be_bytes());
    let mut bytes = packet(4, 6, &data);
    bytes[29] = flow;
    let (checksum, segments) = match kind {
        Kind::Plain => (Checksum::Unchecked, None),
        Kind::Valid => (Checksum::Valid, None),
        Kind::Blank => (Checksum::Blank, None),
        Kind::Segments => (Checksum::Blank, Some(Segments { family: Family::V4, size: 1448 })),
    };
    Frame { bytes, checksum, segments }
}

/// What is under way in one direction, by flow.
#[derive(Default)]
struct Wire(BTreeMap<u8, VecDeque<Frame>>);

impl Wire {
    fn send(&mut self, frame: Frame) {
        self.0.entry(frame.bytes[29]).or_default().push_back(frame);
    }

    fn arrive(&mut self, frame: &Frame) {
        let sent = self.0.get_mut(&frame.bytes[29]).and_then(VecDeque::pop_front);
        assert!(sent.as_ref() == Some(frame), "{sent:?} was sent, {frame:?} arrives");
    }

    fn is_empty(&self) -> bool {
        self.0.values().all(VecDeque::is_empty)
    }
}

struct Both {
    lab: Lab,
    front: front::Link<Words>,
    back: back::Link<Mapping>,
    from_guest: Wire,
    to_guest: Wire,
    serial: u32,
    /// Bytes that were delivered and have not arrived: the back end keeps half a megabyte.
    queued: usize,
}

impl Both {
    fn apply(&mut self, op: Op) {
        self.serial += 1;
        match op {
            Op::FromGuest(flow, size, kind) => {
                let frame = frame(flow, size, kind, self.serial);
                let sent = self.front.send(&mut self.lab, frame.clone()).expect("an honest peer");
                if sent != Err(Busy) {
                    self.from_guest.send(frame);
                }
            }
            Op::ToGuest(flow, size, kind) => {
                let frame = frame(flow, size, kind, self.serial);
                self.queued += frame.bytes.len();
                self.to_guest.send(frame.clone());
                self.back.deliver(frame);
            }
            Op::FrontPolls => drop(self.front_polls()),
            Op::BackPolls => drop(self.back_polls()),
        }
    }

    fn front_polls(&mut self) -> bool {
        let (wire, queued) = (&mut self.to_guest, &mut self.queued);
        let more = self.front.poll(&mut self.lab, |frame| {
            wire.arrive(&frame);
            *queued -= frame.bytes.len();
        });
        more.expect("an honest peer")
    }

    fn back_polls(&mut self) -> bool {
        let wire = &mut self.from_guest;
        let more = self.back.poll(&mut self.lab, |frame| wire.arrive(&frame));
        more.expect("an honest peer")
    }

    /// Polls as events say, until nothing happens any more.
    fn settle(&mut self) {
        let fronts: Vec<_> = self.front.ports().collect();
        let backs: Vec<_> = self.back.ports().collect();
        let (mut front, mut back) = (false, true);
        while front || back {
            back = self.lab.take_events(&backs) | back && self.back_polls();
            front = self.lab.take_events(&fronts) | front && self.front_polls();
            back |= self.lab.take_events(&backs);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_frame_arrives_once_and_in_order(
        ops in prop::collection::vec(op(), 0..100),
        queues in 1usize..4,
        pages in 8usize..40,
        split in any::<bool>(),
    ) {
        let plan = Plan { queues, pages, split, ..PLAN };
        let (lab, front, back) = connected(&plan, 3);
        let (from_guest, to_guest) = (Wire::default(), Wire::default());
        let mut both = Both { lab, front, back, from_guest, to_guest, serial: 0, queued: 0 };
        for op in ops {
            // What fits between the halves is not lost.
            if both.queued < 100_000 || !matches!(op, Op::ToGuest(..)) {
                both.apply(op);
            }
        }
        both.settle();
        prop_assert!(both.from_guest.is_empty() && both.to_guest.is_empty(), "frames are stuck");
        let (front, back) = (both.front.counts(), both.back.counts());
        prop_assert_eq!((front.sent, front.received), (back.sent, back.received));
        prop_assert_eq!((front.sent_wrong, front.received_wrong), (0, 0));
        prop_assert_eq!((back.sent_wrong, back.received_lost), (0, 0));
    }
}

/// What comes out of the other half of a link whose receiver copes with little.
fn one_each_way(copes: Copes, sent: &Frame) -> (Vec<Frame>, Vec<Frame>) {
    let plan = Plan { copes, ..PLAN };
    let (mut lab, mut front, mut back) = connected(&plan, 1);
    let (mut out, mut came) = (Vec::new(), Vec::new());
    back.deliver(sent.clone());
    assert_eq!(front.send(&mut lab, sent.clone()), Ok(Ok(())));
    while back.poll(&mut lab, |frame| out.push(frame)).expect("an honest peer") {}
    while front.poll(&mut lab, |frame| came.push(frame)).expect("an honest peer") {}
    (out, came)
}

#[test]
fn a_guest_gets_what_it_copes_with() {
    let whole = frame(1, 20_000, Kind::Segments, 0);
    let (out, came) = one_each_way(Copes::default(), &whole);
    assert_eq!(out, [whole], "the back end copes with all");
    assert_eq!(came.len(), 20_005usize.div_ceil(1448));
    assert!(came.iter().all(|frame| frame.checksum == Checksum::Valid));
    let large = frame(1, 5000, Kind::Plain, 0);
    assert_eq!(one_each_way(Copes::default(), &large).1, []);
    assert_eq!(one_each_way(Copes { scatter: true, ..Copes::default() }, &large).1, [large]);
}

#[test]
fn what_a_guest_does_not_take_is_lost_beyond_a_bound() {
    let (mut lab, mut front, mut back) = connected(&PLAN, 1);
    for serial in 0..1000 {
        back.deliver(frame(1, 100, Kind::Plain, serial));
    }
    assert_eq!(back.counts().received_lost, 1000 - 256);
    let mut came = 0;
    let mut polls = 0;
    while came < 256 && polls < 100 {
        let _ = back.poll(&mut lab, |_| ()).expect("an honest peer");
        let _ = front.poll(&mut lab, |_| came += 1).expect("an honest peer");
        polls += 1;
    }
    assert_eq!((came, back.counts().received), (256, 256));
}

#[test]
fn a_guest_that_may_not_send_more_waits() {
    let (mut lab, mut front, mut back) = connected(&PLAN, 1);
    back.limit(Rate { bytes: 3000, interval_ns: 100 }, 1000);
    for serial in 0..8 {
        assert_eq!(front.send(&mut lab, frame(1, 986, Kind::Plain, serial)), Ok(Ok(())));
    }
    let ports: Vec<_> = back.ports().collect();
    let mut came = Vec::new();
    // Three to begin with, and three of a thousand bytes in each interval.
    for (now, so_far, next) in
        [(1000, 3, Some(1100)), (1099, 3, Some(1100)), (1100, 6, Some(1200)), (1250, 8, None)]
    {
        back.refill(|| now);
        while back.poll(&mut lab, |frame| came.push(frame)).expect("an honest peer") {}
        assert_eq!((came.len(), back.poll_at()), (so_far, next), "at {now}");
        let _ = lab.take_events(&ports);
    }
    // From then on it says again that it has sent.
    assert_eq!(front.send(&mut lab, frame(1, 986, Kind::Plain, 8)), Ok(Ok(())));
    assert!(lab.take_events(&ports));
}

#[test]
fn a_full_link_is_busy_and_tells_when_it_is_not() {
    let plan = Plan { pages: 2, ..PLAN };
    let (mut lab, mut front, mut back) = connected(&plan, 1);
    let small = || frame(1, 10, Kind::Plain, 0);
    assert_eq!(front.send(&mut lab, small()), Ok(Ok(())));
    assert_eq!(front.send(&mut lab, small()), Ok(Ok(())));
    assert_eq!(front.send(&mut lab, small()), Ok(Err(Busy)));
    let ports: Vec<_> = front.ports().collect();
    lab.take_events(&ports);
    let _ = back.poll(&mut lab, |_| ()).expect("an honest peer");
    assert!(lab.take_events(&ports), "there is room");
    assert_eq!(front.send(&mut lab, small()), Ok(Ok(())));
    // What needs more pages than there are never gets room.
    assert_eq!(front.send(&mut lab, frame(1, 20_000, Kind::Plain, 0)), Ok(Ok(())));
    assert_eq!(front.counts().sent, 3);
    front.suspend();
    assert_eq!(front.send(&mut lab, small()), Ok(Ok(())), "nobody is there: it is lost");
}
