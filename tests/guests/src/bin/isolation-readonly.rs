//! Isolation, point 3: page tables, GDT frames and the machine-to-physical table are read-only for
//! Ring 1, a supervisor ring, because CR0.WP is set; and no writable mapping of them can be made.
//!
//! Intel SDM 3A 4.6; Xen 4.17 `arch/x86/mm.c` (page types). No vm_assist is on. Expected: #PF with
//! error code 3 for every store; errors for every writable mapping; contents unchanged. (Xen fails
//! the rows of the L1: for its hardware domain it emulates stores to L1s without the assist, too.)
#![no_std]
#![no_main]
use pv_guests::pages::{self, KRW, Page, l1_slot, l2_slot, map, mfn_of, write32};
use pv_guests::{Outcome, StartInfo, check, check_eq, code, expect, guest, must, roots};
use ring1::calls;

guest!(run);

code! {
    byte(at: u32): "mov ecx, [esp + 4]", "mov byte ptr [ecx], 0xff", "ret";
    locked(at: u32): "mov ecx, [esp + 4]", "lock or dword ptr [ecx], 2", "ret";
    string(at: u32): "push edi", "mov edi, [esp + 8]", "mov ecx, 1", "rep stosd", "pop edi", "ret";
    compare(at: u32): "push ebx", "mov ecx, [esp + 8]", "mov eax, [ecx]", "mov edx, [ecx + 4]",
        "mov ebx, eax", "xchg ecx, esi", "lock cmpxchg8b [esi]", "xchg ecx, esi", "pop ebx", "ret";
}

const WRITE: u32 = expect::PF_PRESENT | expect::PF_WRITE;

fn run(_: &'static StartInfo) -> Outcome {
    let (spare, alias) = (Page::take(), Page::take());
    let gdt = Page::take().protect()?;
    must(calls::set_gdt(&[gdt.mfn], 512), "an empty GDT")?;
    let pinned = Page::take().protect()?;
    must(roots::pin_l1(pinned), "pinning an L1")?;
    let places = [
        ("the kernel's L2", l2_slot(spare.va)),
        ("the root", pages::root() + 16),
        ("the GDT", gdt.va),
        ("a pinned L1", pinned.va),
    ];
    for (name, at) in places {
        stores_fault(name, at);
        // Through an alias, too; and no alias may be writable.
        let mfn = mfn_of(at);
        let writable = map(alias.va, pages::entry(mfn, KRW));
        check!(writable.is_err(), "{name}: mapped writable");
        let writable = pages::update(pages::machine_of(l1_slot(alias.va)), pages::entry(mfn, KRW));
        check!(writable.is_err(), "{name}: mapped writable by mmu_update");
        must(map(alias.va, pages::entry(mfn, pages::KRO)), "a read-only alias")?;
        stores_fault(name, alias.va + at % 4096);
        must(alias.set(KRW), "the alias back")?;
    }
    let m2p = pages::m2p();
    for at in [m2p, m2p + spare.mfn * 4] {
        stores_fault("the M2P", at);
    }
    Ok(())
}

fn stores_fault(name: &str, at: u32) {
    let before = pages::read32(at);
    expect::pf(name, at, WRITE, || write32(at, !before));
    for form in [byte, locked, string, compare] {
        expect::pf(name, at, WRITE, || form(at));
    }
    check_eq!(pages::read32(at), before, "{name} afterwards");
}
