//! Moving a vCPU's `vcpu_info` to memory of the guest's choice.
//!
//! From then on we write there whenever an event comes, so the frame is held: by a
//! *writable* reference, which keeps it from becoming a page table, until the domain
//! ends.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;
use pv_abi::vcpu::VcpuRegisterVcpuInfo;
use pv_abi::{x86_32, x86_64};

use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::evtchn::two_level;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::time;
use crate::width::Width;

/// Bytes of a `vcpu_info`, of either width.
const SIZE: u32 = 64;
const _: () = assert!(size_of::<x86_32::VcpuInfo>() == SIZE as usize);
const _: () = assert!(size_of::<x86_64::VcpuInfo>() == SIZE as usize);
/// Bytes in a frame.
const FRAME: u32 = 4096;

/// `VCPUOP_register_vcpu_info`: once for each vCPU, by itself or while it is down.
///
/// `EFAULT` if the argument cannot be read; `ENXIO` if the structure would cross the
/// frame's end or is not aligned; `EINVAL` if it was done before, if another vCPU than
/// the caller is up, or if the frame is not the domain's or not fit to be written.
pub(super) fn register<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu, arg: u64) -> Result<(), Stop> {
    let VcpuRegisterVcpuInfo { mfn, offset, .. } = ctx.read(arg)?;
    let align = match ctx.width() {
        Width::Pv32 => 4,
        Width::Pv64 => 8,
    };
    if offset > FRAME - SIZE || !offset.is_multiple_of(align) {
        return Err(Errno::ENXIO.into());
    }
    if vcpu.id != ctx.vcpu.id && vcpu.run.is_up() {
        return Err(Errno::EINVAL.into());
    }
    // A 32-bit guest's frame numbers fit 32 bits; one that does not fit 52 is no frame.
    let mfn = Mfn::new(mfn);
    // Held to the end: two vCPUs of the domain may be registering the same one.
    let mut types = ctx.sys.page_types(ctx.domain);
    if vcpu.registered_info().is_some() {
        return Err(Errno::EINVAL.into());
    }
    match types.get(mfn, Type::Writable) {
        Err(Stop::Errno(_)) => return Err(Errno::EINVAL.into()),
        other => other?,
    }
    vcpu.set_registered_info(Some(mfn));
    drop(types);
    move_to(ctx, vcpu, mfn, offset);
    Ok(())
}

/// Copies the structure and has everyone use the copy.
fn move_to<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu, mfn: Mfn, offset: u32) {
    let access = &ctx.sys.platform;
    let old = vcpu.info_address();
    let from = access.half_words(Mfn::new(old >> 12)).iter().skip((old & 0xfff) as usize / 4);
    let to = access.half_words(mfn).iter().skip(offset as usize / 4);
    for (from, to) in from.zip(to).take(SIZE as usize / 4) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    vcpu.set_info_address(mfn.raw() << 12 | u64::from(offset));
    // An event that came between the copy and here went to the old place; so the guest is
    // made to look at everything, once.
    two_level::mark_all(ctx.sys, ctx.domain, vcpu);
    time::publish(ctx.sys, ctx.domain, vcpu);
}
