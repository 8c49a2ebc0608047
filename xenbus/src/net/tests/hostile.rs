//! Peers that do not follow the protocol.

use super::lab::*;
use crate::access::{Grants, Shared};
use crate::memory::{SharedMemory, Words};
use crate::net::front::Plan;
use crate::net::{Broken, Frame, back, front};
use crate::ring::{BackRing, FrontRing};
use proptest::prelude::*;
use pv_abi::io::netif::*;
use pv_abi::types::GrantRef;
use std::vec;
use std::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// A front end that writes what it likes: its rings, and a page of 4096 bytes.
struct Evil {
    lab: Lab,
    back: back::Link<Mapping>,
    tx: FrontRing<Words, NetifTxRequest, NetifTxResponse>,
    tx_page: Words,
    rx: FrontRing<Words, NetifRxRequest, NetifRxResponse>,
    rx_page: Words,
    page: Shared<Words>,
}

impl Evil {
    fn new() -> Evil {
        let mut lab = Lab::new();
        // An honest front end's nodes; what is in its rings is replaced.
        let _front = publish(&mut lab, &PLAN, 1).expect("all that is needed");
        let ring = |key: &str| {
            let grant = lab.get(&std::format!("{FRONT}/{key}-ring-ref")).expect("published");
            lab.page(grant.parse().expect("a number"))
        };
        let (tx_page, rx_page) = (ring("tx"), ring("rx"));
        rx_page.copy_in(0, &[0; 4096]);
        let tx = FrontRing::new(tx_page.clone()).expect("a page");
        let rx = FrontRing::new(rx_page.clone()).expect("a page");
        let back = attach(&mut lab, 1).expect("an honest front end");
        let page = lab.share(HOST, 1).expect("memory");
        Evil { lab, back, tx, tx_page, rx, rx_page, page }
    }

    fn request(&self, flags: u16, size: u16) -> NetifTxRequest {
        let gref = self.page.grants[0];
        NetifTxRequest { gref, offset: 0, flags, id: size, size }
    }

    /// Has the back end see these slots; the frames that come of them.
    fn send(&mut self, slots: &[NetifTxRequest]) -> Result<Vec<Frame>, Broken> {
        for slot in slots {
            self.tx.push(slot).expect("room");
        }
        let _ = self.tx.publish();
        let mut frames = Vec::new();
        while self.back.poll(&mut self.lab, |frame| frames.push(frame))? {}
        Ok(frames)
    }

    fn answers(&mut self) -> Vec<(u16, i16)> {
        let mut answers = Vec::new();
        while let Some(response) = self.tx.take().expect("an honest back end") {
            answers.push((response.id, response.status));
        }
        answers
    }
}

