//! Isolation, point 2: far jump, call, return and native iret reach no selector of the
//! hypervisor's part of the GDT but the guest's own flat segments.
//!
//! Intel SDM 3A 5.8; `xen/arch-x86/xen-x86_32.h` (flat segments). Every selector from 0xe000 to
//! 0xfff8 is tried, among them the hypervisor's 64-bit code (0xe008) and the values that are 64-bit
//! code for pv64 guests (0xe033). Expected: #GP with the selector; only 0xe019 works.
#![no_std]
#![no_main]
use pv_guests::expect::GP;
use pv_guests::pages::{Page, write32};
use pv_guests::{Outcome, StartInfo, check, code, guest};
use ring1::probe::probe;

guest!(run);

code! {
    // Far jmp through the pointer; it lands on the stack it left.
    jump(pointer: u32): "mov ecx, [esp + 4]", ".byte 0xff, 0x29";
    call(pointer: u32): "mov ecx, [esp + 4]", ".byte 0xff, 0x19", "ret";
    ret_to(pointer: u32): "mov ecx, [esp + 4]", "push [ecx + 4]", "push [ecx]", "retf";
    iret_to(pointer: u32): "mov ecx, [esp + 4]", "pushfd", "push [ecx + 4]", "push [ecx]", "iretd";
    near: "ret";
    far: "retf";
}

/// A form, how to do it through a far pointer, and what it lands on where it works.
type Form = (&'static str, extern "C" fn(u32), extern "C" fn());

const FORMS: [Form; 4] = [
    ("far jump", jump, near),
    ("far call", call, far),
    ("far return", ret_to, near),
    ("iret", iret_to, near),
];

fn run(_: &'static StartInfo) -> Outcome {
    let pointer = Page::take().va;
    for (name, form, landing) in FORMS {
        for selector in (0xe000..=0xfffcu32).filter(|selector| selector & 4 == 0) {
            let outward = matches!(selector & !3, 0xe028) && selector & 3 == 3;
            // To the Ring 3 code segment: returns and iret go there, which is not what is tried.
            if outward && name != "far jump" && name != "far call" {
                continue;
            }
            write32(pointer, landing as *const () as u32);
            write32(pointer + 4, selector);
            let result = probe(|| form(pointer));
            // A return never goes inward: RPL 0 is refused even for the kernel's own segment.
            let back = name != "far jump" && name != "far call";
            let works = selector == 0xe019 || (selector == 0xe018 && !back);
            match result {
                Ok(()) => check!(works, "{name} to {selector:#x} went through"),
                Err(fault) => {
                    let expected = (GP, selector & !3);
                    check!(
                        !works && (fault.vector, fault.error) == expected,
                        "{name} to {selector:#x}: {fault:x?}"
                    );
                }
            }
        }
    }
    Ok(())
}
