//! The failsafe callback: registers that cannot be loaded, on the way back to the guest.
//!
//! `xen/include/public/callback.h` (CALLBACKTYPE_failsafe); the frame of Xen 4.17
//! `arch/x86/x86_64/compat/entry.S` (compat_failsafe_callback). An iret hypercall leads to
//! selectors that are not there, have the wrong ring or are of the wrong kind. Expected: the
//! callback is entered in Ring 1, with ds, es, fs, gs below the frame that could not be used;
//! on the kernel's stack if that was one for Ring 3, else on the stack it names. (Xen 4.17 keeps
//! the callback for segments that fail when a vCPU is switched to; a bad iret frame gives #GP.)
#![no_std]
#![no_main]
use pv_abi::callback::{CALLBACKOP_REGISTER, CALLBACKTYPE_FAILSAFE};
use pv_abi::hypercall as nr;
use pv_abi::x86_32::{Callback, CallbackRegister};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::{Outcome, StartInfo, check_eq, code, expect, guest, must, with_argument};
use ring1::{calls, events};

guest!(run);

code! {
    // Makes the hypercall with the stack pointer at `frame`; `page` is where the callback reports.
    iret(frame: u32, page: u32): "mov esi, esp", "mov ebx, [esp + 8]", "mov esp, [esp + 4]",
        "mov eax, 23", "int 0x82", "ud2";
    // Copies ten words of its stack and its stack pointer, goes back to the stack before, and
    // ends the probe.
    callback: "mov eax, 0xe021", "mov ds, eax", "mov es, eax", "mov ecx, 10",
        "3: mov eax, [esp + ecx * 4 - 4]", "mov [ebx + ecx * 4 - 4], eax", "loop 3b",
        "mov [ebx + 40], esp", "mov esp, esi", "ud2";
    selectors() -> u32: "mov ecx, ds", "mov eax, es", "shl ecx, 16", "or eax, ecx", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    let (page, frames, stack) = (Page::take(), Page::take(), Page::take());
    let address = Callback { cs: 0xe019, eip: callback as *const () as u32 };
    let mut register =
        CallbackRegister { r#type: CALLBACKTYPE_FAILSAFE, flags: 0, _pad: [], address };
    check_eq!(with_argument(nr::CALLBACK_OP, CALLBACKOP_REGISTER, &mut register), 0, "register");
    let top = stack.va + 4096;
    must(calls::stack_switch(top), "the kernel's stack")?;
    let data = selectors();
    for (what, cs, ss) in [
        ("a selector beyond the GDT", 0x1003, 0xe033),
        ("a null code selector", 0x3, 0xe033),
        ("data as code", 0xe033, 0xe033),
        ("a stack of Ring 1 for Ring 3", 0xe02b, 0xe021),
        ("no stack segment", 0xe02b, 0),
        ("code as a stack", 0xe02b, 0xe02b),
        ("a selector without LDT", 0xf, 0xe033),
        ("a selector beyond the GDT, Ring 1", 0x1001, 0),
        ("Ring 3's code for Ring 1", 0xe029, 0),
    ] {
        let ring3 = cs & 3 == 3;
        for (index, word) in (0..).zip([7, 0x1234, cs, 0x2, 0x5678, ss]) {
            write32(frames.va + 2048 + index * 4, word);
        }
        events::mask();
        expect::fault(what, expect::UD, 0, || iret(frames.va + 2048, page.va));
        let word = |index: u32| read32(page.va + index * 4);
        check_eq!(word(0) << 16 | word(1), data, "{what}: ds and es");
        check_eq!((word(4), word(5)), (0x1234, cs | 1 << 16), "{what}: eip, cs, mask");
        check_eq!(word(6) & 0xcff, 2, "{what}: eflags");
        let at = if ring3 {
            check_eq!((word(7), word(8)), (0x5678, ss), "{what}: esp and ss");
            top - 36
        } else {
            frames.va + 2048 + 16 - 28
        };
        check_eq!(word(10), at, "{what}: where the frame is");
        check_eq!(events::is_masked(), true, "{what}: the mask");
    }
    Ok(())
}
