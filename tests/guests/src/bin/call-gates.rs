//! Call gates: far calls from Ring 1 and from Ring 3 into the kernel, and back by `lret`.
//!
//! SDM 3A 5.8.3 to 5.8.6; Xen 4.17 `arch/x86/pv/emul-gate-op.c`. Expected: a call within Ring 1
//! and one from Ring 3 arrive, the latter on the stack that `stack_switch` named with its
//! parameters copied; `lret` goes back to the caller's ring; a gate for the kernel alone, an
//! absent one, and one past the LDT's limit (XSA-298) fault with their selector; `set_gdt` and
//! `update_descriptor` take no gate to the hypervisor's code.
#![no_std]
#![no_main]
use pv_abi::mmu::MMUEXT_SET_LDT;
use pv_guests::expect::{self, GP, NP};
use pv_guests::pages::{self, Page, read32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, must};
use ring1::calls;

guest!(run);

code! {
    // Calls through GDT entry 1; the result is what the other side left in eax.
    from_kernel() -> u32: "mov eax, 1", ".byte 0x9a, 0, 0, 0, 0, 8, 0", "ret";
    // What the gate leads to: adds, and goes back. There are no parameters.
    plain: "add eax, 0x41", "retf";
    // From Ring 3: reports ring, stack and parameters in registers.
    inner: "mov eax, [esp + 8]", "mov ebx, [esp + 12]", "mov ecx, cs", "mov edx, esp", "retf 8";
    outer: "push 0x222", "push 0x111", ".byte 0x9a, 0, 0, 0, 0, 0x13, 0", "mov esi, cs", "int 0x80";
    reserved: ".byte 0x9a, 0, 0, 0, 0, 0x0b, 0", "int 0x80";
    absent: ".byte 0x9a, 0, 0, 0, 0, 0x18, 0", "ret";
    in_ldt: ".byte 0x9a, 0, 0, 0, 0, 0x0c, 0", "ret";
    past_ldt: ".byte 0x9a, 0, 0, 0, 0, 0x14, 0", "ret";
}

/// A 32-bit call gate.
fn gate(selector: u64, offset: u32, dpl: u64, parameters: u64) -> u64 {
    let offset = u64::from(offset);
    offset & 0xffff
        | selector << 16
        | parameters << 32
        | (0x8c | dpl << 5) << 40
        | (offset >> 16) << 48
}

fn run(_: &'static StartInfo) -> Outcome {
    const KERNEL_CS: u64 = 0xe019;
    let to_plain = gate(KERNEL_CS, plain as *const () as u32, 1, 0);
    let to_inner = gate(KERNEL_CS, inner as *const () as u32, 3, 2);
    let gdt = Page::take();
    gdt.write(1, to_plain);
    gdt.write(2, to_inner);
    // Not present, and for nobody: DPL 0.
    gdt.write(3, to_plain & !(0xe0 << 40));
    gdt.protect()?;
    must(calls::set_gdt(&[gdt.mfn], 512), "set_gdt")?;
    check_eq!(pages::read64(gdt.va + 8) >> 45 & 3, 0, "the DPL of a gate in the GDT");

    check_eq!(expect::none("a call within Ring 1", || from_kernel()), Some(0x42), "its result");
    expect::fault("an absent gate", NP, 0x18, || absent());

    let user = User::new()?;
    let frame = user.run(outer);
    check_eq!(frame.vector, 0x80, "after the call from Ring 3");
    check_eq!((frame.eax, frame.ebx), (0x111, 0x222), "the parameters");
    check_eq!(frame.ecx & 3, 1, "the ring of the code called");
    check!(frame.edx >= ring1::entry::VIRT_BASE, "a stack at {:#x}", frame.edx);
    check_eq!(frame.esi & 3, 3, "the ring after the return");
    check_eq!(frame.esp, user.top(), "the stack pointer after the return");
    let frame = user.run(reserved);
    expect::frame("the kernel's gate from Ring 3", &frame, GP, 8);

    let ldt = Page::take();
    ldt.write(1, to_plain);
    ldt.write(2, to_plain);
    ldt.protect()?;
    must(pages::extended(MMUEXT_SET_LDT, ldt.va, 2), "set_ldt")?;
    expect::none("a gate in the LDT", || in_ldt());
    expect::fault("a gate past the LDT's limit", GP, 0x14, || past_ldt());
    must(pages::extended(MMUEXT_SET_LDT, 0, 0), "no LDT")?;

    for (what, selector) in [("code", 0xe008), ("the TSS", 0xe040), ("32-bit code", 0xe038)] {
        let bad = gate(selector, 0, 3, 0);
        let taken = calls::update_descriptor(gdt.slot(4), bad);
        check!(taken.is_err(), "a gate to the hypervisor's {what} was taken");
    }
    check_eq!(read32(gdt.va + 32), 0, "the entry of the gates that were refused");
    Ok(())
}
