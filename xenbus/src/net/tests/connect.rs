//! What the halves write and read in the store, and what they let go.

use super::lab::*;
use crate::device::Node;
use crate::net::front::Plan;
use crate::net::{Copes, Frame};
use pv_abi::errno::Errno;
use std::format;
use std::string::String;
use std::vec;

#[test]
fn the_nodes_are_xens() {
    let (lab, ..) = connected(&Plan { split: false, ..PLAN }, 4);
    let get = |key: &str| lab.get(key).unwrap_or_default();
    for feature in ["rx-copy", "sg", "gso-tcpv4", "multicast-control", "split-event-channels"] {
        assert_eq!(get(&format!("{BACK}/feature-{feature}")), "1", "{feature}");
    }
    assert_eq!(get("/back/multi-queue-max-queues"), "4");
    for (key, value) in [
        ("request-rx-copy", "1"),
        ("feature-rx-notify", "1"),
        ("feature-sg", "1"),
        ("feature-gso-tcpv4", "1"),
        ("feature-no-csum-offload", "0"),
        ("feature-ipv6-csum-offload", "1"),
    ] {
        assert_eq!(get(&format!("{FRONT}/{key}")), value, "{key}");
    }
    let is_number = |key: &str| get(&format!("{FRONT}/{key}")).parse::<u32>().is_ok();
    assert!(is_number("tx-ring-ref") && is_number("rx-ring-ref") && is_number("event-channel"));
    assert_eq!(lab.get("/front/multi-queue-num-queues"), None);
    let (lab, ..) = connected(&Plan { queues: 2, ..PLAN }, 4);
    assert_eq!(lab.get("/front/multi-queue-num-queues").as_deref(), Some("2"));
    for key in ["tx-ring-ref", "rx-ring-ref", "event-channel-tx", "event-channel-rx"] {
        assert!(lab.get(&format!("{FRONT}/queue-1/{key}")).is_some(), "{key}");
        assert_eq!(lab.get(&format!("{FRONT}/{key}")), None);
    }
}

#[test]
fn all_is_let_go() {
    for split in [false, true] {
        let plan = Plan { queues: 2, split, ..PLAN };
        let (mut lab, front, back) = connected(&plan, 4);
        assert_eq!(lab.in_use(), (if split { 8 } else { 4 }, 2 * (2 + 64), 4));
        back.disconnect(&mut lab);
        for shared in front.disconnect(&mut lab) {
            crate::access::Grants::end(&mut lab, shared).expect("nobody has it mapped");
        }
        assert_eq!(lab.in_use(), (0, 0, 0));
    }
}

#[test]
fn whatever_fails_nothing_is_held() {
    let plan = Plan { queues: 2, ..PLAN };
    let mut lab = Lab::new();
    for left in 0.. {
        lab.allow(left);
        let Err(fault) = publish(&mut lab, &plan, 2) else {
            assert_eq!(left, 2 * 6);
            break;
        };
        assert_eq!((fault.errno, lab.in_use()), (Errno::ENOSPC, (0, 0, 0)), "after {left}");
    }
    let before = lab.in_use();
    for left in 0..4 {
        lab.allow(left);
        assert_eq!(attach(&mut lab, 2).err().map(|fault| fault.errno), Some(Errno::ENOSPC));
        assert_eq!(lab.in_use(), before, "after {left}");
    }
    lab.allow(4);
    assert!(attach(&mut lab, 2).is_ok());
}

