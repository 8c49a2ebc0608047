//! Privileged instructions in Ring 1: which the hypervisor carries out, which are #GP.
//!
//! Xen 4.17 `arch/x86/pv/emul-priv-op.c` (validate, read_cr, write_cr, read_msr, write_msr, iopl).
//! Expected: clts, wbinvd, mov to and from control and debug registers, rdmsr and wrmsr of EFER are
//! carried out; hlt, lgdt, lidt, lldt, ltr, lmsw, invlpg, rdpmc and changes of CR0 but for TS
//! fault; cli and sti fault without IOPL; ports without it fault, too.
#![no_std]
#![no_main]
use pv_guests::expect::{self, GP, NM, UD};
use pv_guests::{Outcome, StartInfo, check_eq, code, guest, must};
use ring1::{calls, events};

guest!(run);

code! {
    halt: "hlt", "ret";
    clear_if: "cli", "ret";
    set_if: "sti", "ret";
    load_gdt: "sub esp, 8", "lgdt [esp]", "add esp, 8", "ret";
    load_idt: "sub esp, 8", "lidt [esp]", "add esp, 8", "ret";
    load_ldt: "xor eax, eax", "lldt ax", "ret";
    load_tr: "mov eax, 0xe040", "ltr ax", "ret";
    load_msw: "mov eax, 1", "lmsw ax", "ret";
    invalidate: "invlpg [esp]", "ret";
    read_pmc: "xor ecx, ecx", "rdpmc", "ret";
    set_cr0_wp: "mov eax, cr0", "and eax, 0xfffeffff", "mov cr0, eax", "ret";
    set_cr0_ts: "mov eax, cr0", "or eax, 8", "mov cr0, eax", "ret";
    set_cr0_same: "mov eax, cr0", "mov cr0, eax", "ret";
    clear_ts: "clts", "ret";
    write_back: "wbinvd", "ret";
    set_cr2: "mov eax, 0x1234", "mov cr2, eax", "mov eax, cr2", "ret";
    cr2() -> u32: "mov eax, cr2", "ret";
    set_cr4_same: "mov eax, cr4", "mov cr4, eax", "ret";
    set_cr3_same: "mov eax, cr3", "mov cr3, eax", "ret";
    set_cr3_wrong: "mov eax, 0x1000", "mov cr3, eax", "ret";
    read_efer() -> u32: "mov ecx, 0xc0000080", "rdmsr", "ret";
    write_efer_same: "mov ecx, 0xc0000080", "rdmsr", "wrmsr", "ret";
    write_lstar: "mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr", "ret";
    swap_gs: ".byte 0x0f, 0x01, 0xf8", "ret";
    sys_exit: ".byte 0x0f, 0x35", "ret";
    x87: "fnop", "ret";
    read_a_port: "in al, 0x80", "ret";
    read_port() -> u32: "xor eax, eax", "in al, 0x80", "ret";
    write_port: "mov dx, 0x3f8", "mov al, 0x58", "out dx, al", "ret";
    read_dr7() -> u32: "mov eax, dr7", "ret";
    time: "rdtsc", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    for (name, code) in [
        ("hlt", halt as extern "C" fn()),
        ("cli", clear_if),
        ("sti", set_if),
        ("lgdt", load_gdt),
        ("lidt", load_idt),
        ("lldt", load_ldt),
        ("ltr", load_tr),
        ("lmsw", load_msw),
        ("invlpg", invalidate),
        ("rdpmc", read_pmc),
        ("CR0.WP cleared", set_cr0_wp),
        ("CR3 to a frame of no table", set_cr3_wrong),
        ("sysexit", sys_exit),
        ("wrmsr LSTAR", write_lstar),
        ("in", read_a_port),
        ("out", write_port),
    ] {
        expect::fault(name, GP, 0, || code());
    }
    expect::fault("swapgs", UD, 0, || swap_gs());
    for (name, code) in [
        ("CR0 unchanged", set_cr0_same as extern "C" fn()),
        ("wbinvd", write_back),
        ("CR2", set_cr2),
        ("CR4 unchanged", set_cr4_same),
        ("CR3 unchanged", set_cr3_same),
        ("EFER unchanged", write_efer_same),
        ("rdtsc", time),
        ("clts", clear_ts),
    ] {
        expect::none(name, || code());
    }
    check_eq!(cr2(), 0x1234, "CR2 as written");
    expect::none("rdmsr EFER", || read_efer());
    check_eq!(read_dr7() & 0xff, 0, "DR7");

    expect::none("CR0.TS set", || set_cr0_ts());
    expect::fault("the FPU with TS", NM, 0, || x87());
    expect::none("CR0.TS set", || set_cr0_ts());
    expect::none("clts", || clear_ts());
    expect::none("the FPU after clts", || x87());

    // With IOPL 1 cli and sti do nothing, and ports that the domain does not have read as ones.
    must(calls::set_iopl(1), "set_iopl")?;
    let masked = events::is_masked();
    expect::none("cli with IOPL", || clear_if());
    expect::none("sti with IOPL", || set_if());
    check_eq!(events::is_masked(), masked, "the upcall mask after cli and sti");
    expect::none("in with IOPL", || read_port());
    expect::none("out with IOPL", || write_port());
    must(calls::set_iopl(0), "set_iopl")?;
    expect::fault("in without IOPL again", GP, 0, || write_port());
    Ok(())
}
