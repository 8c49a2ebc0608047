//! Both ends in threads of their own, asleep when there is nothing to do.

use super::lab::{PLAN, connected};
use crate::net::Frame;
use crate::net::front::{Busy, Plan};
use std::thread;
use std::vec::Vec;

const FRAMES: u32 = 1500;

fn frame(number: u32) -> Frame {
    let size = 60 + number.wrapping_mul(0x9e37_79b9) as usize % 5000;
    let mut bytes: Vec<u8> = (0..size).map(|at| (at as u32 ^ number) as u8).collect();
    // One flow: all take the same queue.
    bytes[..14].fill(2);
    bytes[14..18].copy_from_slice(&number.to_be_bytes());
    Frame::new(bytes)
}

#[test]
fn thousands_of_frames_go_both_ways() {
    let plan = Plan { pages: 16, ..PLAN };
    let (lab, mut front, mut back) = connected(&plan, 1);
    let mut guest_lab = lab.clone();
    let guest = thread::spawn(move || {
        let ports: Vec<_> = front.ports().collect();
        let (mut sent, mut received) = (0, 0);
        while sent < FRAMES || received < FRAMES {
            let before = (sent, received);
            while sent < FRAMES {
                match front.send(&mut guest_lab, frame(sent)).expect("an honest peer") {
                    Ok(()) => sent += 1,
                    Err(Busy) => break,
                }
            }
            let more = front.poll(&mut guest_lab, |came| {
                assert!(came == frame(received), "frame {received} of those to the guest");
                received += 1;
            });
            if !more.expect("an honest peer") && before == (sent, received) {
                guest_lab.wait(&ports);
            }
        }
        front
    });
    let mut host_lab = lab.clone();
    let ports: Vec<_> = back.ports().collect();
    let (mut sent, mut received) = (0, 0);
    while sent < FRAMES || received < FRAMES || back.counts().received < u64::from(FRAMES) {
        let before = (sent, received, back.counts());
        // So many wait at a time that none is lost.
        while sent < FRAMES && u64::from(sent) < back.counts().received + 64 {
            back.deliver(frame(sent));
            sent += 1;
        }
        let more = back.poll(&mut host_lab, |came| {
            assert!(came == frame(received), "frame {received} of those from the guest");
            received += 1;
        });
        if !more.expect("an honest peer") && before == (sent, received, back.counts()) {
            host_lab.wait(&ports);
        }
    }
    let front = guest.join().expect("the guest ends");
    assert_eq!((front.counts().sent_wrong, back.counts().received_lost), (0, 0));
}
