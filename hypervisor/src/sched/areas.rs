//! Memory that a guest registers to have its vCPUs' records in: the runstate area.
//!
//! It is named by a guest address, so it can be written only while its vCPU's address
//! space is loaded: when the vCPU begins and stops to run. What is not mapped then is not
//! written; that is the guest's own affair.

use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

use pv_abi::errno::Errno;
use pv_abi::types::U64A4;
use pv_abi::vcpu::XEN_RUNSTATE_UPDATE;
use pv_abi::vm_assist::VMASST_TYPE_RUNSTATE_UPDATE_FLAG;
use pv_abi::{x86_32, x86_64};

use super::runstate::Runstate;
use crate::domain::vcpu::Vcpu;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::time::clock;
use crate::width::Width;

/// Writes a record in the caller's width.
pub(super) fn write_runstate<P: Platform>(
    ctx: &Ctx<'_, P>,
    at: u64,
    record: &Runstate,
) -> Result<(), Errno> {
    let Runstate { state, entered_ns, time_ns } = *record;
    match ctx.width() {
        Width::Pv32 => {
            let state_entry_time = U64A4::new(entered_ns);
            let time = time_ns.map(U64A4::new);
            ctx.write(at, &x86_32::VcpuRunstateInfo { state, _pad: [], state_entry_time, time })
        }
        Width::Pv64 => ctx.write(
            at,
            &x86_64::VcpuRunstateInfo {
                state,
                _pad: [0; 4],
                state_entry_time: entered_ns,
                time: time_ns,
            },
        ),
    }
}

/// Brings the area that `ctx`'s vCPU registered up to date, if it did.
#[inline(always)]
pub(super) fn update_runstate<P: Platform>(ctx: &Ctx<'_, P>) {
    let at = ctx.vcpu.run.runstate_area.load(Ordering::Relaxed);
    if at != 0 {
        write_area(ctx, at);
    }
}

/// The record as it is on file. With the update flag on, readers that see it in the entry
/// time know that the rest is being changed, and read again.
fn write_area<P: Platform>(ctx: &Ctx<'_, P>, at: u64) {
    let record = ctx.vcpu.run.record();
    // A guest address, so nobody can be hurt; what fails is the guest's mistake.
    let done = if ctx.domain.assists(VMASST_TYPE_RUNSTATE_UPDATE_FLAG) {
        write_flagged(ctx, at, &record)
    } else {
        write_runstate(ctx, at, &record)
    };
    let _ = done;
}

fn write_flagged<P: Platform>(ctx: &Ctx<'_, P>, at: u64, record: &Runstate) -> Result<(), Errno> {
    let entry_time = match ctx.width() {
        Width::Pv32 => offset_of!(x86_32::VcpuRunstateInfo, state_entry_time),
        Width::Pv64 => offset_of!(x86_64::VcpuRunstateInfo, state_entry_time),
    };
    // The byte that holds the flag alone, lest a reader sees half an entry time.
    let flag_at = at.wrapping_add(entry_time as u64).wrapping_add(7);
    let flagged = Runstate { entered_ns: record.entered_ns | XEN_RUNSTATE_UPDATE, ..*record };
    let top = |ns: u64| (ns >> 56) as u8;
    ctx.write(flag_at, &top(flagged.entered_ns))?;
    // The flag is seen before anything new is, and goes after all of it is seen.
    fence(Ordering::Release);
    write_runstate(ctx, at, &flagged)?;
    fence(Ordering::Release);
    ctx.write(flag_at, &top(record.entered_ns))
}

/// Reads the handle in the argument of a `register_..._memory_area`, and checks that
/// `len` bytes there can be the guest's. A 32-bit guest's handle is 4 bytes.
fn handle<P: Platform>(ctx: &Ctx<'_, P>, arg: u64, len: usize) -> Result<u64, Errno> {
    let at = ctx.read_long(arg, 0)?;
    if ctx.width().range_ok(at, len as u64) { Ok(at) } else { Err(Errno::EFAULT) }
}

/// `VCPUOP_register_runstate_memory_area`, of any vCPU of the caller's domain; a null
/// handle ends it.
///
/// `EFAULT` if the argument cannot be read or the area cannot be the guest's. Whether it is
/// mapped is not asked.
pub(super) fn register_runstate<P: Platform>(
    ctx: &Ctx<'_, P>,
    vcpu: &Vcpu,
    arg: u64,
) -> Result<(), Errno> {
    let len = match ctx.width() {
        Width::Pv32 => size_of::<x86_32::VcpuRunstateInfo>(),
        Width::Pv64 => size_of::<x86_64::VcpuRunstateInfo>(),
    };
    let at = handle(ctx, arg, len)?;
    vcpu.run.runstate_area.store(at, Ordering::Relaxed);
    if at != 0 {
        let record = if vcpu.id == ctx.vcpu.id {
            vcpu.run.record()
        } else {
            vcpu.run.runstate(ctx.sys.platform.now_ns())
        };
        let _ = write_runstate(ctx, at, &record);
    }
    Ok(())
}

/// `VCPUOP_register_vcpu_time_memory_area`. Errors as above.
///
/// The clock is the same for all vCPUs and does not change, so it is written here and now,
/// and nothing needs to be remembered.
pub(super) fn register_time<P: Platform>(ctx: &Ctx<'_, P>, arg: u64) -> Result<(), Errno> {
    let at = handle(ctx, arg, size_of::<pv_abi::time::VcpuTimeInfo>())?;
    if at != 0 {
        clock::write_area(ctx, at);
    }
    Ok(())
}
