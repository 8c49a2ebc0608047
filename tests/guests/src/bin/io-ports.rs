//! I/O ports of domain 0: `in`, `out`, `ins` and `outs` reach real devices, within permissions.
//!
//! Xen 4.17 `arch/x86/pv/emul-priv-op.c` (guest_io_read, guest_io_write, rep_ins, rep_outs). The
//! devices are the CMOS memory, COM1's neighbour COM2's scratch register, the interval timer's
//! gate, PCI's host bridge. Expected: bytes written to CMOS memory and a scratch register come
//! back, singly and through `ins` and `outs` with a segment of its own; the interrupt
//! controllers and COM1 read as ones; the host bridge shows its vendor; Ring 3 needs IOPL 3 or
//! the bitmap.
#![no_std]
#![no_main]
use pv_guests::expect::{self, GP, PF};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, must};
use ring1::calls;

guest!(run);

code! {
    read8(port: u32) -> u32: "mov edx, [esp + 4]", "xor eax, eax", "in al, dx", "ret";
    read32_from(port: u32) -> u32: "mov edx, [esp + 4]", "in eax, dx", "ret";
    write8(port: u32, value: u32): "mov edx, [esp + 4]", "mov eax, [esp + 8]", "out dx, al", "ret";
    write32_to(port: u32, value: u32): "mov edx, [esp + 4]", "mov eax, [esp + 8]", "out dx, eax",
        "ret";
    // rep insb: `count` bytes to `to`; returns what is left of the count.
    read_string(port: u32, to: u32, count: u32) -> u32: "push edi", "mov edx, [esp + 8]",
        "mov edi, [esp + 12]", "mov ecx, [esp + 16]", "rep insb", "mov eax, ecx", "pop edi", "ret";
    write_string(port: u32, from: u32, count: u32) -> u32: "push esi", "mov edx, [esp + 8]",
        "mov esi, [esp + 12]", "mov ecx, [esp + 16]", "rep outsb", "mov eax, ecx", "pop esi", "ret";
    // outsb from gs:0, gs being this selector.
    write_through(port: u32, selector: u32): "push esi", "mov edx, [esp + 8]",
        "mov eax, [esp + 12]", "mov ecx, gs", "mov gs, eax", "xor esi, esi",
        ".byte 0x65, 0x6e", "mov gs, ecx", "pop esi", "ret";
    user_read: "in al, dx", "int 0x80";
}

/// COM2's scratch register; COM1's status; a CMOS byte that nothing uses.
const SCRATCH: u32 = 0x2ff;
const COM1_STATUS: u32 = 0x3fd;
const CMOS_BYTE: u32 = 0x7e;

fn run(_: &'static StartInfo) -> Outcome {
    must(calls::set_iopl(1), "set_iopl")?;
    // CMOS memory.
    write8(0x70, CMOS_BYTE);
    check_eq!(read8(0x70), CMOS_BYTE, "the index");
    let before = read8(0x71);
    write8(0x71, 0x5a);
    check_eq!(read8(0x71), 0x5a, "a CMOS byte");
    write8(0x71, before);
    // The hypervisor's own.
    for port in [0x20, 0x21, 0xa1, 0x40, COM1_STATUS] {
        check_eq!(read8(port), 0xff, "port {port:#x}");
    }
    let gate = read8(0x61);
    check!(gate != 0xff, "the timer's gate");
    write8(0x61, gate & 0xfc);
    check_eq!(read8(0x61) & 3, 0, "gate and speaker");
    // The host bridge.
    write32_to(0xcf8, 0x8000_0000);
    check_eq!(read32_from(0xcf8), 0x8000_0000, "the PCI address");
    check_eq!(read32_from(0xcfc) & 0xffff, 0x8086, "the host bridge's vendor");
    check_eq!(read8(0xcfd), 0x80, "the vendor's second byte");

    // COM2, where there is one.
    let (from, to) = (Page::take(), Page::take());
    write8(SCRATCH, 0xa5);
    if read8(SCRATCH) == 0xa5 {
        write32(from.va, 0x4433_2211);
        check_eq!(write_string(SCRATCH, from.va, 3), 0, "rep outsb");
        check_eq!(read8(SCRATCH), 0x33, "the last byte of rep outsb");
        check_eq!(read_string(SCRATCH, to.va, 200), 0, "rep insb in parts");
        check_eq!(read32(to.va + 196), 0x3333_3333, "its last bytes");
        check_eq!(read32(to.va + 200), 0, "what follows them");
        let gdt = Page::take();
        // A byte's room at from + 1.
        let base = u64::from(from.va + 1);
        gdt.write(1, 0x0040_b300_0000_0000 | (base & 0xff_ffff) << 16 | (base >> 24) << 56);
        gdt.protect()?;
        must(calls::set_gdt(&[gdt.mfn], 512), "set_gdt")?;
        expect::none("outs through gs", || write_through(SCRATCH, 9));
        check_eq!(read8(SCRATCH), 0x22, "outs through gs");
    }
    // Pages that are not there.
    let gone = Page::take();
    must(gone.set(0), "unmapping a page")?;
    expect::fault("rep insb to a missing page", PF, 2, || read_string(0x80, gone.va, 1));
    expect::fault("rep outsb from a missing page", PF, 0, || write_string(0x80, gone.va, 1));
    expect::fault("outs through a null segment", GP, 0, || write_through(0x80, 0));
    must(calls::set_iopl(0), "set_iopl")?;
    expect::fault("ins without IOPL", GP, 0, || read_string(0x80, to.va, 1));

    let user = User::new()?;
    for iopl in 0..3 {
        must(calls::set_iopl(iopl), "set_iopl")?;
        let frame = user.run_with(user_read, |registers| registers.edx = 0x20);
        expect::frame("in from Ring 3", &frame, GP, 0);
    }
    must(calls::set_iopl(3), "set_iopl")?;
    let frame = user.run_with(user_read, |registers| registers.edx = 0x20);
    check_eq!((frame.vector, frame.eax & 0xff), (0x80, 0xff), "in from Ring 3 with IOPL 3");
    Ok(())
}
