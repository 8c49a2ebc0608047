//! Exceptions in Ring 1: vector, error code, address, saved cs with the upcall mask, flags.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S` (compat_create_bounce_frame): the saved cs carries
//! `evtchn_upcall_mask` in bits 23..16, the saved IF is its negation, TF and such are cleared for
//! the handler. Expected: as in the table below.
#![no_std]
#![no_main]
use pv_guests::expect::{BP, DE, GP, NM, OF, PF, UD};
use pv_guests::pages::{Page, map};
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, must};
use ring1::events;
use ring1::probe::probe;

guest!(run);

code! {
    divide: "xor edx, edx", "xor ecx, ecx", "div ecx", "ret";
    overflow: "mov al, 0x7f", "add al, 1", "into", "ret";
    breakpoint: "int3", "ret";
    undefined: "ud2", "ret";
    null_segment: "mov eax, 0x1233", "mov ds, eax", "ret";
    absent_load: "mov eax, [0x1000]", "ret";
    absent_store: "mov [0x1004], eax", "ret";
    absent_fetch: "mov eax, 0x1000", "call eax", "ret";
    system_call: "int 0x80", "ret";
    x87: "fninit", "ret";
    locked: ".byte 0xf0, 0x90", "ret";
    bound: "push 1", "push 0", "mov eax, 5", ".byte 0x62, 0x04, 0x24", "add esp, 8", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    let at = |code: extern "C" fn()| code as *const () as u32;
    // Name, code, vector, error code, cr2, bytes into the code at which eip stands.
    let rows: [(&str, extern "C" fn(), u32, u32, u32, u32); 11] = [
        ("divide by zero", divide, DE, 0, 0, 4),
        ("into", overflow, OF, 0, 0, 5),
        ("int3", breakpoint, BP, 0, 0, 1),
        ("ud2", undefined, UD, 0, 0, 0),
        ("a bad selector", null_segment, GP, 0x1230, 0, 5),
        ("absent, load", absent_load, PF, 0, 0x1000, 0),
        ("absent, store", absent_store, PF, 2, 0x1004, 0),
        ("int 0x80", system_call, 0x80, 0, 0, 2),
        ("lock nop", locked, UD, 0, 0, 0),
        ("bound", bound, 5, 0, 0, 9),
        ("ud2 again", undefined, UD, 0, 0, 0),
    ];
    for masked in [true, false] {
        if masked {
            events::mask()
        } else {
            events::unmask()
        };
        for (name, code, vector, error, cr2, offset) in rows {
            let Err(fault) = probe(|| code()) else {
                check!(false, "{name}: no fault");
                continue;
            };
            check_eq!((fault.vector, fault.error), (vector, error), "{name}: vector and error");
            check_eq!(fault.eip - at(code), offset, "{name}: eip in the code");
            check!(vector != PF || fault.address == cr2, "{name}: cr2 {:#x}", fault.address);
            check_eq!(fault.cs & 0xffff, 0xe019, "{name}: cs");
            check_eq!(fault.cs >> 16 & 0xff, u32::from(masked), "{name}: the saved mask");
            check_eq!(fault.eflags >> 9 & 1, u32::from(!masked), "{name}: the saved IF");
            check_eq!(events::is_masked(), masked, "{name}: the mask afterwards");
        }
        let fetch = probe(|| absent_fetch()).err();
        check!(
            fetch.is_some_and(|fault| fault.vector == PF && fault.eip == 0x1000),
            "absent, fetch: {fetch:x?}"
        );
    }
    events::mask();
    // A page with no execute, where the CPU has it.
    let page = Page::take();
    must(map(page.va, page.entry(pv_guests::pages::KRW) | 1 << 63), "mapping a page NX")?;
    let fetch = probe(|| call_it(page.va)).err();
    check!(
        fetch.is_some_and(|fault| (fault.vector, fault.error) == (PF, 0x11)),
        "fetch from an NX page: {fetch:x?}"
    );
    // The virtual TS: #NM once, cleared by the hypervisor before the handler runs.
    must(ring1::calls::fpu_taskswitch(1), "fpu_taskswitch")?;
    check!(probe(|| x87()).is_err_and(|fault| fault.vector == NM), "TS: no #NM");
    check!(probe(|| x87()).is_ok(), "TS is still set after #NM");
    Ok(())
}

code! { call_it(at: u32): "mov ecx, [esp + 4]", "call ecx", "ret"; }
