//! Eight vCPUs that compute share the CPUs evenly, and leave none idle.
//!
//! `xen/include/public/vcpu.h` (struct vcpu_runstate_info). Expected: in half a second the running times
//! of all add up to what the CPUs have, but for a tenth, and nobody has less than half of his share.
//! (How exactly shares are kept, host tests show: `tests/fairness.rs`.)
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use guest_kernel::arch::abi::VcpuRunstateInfo;
use guest_kernel::arch::calls;
use pv_abi::types::VcpuId;
use pv_abi::vcpu::*;
use pv_guests::{Outcome, StartInfo, check, clock, guest, must, vcpus};
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

fn run(_: &'static StartInfo) -> Outcome {
    for id in 1..8 {
        vcpus::start(id, busy)?;
    }
    let begin = clock::now();
    let mut before = [0; 8];
    for (id, before) in before.iter_mut().enumerate() {
        *before = running(id as u32)?;
    }
    while clock::now() < begin + 500_000_000 {}
    let mut used = [0; 8];
    for (id, used) in used.iter_mut().enumerate() {
        *used = running(id as u32)? - before[id];
    }
    let passed = clock::now() - begin;
    let total: u64 = used.iter().sum();
    // One CPU or two: what the machine has.
    let cpus = if total > passed + passed / 4 { 2 } else { 1 };
    check!(total >= cpus * passed / 10 * 9, "{total} of {cpus} times {passed} ns");
    for (id, used) in used.iter().enumerate() {
        check!(*used >= total / 16, "vCPU {id} ran {used} of {total} ns");
    }
    Ok(())
}
