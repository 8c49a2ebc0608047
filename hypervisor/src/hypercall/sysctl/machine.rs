//! CPUs and memory of the machine.
//!
//! It counts as one NUMA node, and its CPUs as cores of one socket: nobody here places domains
//! by more than that.

use pv_abi::errno::Errno;
use pv_abi::sysctl as abi;
use pv_abi::sysctl::{
    Availheap, Cpuinfo, Cputopo, Cputopoinfo, Getcpuinfo, Meminfo, Numainfo, Physinfo,
};
use zerocopy::FromZeros;

use super::element;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::sched::idle;
use crate::system::System;

/// Bytes of a frame, as a shift.
const PAGE_SHIFT: u32 = 12;
/// The distance of a node from itself (ACPI, SLIT).
const LOCAL_DISTANCE: u32 = 10;
/// All nodes.
const ANY_NODE: i32 = -1;

/// `XEN_SYSCTL_physinfo`.
pub(super) fn physinfo<P: Platform>(ctx: &Ctx<'_, P>, info: &mut Physinfo) -> Result<(), Errno> {
    let sys = ctx.sys;
    let cpus = sys.platform.count();
    let (free_pages, _) = sys.memory.free_and_total();
    *info = Physinfo {
        threads_per_core: 1,
        cores_per_socket: cpus,
        nr_cpus: cpus,
        max_cpu_id: cpus.saturating_sub(1),
        nr_nodes: 1,
        cpu_khz: sys.platform.pvclock().tsc_khz(),
        capabilities: abi::XEN_SYSCTL_PHYSCAP_PV
            | abi::XEN_SYSCTL_PHYSCAP_GNTTAB_V1
            | abi::XEN_SYSCTL_PHYSCAP_GNTTAB_V2,
        total_pages: sys.io_memory.ram_frames(),
        free_pages,
        max_mfn: sys.memory.frame_count().saturating_sub(1),
        hw_cap: features(sys),
        ..Physinfo::new_zeroed()
    };
    Ok(())
}

/// The words of CPUID that Xen shows, in the order of its `cpufeatureset.h`.
fn features<P: Platform>(sys: &System<P>) -> [u32; 8] {
    let cpu = &sys.platform;
    let [.., common_c, common_d] = cpu.cpuid(1, 0);
    let [.., extended_c, extended_d] = cpu.cpuid(0x8000_0001, 0);
    let [xsave_a, ..] = cpu.cpuid(0xd, 1);
    let [_, seven_b, seven_c, _] = cpu.cpuid(7, 0);
    let [.., power_d] = cpu.cpuid(0x8000_0007, 0);
    [common_d, common_c, extended_d, extended_c, xsave_a, seven_b, seven_c, power_d]
}

/// `XEN_SYSCTL_getcpuinfo`: how long CPUs have idled. `EFAULT`: the array.
pub(super) fn getcpuinfo<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut Getcpuinfo) -> Result<(), Errno> {
    arg.nr_cpus = arg.max_cpus.min(ctx.sys.platform.count());
    for cpu in 0..arg.nr_cpus {
        let info = Cpuinfo { idletime: idle::idle_ns(ctx.sys, cpu) };
        ctx.write(element::<Cpuinfo>(arg.info, cpu), &info)?;
    }
    Ok(())
}

/// `XEN_SYSCTL_cputopoinfo`: where CPUs are, or how many there are. `EFAULT`: the array.
pub(super) fn cputopoinfo<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &mut Cputopoinfo,
) -> Result<(), Errno> {
    let count = ctx.sys.platform.count();
    if arg.cputopo == 0 {
        arg.num_cpus = count;
        return Ok(());
    }
    arg.num_cpus = arg.num_cpus.min(count);
    for cpu in 0..arg.num_cpus {
        let place = Cputopo { core: cpu, socket: 0, node: 0 };
        ctx.write(element::<Cputopo>(arg.cputopo, cpu), &place)?;
    }
    Ok(())
}

/// `XEN_SYSCTL_numainfo`: the node's memory and distance, or that there is one. `EFAULT`.
pub(super) fn numainfo<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut Numainfo) -> Result<(), Errno> {
    if arg.meminfo == 0 && arg.distance == 0 {
        arg.num_nodes = 1;
        return Ok(());
    }
    arg.num_nodes = arg.num_nodes.min(1);
    if arg.num_nodes == 0 {
        return Ok(());
    }
    if arg.meminfo != 0 {
        let (free, _) = ctx.sys.memory.free_and_total();
        let memsize = ctx.sys.io_memory.ram_frames() << PAGE_SHIFT;
        ctx.write(arg.meminfo, &Meminfo { memsize, memfree: free << PAGE_SHIFT })?;
    }
    if arg.distance != 0 {
        ctx.write(arg.distance, &LOCAL_DISTANCE)?;
    }
    Ok(())
}

/// `XEN_SYSCTL_availheap`: bytes that are free; another node has none.
///
/// `EOPNOTSUPP`: how many of them lie between bounds.
pub(super) fn availheap<P: Platform>(ctx: &Ctx<'_, P>, arg: &mut Availheap) -> Result<(), Errno> {
    if arg.min_bitwidth != 0 || arg.max_bitwidth != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let (free, _) = ctx.sys.memory.free_and_total();
    let here = arg.node == ANY_NODE || arg.node == 0;
    arg.avail_bytes = if here { free << PAGE_SHIFT } else { 0 };
    Ok(())
}
