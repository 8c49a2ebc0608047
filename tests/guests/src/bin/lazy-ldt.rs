//! The LDT: its pages are checked and mapped when a selector first needs them.
//!
//! `xen/include/public/xen.h` (MMUEXT_SET_LDT); Xen 4.17 `arch/x86/traps.c`
//! (handle_ldt_mapping_fault), `pv/descriptor-tables.c`. Expected: segments of either page work,
//! by mov, by native iret and by the iret hypercall; a page that is not mapped is a #PF at its
//! own address; what lies beyond the limit, or is no LDT any more, is #GP with the selector; a
//! page with a 64-bit code segment is never used; LDT pages cannot be written.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::mmu::MMUEXT_SET_LDT;
use pv_guests::pages::{KRW, Page, extended, map, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check_eq, code, expect, guest, must, user};
use ring1::events;
use ring1::probe::user_registers;

guest!(run);

code! {
    // The first word of the segment.
    read_gs(selector: u32) -> u32: "mov ecx, gs", "mov gs, word ptr [esp + 4]",
        "mov eax, gs:[0]", "mov gs, ecx", "ret";
    system_call: "int 0x80";
    by_hypercall: "mov esp, ecx", "mov eax, 23", "int 0x82", "ud2";
}

/// A selector of the LDT.
const fn selector(index: u32, ring: u32) -> u32 {
    index << 3 | 4 | ring
}

/// A descriptor of a segment with a limit of one page.
fn segment(base: u32, access: u64) -> u64 {
    let base = u64::from(base);
    0x0040_0000_0000_0fff | (base & 0xff_ffff) << 16 | (base >> 24) << 56 | access << 40
}

const DATA_RING1: u64 = 0xb2;
const FLAT_CODE_RING3: u64 = 0x00cf_fa00_0000_ffff;
const LONG_CODE_RING3: u64 = 0x00af_fa00_0000_ffff;

fn set_ldt(base: u32, entries: u32) -> Outcome {
    must(extended(MMUEXT_SET_LDT, base, entries), "setting the LDT").map(|_| ())
}

fn run(_: &'static StartInfo) -> Outcome {
    let (data, first, second, third) = (Page::take(), Page::take(), Page::take(), Page::take());
    check_eq!((second.va, third.va), (first.va + 4096, first.va + 8192), "pages in a row");
    write32(data.va, 0x1111);
    first.write(1, segment(data.va, DATA_RING1));
    first.write(2, FLAT_CODE_RING3);
    second.write(88, segment(data.va, DATA_RING1));
    third.write(0, segment(data.va, DATA_RING1));
    third.write(5, LONG_CODE_RING3);
    for page in [first, second, third] {
        page.protect()?;
    }
    set_ldt(first.va, 3 * 512)?;
    check_eq!(read_gs(selector(1, 1)), 0x1111, "a segment of the first page");
    check_eq!(read_gs(selector(600, 1)), 0x1111, "a segment of the second page");
    check_eq!(read_gs(selector(1, 1)), 0x1111, "the first page again");
    check_eq!(first.set(KRW), Err(Errno::EINVAL), "making a page of the LDT writable");
    // One descriptor that is refused spoils its page.
    let spoiled = selector(1024, 1);
    expect::pf("a page with 64-bit code", third.va, 0, || read_gs(spoiled));

    set_ldt(first.va, 512 + 88)?;
    let beyond = selector(600, 0);
    expect::gp("a selector beyond the limit", beyond, || read_gs(beyond | 1));
    set_ldt(0, 0)?;
    expect::gp("a selector without LDT", selector(1, 0), || read_gs(selector(1, 1)));

    set_ldt(first.va, 1024)?;
    must(map(second.va, 0), "unmapping a page of the LDT")?;
    let missing = second.va + 88 * 8;
    expect::pf("a page that is not there", missing, 0, || read_gs(selector(600, 1)));
    second.protect()?;
    check_eq!(read_gs(selector(600, 1)), 0x1111, "the page once it is there");

    let user = User::new()?;
    for hypercall in [false, true] {
        // Forgets which pages were mapped.
        set_ldt(0, 0)?;
        set_ldt(first.va, 1024)?;
        let frame = to_ring3(user, data, hypercall);
        check_eq!(frame.vector, 0x80, "how the stay ended, by hypercall: {hypercall}");
        check_eq!(frame.cs & 0xffff, selector(2, 3), "cs, by hypercall: {hypercall}");
    }
    Ok(())
}

/// Runs a system call in Ring 3 in the code segment of the LDT.
fn to_ring3(user: User, page: Page, hypercall: bool) -> ring1::trap::TrapFrame {
    if !hypercall {
        return user.run_with(system_call, |registers| registers.cs = selector(2, 3));
    }
    user.load(system_call);
    let frame = [0, user.code.va, selector(2, 3), 0x2, user.top(), 0xe033];
    for (index, word) in (0..).zip(frame) {
        write32(page.va + 64 + index * 4, word);
    }
    let mut registers = user_registers(by_hypercall as *const () as u32, page.va + 1024);
    registers.cs = 0xe019;
    registers.ss = 0xe021;
    registers.ds = 0xe021;
    registers.es = 0xe021;
    registers.ecx = page.va + 64;
    events::mask();
    user::enter(&registers)
}
