//! Ring 3 reaches no page of the kernel and makes no hypercall.
//!
//! Intel SDM 3A 4.6; the gate of `int $0x82` has DPL 1 (Xen 4.17 `arch/x86/pv/hypercall.c`).
//! Expected: #PF with the user bit, cr2 and the right cause; #GP(0x412) for a hypercall; the
//! kernel's segments are #GP.
#![no_std]
#![no_main]
use pv_guests::expect::{GP, PF, PF_PRESENT, PF_USER, PF_WRITE};
use pv_guests::pages::{self, Page};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest};
use ring1::{entry, shared};

guest!(run);

code! {
    load: "mov eax, [ecx]", "int 0x80";
    store: "mov [ecx], eax", "int 0x80";
    push_it: "mov esp, ecx", "push eax", "int 0x80";
    string: "mov edi, ecx", "mov ecx, 1", "rep stosd", "int 0x80";
    jump: "jmp ecx";
    hypercall: "mov eax, 17", "xor ebx, ebx", "xor ecx, ecx", "int 0x82", "int 0x80";
    through_page: "call ecx";
    kernel_data: "mov eax, 0xe021", "mov ds, eax", "int 0x80";
    kernel_stack: "mov eax, 0xe021", "mov ss, eax", "int 0x80";
    hypervisor_data: "mov eax, 0xe010", "mov ds, eax", "int 0x80";
}

fn run(_: &'static StartInfo) -> Outcome {
    let user = User::new()?;
    let spare = Page::take();
    let [text, rodata, _] = entry::image();
    let places = [
        ("kernel text", text.start + 0x1000, true),
        ("kernel constants", rodata.start, true),
        ("a kernel page", spare.va, true),
        ("page tables", pages::root(), true),
        ("the shared info page", entry::shared_info_address(), true),
        ("nothing", 0x1000, false),
    ];
    let before = pages::read32(spare.va);
    for (name, at, present) in places {
        for (form, code, write) in [
            ("load", load as extern "C" fn(), false),
            ("store", store, true),
            ("push", push_it, true),
            ("string store", string, true),
        ] {
            let (at, seen) = if form == "push" { (at + 4, at) } else { (at, at) };
            let frame = user.run_with(code, |registers| registers.ecx = at);
            let error =
                PF_USER | if present { PF_PRESENT } else { 0 } | if write { PF_WRITE } else { 0 };
            check!(
                (frame.vector, frame.error) == (PF, error) && shared::cr2() == seen,
                "{form}, {name}: vector {} error {:#x} cr2 {:#x}",
                frame.vector,
                frame.error,
                shared::cr2()
            );
        }
        let frame = user.run_with(jump, |registers| registers.ecx = at);
        check!(frame.vector == PF && frame.eip == at, "jump to {name}: vector {}", frame.vector);
    }
    check_eq!(pages::read32(spare.va), before, "the kernel page afterwards");

    let frame = user.run(hypercall);
    pv_guests::expect::frame("int 0x82 in Ring 3", &frame, GP, 0x412);
    // The hypercall page itself is a kernel page.
    let page = entry::hypercall_page_address() + 17 * 32;
    let frame = user.run_with(through_page, |registers| registers.ecx = page);
    check!(frame.vector == PF && frame.eip == page, "the hypercall page: {}", frame.vector);

    for (name, code, selector) in [
        ("the kernel's data segment", kernel_data as extern "C" fn(), 0xe020),
        ("the kernel's stack segment", kernel_stack, 0xe020),
        ("the hypervisor's data segment", hypervisor_data, 0xe010),
    ] {
        let frame = user.run(code);
        pv_guests::expect::frame(name, &frame, GP, selector);
    }
    Ok(())
}
