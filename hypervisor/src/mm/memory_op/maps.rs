//! Memory maps, and where the machine-to-physical table is.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::memory;
use pv_abi::memory::E820Entry;
use pv_abi::types::U64A4;
use pv_abi::{x86_32, x86_64};

use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::hypercall::target;
use crate::mm::frame_box::FrameBox;
use crate::mm::pte;
use crate::platform::Platform;
use crate::width::Width;

/// Bytes of an entry.
const ENTRY: u64 = size_of::<E820Entry>() as u64;

/// Entries of a map that a domain is given: one frame of them (Xen: 1024).
const MOST_ENTRIES: usize = 200;
/// What Xen takes for a sensible map.
const SENSIBLE_ENTRIES: u32 = 1024;

/// The memory map that a toolstack gave a domain.
pub type E820 = heapless::Vec<E820Entry, MOST_ENTRIES>;

/// Where the machine-to-physical table is in the guest's address space.
pub(super) fn machphys_mapping<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let frames = ctx.sys.memory.frame_count();
    match ctx.width() {
        Width::Pv32 => {
            let start = ctx.domain.hv_start;
            let end = start.saturating_add((frames * 4).next_multiple_of(4096));
            let mapping = x86_32::MachphysMapping {
                v_start: start as u32,
                v_end: end as u32,
                max_mfn: frames.saturating_sub(1) as u32,
            };
            ctx.write(arg, &mapping)?;
        }
        Width::Pv64 => {
            let mapping = x86_64::MachphysMapping {
                v_start: x86_64::MACH2PHYS_VIRT_START,
                v_end: x86_64::MACH2PHYS_VIRT_END,
                max_mfn: frames.saturating_sub(1),
            };
            ctx.write(arg, &mapping)?;
        }
    }
    Ok(0)
}

/// Where each 2 MiB of the machine-to-physical table begin; a pv32 guest's is the narrow table
/// by either command, as on Xen, and a pv64 guest may ask for that, too.
///
/// `ENOSYS`: the wide table, which no guest sees yet.
pub(super) fn machphys_mfn_list<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: u64,
    command: u32,
) -> HypercallResult {
    let (extents, room) = match ctx.width() {
        Width::Pv32 => {
            let list: x86_32::MachphysMfnList = ctx.read(arg)?;
            (u64::from(list.extent_start), list.max_extents)
        }
        Width::Pv64 if command == memory::XENMEM_MACHPHYS_MFN_LIST => {
            return Err(Errno::ENOSYS.into());
        }
        Width::Pv64 => {
            let list: x86_64::MachphysMfnList = ctx.read(arg)?;
            (list.extent_start, list.max_extents)
        }
    };
    let mut told = 0_u32;
    for table in ctx.sys.m2p_window.tables().iter().take(room as usize) {
        let first = ctx.sys.platform.words(*table).first().map_or(0, |w| w.load(Ordering::Relaxed));
        ctx.write_long(extents, u64::from(told), pte::mfn(first).raw())?;
        told += 1;
    }
    let at = match ctx.width() {
        Width::Pv32 => core::mem::offset_of!(x86_32::MachphysMfnList, nr_extents),
        Width::Pv64 => core::mem::offset_of!(x86_64::MachphysMfnList, nr_extents),
    };
    ctx.write(arg.wrapping_add(at as u64), &told)?;
    Ok(0)
}

/// Room and buffer of a `struct xen_memory_map`.
fn map_argument<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<(u32, u64), Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => {
            let map: x86_32::MemoryMap = ctx.read(arg)?;
            (map.nr_entries, map.buffer.into())
        }
        Width::Pv64 => {
            let map: x86_64::MemoryMap = ctx.read(arg)?;
            (map.nr_entries, map.buffer)
        }
    })
}

/// `XENMEM_machine_memory_map`: the firmware's memory map, for domain 0. Without a buffer, how
/// long it is.
///
/// `EPERM` for others; `EFAULT`; `EINVAL` if the buffer is too small.
pub(super) fn machine_memory_map<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    let (room, buffer) = map_argument(ctx, arg)?;
    let map = ctx.sys.memory_map.get();
    let entries = || map.into_iter().flat_map(|map| map.iter());
    let count = entries().count() as u32;
    if buffer != 0 {
        if count > room {
            return Err(Errno::EINVAL.into());
        }
        for (range, index) in entries().zip(0..) {
            let entry = E820Entry {
                addr: U64A4::new(range.start),
                size: U64A4::new(range.end.saturating_sub(range.start)),
                r#type: range.kind.firmware(),
            };
            ctx.write(buffer.wrapping_add(index * ENTRY), &entry)?;
        }
    }
    // The first member of the structure, in both widths.
    ctx.write(arg, &count)?;
    Ok(0)
}

/// `XENMEM_memory_map`: the memory map that the caller was given, as much as there is room for.
///
/// `EFAULT`; `ENOSYS` if it was given none, as PV domains are not.
pub(super) fn memory_map<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let (room, buffer) = map_argument(ctx, arg)?;
    let given = ctx.domain.memory_map.lock();
    let map = given.as_ref().filter(|map| !map.is_empty()).ok_or(Errno::ENOSYS)?;
    let mut told = 0_u32;
    for entry in map.iter().take(room as usize) {
        ctx.write(buffer.wrapping_add(u64::from(told) * ENTRY), entry)?;
        told += 1;
    }
    ctx.write(arg, &told)?;
    Ok(0)
}

/// `XENMEM_set_memory_map`: gives a domain the map that `XENMEM_memory_map` tells it.
///
/// `EFAULT`; `EINVAL`: too long to be sensible; `ESRCH`, `EPERM`; `ENOMEM`: longer than there is
/// room for, or no memory.
pub(super) fn set_memory_map<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    let (id, count, buffer) = match ctx.width() {
        Width::Pv32 => {
            let map: x86_32::ForeignMemoryMap = ctx.read(arg)?;
            (map.domid, map.map.nr_entries, map.map.buffer.into())
        }
        Width::Pv64 => {
            let map: x86_64::ForeignMemoryMap = ctx.read(arg)?;
            (map.domid, map.map.nr_entries, map.map.buffer)
        }
    };
    if count > SENSIBLE_ENTRIES {
        return Err(Errno::EINVAL.into());
    }
    let domain = target(ctx, id.raw())?;
    if count as usize > MOST_ENTRIES || domain.end.is_dying() {
        return Err(Errno::ENOMEM.into());
    }
    let mut new = FrameBox::new(&ctx.sys.memory, &ctx.sys.platform, E820::new)?;
    for index in 0..u64::from(count) {
        let entry = ctx.read::<E820Entry>(buffer.wrapping_add(index * ENTRY));
        let kept = entry.map(|entry| new.get_mut().push(entry).is_ok());
        if let Err(fault) = kept {
            new.free(&ctx.sys.memory);
            return Err(fault.into());
        }
    }
    let old = domain.memory_map.lock().replace(new);
    if let Some(old) = old {
        old.free(&ctx.sys.memory);
    }
    Ok(0)
}

/// `XENMEM_reserved_device_memory_map`: without an IOMMU there are no such regions.
///
/// `EFAULT`; `EINVAL`: unknown flags.
pub(super) fn reserved_device_memory_map<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: u64,
) -> HypercallResult {
    // The first two members, in both widths.
    let [flags, _room] = ctx.read::<[u32; 2]>(arg)?;
    if flags & !memory::XENMEM_RDM_ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    ctx.write(arg, &[flags, 0])?;
    Ok(0)
}
