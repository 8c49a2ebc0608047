//! Runstate: by hypercall and in a registered area; times add up.
//!
//! `xen/include/public/vcpu.h` (struct vcpu_runstate_info). Expected: running now; the time blocked
//! grows by a sleep, the sum by the time that passed; the area shows the same; is_up and get_physid
//! answer; wrong vCPUs are -ENOENT.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;
use pv_abi::vcpu::*;
use pv_guests::pages::{Page, read32, read64};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must};
use ring1::abi::{VcpuRegisterRunstateMemoryArea, VcpuRunstateInfo};
use ring1::{calls, events};
use zerocopy::FromZeros;

guest!(run);

fn state() -> Outcome<VcpuRunstateInfo> {
    let mut info = VcpuRunstateInfo::new_zeroed();
    must(calls::vcpu_op_with(VCPUOP_GET_RUNSTATE_INFO, VcpuId::new(0), &mut info), "runstate")?;
    Ok(info)
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let before = state()?;
    check_eq!(before.state, RUNSTATE_RUNNING, "state");
    let deadline = clock::now() + 20_000_000;
    while clock::now() < deadline {
        let _ = calls::poll(&[], deadline);
    }
    let after = state()?;
    let grown = |kind: i32| after.time[kind as usize].get() - before.time[kind as usize].get();
    check!(grown(RUNSTATE_BLOCKED) >= 15_000_000, "blocked for {} ns", grown(RUNSTATE_BLOCKED));
    let all: u64 = (0..4).map(grown).sum();
    check!((20_000_000..2_000_000_000).contains(&all), "all states: {all} ns");
    check!(after.state_entry_time.get() > before.state_entry_time.get(), "entry time");
    check!(after.state_entry_time.get() <= clock::now(), "entry time in the future");

    let page = Page::take();
    let mut area = VcpuRegisterRunstateMemoryArea { addr: page.va + 8, _rest: [0; 4] };
    let register = VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA;
    must(calls::vcpu_op_with(register, VcpuId::new(0), &mut area), "register_runstate")?;
    check_eq!(read32(page.va + 8), RUNSTATE_RUNNING as u32, "state in the area");
    let entry = read64(page.va + 12);
    let _ = calls::poll(&[], clock::now() + 5_000_000);
    check_eq!(read32(page.va + 8), RUNSTATE_RUNNING as u32, "state in the area after a sleep");
    check!(read64(page.va + 12) > entry, "entry time in the area after a sleep");
    let blocked = read64(page.va + 20 + 8 * RUNSTATE_BLOCKED as u32);
    check!(blocked >= after.time[RUNSTATE_BLOCKED as usize].get(), "blocked in the area");

    check_eq!(calls::vcpu_op(VCPUOP_IS_UP, VcpuId::new(0)), Ok(1), "is_up");
    for vcpu in [32, 4096, 8192, u32::MAX] {
        let result = calls::vcpu_op(VCPUOP_IS_UP, VcpuId::new(vcpu));
        check_eq!(result, Err(Errno::ENOENT), "is_up of vCPU {vcpu:#x}");
    }
    for command in [14, 99] {
        let result = calls::vcpu_op(command, VcpuId::new(0));
        check_eq!(result, Err(Errno::ENOSYS), "vcpu_op {command}");
    }
    Ok(())
}
