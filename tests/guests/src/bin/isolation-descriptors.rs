//! Isolation, point 2: what a pv32 guest may not put into its GDT.
//!
//! Xen 4.17 `arch/x86/pv/descriptor-tables.c` (`check_descriptor`): code segments with L=1, every
//! system descriptor but call gates, call gates to the hypervisor's selectors. Expected: -EINVAL
//! from update_descriptor and from set_gdt; what is allowed has its DPL raised to 1; reserved
//! entries and misaligned addresses are refused.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_guests::pages::Page;
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must};
use ring1::calls;

guest!(run);

/// A flat segment with these type, S, DPL and P bits, and G, D, L, AVL.
const fn flat(access: u64, flags: u64) -> u64 {
    0x000f_0000_0000_ffff | (access << 40) | (flags << 52)
}

/// A gate of this type to `selector:0x8010_0000`.
const fn gate(access: u64, selector: u64) -> u64 {
    0x8010_0000_0000_0000 | (access << 40) | (selector << 16)
}

const REFUSED: [(&str, u64); 14] = [
    ("64-bit code, DPL 3", flat(0xfa, 0xa)),
    ("64-bit code, DPL 1", flat(0xba, 0xa)),
    ("64-bit code, DPL 0", flat(0x9a, 0xa)),
    ("64-bit conforming code", flat(0xfe, 0xa)),
    ("64-bit code with D", flat(0xfa, 0xe)),
    ("data with L", flat(0xf2, 0xa)),
    ("LDT", flat(0x82, 0)),
    ("task gate", gate(0xe5, 0xe019)),
    ("TSS", flat(0x89, 0)),
    ("busy TSS", flat(0x8b, 0)),
    ("interrupt gate", gate(0xee, 0xe019)),
    ("trap gate", gate(0xef, 0xe019)),
    ("16-bit TSS", flat(0x81, 0)),
    ("call gate to the hypervisor's code", gate(0xec, 0xe008)),
];

fn run(_: &'static StartInfo) -> Outcome {
    let gdt = Page::take().protect()?;
    must(calls::set_gdt(&[gdt.mfn], 512), "an empty GDT")?;
    for (name, descriptor) in REFUSED {
        let updated = calls::update_descriptor(gdt.slot(5), descriptor);
        check_eq!(updated, Err(Errno::EINVAL), "update_descriptor: {name}");
        check_eq!(gdt.read(5), 0, "the entry after the refusal of {name}");

        let bad = Page::take_again(1);
        bad.write(7, descriptor);
        bad.protect()?;
        let set = calls::set_gdt(&[bad.mfn], 512);
        check_eq!(set, Err(Errno::EINVAL), "set_gdt: {name}");
        must(bad.set(pv_guests::pages::KRW), "a refused GDT frame is writable again")?;
        bad.write(7, 0);
    }
    // Allowed, at DPL 1 at least; an absent descriptor may be anything.
    for (name, given, kept) in [
        ("code, DPL 0", flat(0x9a, 0xc), flat(0xba, 0xc)),
        ("data, DPL 0", flat(0x92, 0xc), flat(0xb2, 0xc)),
        ("expand-down data", flat(0xf6, 0xc), flat(0xf6, 0xc)),
        ("code, DPL 3", flat(0xfa, 0xc), flat(0xfa, 0xc)),
        ("absent 64-bit code", flat(0x1a, 0xa), flat(0x1a, 0xa)),
        ("nothing", 0, 0),
    ] {
        must(calls::update_descriptor(gdt.slot(5), given), name)?;
        // The CPU may set "accessed" in an entry that it loaded; none was.
        check_eq!(gdt.read(5), kept, "{name} as kept");
    }
    let good = flat(0xf2, 0xc);
    for offset in 1..8 {
        let result = calls::update_descriptor(gdt.slot(5) + offset, good);
        check_eq!(result, Err(Errno::EINVAL), "update_descriptor at offset {offset}");
    }
    check!(calls::set_gdt(&[gdt.mfn], 7169).is_err(), "a GDT over the reserved entries");
    Ok(())
}
