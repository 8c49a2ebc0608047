//! `memory_op`: how much memory a domain has, getting more, giving some back.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Mfn, U64A4};
use pv_abi::{memory, x86_32, x86_64};

use super::frame::Owner;
use super::pte;
use crate::domain::Domain;
use crate::error::{HypercallResult, Stop};
use crate::guest::Ctx;
use crate::hypercall::{Args, target};
use crate::platform::Platform;
use crate::width::Width;

/// Bits of the command word that say which command; the others count extents done before
/// a continuation.
const COMMAND_BITS: u32 = 6;

/// Frames handed out or taken back before other work gets a chance.
const BATCH: u64 = 64;

/// The largest extent a guest gets at once: 2 MiB.
const MAX_EXTENT_ORDER: u32 = 9;

/// `memory_op(cmd, arg)`: what domain 0 asks at boot, and reservations of single extents.
///
/// `ENOSYS` for the commands that are not listed here.
pub fn memory_op<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    let command = args[0] as u32 & ((1 << COMMAND_BITS) - 1);
    let arg = args[1];
    match command {
        memory::XENMEM_MAXIMUM_RAM_PAGE => Ok(ctx.sys.memory.frame_count().saturating_sub(1)),
        memory::XENMEM_CURRENT_RESERVATION => {
            Ok(asked_domain(ctx, arg)?.pages.load(Ordering::Relaxed).into())
        }
        memory::XENMEM_MAXIMUM_RESERVATION => {
            Ok(asked_domain(ctx, arg)?.max_pages.load(Ordering::Relaxed).into())
        }
        memory::XENMEM_MACHPHYS_MAPPING => machphys_mapping(ctx, arg),
        memory::XENMEM_MACHPHYS_MFN_LIST | memory::XENMEM_MACHPHYS_COMPAT_MFN_LIST => {
            machphys_mfn_list(ctx, arg)
        }
        memory::XENMEM_MACHINE_MEMORY_MAP => machine_memory_map(ctx, arg),
        memory::XENMEM_INCREASE_RESERVATION
        | memory::XENMEM_DECREASE_RESERVATION
        | memory::XENMEM_POPULATE_PHYSMAP => reservation(ctx, args, command),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn asked_domain<'a, P: Platform>(ctx: &Ctx<'a, P>, arg: u64) -> Result<&'a Domain, Errno> {
    let id: DomId = ctx.read(arg)?;
    target(ctx, id.raw())
}

/// Where the machine-to-physical table is in the guest's address space.
fn machphys_mapping<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
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
/// by either command, as on Xen.
fn machphys_mfn_list<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    if ctx.width() == Width::Pv64 {
        return Err(Errno::ENOSYS.into());
    }
    let mut list: x86_32::MachphysMfnList = ctx.read(arg)?;
    let room = list.max_extents as usize;
    list.nr_extents = 0;
    for table in ctx.sys.m2p_window.tables().iter().take(room) {
        let first = ctx.sys.platform.words(*table).first().map_or(0, |w| w.load(Ordering::Relaxed));
        let index = u64::from(list.nr_extents);
        ctx.write_long(list.extent_start.into(), index, pte::mfn(first).raw())?;
        list.nr_extents += 1;
    }
    ctx.write(arg, &list)?;
    Ok(0)
}

/// The firmware's memory map, for domain 0. `EPERM` for others; `EINVAL` if the buffer is too small.
fn machine_memory_map<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> HypercallResult {
    if !ctx.domain.privileged {
        return Err(Errno::EPERM.into());
    }
    let (room, buffer) = match ctx.width() {
        Width::Pv32 => {
            let map: x86_32::MemoryMap = ctx.read(arg)?;
            (map.nr_entries, u64::from(map.buffer))
        }
        Width::Pv64 => {
            let map: x86_64::MemoryMap = ctx.read(arg)?;
            (map.nr_entries, map.buffer)
        }
    };
    let map = ctx.sys.memory_map.get();
    let entries = || map.into_iter().flat_map(|map| map.iter());
    let count = entries().count() as u32;
    if count > room {
        return Err(Errno::EINVAL.into());
    }
    for (range, index) in entries().zip(0..) {
        let entry = memory::E820Entry {
            addr: U64A4::new(range.start),
            size: U64A4::new(range.end.saturating_sub(range.start)),
            r#type: range.kind.firmware(),
        };
        let offset = index * size_of::<memory::E820Entry>() as u64;
        ctx.write(buffer.wrapping_add(offset), &entry)?;
    }
    // The first member of the structure, in both widths.
    ctx.write(arg, &count)?;
    Ok(0)
}

