//! `VMASST_TYPE_writable_pagetables`: plain stores to level-1 tables, which are mapped read-only.
//!
//! `xen/include/public/xen.h` (vm_assist); Xen 4.17 `arch/x86/pv/ro-page-fault.c`. Expected: every
//! form of store changes the entry as it would change memory, with its flags and results; an entry
//! that must not be, a store that is not aligned, and every store once the assist is off, is the
//! #PF that the processor raised, and changes nothing.
#![no_std]
#![no_main]
use pv_abi::mmu::MMUEXT_INVLPG_LOCAL;
use pv_abi::vm_assist::{VMASST_CMD_DISABLE, VMASST_CMD_ENABLE, VMASST_TYPE_WRITABLE_PAGETABLES};
use pv_guests::pages::{self, KRO, KRW, Page, RW, extended, l1_slot, read32, read64, write32};
use pv_guests::{Outcome, StartInfo, check_eq, code, expect, guest, must};
use ring1::calls;

guest!(run);

code! {
    store8(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "mov [ecx], al", "ret";
    store16(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "mov [ecx], ax", "ret";
    and(at: u32, value: u32) -> u32: "mov ecx, [esp + 4]", "mov eax, [esp + 8]",
        "lock and [ecx], eax", "pushfd", "pop eax", "ret";
    or(at: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "lock or [ecx], eax", "ret";
    set_bit(at: u32) -> u32: "mov ecx, [esp + 4]", "lock bts dword ptr [ecx], 1", "sbb eax, eax",
        "ret";
    exchange(at: u32, value: u32) -> u32: "mov ecx, [esp + 4]", "mov eax, [esp + 8]",
        "xchg [ecx + 0x0], eax", "ret";
    compare(at: u32, old: u32, new: u32) -> u32: "mov ecx, [esp + 4]", "mov eax, [esp + 8]",
        "mov edx, [esp + 12]", "lock cmpxchg [ecx], edx", "ret";
    // Replaces a whole entry by `new` and 0 above; whether it was `old` and 0 above.
    compare8(at: u32, old: u32, new: u32) -> u32: "push ebx", "push esi", "mov esi, [esp + 12]",
        "mov eax, [esp + 16]", "xor edx, edx", "mov ebx, [esp + 20]", "xor ecx, ecx",
        "lock cmpxchg8b [esi]", "setz al", "movzx eax, al", "pop esi", "pop ebx", "ret";
}

/// Error code of a store to a present page.
const STORE: u32 = expect::PF_PRESENT | expect::PF_WRITE;
const ZF: u32 = 0x40;

fn run(_: &'static StartInfo) -> Outcome {
    let (page, other) = (Page::take(), Page::take());
    write32(page.va, 1);
    write32(other.va, 2);
    let slot = l1_slot(page.va);
    let assist = VMASST_TYPE_WRITABLE_PAGETABLES;
    must(calls::vm_assist(VMASST_CMD_ENABLE, assist), "the assist")?;
    let low = |page: Page, flags| page.entry(flags) as u32;
    let flush = || must(extended(MMUEXT_INVLPG_LOCAL, page.va, 0), "invlpg").map(|_| ());

    // The spare pages' frames are below 4 GiB as far as the test needs: the upper half is 0.
    if page.entry(0) >> 32 != 0 || other.entry(0) >> 32 != 0 {
        return Err(pv_guests::Stop::Skip("the domain's memory lies above 4 GiB"));
    }
    write32(slot, low(other, KRW));
    flush()?;
    check_eq!(read32(page.va), 2, "what a plain store maps");
    check_eq!(exchange(slot, low(page, KRW)), low(other, KRW), "what xchg finds");
    flush()?;
    check_eq!(read32(page.va), 1, "what xchg maps");

    check_eq!(and(slot, !(RW as u32)) & ZF, 0, "ZF after lock and");
    flush()?;
    expect::pf("a store without RW", page.va, STORE, || write32(page.va, 3));
    check_eq!(set_bit(slot), 0, "the bit that bts finds");
    flush()?;
    write32(page.va, 3);
    check_eq!(set_bit(slot), u32::MAX, "the bit that bts finds then");

    let now = read32(slot);
    check_eq!(compare(slot, 0x1234, 0), now, "what a failing cmpxchg finds");
    check_eq!(read32(slot), now, "the entry after a failing cmpxchg");
    check_eq!(compare(slot, now, low(other, KRO)), now, "what cmpxchg finds");
    flush()?;
    check_eq!(read32(page.va), 2, "what cmpxchg maps");
    check_eq!(compare8(slot, 1, 0), 0, "a failing cmpxchg8b");
    let now = read32(slot);
    check_eq!(compare8(slot, now, 0), 1, "cmpxchg8b");
    flush()?;
    check_eq!(read64(slot), 0, "the entry after cmpxchg8b");
    expect::pf("a read of nothing", page.va, 0, || read32(page.va));

    // In parts: the upper half, then the lower in two, the present bit last.
    write32(slot + 4, 0x8000_0000);
    store16(slot + 2, low(page, KRW) >> 16);
    store8(slot + 1, low(page, KRW) >> 8);
    store8(slot, low(page, KRW));
    flush()?;
    check_eq!(read32(page.va), 3, "what parts map");
    write32(slot + 4, 0);

    // An upper half that makes no sense, a frame past all devices, is taken for the first of two
    // stores.
    let beyond = 1_u32 << (51 - 32);
    write32(slot + 4, beyond);
    let between = page.entry(KRW & !1) | u64::from(beyond) << 32;
    check_eq!(read64(slot), between, "the entry between two halves");
    write32(slot + 4, 0);
    or(slot, 1);
    check_eq!(read64(slot), page.entry(KRW), "the entry after both");

    let kept = read64(slot);
    let table = pages::entry(pages::mfn_of(slot), KRW) as u32;
    expect::pf("a page table writable", slot, STORE, || write32(slot, table));
    expect::pf("a large page", slot, STORE, || or(slot, 0x80));
    expect::pf("a misaligned store", slot + 2, STORE, || write32(slot + 2, 0));
    check_eq!(read64(slot), kept, "the entry after what was refused");
    must(calls::vm_assist(VMASST_CMD_DISABLE, assist), "the assist off")?;
    expect::pf("a store without the assist", slot, STORE, || write32(slot, 0));
    check_eq!(read64(slot), kept, "the entry then");
    Ok(())
}
