//! Rows about page tables.
#![allow(unsafe_code)] // UNSAFETY: a hypercall in assembly.

use crate::entries::hypercall;
use crate::measure::{fail, row};
use pv_abi::hypercall as nr;
use pv_abi::mmu::{self, MmuUpdate};
use pv_guests::call::address_of;
use pv_guests::pages::{self, KRO, KRW, Page, RW, l1_slot, machine_of};
use pv_guests::{Outcome, roots};
use ring1::abi::{MmuextOp, MulticallEntry};
use ring1::calls::{call, mmuext};

fn va_mapping(va: u32, entry: u64, flags: u64) -> i32 {
    update_va_mapping(va, entry as u32, (entry >> 32) as u32, flags as u32)
}

/// The fourth argument is in esi, which Rust does not lend: as a function of its own.
#[unsafe(naked)]
extern "C" fn update_va_mapping(_va: u32, _low: u32, _high: u32, _flags: u32) -> i32 {
    core::arch::naked_asm!(
        "push ebx",
        "push esi",
        "mov ebx, [esp + 12]",
        "mov ecx, [esp + 16]",
        "mov edx, [esp + 20]",
        "mov esi, [esp + 24]",
        "call hypercall_page + 14 * 32",
        "pop esi",
        "pop ebx",
        "ret",
    )
}

fn extended(cmd: u32, arg1: u32) -> i32 {
    let mut op = mmuext(cmd, arg1, 0);
    run_extended(&mut op)
}

fn run_extended(op: &mut MmuextOp) -> i32 {
    hypercall!(nr::MMUEXT_OP, address_of(op), 1u32, 0u32, SELF)
}

/// Multicall and flushes.
pub fn calls_in_batches() {
    let mut sixteen: [MulticallEntry; 16] = core::array::from_fn(|_| call(nr::XEN_VERSION, &[0]));
    let at = address_of(&mut sixteen);
    row("multicall_16_xen_version", 200, || hypercall!(nr::MULTICALL, at, 16u32));
    row("mmuext_tlb_flush_local", 500, || extended(mmu::MMUEXT_TLB_FLUSH_LOCAL, 0));
    let mut op = mmuext(mmu::MMUEXT_INVLPG_LOCAL, pages::root(), 0);
    row("mmuext_invlpg_local", 500, || run_extended(&mut op));
}

/// Updates of one entry, and of many in one call.
pub fn updates(first: Page, second: Page) {
    let (pa, pb) = (first.entry(KRW), second.entry(KRW));
    let slot = machine_of(l1_slot(first.va));
    let mut odd = false;
    let mut other = |yes: u64, no: u64| {
        odd = !odd;
        if odd { yes } else { no }
    };
    let mut one = MmuUpdate { ptr: slot, val: 0 };
    row("mmu_update_1", 500, || {
        one.val = other(pb, pa);
        hypercall!(nr::MMU_UPDATE, address_of(&mut one), 1u32, 0u32, SELF)
    });
    let (none, invlpg) = (mmu::UVMF_NONE, mmu::UVMF_INVLPG);
    let va = first.va;
    row("update_va_mapping_noflush", 500, || va_mapping(va, other(pb, pa), none));
    row("update_va_mapping_invlpg", 500, || va_mapping(va, other(pb, pa), invlpg));
    row("update_va_mapping_flags_only", 500, || va_mapping(va, other(pa & !RW, pa), invlpg));
    row("update_va_mapping_clear_set", 500, || va_mapping(va, other(0, pa), invlpg));
    let mut batch: [MmuUpdate; 128] = core::array::from_fn(|index| MmuUpdate {
        ptr: slot,
        val: if index % 2 == 1 { pa } else { pb },
    });
    let at = address_of(&mut batch);
    row("mmu_update_batch128_total", 50, || hypercall!(nr::MMU_UPDATE, at, 128u32, 0u32, SELF));
    let rename = MmuUpdate {
        ptr: second.machine() | u64::from(mmu::MMU_MACHPHYS_UPDATE),
        val: u64::from(pages::pfn_of(second.mfn)),
    };
    batch = core::array::from_fn(|_| rename);
    let at = address_of(&mut batch);
    row("mmu_update_m2p_batch128_total", 50, || hypercall!(nr::MMU_UPDATE, at, 128u32, 0u32, SELF));
    va_mapping(va, pa, invlpg);
    // A plain store to a page table that is mapped read-only: trapped and carried out.
    let entry = l1_slot(va);
    row("pte_store_emulated", 300, || {
        pages::write32(entry, other(pa & !RW, pa) as u32);
        0
    });
    va_mapping(va, pa, invlpg);
}

/// Pins, and a switch of roots.
pub fn pins(target: Page) -> Outcome {
    let l1 = Page::take();
    let pair =
        || extended(mmu::MMUEXT_PIN_L1_TABLE, l1.mfn) | extended(mmu::MMUEXT_UNPIN_TABLE, l1.mfn);
    let invlpg = mmu::UVMF_INVLPG;
    l1.protect()?;
    row("pin_unpin_l1_empty", 100, pair);
    for (name, flags) in [("pin_unpin_l1_512", KRW), ("pin_unpin_l1_512_ro", KRO)] {
        va_mapping(l1.va, l1.entry(KRW), invlpg);
        (0..512).for_each(|index| l1.write(index, target.entry(flags)));
        l1.protect()?;
        row(name, 20, pair);
    }
    row("remap_ro_rw_pair", 200, || {
        va_mapping(l1.va, l1.entry(KRW), invlpg) | va_mapping(l1.va, l1.entry(KRO), invlpg)
    });

    let (root, _) = roots::unpinned()?;
    row("pin_unpin_l3_shared", 50, || {
        extended(mmu::MMUEXT_PIN_L3_TABLE, root.mfn) | extended(mmu::MMUEXT_UNPIN_TABLE, root.mfn)
    });
    let pinned = extended(mmu::MMUEXT_PIN_L3_TABLE, root.mfn);
    if pinned < 0 {
        fail("alt_root", pinned);
        return Ok(());
    }
    let (builder, mut odd) = (roots::builder(), false);
    row("new_baseptr", 200, || {
        odd = !odd;
        extended(mmu::MMUEXT_NEW_BASEPTR, if odd { root.mfn } else { builder })
    });
    roots::switch_to(builder)
}
