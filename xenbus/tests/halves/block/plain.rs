//! What an honest pair does, step by step, in both layouts.

use pv_abi::errno::Errno;
use xenbus::block::front::Options;
use xenbus::block::{Ask, Layout, Outcome, Refusal, X86_32, X86_64};
use xenbus::device::Life;
use xenbus::state::State;

use super::disk::{Did, Drive};
use super::machine::{GUEST, HOST};
use super::{BACK, FRONT, Rig, pattern};

const WIDE: Options = Options { queues: 3, ring_order: 2, pool: 256, segments: 64 };

fn rig<L: Layout>(options: Options) -> Rig<L> {
    Rig::new(Drive::new(4096, 512), options)
}

fn all_operations<L: Layout>(options: Options) {
    let mut rig = rig::<L>(options);
    let most = rig.front.driver.most_bytes();
    for (time, bytes) in [512, 3 * 512, 4096, 4096 + 512, most].into_iter().enumerate() {
        let data = pattern(100, bytes, time as u8);
        assert_eq!(rig.write(100, &data), Ok(()));
        assert_eq!(rig.read(100, bytes).as_ref(), Ok(&data), "{bytes}");
    }
    assert_eq!(rig.done(Ask::Flush, &mut []), Ok(()));
    assert!(rig.drive.is_flushed());
    assert_eq!(rig.done(Ask::Barrier(7, &[9; 512]), &mut []), Ok(()));
    assert_eq!(rig.done(Ask::Barrier(0, &[]), &mut []), Ok(()));
    assert_eq!(rig.done(Ask::Discard(100, 8), &mut []), Ok(()));
    assert_eq!(rig.read(100, 4096), Ok(vec![0; 4096]));
    // The last sector, and what is behind it.
    assert_eq!(rig.write(4095, &[1; 512]), Ok(()));
    for ask in [Ask::Write(4096, &[1; 512]), Ask::Read(4095, 1024), Ask::Read(0, 0)] {
        assert_eq!(rig.done(ask, &mut []), Err(Errno::EINVAL), "{ask:?}");
    }
    assert_eq!(rig.done(Ask::Read(0, most + 512), &mut []), Err(Errno::EINVAL));
    assert_eq!(rig.done(Ask::Read(0, 100), &mut []), Err(Errno::EINVAL));
    assert_eq!((rig.drive.pages_in_use(), rig.back.driver.under_way()), (0, 0));
}

#[test]
fn all_operations_work_in_both_layouts() {
    all_operations::<X86_32>(Options::default());
    all_operations::<X86_64>(Options::default());
}

#[test]
fn many_queues_long_rings_and_indirect_segments_work() {
    all_operations::<X86_32>(WIDE);
    all_operations::<X86_64>(WIDE);
}

#[test]
fn the_nodes_are_xens() {
    let rig = rig::<X86_32>(Options::default());
    let front = |key: &str| rig.machine.get(&format!("{FRONT}/{key}"));
    assert_eq!(front("protocol").as_deref(), Some("x86_32-abi"));
    assert!(front("ring-ref").is_some() && front("event-channel").is_some());
    assert_eq!((front("ring-page-order"), front("multi-queue-num-queues")), (None, None));
    let back = |key: &str| rig.machine.get(&format!("{BACK}/{key}"));
    assert_eq!(back("sectors").as_deref(), Some("4096"));
    assert_eq!(back("sector-size").as_deref(), Some("512"));
    assert_eq!(
        (back("info").as_deref(), back("feature-discard").as_deref()),
        (Some("0"), Some("1"))
    );
    let rig = self::rig::<X86_64>(WIDE);
    let front = |key: &str| rig.machine.get(&format!("{FRONT}/{key}"));
    assert_eq!((front("ring-ref"), front("queue-0/ring-ref")), (None, None));
    assert!(front("queue-2/ring-ref3").is_some() && front("queue-2/event-channel").is_some());
    assert_eq!(front("ring-page-order").as_deref(), Some("2"));
}

