//! Segments that can no longer be loaded end in the failsafe callback or #GP, not in Ring 0.
//!
//! Xen 4.17 `arch/x86/x86_64/compat/entry.S` (iretq with a fixup: the guest sees #GP), `domain.c`
//! (load_segments: failsafe callback). Bad selectors go into frames of the iret hypercall. Expected:
//! #GP or the failsafe callback in Ring 1 each time, and the domain lives.
#![no_std]
#![no_main]
use pv_guests::expect::{GP, NP, SS};
use pv_guests::pages::{Page, write32};
use pv_guests::user::{User, enter};
use pv_guests::{Outcome, StartInfo, check, code, guest};
use ring1::events;
use ring1::probe::user_registers;
use ring1::trap::FAILSAFE;

guest!(run);

code! {
    // In Ring 1, ecx being the frame (eax eip cs eflags esp ss).
    iret_by_hypercall: "mov esp, ecx", "mov eax, 23", "int 0x82", "ud2";
    system_call: "int 0x80";
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    let (frame, user) = (Page::take(), User::new()?);
    user.load(system_call);
    let good = [0, user.code.va, 0xe02b, 0x202, user.top(), 0xe033];
    let bad: [(&str, usize, u32); 9] = [
        ("cs of the hypervisor, RPL 3", 2, 0xe00b),
        ("cs of data", 2, 0xe033),
        ("cs of nothing", 2, 0x1233),
        ("a null cs", 2, 3),
        ("cs of the LDT", 2, 0xf),
        ("ss of the kernel", 5, 0xe021),
        ("ss of code", 5, 0xe02b),
        ("a null ss", 5, 3),
        ("ss of nothing", 5, 0x1233),
    ];
    for (name, field, value) in bad {
        for (index, word) in good.into_iter().enumerate() {
            let word = if index == field { value } else { word };
            write32(frame.va + index as u32 * 4, word);
        }
        let mut registers = user_registers(iret_by_hypercall as *const () as u32, frame.va + 1024);
        registers.cs = 0xe019;
        registers.ss = 0xe021;
        registers.ds = 0xe021;
        registers.es = 0xe021;
        registers.ecx = frame.va;
        let ended = enter(&registers);
        check!(
            [GP, NP, SS, FAILSAFE].contains(&ended.vector),
            "{name}: vector {:#x} error {:#x}",
            ended.vector,
            ended.error
        );
        events::mask();
    }
    Ok(())
}
