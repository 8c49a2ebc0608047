//! Both halves in threads of their own, asleep when there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use xenbus::access::Events;
use xenbus::block::front::Options;
use xenbus::block::{Ask, Layout, Outcome, Refusal, Ticket, X86_32, X86_64};

use super::disk::Drive;
use super::machine::{GUEST, HOST};
use super::{Rig, pattern};

const ROUNDS: u64 = 1_000;

/// Writes everything, reads it again, with as much under way as goes.
fn carry<L: Layout + Send>(options: Options)
where
    L::Request: Send,
    L::Response: Send,
{
    let Rig { machine, drive, front, back, .. } =
        Rig::<L>::new(Drive::new(ROUNDS * 8, 512), options);
    let over = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&over);
    let hosts = machine.clone();
    let (mut front, mut back) = (front.driver, back.driver);
    let server = thread::spawn(move || {
        let mut host = hosts.domain(HOST);
        while !end.load(Ordering::Acquire) {
            let served = back.serve(&mut host).expect("an honest front end");
            // The model's disk needs no event: as long as something waits it is asked.
            if served.answered == 0 && !served.more && back.under_way() == 0 {
                hosts.wait(HOST);
            }
        }
    });
    let mut guest = machine.domain(GUEST);
    for write in [true, false] {
        let mut begun: Vec<(Ticket, u64)> = Vec::new();
        let mut next = 0;
        while next < ROUNDS || !begun.is_empty() {
            while next < ROUNDS {
                let data = pattern(next * 8, 4096, 3);
                let ask =
                    if write { Ask::Write(next * 8, &data) } else { Ask::Read(next * 8, 4096) };
                match front.begin(ask) {
                    Ok(ticket) => begun.push((ticket, next)),
                    Err(Refusal::Busy) => break,
                    Err(refusal) => panic!("{refusal:?}"),
                }
                next += 1;
            }
            front.kick(&mut guest);
            let mut into = vec![0; 4096];
            let before = begun.len();
            front.poll().expect("an honest back end");
            begun.retain(|(ticket, round)| match front.finish(ticket, &mut into) {
                None => true,
                Some(Outcome::Done(Ok(()))) => {
                    assert!(write || into == pattern(round * 8, 4096, 3), "round {round}");
                    false
                }
                Some(other) => panic!("{other:?}"),
            });
            if before == begun.len() && before > 0 {
                machine.wait(GUEST);
            }
        }
    }
    over.store(true, Ordering::Release);
    for port in front.ports() {
        guest.send(port).expect("a port");
    }
    server.join().expect("the server ends");
    assert_eq!(drive.pages_in_use(), 0);
}

#[test]
fn megabytes_go_both_ways() {
    carry::<X86_32>(Options::default());
    carry::<X86_64>(Options { queues: 2, ring_order: 1, ..Options::default() });
}
