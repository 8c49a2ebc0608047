//! Eight vCPUs that compute share the CPUs evenly, and leave none idle; so do four of them, and two.
//!
//! `xen/include/public/vcpu.h` (struct vcpu_runstate_info). Expected: in half a second the running times
//! of all add up to what the CPUs have, but for a tenth, and nobody has less than half of his share,
//! whoever of them was taken down before.
//! (How exactly shares are kept, host tests show: `tests/fairness.rs`.)
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::VcpuId;
use pv_abi::vcpu::*;
use pv_guests::{Outcome, StartInfo, check, clock, guest, must, vcpus};
use ring1::abi::VcpuRunstateInfo;
use ring1::calls;
use zerocopy::FromZeros;

guest!(run);

static TURNS: AtomicU32 = AtomicU32::new(0);

extern "C" fn busy() -> ! {
    loop {
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}

fn running(id: u32) -> Outcome<u64> {
    let mut info = VcpuRunstateInfo::new_zeroed();
    must(calls::vcpu_op_with(VCPUOP_GET_RUNSTATE_INFO, VcpuId::new(id), &mut info), "runstate")?;
    Ok(info.time[RUNSTATE_RUNNING as usize].get())
}

/// How long each of `ids` runs in half a second, and how long that was, in ns.
fn measure<const N: usize>(ids: [u32; N]) -> Outcome<([u64; N], u64)> {
    let begin = clock::now();
    let mut before = [0; N];
    for (before, id) in before.iter_mut().zip(ids) {
        *before = running(id)?;
    }
    while clock::now() < begin + 500_000_000 {}
    let mut used = [0; N];
    for ((used, before), id) in used.iter_mut().zip(before).zip(ids) {
        *used = running(id)? - before;
    }
    Ok((used, clock::now() - begin))
}

/// Fails unless `used` makes up all of `cpus` CPUs for `passed` ns, in shares that are alike.
fn even<const N: usize>(used: [u64; N], cpus: u64, passed: u64) -> Outcome {
    let total: u64 = used.iter().sum();
    check!(total >= cpus * passed / 10 * 9, "{total} of {cpus} times {passed} ns: {used:?}");
    check!(used.iter().all(|used| *used >= total / (2 * N as u64)), "uneven: {used:?}");
    Ok(())
}

fn run(_: &'static StartInfo) -> Outcome {
    for id in 1..8 {
        vcpus::start(id, busy)?;
    }
    let (used, passed) = measure([0, 1, 2, 3, 4, 5, 6, 7])?;
    // One CPU or two: what the machine has.
    let cpus = if used.iter().sum::<u64>() > passed + passed / 4 { 2 } else { 1 };
    even(used, cpus, passed)?;
    // Those that shared a CPU with these, or those that did not, leave: who is left moves.
    for id in [1, 3, 5, 7] {
        must(calls::vcpu_op(VCPUOP_DOWN, VcpuId::new(id)), "take a vCPU down")?;
    }
    let (used, passed) = measure([0, 2, 4, 6])?;
    even(used, cpus, passed)?;
    for id in [4, 6] {
        must(calls::vcpu_op(VCPUOP_DOWN, VcpuId::new(id)), "take a vCPU down")?;
    }
    let (used, passed) = measure([0, 2])?;
    even(used, cpus, passed)
}
