//! The bridge against a model.

use crate::net::Mac;
use crate::net::bridge::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const A: Mac = [2, 0, 0, 0, 0, 1];
const B: Mac = [2, 0, 0, 0, 0, 2];
const OUTSIDE: Mac = [4, 0, 0, 0, 0, 9];
const ALL: Mac = [0xff; 6];

/// Ports 1 and 2 with addresses, 8 and 9 ways out.
fn bridge() -> Bridge {
    let mut bridge = Bridge::new();
    bridge.add(1, Behind::Device(A)).expect("free");
    bridge.add(2, Behind::Device(B)).expect("free");
    bridge.add(8, Behind::Anybody).expect("free");
    bridge.add(9, Behind::Anybody).expect("free");
    bridge
}

fn route(bridge: &mut Bridge, from: PortId, to: Mac, sender: Mac) -> Result<Vec<PortId>, Dropped> {
    let mut ports = vec![77];
    bridge.route(from, (to, sender), 0, &mut ports).map(|()| ports)
}

#[test]
fn frames_go_where_their_receivers_are() {
    let bridge = &mut bridge();
    assert_eq!(route(bridge, 1, B, A), Ok(vec![2]));
    assert_eq!(route(bridge, 1, ALL, A), Ok(vec![2, 8, 9]));
    assert_eq!(route(bridge, 1, OUTSIDE, A), Ok(vec![8, 9]), "nobody's guest sees it");
    assert_eq!(route(bridge, 8, A, OUTSIDE), Ok(vec![1]));
    assert_eq!(route(bridge, 1, OUTSIDE, A), Ok(vec![8]), "learnt");
    assert_eq!(route(bridge, 9, OUTSIDE, [4; 6]), Ok(vec![8]));
    assert_eq!(route(bridge, 9, [6; 6], OUTSIDE), Ok(vec![8]), "it has moved");
    assert_eq!(route(bridge, 1, OUTSIDE, A), Ok(vec![9]));
    assert_eq!(
        route(bridge, 9, OUTSIDE, [4; 6]),
        Err(Dropped::Local),
        "it is behind the same port"
    );
    bridge.remove(9);
    assert_eq!(route(bridge, 1, OUTSIDE, A), Ok(vec![8]), "forgotten with its port");
    assert_eq!(route(bridge, 9, A, OUTSIDE), Err(Dropped::NoPort));
    for last in 0..=0x0f {
        assert_eq!(route(bridge, 1, [1, 0x80, 0xc2, 0, 0, last], A), Err(Dropped::Local));
    }
    assert_eq!(route(bridge, 1, [1, 0x80, 0xc2, 0, 0, 0x10], A), Ok(vec![2, 8]));
}

#[test]
fn nobody_has_anothers_address() {
    let bridge = &mut bridge();
    assert_eq!(route(bridge, 1, ALL, B), Err(Dropped::Spoofed));
    assert_eq!(route(bridge, 1, B, OUTSIDE), Err(Dropped::Spoofed));
    assert_eq!(route(bridge, 8, B, A), Err(Dropped::Spoofed), "from outside, too");
    assert_eq!(route(bridge, 8, A, ALL), Err(Dropped::Spoofed), "a group sends nothing");
    assert_eq!(route(bridge, 8, A, [0; 6]), Err(Dropped::Spoofed));
    assert_eq!(bridge.learnt(), 0);
    assert_eq!(bridge.add(3, Behind::Device(A)), Err(Refused::Address));
    assert_eq!(bridge.add(2, Behind::Anybody), Err(Refused::Number));
    assert_eq!(bridge.add(3, Behind::Device([1; 6])), Err(Refused::Group));
    assert_eq!(bridge.add(3, Behind::Device([0; 6])), Err(Refused::Group));
    // A device gets the address that somebody outside had.
    assert_eq!(route(bridge, 8, A, OUTSIDE), Ok(vec![1]));
    bridge.add(3, Behind::Device(OUTSIDE)).expect("free");
    assert_eq!(route(bridge, 1, OUTSIDE, A), Ok(vec![3]));
    assert_eq!(route(bridge, 8, A, OUTSIDE), Err(Dropped::Spoofed));
}

#[test]
fn addresses_are_forgotten_and_no_more_are_learnt_than_there_is_room_for() {
    let bridge = &mut bridge();
    let mut ports = Vec::new();
    let mac = |n: u32| [4, 1, 0, 0, (n >> 8) as u8, n as u8];
    for n in 0..2000 {
        bridge.route(8, (A, mac(n)), 0, &mut ports).expect("genuine");
    }
    assert_eq!(bridge.learnt(), LEARNT);
    bridge.route(1, (mac(0), A), AGE_NS, &mut ports).expect("genuine");
    assert_eq!(ports, [8], "not old yet");
    bridge.route(1, (mac(1999), A), AGE_NS, &mut ports).expect("genuine");
    assert_eq!(ports, [8, 9], "there was no room");
    bridge.route(1, (mac(0), A), AGE_NS + 1, &mut ports).expect("genuine");
    assert_eq!(ports, [8, 9], "old");
    bridge.route(9, (A, mac(1999)), AGE_NS + 1, &mut ports).expect("genuine");
    assert_eq!(bridge.learnt(), 1, "the old ones made room");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A guest gets what is for it or for all, and never what another sent in its name.
    #[test]
    fn guests_get_their_own(frames in prop::collection::vec((1u32..5, 0usize..6, 0usize..6), 0..60)) {
        let macs = [A, B, OUTSIDE, [4; 6], ALL, [1, 0, 0x5e, 0, 0, 1]];
        let mut bridge = Bridge::new();
        let owners = BTreeMap::from([(1, A), (2, B)]);
        for (port, mac) in &owners {
            bridge.add(*port, Behind::Device(*mac)).expect("free");
        }
        bridge.add(3, Behind::Anybody).expect("free");
        bridge.add(4, Behind::Anybody).expect("free");
        for (from, to, sender) in frames {
            let (to, sender) = (macs[to], macs[sender]);
            let owner = owners.iter().find(|(_, mac)| **mac == sender).map(|(port, _)| *port);
            let genuine = match owners.get(&from) {
                Some(mac) => *mac == sender,
                None => owner.is_none() && !is_group(sender),
            };
            let routed = route(&mut bridge, from, to, sender);
            prop_assert_eq!(routed == Err(Dropped::Spoofed), !genuine);
            let ports = routed.unwrap_or_default();
            prop_assert!(!ports.contains(&from));
            for (port, mac) in &owners {
                let is_due = genuine && *port != from && (is_group(to) || to == *mac);
                prop_assert_eq!(ports.contains(port), is_due);
            }
        }
    }
}
