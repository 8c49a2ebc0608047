//! A pin of a large tree is preemptible: events are delivered meanwhile, and it completes.
//!
//! Xen 4.17 `arch/x86/mm.c` (-ERESTART, MMU_UPDATE_PREEMPTED). The tree is a root whose slots 0 and
//! 1 share one L2 of 500 entries, which lead to one L1 of 512: the second walk of a validated
//! table costs nothing, so its size is in the L2s: four roots are pinned and unpinned under a
//! 1 ms timer. Expected: all succeed, the timer ticks, and counts come out even.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::mmu::{MMUEXT_PIN_L3_TABLE, MMUEXT_UNPIN_TABLE};
use pv_abi::types::VcpuId;
use pv_abi::vcpu::{VCPUOP_SET_PERIODIC_TIMER, VcpuSetPeriodicTimer};
use pv_abi::virq::VIRQ_TIMER;
use pv_guests::pages::{KRW, P, Page, TABLE, extended};
use pv_guests::{Outcome, StartInfo, check, guest, must, roots};
use ring1::{calls, events, probe};

guest!(run);

static TICKS: AtomicU32 = AtomicU32::new(0);

fn run(_: &'static StartInfo) -> Outcome {
    probe::set_upcall_handler(|| {
        events::dispatch(|_| {
            TICKS.fetch_add(1, Ordering::Relaxed);
        });
    });
    let timer = must(calls::evtchn_bind_virq(VIRQ_TIMER), "bind_virq")?;
    events::unmask_port(timer);
    events::unmask();
    let mut period = VcpuSetPeriodicTimer { period_ns: 1_000_000 };
    let set = calls::vcpu_op_with(VCPUOP_SET_PERIODIC_TIMER, VcpuId::new(0), &mut period);
    must(set, "a periodic timer")?;

    // Eight L1s of 512 entries under an L2 of 512, under a root.
    let target = Page::take();
    let l2 = Page::take();
    let l1s: [Page; 8] = core::array::from_fn(|_| Page::take());
    for (index, l1) in l1s.into_iter().enumerate() {
        (0..512).for_each(|entry| l1.write(entry, target.entry(KRW)));
        l1.protect()?;
        (0..64).for_each(|entry| l2.write(index as u32 * 64 + entry, l1.entry(TABLE)));
    }
    l2.protect()?;
    let (root, _) = roots::unpinned()?;
    must(root.set(KRW), "the root, writable")?;
    root.write(0, l2.entry(P));
    root.write(1, l2.entry(P));
    root.protect()?;
    for round in 0..100 {
        let pinned = extended(MMUEXT_PIN_L3_TABLE, root.mfn, 0);
        check!(pinned == Ok(1), "pin {round}: {pinned:?}");
        check!(target.set(P).is_ok(), "the target read-only");
        let unpinned = extended(MMUEXT_UNPIN_TABLE, root.mfn, 0);
        check!(unpinned == Ok(1), "unpin {round}: {unpinned:?}");
        check!(target.set(KRW).is_ok(), "the target writable");
    }
    let ticks = TICKS.load(Ordering::Relaxed);
    check!(ticks > 3, "{ticks} ticks during the pins");
    for page in l1s.into_iter().chain([l2, root]) {
        must(page.set(KRW), "a table writable again")?;
    }
    Ok(())
}
