//! Exceptions in Ring 3 arrive on the stack of `stack_switch`, with esp and ss of Ring 3.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S`. Expected: vector, error code (the user bit in page
//! faults'), eip, all registers, flat Ring 3 selectors, saved mask and IF; handlers of a gate with
//! the interrupt bit start with upcalls masked.
#![no_std]
#![no_main]
use pv_guests::expect::{BP, DE, GP, NM, OF, PF, UD};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, must};
use ring1::{events, shared};

guest!(run);

code! {
    divide: "xor edx, edx", "div edx";
    overflow: "mov al, 0x7f", "add al, 1", "into";
    breakpoint: "int3";
    undefined: "ud2";
    system_call: "int 0x80";
    absent_load: "mov eax, [0x1000]";
    absent_store: "mov [0x1004], eax";
    bad_selector: "mov ds, ecx";
    int_20: "int 0x20";
    halt: "hlt";
    flags_changed: "pushfd", "pop eax", "or eax, 0x203400", "push eax", "popfd", "int 0x80";
    x87: "fninit", "int 0x80";
}

fn run(_: &'static StartInfo) -> Outcome {
    let user = User::new()?;
    let rows: [(&str, extern "C" fn(), u32, u32, u32); 9] = [
        ("divide by zero", divide, DE, 0, 2),
        ("into", overflow, OF, 0, 5),
        ("int3", breakpoint, BP, 0, 1),
        ("ud2", undefined, UD, 0, 0),
        ("int 0x80", system_call, 0x80, 0, 2),
        ("absent, load", absent_load, PF, 4, 0),
        ("absent, store", absent_store, PF, 6, 0),
        ("a bad selector", bad_selector, GP, 0x1230, 0),
        ("hlt", halt, GP, 0, 0),
    ];
    for masked in [true, false] {
        if masked {
            events::mask()
        } else {
            events::unmask()
        };
        for (name, code, vector, error, offset) in rows {
            let frame = user.run_with(code, |registers| {
                registers.eax = 0x1111_1111;
                registers.ebx = 0x2222_2222;
                registers.ecx = 0x1233;
                registers.esi = 0x4444_4444;
                registers.edi = 0x5555_5555;
                registers.ebp = 0x6666_6666;
            });
            check_eq!((frame.vector, frame.error), (vector, error), "{name}: vector and error");
            check_eq!(frame.eip - user.code.va, offset, "{name}: eip in the code");
            check_eq!(frame.esp, user.top(), "{name}: esp");
            check_eq!((frame.cs & 0xffff, frame.ss), (0xe02b, 0xe033), "{name}: cs and ss");
            check_eq!((frame.ds & 0xffff, frame.es & 0xffff), (0xe033, 0xe033), "{name}: ds, es");
            check_eq!(frame.cs >> 16 & 0xff, u32::from(masked), "{name}: the saved mask");
            check_eq!(frame.eflags >> 9 & 1, u32::from(!masked), "{name}: the saved IF");
            check_eq!((frame.ebx, frame.ecx), (0x2222_2222, 0x1233), "{name}: ebx, ecx");
            check_eq!((frame.esi, frame.edi), (0x4444_4444, 0x5555_5555), "{name}: esi, edi");
            check_eq!(frame.ebp, 0x6666_6666, "{name}: ebp");
        }
        check_eq!(shared::cr2(), 0x1004, "cr2 of the last page fault");
    }
    events::mask();
    let frame = user.run(flags_changed);
    check_eq!(frame.eflags & 0x20_3400, 0x20_0400, "DF and ID, but not IOPL, of Ring 3's popfd");
    must(ring1::calls::fpu_taskswitch(1), "fpu_taskswitch")?;
    check_eq!(user.run(x87).vector, NM, "the FPU with TS in Ring 3");
    check_eq!(user.run(x87).vector, 0x80, "the FPU afterwards");
    let frame = user.run(int_20);
    check_eq!((frame.vector, frame.error), (GP, 0x102), "int 0x20 (Xen under QEMU 7.2: 0x202)");
    check!(frame.eip == user.code.va, "int 0x20: eip {:#x}", frame.eip);
    Ok(())
}
