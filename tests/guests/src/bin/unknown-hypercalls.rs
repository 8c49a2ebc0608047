//! Hypercalls that do not exist, or not for this kind of guest, return -ENOSYS and do nothing.
//!
//! Xen 4.17 `arch/x86/pv/hypercall.c` (pv_hypercall: a hole in the table is -ENOSYS),
//! `xen/include/public/xen.h` (numbers). Numbers past the page's slots are made with `int $0x82`.
//! Expected: -ENOSYS for each.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_guests::{Outcome, StartInfo, check, code, guest, hypercall};

guest!(run);

code! {
    enter(number: u32) -> u32:
        "push ebx", "push esi", "push edi", "mov eax, [esp + 16]",
        "xor ebx, ebx", "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
        "int 0x82", "pop edi", "pop esi", "pop ebx", "ret";
}

/// set_segment_base is for 64-bit guests; 11, 43 to 47 and 51 to 55 mean nothing to any PV guest.
const ABSENT: [u32; 10] = [11, 25, 43, 44, 45, 46, 47, 55, 56, 63];

fn run(_: &'static StartInfo) -> Outcome {
    let enosys = pv_guests::call::ret(Errno::ENOSYS);
    for number in ABSENT {
        let result = hypercall(number, &[]);
        check!(result == enosys, "hypercall {number}: {result}, not {enosys}");
    }
    for number in [64, 127, 128, 255, 256, 0x10_0000, 0x7fff_ffff, 0x8000_0001, u32::MAX] {
        let result = enter(number) as i32;
        check!(result == enosys, "hypercall {number:#x}: {result}, not {enosys}");
    }
    Ok(())
}