fn extra(kind: u8, flags: u8, u: [u8; 6]) -> NetifTxRequest {
    let mut bytes = [0; 12];
    let extra = NetifExtraInfo { r#type: kind, flags, u };
    bytes[..8].copy_from_slice(extra.as_bytes());
    NetifTxRequest::read_from_bytes(&bytes).expect("12 bytes")
}

const MORE: u16 = NETTXF_MORE_DATA;
const EXTRA: u16 = NETTXF_EXTRA_INFO;
const ERROR: i16 = NETIF_RSP_ERROR;

#[test]
fn a_mistake_costs_a_guest_the_frame() {
    let mut evil = Evil::new();
    let good = evil.request(0, 60);
    let unknown = NetifTxRequest { gref: GrantRef::new(9999), ..good };
    let wrong: [(&str, Vec<NetifTxRequest>); 5] = [
        ("too short", vec![evil.request(0, 13)]),
        ("nothing", vec![evil.request(0, 0)]),
        ("parts longer than the whole", vec![evil.request(MORE, 60), evil.request(0, 61)]),
        ("a page that is not granted", vec![unknown]),
        (
            "too many slots",
            [vec![evil.request(MORE, 4000); 18], vec![evil.request(0, 20)]].concat(),
        ),
    ];
    for (what, slots) in wrong {
        assert_eq!(evil.send(&slots), Ok(vec![]), "{what}");
        let expected: Vec<_> = slots.iter().map(|slot| (slot.id, ERROR)).collect();
        assert_eq!(evil.answers(), expected, "{what}");
        assert_eq!(evil.send(&[good]).map(|frames| frames.len()), Ok(1), "the next one is good");
        assert_eq!(evil.answers(), [(60, NETIF_RSP_OKAY)]);
    }
    assert_eq!((evil.back.counts().sent, evil.back.counts().sent_wrong), (5, 5));
    // As many slots as there may be.
    let slots = [
        vec![evil.request(MORE, 1000)],
        vec![evil.request(MORE, 50); 16],
        vec![evil.request(0, 50)],
    ]
    .concat();
    let frames = evil.send(&slots).expect("18 slots");
    assert_eq!(frames.iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>(), [1000]);
}

#[test]
fn what_is_against_the_protocol_costs_it_the_link() {
    let past = |evil: &Evil, flags| NetifTxRequest { offset: 4090, ..evil.request(flags, 60) };
    type Slots = fn(&Evil) -> Vec<NetifTxRequest>;
    let cases: [(Slots, &str); 9] = [
        (|evil| vec![evil.request(MORE, 60)], "a frame does not end"),
        (|evil| vec![evil.request(MORE, 60); 30], "a frame has too many slots"),
        (|evil| vec![evil.request(EXTRA, 60)], "extra information is missing"),
        (
            |evil| vec![evil.request(EXTRA, 60), extra(1, 1, [1, 1, 1, 0, 0, 0])],
            "extra information is missing",
        ),
        (
            |evil| vec![evil.request(EXTRA, 60), extra(0, 0, [0; 6])],
            "extra information of an unknown kind",
        ),
        (
            |evil| vec![evil.request(EXTRA, 60), extra(5, 0, [0; 6])],
            "extra information of an unknown kind",
        ),
        (
            |evil| vec![evil.request(EXTRA, 60), extra(1, 0, [0, 0, 1, 0, 0, 0])],
            "segments of an unknown kind",
        ),
        (
            |evil| vec![evil.request(EXTRA, 60), extra(1, 0, [9, 0, 3, 0, 0, 0])],
            "segments of an unknown kind",
        ),
        (
            |evil| vec![NetifTxRequest { offset: 4095, ..evil.request(0, 60) }],
            "a slot goes past the end of its page",
        ),
    ];
    for (slots, what) in cases {
        let mut evil = Evil::new();
        let slots = slots(&evil);
        assert_eq!(evil.send(&slots), Err(Broken::Protocol(what)));
        assert_eq!(evil.answers(), [], "nothing was done");
    }
    let mut evil = Evil::new();
    let slots = [evil.request(MORE, 120), past(&evil, 0)];
    assert_eq!(evil.send(&slots), Err(Broken::Protocol("a slot goes past the end of its page")));
    let mut evil = Evil::new();
    evil.tx_page.store(0, 1000);
    assert!(matches!(evil.back.poll(&mut evil.lab, |_| ()), Err(Broken::Ring(_))));
    let mut evil = Evil::new();
    evil.rx_page.store(0, 1000);
    evil.back.deliver(Frame::new(vec![0; 60]));
    assert!(matches!(evil.back.poll(&mut evil.lab, |_| ()), Err(Broken::Ring(_))));
}

#[test]
fn groups_are_asked_for_without_a_frame() {
    let mut evil = Evil::new();
    for n in 0..65 {
        let ask = |kind| extra(kind, 0, [1, 0, 0x5e, 0, 0, n]);
        let slots = [evil.request(EXTRA, 0), ask(2)];
        assert_eq!(evil.send(&slots), Ok(vec![]));
        let status = if n < 64 { NETIF_RSP_OKAY } else { ERROR };
        assert_eq!(evil.answers(), [(0, status), (0, NETIF_RSP_NULL)]);
    }
    let slots = [evil.request(EXTRA, 0), extra(3, 0, [1, 0, 0x5e, 0, 0, 7])];
    assert_eq!(evil.send(&slots), Ok(vec![]));
    assert_eq!(evil.answers(), [(0, NETIF_RSP_OKAY), (0, NETIF_RSP_NULL)]);
}

#[test]
fn pages_that_cannot_be_written_lose_the_frame() {
    let mut evil = Evil::new();
    let good = evil.page.grants[0];
    for gref in [GrantRef::new(9999), good] {
        evil.rx.push(&NetifRxRequest { id: 7, pad: 0, gref }).expect("room");
    }
    let _ = evil.rx.publish();
    evil.back.deliver(Frame::new(vec![1; 60]));
    evil.back.deliver(Frame::new(vec![2; 61]));
    assert_eq!(evil.send(&[]), Ok(vec![]));
    let statuses: Vec<i16> = core::iter::from_fn(|| evil.rx.take().expect("an honest back end"))
        .map(|response| response.status)
        .collect();
    assert_eq!(statuses, [ERROR, 61]);
    assert_eq!((evil.back.counts().received, evil.back.counts().received_lost), (1, 1));
}

/// A back end that writes what it likes.
fn deceived() -> (Lab, front::Link<Words>, [Words; 2]) {
    let mut lab = Lab::new();
    let plan = Plan { pages: 8, ..PLAN };
    let mut front = publish(&mut lab, &plan, 1).expect("all that is needed");
    let ring = |key: &str| {
        let grant = lab.get(&std::format!("{FRONT}/{key}-ring-ref")).expect("published");
        lab.page(grant.parse().expect("a number"))
    };
    let rings = [ring("tx"), ring("rx")];
    let mut store = lab.clone();
    let peer = &mut crate::device::Node::new(&mut store, BACK);
    front.connect(&mut lab, front::Link::<Words>::offered(peer).expect("an honest offer"));
    (lab, front, rings)
}

fn answer_tx(response: NetifTxResponse) -> Result<bool, Broken> {
    let (mut lab, mut front, [tx, _]) = deceived();
    assert_eq!(front.send(&mut lab, Frame::new(vec![2; 60])), Ok(Ok(())));
    let mut ring: BackRing<_, NetifTxRequest, NetifTxResponse> =
        BackRing::attach(tx).expect("a page");
    ring.take().expect("honest").expect("sent");
    ring.push(&response).expect("taken");
    let _ = ring.publish();
    front.poll(&mut lab, |_| panic!("nothing came"))
}

#[test]
fn answers_are_to_what_was_sent() {
    let id = 0;
    assert_eq!(answer_tx(NetifTxResponse { id, status: 0 }), Ok(false));
    assert_eq!(answer_tx(NetifTxResponse { id, status: ERROR }), Ok(false));
    let wrong = Err(Broken::Protocol("an answer to what was not sent"));
    assert_eq!(answer_tx(NetifTxResponse { id: 1, status: 0 }), wrong);
    assert_eq!(answer_tx(NetifTxResponse { id: 60_000, status: 0 }), wrong);
    // More answers than were asked for.
    for (ring, answers) in [(0, 1), (1, 9)] {
        let (mut lab, mut front, rings) = deceived();
        rings[ring].store(8, answers);
        assert!(matches!(front.poll(&mut lab, |_| ()), Err(Broken::Ring(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever slots a guest writes: each is answered once, or the link ends; and nothing panics.
    #[test]
    fn any_slots_are_dealt_with(
        slots in prop::collection::vec((any::<u16>(), 0u16..16, 0u16..5000, 0u16..64, any::<bool>()), 0..100),
    ) {
        let mut evil = Evil::new();
        let slots: Vec<_> = slots
            .into_iter()
            .map(|(id, flags, size, offset, is_good)| {
                let gref = if is_good { evil.page.grants[0] } else { GrantRef::new(u32::from(id)) };
                NetifTxRequest { gref, offset, flags, id, size }
            })
            .collect();
        if let Ok(frames) = evil.send(&slots) {
            prop_assert!(frames.iter().all(|frame| frame.bytes.len() >= 14));
            prop_assert_eq!(evil.answers().len(), slots.len());
        }
    }

    /// Whatever a back end answers, what comes of it are frames of a length that can be.
    #[test]
    fn any_answers_are_dealt_with(
        answers in prop::collection::vec((0u16..9, 0u16..5000, 0u16..16, -3i16..5000, any::<bool>()), 1..8),
    ) {
        let (mut lab, mut front, [_, rx]) = deceived();
        let mut ring: BackRing<_, NetifRxRequest, NetifRxResponse> =
            BackRing::attach(rx).expect("a page");
        for (id, offset, flags, status, is_right) in answers {
            let request = ring.take().expect("honest").expect("eight pages are up");
            let id = if is_right { request.id } else { id };
            ring.push(&NetifRxResponse { id, offset, flags, status }).expect("taken");
        }
        let _ = ring.publish();
        let _ = front.poll(&mut lab, |frame| {
            assert!((14..=0xffff).contains(&frame.bytes.len()));
        });
    }
}
