//! update_va_mapping: effects, flushes and errors.
//!
//! Xen 4.17 `arch/x86/mm.c` (do_update_va_mapping). Expected: the mapping changes at once with a
//! flush; addresses without an L1, of the hypervisor, and wrong entries are refused and change
//! nothing; wrong flush types and bitmaps likewise.
#![no_std]
#![no_main]
use pv_abi::hypercall::UPDATE_VA_MAPPING;
use pv_abi::mmu::*;
use pv_guests::expect;
use pv_guests::pages::{self, KRO, KRW, Page, URW, l1_slot, map, read32, read64, write32};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must};
use ring1::calls;

guest!(run);

fn with_flags(va: u32, entry: u64, flags: u64) -> i32 {
    hypercall(UPDATE_VA_MAPPING, &[va, entry as u32, (entry >> 32) as u32, flags as u32])
}

fn run(_: &'static StartInfo) -> Outcome {
    let (one, two) = (Page::take(), Page::take());
    write32(one.va, 1);
    write32(two.va, 2);
    for flags in [UVMF_INVLPG, UVMF_TLB_FLUSH, UVMF_INVLPG | UVMF_ALL, UVMF_TLB_FLUSH | UVMF_ALL] {
        check_eq!(with_flags(one.va, two.entry(KRW), flags), 0, "flags {flags:#x}");
        check_eq!(read32(one.va), 2, "after flags {flags:#x}");
        check_eq!(with_flags(one.va, one.entry(KRO), flags), 0, "flags {flags:#x}");
        check_eq!(read32(one.va), 1, "after flags {flags:#x}");
        expect::pf("a store to a read-only page", one.va, 3, || write32(one.va, 5));
        check_eq!(with_flags(one.va, 0, flags), 0, "flags {flags:#x}");
        expect::pf("an absent page", one.va, 0, || read32(one.va));
        check_eq!(with_flags(one.va, one.entry(URW), flags), 0, "flags {flags:#x}");
        expect::none("a page for Ring 3, in Ring 1", || write32(one.va, 1));
    }
    // A bitmap of vCPUs: this one.
    let mut bitmap = 1u32;
    let at = u64::from(pv_guests::call::address_of(&mut bitmap));
    check_eq!(with_flags(one.va, two.entry(KRW), UVMF_INVLPG | at), 0, "a bitmap");
    check_eq!(read32(one.va), 2, "after a bitmap");
    check_eq!(with_flags(one.va, one.entry(KRW), UVMF_NONE), 0, "no flush");
    must(calls::xen_version(), "a hypercall")?;
    must(pages::extended(MMUEXT_INVLPG_LOCAL, one.va, 0), "invlpg")?;
    check_eq!(read32(one.va), 1, "after an invlpg of its own");

    let before = read64(l1_slot(one.va));
    for (name, va) in [
        ("an address without tables", 0x4000_0000),
        ("an address without an L1", 0x9000_0000 + 0x2000_0000),
        ("the hypervisor's", 0xf580_0000),
        ("the top", 0xffff_f000),
    ] {
        check!(map(va, two.entry(KRW)).is_err(), "{name} was mapped");
    }
    for (name, entry) in [
        ("a table, writable", pages::entry(pages::mfn_of(pages::root()), KRW)),
        ("an address past the machine's", two.entry(KRO) | 1 << 51),
    ] {
        check!(map(one.va, entry).is_err(), "{name} was mapped");
        check_eq!(read64(l1_slot(one.va)), before, "the entry after {name}");
    }
    // An absent entry may hold anything.
    check_eq!(map(one.va, 0xffff_ffff_ffff_fffe), Ok(()), "an absent entry of ones");
    check_eq!(map(one.va, one.entry(KRW)), Ok(()), "the page back");
    // Offsets within the page do not matter.
    check_eq!(map(one.va + 123, two.entry(KRW)), Ok(()), "an address within a page");
    check_eq!(read32(one.va), 2, "after an address within a page");
    Ok(())
}