/// A `struct xen_memory_reservation` of either width.
struct Reservation {
    extents: u64,
    count: u64,
    order: u32,
    domid: u16,
}

fn fetch<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<Reservation, Errno> {
    Ok(match ctx.width() {
        Width::Pv32 => {
            let r: x86_32::MemoryReservation = ctx.read(arg)?;
            Reservation {
                extents: r.extent_start.into(),
                count: r.nr_extents.into(),
                order: r.extent_order,
                domid: r.domid.raw(),
            }
        }
        Width::Pv64 => {
            let r: x86_64::MemoryReservation = ctx.read(arg)?;
            Reservation {
                extents: r.extent_start,
                count: r.nr_extents,
                order: r.extent_order,
                domid: r.domid.raw(),
            }
        }
    })
}

/// Does as many extents as it can; the value is how many, also when one fails.
fn reservation<P: Platform>(
    ctx: &mut Ctx<'_, P>,
    args: &mut Args,
    command: u32,
) -> HypercallResult {
    let done_before = args[0] >> COMMAND_BITS & 0x03ff_ffff;
    let r = fetch(ctx, args[1])?;
    // A count that cannot be encoded in a continuation is more than any machine has.
    if r.count > 0x03ff_ffff || done_before > r.count {
        return Err(Errno::EINVAL.into());
    }
    if r.order > MAX_EXTENT_ORDER {
        return Ok(done_before);
    }
    let domain = target(ctx, r.domid)?;
    if domain.id != ctx.domain.id {
        return Err(Errno::EPERM.into());
    }
    let mut budget = BATCH;
    for i in done_before..r.count {
        let done = match command {
            memory::XENMEM_DECREASE_RESERVATION => give_back(ctx, &r, i),
            memory::XENMEM_POPULATE_PHYSMAP => populate(ctx, &r, i, true),
            _ => populate(ctx, &r, i, false),
        };
        match done {
            Ok(()) => {}
            Err(Stop::Preempted) => return continued(args, command, i),
            // Less than all is not an error: the value says how much.
            Err(_) => return Ok(i),
        }
        budget = budget.saturating_sub(1 << r.order);
        if budget == 0 && i + 1 < r.count {
            return continued(args, command, i + 1);
        }
    }
    Ok(r.count)
}

fn continued(args: &mut Args, command: u32, done: u64) -> HypercallResult {
    args[0] = u64::from(command) | done << COMMAND_BITS;
    Err(Stop::Preempted)
}

/// Allocates one extent, zeroed. With `physmap` the element names its pseudo-physical frame.
fn populate<P: Platform>(
    ctx: &Ctx<'_, P>,
    r: &Reservation,
    index: u64,
    physmap: bool,
) -> Result<(), Stop> {
    let count = 1u32 << r.order;
    let domain = ctx.domain;
    let pfn = if physmap { Some(ctx.read_long(r.extents, index)?) } else { None };
    domain.charge_pages(count)?;
    let uncharge = |e: Errno| {
        domain.pages.fetch_sub(count, Ordering::Relaxed);
        e
    };
    let mfn = ctx.sys.memory.allocate(Owner::Domain(domain.id), r.order as u8).map_err(uncharge)?;
    for i in 0..u64::from(count) {
        let frame = Mfn::new(mfn.raw() + i);
        ctx.sys.platform.zero(frame);
        if let Some(pfn) = pfn {
            ctx.sys.memory.set_m2p(frame, pfn.wrapping_add(i));
        }
    }
    if physmap || r.extents != 0 {
        // The frames are the domain's even if it cannot be told which they are.
        ctx.write_long(r.extents, index, mfn.raw())?;
    }
    Ok(())
}

/// Gives one extent back. Frames that are in use, or that the hypervisor lent, stay.
fn give_back<P: Platform>(ctx: &Ctx<'_, P>, r: &Reservation, index: u64) -> Result<(), Stop> {
    let first = ctx.read_long(r.extents, index)?;
    let mut types = ctx.sys.page_types(ctx.domain);
    types.finish()?;
    for i in 0..1u64 << r.order {
        let mfn = Mfn::new(first.wrapping_add(i));
        let frame = ctx.sys.memory.get_page(mfn, ctx.domain.id)?;
        // A pin stands for the guest's wish to keep the table (XSA-252); what nobody
        // allocated (shared_info) is not the guest's to give.
        let taken = frame.update(|w| {
            if w.allocated() && !w.pinned() { Some(w.with_allocated(false)) } else { None }
        });
        if taken.is_ok() {
            ctx.sys.put_page(mfn);
        }
        ctx.sys.put_page(mfn);
        taken.map_err(|_| Errno::EINVAL)?;
    }
    Ok(())
}
