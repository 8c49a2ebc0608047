//! Segments, flags and shared info with which a pv32 kernel starts.
//!
//! `xen/include/public/arch-x86/xen-x86_32.h` (flat Ring 1 segments); Xen 4.17 `arch/x86/domain.c`,
//! `arch/x86/pv/dom0_build.c`. Expected: flat segments of Ring 1, upcalls masked on all legacy
//! vCPUs, nothing pending, a null LDT, CR0 with paging, protection and WP, CR4.PAE.
#![no_std]
#![no_main]
use core::sync::atomic::Ordering;
use pv_guests::pages::read32;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, roots};
use ring1::{entry, shared};

guest!(run);

code! {
    segments() -> u32: "mov eax, cs", "shl eax, 16", "mov ecx, ss", "or eax, ecx", "ret";
    data() -> u32: "mov eax, ds", "shl eax, 16", "mov ecx, es", "or eax, ecx", "ret";
    flags() -> u32: "pushfd", "pop eax", "ret";
    cr0() -> u32: "mov eax, cr0", "ret";
    cr3() -> u32: "mov eax, cr3", "ret";
    cr4() -> u32: "mov eax, cr4", "ret";
    ldt() -> u32: "xor eax, eax", "sldt ax", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    check_eq!(segments(), 0xe019_e021, "cs and ss");
    check_eq!(data(), 0xe021_e021, "ds and es");
    check_eq!(flags() & 0x0002_7700, 0x200, "IF, and no VM, NT, IOPL, DF, TF");
    check_eq!(cr0() & 0x8001_0001, 0x8001_0001, "CR0: PG, WP, PE");
    check_eq!(cr4() & 0x20, 0x20, "CR4.PAE");
    // The form of CR3 is folded: frame bits 31..20 in bits 11..0.
    check_eq!(cr3(), roots::builder().rotate_left(12), "CR3");
    check_eq!(ldt(), 0, "the LDT");
    let info = entry::shared_info_address();
    for vcpu in 0..32 {
        let mask = read32(info + vcpu * 64) >> 8 & 0xff;
        check_eq!(mask, 1, "upcall mask of vCPU {vcpu}");
    }
    check_eq!(shared::pending_sel().load(Ordering::SeqCst), 0, "pending selector");
    for word in 0..32 {
        check_eq!(shared::pending(word).load(Ordering::SeqCst), 0, "pending word {word}");
    }
    check!(shared::vcpu_time().version & 1 == 0, "the clock is not published");
    Ok(())
}
