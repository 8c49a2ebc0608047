//! `vm_assist(cmd, type)`: behaviour that a guest opts into. The types are bit
//! numbers of `VcpuGuestContext::vm_assist`, too.

constants! { in "xen.h";
    /// Switches an assist on.
    VMASST_CMD_ENABLE: u32 = 0 => "VMASST_CMD_enable";
    /// Switches an assist off.
    VMASST_CMD_DISABLE: u32 = 1 => "VMASST_CMD_disable";
    /// 32-bit: simulate full 4 GiB segment limits.
    VMASST_TYPE_4GB_SEGMENTS: u32 = 0 => "VMASST_TYPE_4gb_segments";
    /// 32-bit: trap (vector 15) when that is used.
    VMASST_TYPE_4GB_SEGMENTS_NOTIFY: u32 = 1 => "VMASST_TYPE_4gb_segments_notify";
    /// Emulate the guest's writes to its L1 tables.
    VMASST_TYPE_WRITABLE_PAGETABLES: u32 = 2 => "VMASST_TYPE_writable_pagetables";
    /// PAE: L3 tables above 4 GiB, CR3 in folded form.
    VMASST_TYPE_PAE_EXTENDED_CR3: u32 = 3 => "VMASST_TYPE_pae_extended_cr3";
    /// Virtual IOPL as hardware does: in bounce frames, set by iret, kernel at
    /// level 0.
    VMASST_TYPE_ARCHITECTURAL_IOPL: u32 = 4 => "VMASST_TYPE_architectural_iopl";
    /// Set `XEN_RUNSTATE_UPDATE` while a runstate area is updated.
    VMASST_TYPE_RUNSTATE_UPDATE_FLAG: u32 = 5 => "VMASST_TYPE_runstate_update_flag";
    /// 64-bit: hide the M2P from user mode.
    VMASST_TYPE_M2P_STRICT: u32 = 32 => "VMASST_TYPE_m2p_strict";
}
