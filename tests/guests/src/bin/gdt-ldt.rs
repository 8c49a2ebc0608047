//! A GDT and an LDT of the guest's own, in use.
//!
//! Xen 4.17 `arch/x86/pv/descriptor-tables.c`, MMUEXT_SET_LDT, handle_ldt_mapping_fault. Expected:
//! segments with a base read what lies there, in Ring 1 and Ring 3; update_descriptor takes effect
//! at the next load; the LDT's frames become read-only when first used; a stale selector is #GP,
//! an absent one #NP.
#![no_std]
#![no_main]
use pv_abi::mmu::MMUEXT_SET_LDT;
use pv_guests::expect::{self, GP, NP};
use pv_guests::pages::{self, KRW, Page, write32};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, check_eq, code, guest, must};
use ring1::calls;

guest!(run);

code! {
    // The word at gs:0, gs being this selector.
    through(selector: u32) -> u32: "mov ecx, gs", "mov eax, [esp + 4]", "mov gs, eax",
        "mov eax, gs:[0]", "mov gs, ecx", "ret";
    user_through: "mov gs, ecx", "mov eax, gs:[0]", "int 0x80";
}

/// A segment of 4 KiB granularity at `base` with this access byte.
fn segment(base: u32, access: u64) -> u64 {
    let base = u64::from(base);
    0x00c0_0000_0000_0000 | (access << 40) | (base & 0x00ff_ffff) << 16 | (base >> 24) << 56
}

fn run(_: &'static StartInfo) -> Outcome {
    let (one, two) = (Page::take(), Page::take());
    write32(one.va, 0x1111);
    write32(two.va, 0x2222);
    let gdt = Page::take();
    gdt.write(1, segment(one.va, 0xb2));
    gdt.write(2, segment(two.va, 0xf2));
    gdt.write(3, segment(two.va, 0x72));
    gdt.protect()?;
    must(calls::set_gdt(&[gdt.mfn], 512), "set_gdt")?;
    check_eq!(expect::none("GDT entry 1", || through(8)), Some(0x1111), "through GDT entry 1");
    check_eq!(expect::none("GDT entry 2", || through(0x13)), Some(0x2222), "through GDT entry 2");
    expect::fault("an absent segment", NP, 0x18, || through(0x18));
    expect::fault("an empty entry", GP, 0x20, || through(0x20));
    expect::fault("an entry past the GDT", GP, 0x2000, || through(0x2000));
    must(calls::update_descriptor(gdt.slot(1), segment(two.va, 0xb2)), "update_descriptor")?;
    check_eq!(expect::none("entry 1", || through(8)), Some(0x2222), "through the changed entry");
    check!(gdt.set(KRW).is_err(), "a GDT frame was mapped writable");

    let user = User::new()?;
    must(two.set(pages::URW), "a page for Ring 3")?;
    let frame = user.run_with(user_through, |registers| registers.ecx = 0x13);
    check_eq!((frame.vector, frame.eax), (0x80, 0x2222), "Ring 3 through GDT entry 2");
    let frame = user.run_with(user_through, |registers| registers.ecx = 8);
    expect::frame("Ring 3 through the kernel's entry", &frame, GP, 8);

    // The LDT.
    let ldt = Page::take();
    ldt.write(0, segment(one.va, 0xb2));
    ldt.write(1, segment(two.va, 0xf2));
    ldt.write(511, segment(one.va, 0xb2));
    must(ldt.protect().map_err(|_| pv_abi::errno::Errno::EINVAL), "protecting the LDT")?;
    must(pages::extended(MMUEXT_SET_LDT, ldt.va, 512), "set_ldt")?;
    check_eq!(expect::none("LDT entry 0", || through(4)), Some(0x1111), "through LDT entry 0");
    check_eq!(expect::none("LDT entry 511", || through(0xffc)), Some(0x1111), "LDT entry 511");
    let frame = user.run_with(user_through, |registers| registers.ecx = 0xf);
    check_eq!((frame.vector, frame.eax), (0x80, 0x2222), "Ring 3 through LDT entry 1");
    check!(ldt.set(KRW).is_err(), "an LDT frame in use was mapped writable");
    must(calls::update_descriptor(ldt.slot(0), segment(two.va, 0xb2)), "update_descriptor, LDT")?;
    check_eq!(expect::none("LDT entry 0", || through(4)), Some(0x2222), "the changed LDT entry");
    expect::fault("an entry past the LDT", GP, 0x1004, || through(0x1004));
    must(pages::extended(MMUEXT_SET_LDT, 0, 0), "no LDT")?;
    expect::fault("an LDT selector without an LDT", GP, 4, || through(4));
    must(ldt.set(KRW), "the LDT's frame is writable again")?;
    for (at, entries) in [(ldt.va + 8, 512), (ldt.va, 8193)] {
        let result = pages::extended(MMUEXT_SET_LDT, at, entries);
        check!(result.is_err(), "an LDT at {at:#x} of {entries} entries");
    }
    Ok(())
}