#[test]
fn a_back_end_without_features_is_made_do_with() {
    let mut rig = rig::<X86_64>(WIDE);
    let mut guest = rig.machine.domain(GUEST);
    assert_eq!(rig.front.close(&mut guest.clone(), &mut guest), Ok(Life::Present));
    rig.settle();
    for key in ["feature-flush-cache", "feature-discard", "max-ring-page-order"] {
        rig.machine.set(&format!("{BACK}/{key}"), "0");
    }
    for key in ["multi-queue-max-queues", "feature-max-indirect-segments"] {
        rig.machine.remove(&format!("{BACK}/{key}"));
    }
    for key in ["multi-queue-num-queues", "ring-page-order"] {
        rig.machine.remove(&format!("{FRONT}/{key}"));
    }
    // The front end alone: what it asks for is looked at, and the back end has written its own again.
    rig.machine.set(&format!("{BACK}/state"), "2");
    assert_eq!(rig.front.reopen(&mut guest.clone(), &mut guest), Ok(Life::Present));
    assert_eq!(rig.machine.get(&format!("{FRONT}/ring-page-order")), None);
    assert!(rig.machine.get(&format!("{FRONT}/ring-ref")).is_some());
    assert_eq!(rig.front.driver.most_bytes(), 11 * 4096);
    rig.machine.set(&format!("{BACK}/state"), "4");
    assert_eq!(rig.front.look(&mut guest.clone(), &mut guest), Ok(Life::Present));
    assert_eq!(rig.done_refused(Ask::Discard(0, 1)), Refusal::Errno(Errno::EOPNOTSUPP));
    assert!(rig.begin(Ask::Flush).is_ok(), "by a barrier");
}

impl<L: Layout> Rig<L> {
    fn done_refused(&mut self, ask: Ask<'_>) -> Refusal {
        self.begin(ask).expect_err("it cannot be done")
    }
}

#[test]
fn large_sectors_and_read_only_disks() {
    let drive = Drive::new(4096, 4096);
    let mut rig = Rig::<X86_32>::new(drive, Options::default());
    assert_eq!(rig.front.driver.properties().map(|disk| disk.sector_size), Some(4096));
    assert_eq!(rig.write(8, &[5; 4096]), Ok(()));
    assert_eq!(rig.read(8, 4096), Ok(vec![5; 4096]));
    assert_eq!(rig.write(4, &[5; 4096]), Err(Errno::EINVAL));
    assert_eq!(rig.read(8, 512), Err(Errno::EINVAL));

    let drive = Drive::new(64, 512);
    drive.state().properties.read_only = true;
    let mut rig = Rig::<X86_64>::new(drive, Options::default());
    assert_eq!(rig.read(0, 512), Ok(vec![0; 512]));
    for ask in [Ask::Write(0, &[1; 512]), Ask::Barrier(0, &[]), Ask::Discard(0, 1)] {
        assert_eq!(rig.done(ask, &mut []), Err(Errno::EROFS), "{ask:?}");
    }
    assert_eq!(rig.done(Ask::Flush, &mut []), Ok(()));
}

#[test]
fn errors_of_the_disk_are_passed_through() {
    let mut rig = rig::<X86_32>(Options::default());
    rig.drive.state().broken = true;
    assert_eq!(rig.read(0, 4096), Err(Errno::EIO));
    assert_eq!(rig.write(0, &[0; 4096]), Err(Errno::EIO));
    for ask in [Ask::Flush, Ask::Barrier(0, &[1; 512]), Ask::Barrier(0, &[])] {
        assert_eq!(rig.done(ask, &mut []), Err(Errno::EIO), "{ask:?}");
    }
    rig.drive.state().broken = false;
    assert_eq!(rig.write(0, &[3; 512]), Ok(()), "and it goes on");
    assert_eq!(rig.drive.pages_in_use(), 0);
}

#[test]
fn all_slots_can_be_under_way_and_no_more() {
    let options = Options { pool: 64, ..Options::default() };
    let mut rig = rig::<X86_64>(options);
    let tickets: Vec<_> =
        (0..32).map(|n| rig.begin(Ask::Write(n * 8, &[n as u8; 4096])).expect("a slot")).collect();
    assert_eq!(rig.done_refused(Ask::Flush), Refusal::Busy, "the ring is full");
    rig.pump();
    for ticket in tickets {
        assert_eq!(rig.front.driver.finish(&ticket, &mut []), Some(Outcome::Done(Ok(()))));
    }
    let ask = Ask::Read(0, rig.front.driver.most_bytes());
    let large: Vec<_> = std::iter::from_fn(|| rig.begin(ask).ok()).collect();
    assert_eq!(large.len(), 64 / 17, "of the pages, one for segments each");
}

