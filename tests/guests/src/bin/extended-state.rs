//! XSAVE in a guest: its own XCR0, and AVX state that is nobody else's.
//!
//! Xen 4.17 `arch/x86/xstate.c` (handle_xsetbv), `pv/domain.c` (pv_fixup_guest_cr4); XSA-54. Expected:
//! `cpuid` with the prefix offers XSAVE and its leaf 0xd agrees with XCR0; AVX is an invalid
//! instruction until the kernel has set CR4.OSXSAVE and XCR0; values that the processor would
//! refuse are #GP; the upper half of a register is zero when AVX is first enabled, survives
//! AVX switched off and on again, preemption and idling.
#![no_std]
#![no_main]
use pv_guests::expect::{self, GP, UD};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, clock, code, guest};
use ring1::calls;

guest!(run);

code! {
    // cpuid with the prefix: four words at `to`.
    forced(leaf: u32, subleaf: u32, to: u32): "push ebx", "push edi", "mov eax, [esp + 12]",
        "mov ecx, [esp + 16]", "mov edi, [esp + 20]",
        ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "mov [edi], eax", "mov [edi + 4], ebx",
        "mov [edi + 8], ecx", "mov [edi + 12], edx", "pop edi", "pop ebx", "ret";
    set_osxsave: "mov eax, cr4", "or eax, 0x40000", "mov cr4, eax", "ret";
    cr4() -> u32: "mov eax, cr4", "ret";
    xsetbv(number: u32, value: u32, high: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]",
        "mov edx, [esp + 12]", ".byte 0x0f, 0x01, 0xd1", "ret";
    xgetbv() -> u32: "xor ecx, ecx", ".byte 0x0f, 0x01, 0xd0", "ret";
    // All 256 bits of ymm3 from and to memory.
    load(from: u32): "mov eax, [esp + 4]", "vmovdqu ymm3, [eax]", "ret";
    store(to: u32): "mov eax, [esp + 4]", "vmovdqu [eax], ymm3", "ret";
}

fn cpuid(page: Page, leaf: u32, subleaf: u32) -> [u32; 4] {
    forced(leaf, subleaf, page.va);
    core::array::from_fn(|i| read32(page.va + 4 * i as u32))
}

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    let [_, _, features, _] = cpuid(page, 1, 0);
    if features >> 26 & 1 == 0 {
        return Err(Stop::Skip("no XSAVE"));
    }
    check_eq!(features >> 27 & 1, 1, "OSXSAVE, as the kernel sees it by the prefix");
    let [offered, now, most, _] = cpuid(page, 0xd, 0);
    check_eq!((offered & 3, now), (3, 576), "leaf 0xd before XCR0 is set");
    expect::fault("xsetbv without CR4.OSXSAVE", GP, 0, || xsetbv(0, 3, 0));
    expect::none("CR4.OSXSAVE", || set_osxsave());
    check_eq!(cr4() >> 18 & 1, 1, "CR4.OSXSAVE");
    check_eq!(expect::none("xgetbv", || xgetbv()), Some(3), "XCR0 at first");
    for (number, value, high) in
        [(1, 3, 0), (0, 0, 0), (0, 2, 0), (0, 5, 0), (0, 0x107, 0), (0, 3, 1), (0, !0, !0)]
    {
        expect::fault("a bad xsetbv", GP, 0, || xsetbv(number, value, high));
    }
    if offered & 4 == 0 {
        return Err(Stop::Skip("no AVX"));
    }
    expect::fault("AVX before XCR0 has it", UD, 0, || store(page.va));
    expect::none("XCR0 with AVX", || xsetbv(0, 7, 0));
    check_eq!(xgetbv(), 7, "XCR0");
    check_eq!(cpuid(page, 0xd, 0), [offered, most, most, 0], "leaf 0xd after it");
    expect::none("a store of ymm3", || store(page.va));
    for word in 4..8 {
        check_eq!(read32(page.va + 4 * word), 0, "word {word} of ymm3 at first");
    }
    for word in 0..8 {
        write32(page.va + 4 * word, 0x0101_0101 * (word + 1));
    }
    load(page.va);
    let kept = |what: &str| {
        let to = page.va + 64;
        store(to);
        for word in 0..8 {
            let found = read32(to + 4 * word);
            check!(found == 0x0101_0101 * (word + 1), "{what}: word {word} is {found:#x}");
        }
    };
    kept("at once");
    expect::none("XCR0 without AVX", || xsetbv(0, 3, 0));
    expect::fault("AVX switched off", UD, 0, || store(page.va));
    expect::none("XCR0 with AVX again", || xsetbv(0, 7, 0));
    kept("after AVX was off");
    for _ in 0..3 {
        let _ = calls::poll(&[], clock::now() + 2_000_000);
        kept("after idling");
    }
    Ok(())
}
