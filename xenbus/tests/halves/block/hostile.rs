//! A peer that writes anything: requests and responses of no sense, indices, nodes.

use proptest::prelude::*;
use pv_abi::types::{DomId, GrantRef};
use xenbus::block::front::Options;
use xenbus::block::wire::{AnyRing, Response};
use xenbus::block::{Ask, Layout, Protocol, X86_32, X86_64};
use xenbus::memory::{SharedMemory, Words};
use xenbus::ring::FrontRing;
use zerocopy::FromBytes;

use super::disk::Drive;
use super::machine::{GUEST, HOST};
use super::{BACK, FRONT, Rig};

/// A request of any bytes, most of them of fields that are nearly right.
fn slot() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => 0u8..12, 1 => any::<u8>()];
    prop::collection::vec(byte, 112)
}

/// The page of the front end's ring.
fn ring<L: Layout>(rig: &Rig<L>) -> Words {
    let grant = rig.machine.get(&format!("{FRONT}/ring-ref")).and_then(|text| text.parse().ok());
    rig.machine.page(grant.expect("connected")).expect("granted")
}

fn odd_requests<L: Layout>(slots: &[Vec<u8>], words: &[(usize, u32)]) {
    let mut rig = Rig::<L>::new(Drive::new(64, 512), Options::default());
    let mut host = rig.machine.domain(HOST);
    // A second writer to the ring: it has the same pages.
    let mut ring_of_ours = FrontRing::<_, L::Request, L::Response>::new(ring(&rig)).expect("fits");
    for slots in slots.chunks(32) {
        for bytes in slots {
            let (request, _) = L::Request::read_from_prefix(bytes).expect("long enough");
            ring_of_ours.push(&request).expect("room");
        }
        let _ = ring_of_ours.publish();
        let mut answers = 0;
        for _ in 0..200 {
            rig.back.driver.serve(&mut host).expect("the ring is right");
            while let Some(response) = ring_of_ours.take().expect("as many as were asked") {
                assert!((-2..=0).contains(&L::decode_response(&response).status));
                answers += 1;
            }
        }
        assert_eq!(answers, slots.len(), "each is answered once");
    }
    for (at, word) in words {
        ring(&rig).store(4 * at, *word);
        // An error is all right.
        let _ = rig.back.driver.serve(&mut host);
    }
    rig.back.abandon(&mut host.clone(), &mut host);
    assert_eq!(rig.machine.in_use().2, 0, "nothing stays mapped");
    // What is under way may take as long as it likes.
    rig.drive.forget();
    assert_eq!(rig.drive.pages_in_use(), 0);
}

fn odd_responses<L: Layout>(responses: &[(u64, i16)], words: &[(usize, u32)]) {
    let mut rig = Rig::<L>::new(Drive::new(64, 512), Options::default());
    let tickets: Vec<_> = (0..8).map(|n| rig.begin(Ask::Read(n, 512)).expect("a slot")).collect();
    let protocol = Protocol::parse(L::PROTOCOL.as_bytes()).expect("one of two");
    let mut back = AnyRing::attach(protocol, ring(&rig)).expect("fits");
    for (id, status) in responses {
        let _ = back.take();
        let _ = back.push(&Response { id: *id, operation: 0, status: *status });
        let _ = back.publish();
        let _ = rig.front.driver.poll();
        for ticket in &tickets {
            let _ = rig.front.driver.finish(ticket, &mut [0; 512]);
        }
    }
    for (at, word) in words {
        ring(&rig).store(4 * at, *word);
        let _ = rig.front.driver.poll();
    }
    let mut guest = rig.machine.domain(GUEST);
    rig.machine.kill(HOST);
    assert!(rig.front.abandon(&mut guest.clone(), &mut guest).is_empty());
    assert_eq!(rig.machine.in_use(), (0, 0, 0));
}

