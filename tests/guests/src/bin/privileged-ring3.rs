//! Privileged instructions in Ring 3 fault, and IOPL and the I/O bitmap open ports to it.
//!
//! Intel SDM 3A 5.9; Xen 4.17 `arch/x86/pv/emul-priv-op.c` (guest_io_okay), physdev_op. Expected:
//! #GP(0) for each; with IOPL 3, or a clear bit in the bitmap, a port reads (as ones: the domain
//! has no such port).
#![no_std]
#![no_main]
use pv_abi::physdev::PHYSDEVOP_SET_IOBITMAP;
use pv_abi::{hypercall as nr, physdev};
use pv_guests::expect::{self, GP, UD};
use pv_guests::pages::{Page, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check_eq, code, guest, must, with_argument};
use ring1::{abi::PhysdevSetIobitmap, calls};

guest!(run);

code! {
    halt: "hlt", "int 0x80";
    clear_if: "cli", "int 0x80";
    set_if: "sti", "int 0x80";
    load_gdt: "lgdt [esp - 16]", "int 0x80";
    load_idt: "lidt [esp - 16]", "int 0x80";
    load_ldt: "lldt cx", "int 0x80";
    load_tr: "ltr cx", "int 0x80";
    load_msw: "lmsw cx", "int 0x80";
    clear_ts: "clts", "int 0x80";
    invalidate: "invlpg [esp - 16]", "int 0x80";
    write_back: "wbinvd", "int 0x80";
    from_cr0: "mov eax, cr0", "int 0x80";
    to_cr0: "mov cr0, ecx", "int 0x80";
    from_cr3: "mov eax, cr3", "int 0x80";
    to_cr3: "mov cr3, ecx", "int 0x80";
    to_cr4: "mov cr4, ecx", "int 0x80";
    from_dr: "mov eax, dr7", "int 0x80";
    to_dr: "mov dr7, ecx", "int 0x80";
    read_msr: "mov ecx, 0xc0000080", "rdmsr", "int 0x80";
    write_msr: "mov ecx, 0xc0000080", "wrmsr", "int 0x80";
    port_in: "in al, 0x80", "int 0x80";
    port_out: "mov edx, 0x80", "out dx, al", "int 0x80";
    swap_gs: ".byte 0x0f, 0x01, 0xf8", "int 0x80";
}

fn run(_: &'static StartInfo) -> Outcome {
    let user = User::new()?;
    let all: [(&str, extern "C" fn()); 22] = [
        ("hlt", halt),
        ("cli", clear_if),
        ("sti", set_if),
        ("lgdt", load_gdt),
        ("lidt", load_idt),
        ("lldt", load_ldt),
        ("ltr", load_tr),
        ("lmsw", load_msw),
        ("clts", clear_ts),
        ("invlpg", invalidate),
        ("wbinvd", write_back),
        ("mov from CR0", from_cr0),
        ("mov to CR0", to_cr0),
        ("mov from CR3", from_cr3),
        ("mov to CR3", to_cr3),
        ("mov to CR4", to_cr4),
        ("mov from DR7", from_dr),
        ("mov to DR7", to_dr),
        ("rdmsr", read_msr),
        ("wrmsr", write_msr),
        ("in", port_in),
        ("out", port_out),
    ];
    for (name, code) in all {
        expect::frame(name, &user.run(code), GP, 0);
    }
    expect::frame("swapgs", &user.run(swap_gs), UD, 0);

    // IOPL is the domain's: 1 is the kernel's alone.
    for (iopl, works) in [(1, false), (3, true), (0, false)] {
        must(calls::set_iopl(iopl), "set_iopl")?;
        let vector = if works { 0x80 } else { GP };
        check_eq!(user.run(port_in).vector, vector, "in with IOPL {iopl}");
        check_eq!(user.run(port_out).vector, vector, "out with IOPL {iopl}");
    }
    let bitmap = Page::take();
    (0..1024).for_each(|word| write32(bitmap.va + word * 4, u32::MAX));
    write32(bitmap.va + 0x80 / 8, !1);
    let mut argument = PhysdevSetIobitmap { bitmap: bitmap.va, nr_ports: 1024, _pad: [] };
    let set = with_argument(nr::PHYSDEV_OP, PHYSDEVOP_SET_IOBITMAP, &mut argument);
    check_eq!(set, 0, "set_iobitmap");
    check_eq!(user.run(port_in).vector, 0x80, "in of a port that the bitmap opens");
    write32(bitmap.va + 0x80 / 8, u32::MAX);
    check_eq!(user.run(port_in).vector, GP, "in of a port that the bitmap closes");
    let mut wrong = physdev::PhysdevSetIopl { iopl: 4 };
    let set = with_argument(nr::PHYSDEV_OP, physdev::PHYSDEVOP_SET_IOPL, &mut wrong);
    check_eq!(set, -22, "set_iopl 4");
    Ok(())
}
