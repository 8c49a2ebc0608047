//! vCPUs are initialised once, come up, go down, and go on where they were.
//!
//! `xen/include/public/vcpu.h` (VCPUOP_initialise, up, down, is_up). Expected: -EINVAL for up before
//! initialise, -EEXIST for a second one; the vCPU runs its function, with a clock of its own; taken
//! down by itself, it goes on behind that call when it is brought up again.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use pv_abi::hypercall::VCPU_OP;
use pv_abi::types::VcpuId;
use pv_abi::vcpu::*;
use pv_guests::call::{address_of, ret};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, vcpus};

guest!(run);

const ONE: VcpuId = VcpuId::new(1);
static STEPS: AtomicU32 = AtomicU32::new(0);

extern "C" fn second() -> ! {
    loop {
        STEPS.fetch_add(1, Ordering::SeqCst);
        vcpus::vcpu_op(VCPUOP_DOWN, ONE);
    }
}

/// Waits for vCPU 1 to have made `steps` steps and to be down.
fn down_after(steps: u32) -> bool {
    let deadline = clock::now() + 5_000_000_000;
    while clock::now() < deadline {
        if STEPS.load(Ordering::SeqCst) == steps && vcpus::vcpu_op(VCPUOP_IS_UP, ONE) == 0 {
            return true;
        }
        vcpus::yield_now();
    }
    false
}

fn run(_: &'static StartInfo) -> Outcome {
    check_eq!(vcpus::vcpu_op(VCPUOP_IS_UP, ONE), 0, "up at the start");
    check_eq!(vcpus::vcpu_op(VCPUOP_UP, ONE), ret(Errno::EINVAL), "up without a state");
    let mut bad = vcpus::context(1, second);
    bad.ctrlreg[3] = 0;
    let initialise = |c: &mut _| vcpus::hypercall(VCPU_OP, [VCPUOP_INITIALISE, 1, address_of(c)]);
    check_eq!(initialise(&mut bad), ret(Errno::EINVAL), "a state without page tables");
    vcpus::start(1, second)?;
    let mut again = vcpus::context(1, second);
    check_eq!(initialise(&mut again), ret(Errno::EEXIST), "a second state");
    check!(down_after(1), "it did not run: {} steps", STEPS.load(Ordering::SeqCst));
    check!(vcpus::has_clock(1), "it has no clock");
    for steps in 2..20 {
        check_eq!(vcpus::vcpu_op(VCPUOP_UP, ONE), 0, "up again");
        check!(down_after(steps), "step {steps}: {} made", STEPS.load(Ordering::SeqCst));
    }
    check_eq!(vcpus::vcpu_op(VCPUOP_UP, VcpuId::new(8)), ret(Errno::ENOENT), "a ninth vCPU");
    Ok(())
}