fn words() -> impl Strategy<Value = Vec<(usize, u32)>> {
    let at = prop_oneof![2 => 0usize..4, 1 => 0usize..1024];
    let word = prop_oneof![2 => 0u32..80, 1 => any::<u32>()];
    prop::collection::vec((at, word), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_back_end_answers_nonsense(slots in prop::collection::vec(slot(), 0..70), words in words()) {
        odd_requests::<X86_32>(&slots, &words);
        odd_requests::<X86_64>(&slots, &words);
    }

    #[test]
    fn a_front_end_survives_nonsense(
        responses in prop::collection::vec((prop_oneof![3 => 0u64..9, 1 => any::<u64>()], any::<i16>()), 0..20),
        words in words(),
    ) {
        odd_responses::<X86_32>(&responses, &words);
        odd_responses::<X86_64>(&responses, &words);
    }

    /// Nodes of either side that make no sense: the other fails, or makes do.
    #[test]
    fn nodes_may_say_anything(
        nodes in prop::collection::vec((0usize..14, prop_oneof!["[0-9]{1,3}", "[ -~]{0,6}"]), 1..8),
    ) {
        const KEYS: [(&str, &str); 14] = [
            (FRONT, "protocol"), (FRONT, "ring-ref"), (FRONT, "event-channel"),
            (FRONT, "ring-page-order"), (FRONT, "multi-queue-num-queues"), (FRONT, "state"),
            (BACK, "sectors"), (BACK, "sector-size"), (BACK, "info"),
            (BACK, "multi-queue-max-queues"), (BACK, "max-ring-page-order"),
            (BACK, "feature-max-indirect-segments"), (BACK, "state"), (BACK, "online"),
        ];
        let mut rig = Rig::<X86_64>::new(Drive::new(64, 512), Options::default());
        let (mut guest, mut host) = (rig.machine.domain(GUEST), rig.machine.domain(HOST));
        for (key, value) in &nodes {
            let (directory, key) = KEYS[*key];
            rig.machine.set(&format!("{directory}/{key}"), value);
            let _ = rig.back.look(&mut host.clone(), &mut host);
            let _ = rig.front.look(&mut guest.clone(), &mut guest);
            let _ = rig.front.reopen(&mut guest.clone(), &mut guest);
            let _ = rig.back.driver.serve(&mut host);
        }
        rig.back.abandon(&mut host.clone(), &mut host);
        prop_assert_eq!(rig.machine.in_use().2, 0);
        let _ = rig.front.abandon(&mut guest.clone(), &mut guest);
        prop_assert_eq!(rig.machine.in_use(), (0, 0, 0));
    }
}

/// Grants that are none, or another's, in an otherwise right request.
#[test]
fn bad_grants_are_errors() {
    let mut rig = Rig::<X86_32>::new(Drive::new(64, 512), Options::default());
    let mut host = rig.machine.domain(HOST);
    let mut guest = rig.machine.domain(GUEST);
    let others = xenbus::access::Grants::share(&mut guest, DomId::new(7), 1).expect("a page");
    let mut ring = FrontRing::<_, _, _>::new(ring(&rig)).expect("fits");
    let grants = [GrantRef::new(0), GrantRef::new(u32::MAX), others.grants[0]];
    for grant in grants {
        for (operation, indirect) in [(0, false), (1, false), (2, false), (0, true), (1, true)] {
            ring.push(&request::<X86_32>(operation, grant, indirect)).expect("room");
            let _ = ring.publish();
            for _ in 0..5 {
                rig.back.driver.serve(&mut host).expect("the ring is right");
            }
            let response = ring.take().expect("right").expect("answered");
            let response = X86_32::decode_response(&response);
            assert_eq!((response.id, response.status), (77, -1), "{grant} {operation} {indirect}");
        }
    }
    assert_eq!((rig.drive.pages_in_use(), rig.back.driver.under_way()), (0, 0));
}

fn request<L: Layout>(operation: u8, grant: GrantRef, indirect: bool) -> L::Request {
    use pv_abi::io::blkif::{BLKIF_OP_INDIRECT, BlkifRequestSegment};
    use xenbus::block::wire::{Body, Request};
    let (sector, id) = (0, 77);
    if indirect {
        let body = Body::Indirect { operation, sector, count: 3, pages: [grant; 8] };
        return L::encode(&Request { id, operation: BLKIF_OP_INDIRECT, body });
    }
    let segment = BlkifRequestSegment { gref: grant, first_sect: 0, last_sect: 7, _pad: [0; 2] };
    let body = Body::Direct { sector, count: 2, segments: [segment; 11] };
    L::encode(&Request { id, operation, body })
}
