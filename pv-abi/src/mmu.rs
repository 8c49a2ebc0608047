//! Page-table updates: `mmu_update`, `mmuext_op`, `update_va_mapping`.
//!
//! The structure of `mmuext_op` has the guest's width:
//! [`crate::x86_32::MmuextOp`], [`crate::x86_64::MmuextOp`].

layouts! { in "xen.h";
    /// One update of `mmu_update(reqs, count, done_out, foreigndom)`.
    ///
    /// `foreigndom` bits 15..0 name the owner of the frames that entries map;
    /// bits 31..16 are 0 or 1 + the owner of the page tables.
    struct MmuUpdate("struct mmu_update", 16) {
        /// IN: machine address of the 8-byte entry; its bits 1..0 are the
        /// command, one of `MMU_*`.
        ptr: u64,
        /// IN: the entry to write, or the M2P entry for [`MMU_MACHPHYS_UPDATE`].
        val: u64,
    }
}

constants! { in "xen.h";
    /// Writes a checked page-table entry.
    MMU_NORMAL_PT_UPDATE: u32 = 0;
    /// Sets the M2P entry of the frame that `ptr` lies in.
    MMU_MACHPHYS_UPDATE: u32 = 1;
    /// Writes a checked entry and keeps the accessed and dirty bits that are
    /// set in the old one.
    MMU_PT_UPDATE_PRESERVE_AD: u32 = 2;
    /// Writes a checked entry whose frame is never translated (matters for
    /// translated guests only).
    MMU_PT_UPDATE_NO_TRANSLATE: u32 = 3;

    /// Pins `arg1.mfn` as an L1 table.
    MMUEXT_PIN_L1_TABLE: u32 = 0;
    /// Pins `arg1.mfn` as an L2 table.
    MMUEXT_PIN_L2_TABLE: u32 = 1;
    /// Pins `arg1.mfn` as an L3 table; the root of a 32-bit guest.
    MMUEXT_PIN_L3_TABLE: u32 = 2;
    /// Pins `arg1.mfn` as an L4 table. For a 32-bit guest Xen returns success
    /// and does nothing.
    MMUEXT_PIN_L4_TABLE: u32 = 3;
    /// Takes the pin of `arg1.mfn` away, whatever its level.
    MMUEXT_UNPIN_TABLE: u32 = 4;
    /// Makes `arg1.mfn` the (kernel) page-table root of this vCPU.
    MMUEXT_NEW_BASEPTR: u32 = 5;
    /// Flushes this CPU's TLB.
    MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;
    /// Flushes `arg1.linear_addr` from this CPU's TLB.
    MMUEXT_INVLPG_LOCAL: u32 = 7;
    /// Flushes the TLBs of the vCPUs in the bitmap at `arg2.vcpumask`.
    MMUEXT_TLB_FLUSH_MULTI: u32 = 8;
    /// Flushes `arg1.linear_addr` on the vCPUs in the bitmap at `arg2.vcpumask`.
    MMUEXT_INVLPG_MULTI: u32 = 9;
    /// Flushes the TLBs of all the domain's vCPUs.
    MMUEXT_TLB_FLUSH_ALL: u32 = 10;
    /// Flushes `arg1.linear_addr` on all the domain's vCPUs.
    MMUEXT_INVLPG_ALL: u32 = 11;
    /// Writes back and flushes this CPU's caches.
    MMUEXT_FLUSH_CACHE: u32 = 12;
    /// Sets the LDT: `arg1.linear_addr` page-aligned, `arg2.nr_ents` entries.
    MMUEXT_SET_LDT: u32 = 13;
    /// 64-bit guests: makes `arg1.mfn` the root used in user mode.
    MMUEXT_NEW_USER_BASEPTR: u32 = 15;
    /// Zeroes the page `arg1.mfn`.
    MMUEXT_CLEAR_PAGE: u32 = 16;
    /// Copies the page `arg2.src_mfn` to the page `arg1.mfn`.
    MMUEXT_COPY_PAGE: u32 = 17;
    /// Writes back and flushes the caches of all CPUs.
    MMUEXT_FLUSH_CACHE_GLOBAL: u32 = 18;
    /// Marks a superpage, `arg1.mfn` its first frame.
    MMUEXT_MARK_SUPER: u32 = 19;
    /// Unmarks a superpage, `arg1.mfn` its first frame.
    MMUEXT_UNMARK_SUPER: u32 = 20;

    /// `update_va_mapping`: no flush.
    UVMF_NONE: u64 = 0;
    /// `update_va_mapping`: flush the whole TLB.
    UVMF_TLB_FLUSH: u64 = 1;
    /// `update_va_mapping`: flush the one address.
    UVMF_INVLPG: u64 = 2;
    /// The bits of the flags that say what to flush.
    UVMF_FLUSHTYPE_MASK: u64 = 3;
    /// Flush on the vCPUs of the bitmap whose address is in the flags' other
    /// bits; no bitmap (0) is [`UVMF_LOCAL`].
    UVMF_MULTI: u64 = 0 << 2;
    /// Flush on this CPU.
    UVMF_LOCAL: u64 = 0 << 2;
    /// Flush on all the domain's vCPUs.
    UVMF_ALL: u64 = 1 << 2;
}
