//! The iret hypercall and native iret: what each restores.
//!
//! Xen 4.17 `arch/x86/pv/iret.c` (compat_iret): to Ring 1 on the same stack, to Ring 3 with esp and
//! ss; eax from the frame; the upcall mask becomes the negation of IF; IOPL and VM are not taken
//! from the frame. Native iret leaves the mask as it is. Expected: so.
#![no_std]
#![no_main]
use pv_guests::pages::{Page, read32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check_eq, code, guest};
use ring1::events;
use ring1::probe::user_registers;

guest!(run);

code! {
    // To Ring 1 with these flags; the word at `at` becomes eax, the next the flags, then the stack.
    to_ring1(flags: u32, at: u32): "push esi", "mov esi, [esp + 12]", "mov edx, esp",
        "push [esp + 8]", "push 0xe019", "call 4f",
        "mov [esi], eax", "pushfd", "pop [esi + 4]", "sub edx, esp", "mov [esi + 8], edx",
        "pop esi", "ret",
        // The call's return address is the frame's eip.
        "4: push 0x12345678", "mov eax, 23", "int 0x82", "ud2";
    system_call: "int 0x80";
    // The frame for Ring 3 is on the stack that eax points to.
    by_hypercall: "mov esp, [ecx]", "mov eax, 23", "int 0x82", "ud2";
}

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    for (flags, masked) in [(0x202, false), (0x002, true), (0x2_3202, false), (0x0d7, true)] {
        // VM would be #GP emulation: leave it out.
        let flags = flags & !0x2_0000;
        to_ring1(flags, page.va);
        check_eq!(events::is_masked(), masked, "the mask after iret with flags {flags:#x}");
        events::mask();
        check_eq!(read32(page.va), 0x1234_5678, "eax from the frame");
        let arithmetic = 0xd5;
        check_eq!(read32(page.va + 4) & 0x3000, 0, "IOPL after iret with flags {flags:#x}");
        check_eq!(read32(page.va + 4) & 0x200, 0x200, "IF, the CPU's");
        check_eq!(read32(page.va + 4) & arithmetic, flags & arithmetic, "arithmetic flags");
        check_eq!(read32(page.va + 8), 0, "how far the stack moved");
    }
    // Native: the mask stays.
    let user = User::new()?;
    for masked in [true, false] {
        if masked {
            events::mask()
        } else {
            events::unmask()
        };
        let frame = user.run_with(system_call, |registers| registers.eflags = 0x2);
        check_eq!(frame.cs >> 16 & 0xff, u32::from(masked), "the mask in Ring 3, native iret");
    }
    events::mask();
    to_ring3(user, page)
}

/// By hypercall to Ring 3: the frame lies in a page, and the mask follows IF.
fn to_ring3(user: User, page: Page) -> Outcome {
    use pv_guests::pages::write32;
    for (flags, masked) in [(0x202u32, 0), (0x2, 1), (0x8d7, 1)] {
        user.load(system_call);
        let frame = [0xabcd_ef01, user.code.va, 0xe02b, flags, user.top() - 16, 0xe033];
        for (index, word) in frame.into_iter().enumerate() {
            write32(page.va + 64 + index as u32 * 4, word);
        }
        write32(page.va, page.va + 64);
        // Through Ring 1: `by_hypercall` in the flat Ring 1 segments.
        let mut registers = user_registers(by_hypercall as *const () as u32, page.va + 1024);
        registers.cs = 0xe019;
        registers.ss = 0xe021;
        registers.ds = 0xe021;
        registers.es = 0xe021;
        registers.ecx = page.va;
        events::mask();
        let frame = pv_guests::user::enter(&registers);
        check_eq!(frame.vector, 0x80, "how the stay ended");
        check_eq!((frame.eax, frame.esp), (0xabcd_ef01, user.top() - 16), "eax and esp in Ring 3");
        check_eq!(frame.cs, masked << 16 | 0xe02b, "mask and cs in Ring 3, flags {flags:#x}");
        check_eq!(frame.eflags & 0x8d5, flags & 0x8d5, "arithmetic flags in Ring 3");
    }
    Ok(())
}
