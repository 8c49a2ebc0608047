//! vm_assist: which assists a 32-bit guest has.
//!
//! `xen/include/public/xen.h` (VMASST_*); Xen 4.17 `common/kernel.c` (vm_assist), PV32_VM_ASSIST_MASK.
//! Expected: 0 to 3 and 5 can be switched on and off, twice as well; others are -EINVAL, commands
//! that are none -ENOSYS.
#![no_std]
#![no_main]
use pv_abi::hypercall::VM_ASSIST;
use pv_abi::vm_assist::{VMASST_CMD_DISABLE, VMASST_CMD_ENABLE};
use pv_guests::{Outcome, StartInfo, check_eq, guest, hypercall};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    for kind in 0..34 {
        let wanted = if kind <= 5 { 0 } else { -22 };
        for command in [VMASST_CMD_ENABLE, VMASST_CMD_ENABLE, VMASST_CMD_DISABLE] {
            check_eq!(hypercall(VM_ASSIST, &[command, kind]), wanted, "assist {kind}, {command}");
        }
    }
    for kind in [63, 64, 1000, u32::MAX] {
        check_eq!(hypercall(VM_ASSIST, &[VMASST_CMD_ENABLE, kind]), -22, "assist {kind}");
    }
    for command in [2, 3, u32::MAX] {
        check_eq!(hypercall(VM_ASSIST, &[command, 0]), -38, "command {command}");
    }
    Ok(())
}
