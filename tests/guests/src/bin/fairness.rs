//! Busy vCPUs and their shares of the CPUs.
//!
//! `xen/include/public/vcpu.h` (struct vcpu_runstate_info). Every vCPU that there is spins; after
//! a while (`ms=N` on the command line, 1000 by default) vCPU 0 says how long each ran: lines
//! `SHARE vcpu nanoseconds`, and `FAIRNESS-DONE`. It has no verdict: `cargo xtask fairness` judges.
#![no_std]
#![no_main]

use pv_abi::types::VcpuId;
use pv_abi::vcpu::{RUNSTATE_RUNNING, VCPUOP_GET_RUNSTATE_INFO, VCPUOP_IS_UP};
use pv_guests::{Outcome, StartInfo, clock, guest, must, vcpus};
use ring1::abi::VcpuRunstateInfo;
use ring1::calls;
use ring1::println;
use zerocopy::FromZeros;

guest!(run);

/// Time for all of them to get going.
const WARM_UP_NS: u64 = 200_000_000;

extern "C" fn busy() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

extern "C" fn no_upcall() {}

fn wait(ns: u64) {
    let deadline = clock::now() + ns;
    while clock::now() < deadline {
        core::hint::spin_loop();
    }
}

/// Nanoseconds that a vCPU ran so far.
fn ran(vcpu: u32) -> Outcome<u64> {
    let mut info = VcpuRunstateInfo::new_zeroed();
    let result = calls::vcpu_op_with(VCPUOP_GET_RUNSTATE_INFO, VcpuId::new(vcpu), &mut info);
    must(result, "get_runstate_info")?;
    Ok(info.time[RUNSTATE_RUNNING as usize].get())
}

fn run(start: &'static StartInfo) -> Outcome {
    let exists = |vcpu: &u32| calls::vcpu_op(VCPUOP_IS_UP, VcpuId::new(*vcpu)).is_ok();
    let count = (0..vcpus::MAX as u32).take_while(exists).count();
    for vcpu in 1..count as u32 {
        must(vcpus::start_with_upcall(vcpu, busy, no_upcall), "starting a vCPU")?;
    }
    wait(WARM_UP_NS);
    let mut shares = [0; vcpus::MAX];
    for (share, vcpu) in shares.iter_mut().zip(0..).take(count) {
        *share = ran(vcpu)?;
    }
    wait(milliseconds(&start.cmd_line) * 1_000_000);
    for (share, vcpu) in shares.iter_mut().zip(0..).take(count) {
        *share = ran(vcpu)? - *share;
    }
    for (share, vcpu) in shares.iter().zip(0..count) {
        println!("SHARE {vcpu} {share}");
    }
    println!("FAIRNESS-DONE");
    Ok(())
}

/// `ms=N` of the command line.
fn milliseconds(line: &[u8]) -> u64 {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let words = line.split(|byte| *byte == b' ');
    let number = words.filter_map(|word| word.strip_prefix(b"ms=")).next();
    let number = number.and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok());
    number.unwrap_or(1000)
}
