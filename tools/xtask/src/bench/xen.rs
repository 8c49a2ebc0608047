//! Xen's recorded column.
//!
//! Provenance: Xen 4.17.5 (Debian's source and configuration with `CONFIG_PV32=y`,
//! gcc 12.2), QEMU 7.2 TCG, `-cpu max,smap=off -smp 1 -icount shift=0,sleep=off`, a
//! 32-bit PAE guest with two vCPUs. Instructions per operation, the smallest of
//! nine batches. The rows marked with a goal are the reference figures of the
//! project; the others come from a second build of the same source, which agrees
//! with them within 2 %.

use serde::Serialize;

/// A row of the bench guest: Xen's instructions, and whether half of it is our goal.
#[derive(Serialize)]
pub struct Row {
    /// Name, as the guest prints it.
    pub name: &'static str,
    /// Instructions per operation under Xen.
    pub instructions: f64,
    /// Whether Ferrule aims at half of Xen's count.
    pub goal: bool,
}

const fn goal(name: &'static str, instructions: f64) -> Row {
    Row { name, instructions, goal: true }
}

const fn other(name: &'static str, instructions: f64) -> Row {
    Row { name, instructions, goal: false }
}

/// One line, for the table's head and the JSON.
pub const PROVENANCE: &str = "Xen 4.17.5 with CONFIG_PV32, -cpu max,smap=off, QEMU 7.2 TCG, \
    -icount shift=0, 1 CPU, 32-bit guest";

/// The rows in the order of the bench guest.
pub const RECORDED: &[Row] = &[
    goal("hypercall_xen_version", 319.0),
    other("hypercall_xen_version_features", 395.0),
    goal("hypercall_enosys", 274.0),
    goal("sched_yield_alone", 1971.0),
    goal("stack_switch", 296.0),
    other("fpu_taskswitch", 290.0),
    goal("set_timer_op_off", 424.0),
    goal("multicall_16_xen_version", 3627.0),
    goal("mmuext_tlb_flush_local", 671.0),
    goal("mmuext_invlpg_local", 658.0),
    goal("mmu_update_1", 1165.0),
    goal("update_va_mapping_noflush", 990.0),
    other("update_va_mapping_invlpg", 1065.5),
    other("update_va_mapping_flags_only", 1012.5),
    other("update_va_mapping_clear_set", 881.5),
    goal("mmu_update_batch128_total", 90_372.0),
    other("mmu_update_m2p_batch128_total", 24_328.2),
    goal("pte_store_emulated", 1867.0),
    goal("pin_unpin_l1_empty", 19_203.0),
    goal("pin_unpin_l1_512", 188_163.0),
    other("pin_unpin_l1_512_ro", 132_349.5),
    other("remap_ro_rw_pair", 2022.0),
    other("pin_unpin_l3_shared", 69_442.2),
    goal("new_baseptr", 1937.0),
    goal("pf_kernel_roundtrip", 474.0),
    other("ud_kernel_roundtrip", 461.0),
    other("pf_kernel_roundtrip_hciret", 833.0),
    goal("syscall_roundtrip", 291.0),
    other("syscall_roundtrip_slowiret", 672.0),
    other("pf_user_roundtrip", 474.0),
    other("pf_user_roundtrip_hciret", 858.0),
    goal("emul_mov_from_cr0", 1571.0),
    goal("emul_clts", 1432.0),
    goal("emul_rdmsr_efer", 1458.0),
    other("physdev_set_iopl", 357.0),
    goal("emul_inb_0x61", 1764.0),
    goal("evtchn_send_ipi_self_pending", 430.0),
    goal("evtchn_send_ipi_self_masked", 483.0),
    goal("evtchn_send_ipi_self_upcall", 1036.0),
    other("evtchn_send_interdomain_self_masked", 496.0),
    goal("evtchn_send_interdomain_self_upcall", 1049.0),
    goal("grant_map_unmap", 2959.0),
    goal("grant_map_unmap_batch16_total", 33_003.0),
    goal("grant_copy_4k", 2375.0),
    goal("grant_copy_64b", 1869.0),
    goal("decrease_populate_pair", 3565.0),
    goal("pingpong_poll_2vcpu_roundtrip", 10_796.0),
    goal("pingpong_block_2vcpu_roundtrip", 11_375.0),
    other("yield_switch_2vcpu", 4207.6),
];

/// The row of a name.
pub fn recorded(name: &str) -> Option<&'static Row> {
    RECORDED.iter().find(|row| row.name == name)
}