#[test]
fn a_disk_without_memory_does_one_thing_after_the_other() {
    let mut rig = rig::<X86_32>(Options::default());
    rig.drive.state().memory = 3;
    let data: Vec<_> = (0..8).map(|n| pattern(n * 24, 3 * 4096, 1)).collect();
    let tickets: Vec<_> =
        (0..8).map(|n| rig.begin(Ask::Write(n * 24, &data[n as usize])).expect("a slot")).collect();
    for _ in 0..10 {
        rig.pump();
    }
    for ticket in tickets {
        assert_eq!(rig.front.driver.finish(&ticket, &mut []), Some(Outcome::Done(Ok(()))));
    }
    assert!(rig.drive.state().cache[..8 * 3 * 4096] == data.concat());
    assert_eq!(rig.write(0, &[0; 4 * 4096]), Err(Errno::EIO), "more than there ever is");
}

#[test]
fn a_barrier_parts_what_is_before_from_what_is_behind() {
    for seed in 0..20 {
        let mut rig = rig::<X86_64>(Options::default());
        rig.drive.state().seed = seed;
        let mut tickets = Vec::new();
        for n in 0..5 {
            tickets.push(rig.begin(Ask::Write(n, &[1; 512])).expect("a slot"));
        }
        tickets.push(rig.begin(Ask::Barrier(50, &[2; 512])).expect("a slot"));
        for n in 100..105 {
            tickets.push(rig.begin(Ask::Write(n, &[3; 512])).expect("a slot"));
        }
        rig.pump();
        for ticket in &tickets {
            let outcome = rig.front.driver.finish(ticket, &mut []);
            assert_eq!(outcome, Some(Outcome::Done(Ok(()))));
        }
        let log = rig.drive.state().log.clone();
        let at = log.iter().position(|did| *did == Did::Wrote(50)).expect("it was written");
        assert_eq!((log[at - 1], log[at + 1]), (Did::Flushed, Did::Flushed));
        assert!(log[..at - 1].iter().all(|did| matches!(did, Did::Wrote(0..5))), "{log:?}");
        assert!(log[at + 2..].iter().all(|did| matches!(did, Did::Wrote(100..105))), "{log:?}");
        assert_eq!(log.len(), 13);
    }
}

#[test]
fn either_side_ends_it_and_nothing_is_left() {
    let mut rig = rig::<X86_32>(WIDE);
    let ticket = rig.begin(Ask::Write(0, &[1; 4096])).expect("a slot");
    rig.machine.set(&format!("{BACK}/online"), "0");
    rig.settle();
    assert_eq!((rig.front.state(), rig.back.state()), (State::Closed, State::Closed));
    assert_eq!(rig.front.driver.finish(&ticket, &mut []), Some(Outcome::Lost));
    assert_eq!(rig.done_refused(Ask::Flush), Refusal::Unconnected);
    rig.settle();
    assert_eq!(rig.machine.in_use(), (0, 0, 0));

    let mut rig = self::rig::<X86_32>(WIDE);
    let _ = rig.begin(Ask::Write(0, &[1; 4096])).expect("a slot");
    rig.machine.kill(GUEST);
    let mut host = rig.machine.domain(HOST);
    rig.back.driver.serve(&mut host).expect("its ring is as it was");
    rig.machine.remove(&format!("{BACK}/state"));
    rig.back.abandon(&mut host.clone(), &mut host);
    assert_eq!(rig.machine.in_use(), (0, 0, 0));
}

#[test]
fn what_was_under_way_when_the_front_end_went_is_told_to_nobody() {
    let mut rig = rig::<X86_64>(Options::default());
    let _ = rig.begin(Ask::Write(0, &[7; 4096])).expect("a slot");
    let mut host = rig.machine.domain(HOST);
    // Taken, and not done yet.
    let taken = rig.back.driver.serve(&mut host).expect("an honest front end");
    assert_eq!((taken.answered, rig.back.driver.under_way()), (0, 1));
    let mut guest = rig.machine.domain(GUEST);
    assert_eq!(rig.front.close(&mut guest.clone(), &mut guest), Ok(Life::Present));
    rig.settle();
    assert_eq!(rig.front.reopen(&mut guest.clone(), &mut guest), Ok(Life::Present));
    rig.settle();
    assert_eq!(rig.front.state(), State::Connected);
    let ticket = rig.begin(Ask::Read(8, 512)).expect("the same slot");
    rig.pump();
    let mut into = [1; 512];
    assert_eq!(rig.front.driver.finish(&ticket, &mut into), Some(Outcome::Done(Ok(()))));
    assert_eq!((into, rig.back.driver.under_way()), ([0; 512], 0));
    assert_eq!(rig.drive.state().cache[0], 7, "it was done all the same");
}
