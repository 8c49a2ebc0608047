//! Busy domains and their shares of the CPUs.
//!
//! `xen/include/public/domctl.h` (`XEN_DOMCTL_scheduler_op`, `XEN_DOMCTL_setvcpuaffinity`). Each word
//! `domain=VCPUS,WEIGHT,CAP,CPUS` on the command line is a domain to make: so many vCPUs that spin,
//! percent of a CPU that it gets at most (0: no limit), CPUs that it may use, a bit each (0: all).
//! Domain 0 sleeps for `ms=N` meanwhile, and says how long each ran: lines `SHARE n nanoseconds`,
//! `PERIOD nanoseconds`, and `FAIRNESS-DONE`. It has no verdict: `cargo xtask fairness` judges.
#![no_std]
#![no_main]
use core::sync::atomic::Ordering::Relaxed;

use pv_abi::domctl::*;
use pv_abi::types::DomId;
use pv_guests::call::address_of;
use pv_guests::domu::{self, Domu, domctl, letter};
use pv_guests::{Outcome, StartInfo, Stop, clock, guest, must, vcpus};
use ring1::calls;
use ring1::println;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

guest!(run);

/// Time for all of them to get going.
const WARM_UP_NS: u64 = 500_000_000;
/// Domains that there may be.
const MOST: usize = 4;
/// Set before the image is copied: vCPUs of the new domain.
const VCPUS: usize = 0;

fn run(start: &'static StartInfo) -> Outcome {
    let line = start.cmd_line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default();
    let values = |name| line.split(' ').filter_map(move |word| word.strip_prefix(name));
    let ms = values("ms=").next().and_then(|digits| digits.parse().ok()).unwrap_or(1000_u64);
    let (mut ids, mut count) = ([DomId::new(0); MOST], 0);
    for (id, plan) in ids.iter_mut().zip(values("domain=")) {
        *id = make(plan)?;
        count += 1;
    }
    let ids = &ids[..count];
    for id in ids {
        must(domu::command(XEN_DOMCTL_UNPAUSEDOMAIN, *id), "unpausedomain")?;
    }
    sleep(WARM_UP_NS)?;
    let (before, began) = (ran(ids)?, clock::now());
    sleep(ms * 1_000_000)?;
    let (after, ended) = (ran(ids)?, clock::now());
    for domain in 0..count {
        println!("SHARE {domain} {}", after[domain] - before[domain]);
    }
    println!("PERIOD {}", ended - began);
    println!("FAIRNESS-DONE");
    Ok(())
}

/// Does nothing for so long: the CPUs are the others'.
fn sleep(ns: u64) -> Outcome {
    must(calls::poll(&[], clock::now() + ns), "sleeping")
}

/// Nanoseconds that each ran so far.
fn ran(ids: &[DomId]) -> Outcome<[u64; MOST]> {
    let mut times = [0; MOST];
    for (time, id) in times.iter_mut().zip(ids) {
        *time = must(domu::info(*id), "getdomaininfo")?.cpu_time;
    }
    Ok(times)
}

/// Makes a domain as a word says; it is paused.
fn make(plan: &str) -> Outcome<DomId> {
    let mut numbers = [0_u32; 4];
    for (number, digits) in numbers.iter_mut().zip(plan.split(',')) {
        *number = digits.parse().map_err(|_| Stop::Error("a domain that is not four numbers"))?;
    }
    let [vcpus, weight, cap, cpus] = numbers;
    letter(VCPUS).store(vcpus, Relaxed);
    let mut domain = Domu::create(vcpus)?;
    domain.fill(main_of_a_domain)?;
    let mut share = SchedulerOp::new_zeroed();
    share.sched_id = XEN_SCHEDULER_CREDIT;
    share.cmd = XEN_DOMCTL_SCHEDOP_PUTINFO;
    share.credit = SchedCredit { weight: weight as u16, cap: cap as u16 };
    set(XEN_DOMCTL_SCHEDULER_OP, domain.id, &mut share, "scheduler_op")?;
    for vcpu in (0..vcpus).filter(|_| cpus != 0) {
        let mut bits = cpus;
        let mut affinity = Vcpuaffinity::new_zeroed();
        affinity.vcpu = vcpu;
        affinity.flags = XEN_VCPUAFFINITY_HARD;
        affinity.cpumap_hard.bitmap = address_of(&mut bits).into();
        affinity.cpumap_hard.nr_bits = u32::BITS;
        set(XEN_DOMCTL_SETVCPUAFFINITY, domain.id, &mut affinity, "setvcpuaffinity")?;
    }
    Ok(domain.id)
}

fn set<T>(cmd: u32, id: DomId, argument: &mut T, what: &str) -> Outcome
where
    T: FromBytes + IntoBytes + Immutable,
{
    must(calls::outcome(domctl(cmd, id, argument).0), what).map(|_| ())
}

fn main_of_a_domain(_: &'static StartInfo) -> ! {
    for vcpu in 1..letter(VCPUS).load(Relaxed) {
        // If it fails, the domain does not get what it is owed, and that is seen.
        let _ = vcpus::start_with_upcall(vcpu, busy, no_upcall);
    }
    busy()
}

extern "C" fn busy() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

extern "C" fn no_upcall() {}
