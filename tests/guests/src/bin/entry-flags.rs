//! State that a guest carries into the hypervisor: NT, a #DB that waits behind `mov ss`, TF.
//!
//! XSA-44 and XSA-339 (SYSENTER and IRET with NT), XSA-260 (#DB after `mov ss`), XSA-204 (single steps
//! over what is emulated). Expected: hypercalls, system calls, faults and emulated instructions
//! work with NT set, and NT comes back; `sysenter` is #GP; a watched `mov ss` before a trap
//! leads to the trap, or to a #DB of the guest's, and a cause is told once (XSA-265); a step over
//! an emulated instruction is a #DB after it.
#![no_std]
#![no_main]
use pv_abi::hypercall::SET_DEBUGREG;
use pv_guests::expect::{self, DB, GP, PF};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, hypercall};
use ring1::probe::probe;

guest!(run);

code! {
    // xen_version(0) with NT set before and looked at behind: the flag in bit 31 of the result.
    call_with_nt() -> u32: "push ebx", "pushfd", "or dword ptr [esp], 0x4000", "popfd",
        "mov eax, 17", "xor ebx, ebx", "int 0x82", "pushfd", "pop edx", "and edx, 0x4000",
        "shl edx, 17", "or eax, edx", "pushfd", "and dword ptr [esp], 0xffffbfff", "popfd",
        "pop ebx", "ret";
    emulated_with_nt() -> u32: "pushfd", "or dword ptr [esp], 0x4000", "popfd", "clts",
        "mov eax, cr0", "pushfd", "pop eax", "pushfd", "and dword ptr [esp], 0xffffbfff", "popfd",
        "ret";
    fault_with_nt: "pushfd", "or dword ptr [esp], 0x4000", "popfd", "mov eax, [0]", "ret";
    sysenter_with_nt: "pushfd", "or dword ptr [esp], 0x4000", "popfd", ".byte 0x0f, 0x34", "ret";
    user_call_with_nt: "pushfd", "or dword ptr [esp], 0x4000", "popfd", "int 0x80";
    user_sysenter: ".byte 0x0f, 0x34", "int 0x80";
    // `mov ss` from a watched word, and at once a hypercall; a system call's gate; a fault.
    call_behind_mov_ss(at: u32) -> u32: "push ebx", "mov edx, [esp + 8]", "mov eax, 17",
        "xor ebx, ebx", "mov ss, [edx]", "int 0x82", "pop ebx", "ret";
    break_behind_mov_ss(at: u32): "mov edx, [esp + 4]", "mov ss, [edx]", "int3", "ret";
    user_call_behind_mov_ss: "mov ss, [ecx]", "int 0x80", "nop", "int 0x80";
    step_over_clts: "pushfd", "or dword ptr [esp], 0x100", "popfd", "clts", "nop", "nop", "ret";
    step_over_forced: "mov eax, 1", "pushfd", "or dword ptr [esp], 0x100", "popfd",
        ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "nop", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    const NT: u32 = 0x4000;
    let version = expect::none("a hypercall with NT", || call_with_nt());
    check_eq!(version, Some(4 << 16 | 17 | 1 << 31), "its result, and NT afterwards");
    let flags = expect::none("emulated instructions with NT", || emulated_with_nt());
    check_eq!(flags.map(|flags| flags & NT), Some(NT), "NT after them");
    let fault = expect::fault("a fault with NT", PF, 0, || fault_with_nt());
    check_eq!(fault.map(|fault| fault.eflags & NT), Some(NT), "NT in its frame");
    expect::fault("sysenter with NT", GP, 0, || sysenter_with_nt());
    let user = User::new()?;
    let frame = user.run(user_call_with_nt);
    check_eq!((frame.vector, frame.eflags & NT), (0x80, NT), "int 0x80 with NT in Ring 3");
    let frame = user.run(user_sysenter);
    expect::frame("sysenter in Ring 3", &frame, GP, 0);

    // Watch reads and writes of the page's first word.
    let page = Page::take();
    write32(page.va, 0xe021);
    let set = |register: u32, value: u32| {
        check_eq!(hypercall(SET_DEBUGREG, &[register, value]), 0, "DR{register}");
    };
    set(0, page.va);
    set(7, 0x000f_0001);
    let result = probe(|| call_behind_mov_ss(page.va));
    let fine = result.is_ok_and(|v| v == 4 << 16 | 17) || result.is_err_and(|f| f.vector == DB);
    check!(fine, "a hypercall behind a watched mov ss: {result:x?}");
    let fault = probe(|| break_behind_mov_ss(page.va));
    check!(fault.is_err_and(|f| f.vector == DB || f.vector == 3), "int3 behind it: {fault:x?}");
    // What was met in Ring 0 is not told with the next #DB.
    set(6, 0);
    set(7, 0);
    let fault = probe(|| step_over_clts());
    check!(fault.is_err_and(|f| f.vector == DB), "a step over clts: {fault:x?}");
    let status = hypercall(pv_abi::hypercall::GET_DEBUGREG, &[6]) as u32;
    check_eq!(status & 0xf00f, 0x4000, "DR6 after the step");
    set(6, 0);
    let at = step_over_forced as *const () as u32;
    let fault = probe(|| step_over_forced());
    let eip = fault.err().map(|fault| (fault.vector, fault.eip.wrapping_sub(at)));
    check_eq!(eip, Some((DB, 21)), "a step over cpuid with the prefix");

    // The same from Ring 3, whose stack segment the word is.
    write32(page.va, 0xe033);
    check!(page.set(pv_guests::pages::URW).is_ok(), "a page for Ring 3");
    set(7, 0x000f_0001);
    let frame = user.run_with(user_call_behind_mov_ss, |registers| registers.ecx = page.va);
    check!(matches!(frame.vector, 0x80 | DB), "int 0x80 behind mov ss: {}", frame.vector);
    set(7, 0);
    check_eq!(read32(page.va), 0xe033, "the word");
    Ok(())
}