#[test]
fn nodes_of_no_use_are_refused() {
    for (key, value, errno, what) in [
        ("request-rx-copy", "0", Errno::EOPNOTSUPP, "the front end does not ask for copies"),
        ("multi-queue-num-queues", "0", Errno::EINVAL, "connecting 0 queues of 1 to 2"),
        ("multi-queue-num-queues", "3", Errno::EINVAL, "connecting 3 queues of 1 to 2"),
        ("multi-queue-num-queues", "many", Errno::EINVAL, "reading /front/multi-queue-num-queues"),
        ("multi-queue-num-queues", "2", Errno::ENOENT, "reading /front/queue-0/tx-ring-ref"),
        ("tx-ring-ref", "999", Errno::EINVAL, "mapping ring-ref 999"),
        ("rx-ring-ref", "999", Errno::EINVAL, "mapping ring-ref 999"),
        ("event-channel-tx", "999", Errno::EINVAL, "binding port 999"),
        ("event-channel-rx", "999", Errno::EINVAL, "binding port 999"),
        ("event-channel-rx", "", Errno::EINVAL, "reading /front/event-channel-rx"),
    ] {
        let mut lab = Lab::new();
        let _front = publish(&mut lab, &PLAN, 2).expect("all that is needed");
        let before = lab.in_use();
        lab.set(&format!("{FRONT}/{key}"), value);
        let fault = attach(&mut lab, 2).expect_err("refused");
        assert_eq!((fault.errno, fault.what), (errno, String::from(what)), "{key}={value}");
        assert_eq!(lab.in_use(), before, "{key}={value}");
    }
    let mut lab = Lab::new();
    lab.set("/back/feature-rx-copy", "0");
    let (mut store, plan) = (lab.clone(), PLAN);
    let peer = &mut Node::new(&mut store, BACK);
    let published = crate::net::front::Link::publish(&mut lab, HOST, peer, &plan);
    assert_eq!(published.err().map(|fault| fault.errno), Some(Errno::EOPNOTSUPP));
}

#[test]
fn a_back_end_takes_over_from_a_dead_one() {
    let (mut lab, mut front, mut back) = connected(&PLAN, 1);
    let frame = |byte| Frame::new(vec![byte; 60]);
    assert_eq!(front.send(&mut lab, frame(2)), Ok(Ok(())));
    let mut came = vec![];
    let _ = back.poll(&mut lab, |frame| came.push(frame)).expect("an honest peer");
    assert_eq!(front.send(&mut lab, frame(4)), Ok(Ok(())));
    // It dies: its ports are closed, its mappings undone, and another looks at the same nodes.
    back.disconnect(&mut lab);
    assert_eq!(front.send(&mut lab, frame(6)), Ok(Ok(())));
    let mut back = attach(&mut lab, 1).expect("an honest front end");
    let ports: vec::Vec<_> = back.ports().collect();
    assert!(lab.take_events(&ports), "it is told to look");
    let _ = back.poll(&mut lab, |frame| came.push(frame)).expect("an honest peer");
    assert_eq!(came, [frame(2), frame(4), frame(6)]);
    back.deliver(frame(8));
    let _ = back.poll(&mut lab, |_| ()).expect("an honest peer");
    let mut got = vec![];
    let _ = front.poll(&mut lab, |frame| got.push(frame)).expect("an honest peer");
    assert_eq!(got, [frame(8)]);
}

#[test]
fn groups_are_heard_as_asked() {
    let group = |last| Frame::new([&[1, 0, 0x5e, 0, 0, last][..], &[0; 54]].concat());
    let all = Frame::new([&[0xff; 6][..], &[0; 54]].concat());
    let one = Frame::new([&[2; 6][..], &[0; 54]].concat());
    for (wanted, count) in [("0", 4), ("1", 2)] {
        let mut lab = Lab::new();
        let mut front = publish(&mut lab, &Plan { copes: Copes::default(), ..PLAN }, 1).unwrap();
        lab.set("/front/request-multicast-control", wanted);
        let mut back = attach(&mut lab, 1).expect("an honest front end");
        for frame in [group(1), group(2), all.clone(), one.clone()] {
            back.deliver(frame);
        }
        let _ = back.poll(&mut lab, |_| ()).expect("an honest peer");
        let mut came = 0;
        let _ = front.poll(&mut lab, |_| came += 1).expect("an honest peer");
        assert_eq!(came, count);
    }
}
