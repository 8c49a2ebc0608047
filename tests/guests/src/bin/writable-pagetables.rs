//! Stores to L1 tables with the vm_assist writable_pagetables: checked and carried out.
//!
//! Xen 4.17 `arch/x86/pv/ro-page-fault.c` (ptwr_emulated_update). Expected: mov, lock or, cmpxchg8b
//! and byte stores to an entry work if the result is allowed; a store that would map a table
//! writable is a page fault and changes nothing; L2s, roots and other read-only pages stay faults.
#![no_std]
#![no_main]
use pv_abi::mmu::MMUEXT_TLB_FLUSH_LOCAL;
use pv_abi::vm_assist::{VMASST_CMD_ENABLE, VMASST_TYPE_WRITABLE_PAGETABLES};
use pv_guests::expect;
use pv_guests::pages::{self, KRO, KRW, Page, l1_slot, l2_slot, read32, read64, write32};
use pv_guests::{Outcome, StartInfo, check_eq, code, guest, must};
use ring1::calls;

guest!(run);

code! {
    byte(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "mov [ecx], al", "ret";
    word(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "mov [ecx], ax", "ret";
    or_locked(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]",
        "lock or [ecx], eax", "ret";
    and_plain(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "and [ecx], eax",
        "ret";
    exchange(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "xchg [ecx], eax",
        "ret";
    // cmpxchg8b of the entry to `low` with the high word as it is.
    compare(at: u32, low: u32): "push ebx", "push esi", "mov esi, [esp + 12]", "mov eax, [esi]",
        "mov edx, [esi + 4]", "mov ebx, [esp + 16]", "mov ecx, edx", "lock cmpxchg8b [esi]",
        "pop esi", "pop ebx", "ret";
}

fn run(_: &'static StartInfo) -> Outcome {
    must(calls::vm_assist(VMASST_CMD_ENABLE, VMASST_TYPE_WRITABLE_PAGETABLES), "vm_assist")?;
    let (page, other) = (Page::take(), Page::take());
    write32(page.va, 1);
    write32(other.va, 2);
    let slot = l1_slot(page.va);
    let flush = || {
        let _ = pages::extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    };
    let (own, others) = (page.entry(KRW) as u32, other.entry(KRW) as u32);

    type Store = extern "C" fn(u32, u32);
    let plain: Store = store;
    for (name, form) in [("mov", plain), ("xchg", exchange), ("cmpxchg8b", compare)] {
        expect::none(name, || form(slot, others));
        flush();
        check_eq!(read64(slot) & !0x60, other.entry(KRW) & !0x60, "the entry after {name}");
        check_eq!(read32(page.va), 2, "the page after {name}");
        expect::none(name, || form(slot, own));
        flush();
        check_eq!(read32(page.va), 1, "the page after {name}");
    }
    expect::none("and", || and_plain(slot, !2));
    flush();
    expect::pf("a page made read-only by and", page.va, 3, || write32(page.va, 1));
    expect::none("lock or", || or_locked(slot, 2));
    flush();
    expect::none("a page made writable by lock or", || write32(page.va, 1));
    expect::none("a byte", || byte(slot, (page.entry(KRO) & 0xff) as u32));
    flush();
    expect::pf("a page made read-only by a byte", page.va, 3, || write32(page.va, 1));
    expect::none("two bytes", || word(slot, (page.entry(KRW) & 0xffff) as u32));
    expect::none("a page made writable by two bytes", || write32(page.va, 1));

    // What mmu_update refuses, a store may not do.
    let table = pages::entry(pages::mfn_of(pages::root()), KRW) as u32;
    let before = read64(slot);
    for (name, form) in [("mov", plain), ("xchg", exchange), ("cmpxchg8b", compare)] {
        expect::pf(name, slot, 3, || form(slot, table));
        check_eq!(read64(slot) & !0x60, before & !0x60, "the entry after a refused {name}");
    }
    // Only L1s.
    expect::pf("a store to an L2", l2_slot(page.va), 3, || write32(l2_slot(page.va), 0));
    expect::pf("a store to a root", pages::root(), 3, || write32(pages::root(), 0));
    let readonly = Page::take().protect()?;
    expect::pf("a store to a read-only page", readonly.va, 3, || write32(readonly.va, 0));
    Ok(())
}

extern "C" fn store(at: u32, value: u32) {
    write32(at, value);
}
