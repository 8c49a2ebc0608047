//! Telling about domains, vCPUs and frames.

use core::sync::atomic::Ordering;

use pv_abi::domctl as abi;
use pv_abi::domctl::{
    AddressSize, ArchDomainconfig, Domctl, Getdomaininfo, Getpageframeinfo3, Getvcpuinfo,
};
use pv_abi::errno::Errno;
use pv_abi::types::{DOMID_FIRST_RESERVED, Mfn};
use pv_abi::vcpu::RUNSTATE_RUNNING;
use zerocopy::FromZeros;

use super::{Reply, answer, argument, vcpu};
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::sched::State;
use crate::width::Width;

/// Frames that one getpageframeinfo3 tells about.
const MOST_FRAMES: u64 = 1024;

/// `XEN_DOMCTL_getdomaininfo`: about the domain of that number, or the next higher one.
///
/// `ESRCH` if there is none; `EINVAL` for a reserved number.
pub(super) fn getdomaininfo<P: Platform>(ctx: &Ctx<'_, P>, op: &mut Domctl) -> Result<Reply, Stop> {
    if op.domain.raw() >= DOMID_FIRST_RESERVED {
        return Err(Errno::EINVAL.into());
    }
    let domain = ctx.sys.domains.from(op.domain).next().ok_or(Errno::ESRCH)?;
    op.domain = domain.id;
    Ok(answer(op, &about(ctx, domain)))
}

/// All that a toolstack is told about a domain.
pub(in crate::hypercall) fn about<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain) -> Getdomaininfo {
    let mut info = Getdomaininfo::new_zeroed();
    info.domain = domain.id;
    info.max_vcpu_id = abi::XEN_INVALID_MAX_VCPU_ID;
    // Blocked if all that are up are; running if one is.
    let mut flags = abi::XEN_DOMINF_BLOCKED;
    for vcpu in domain.vcpus() {
        info.cpu_time = info.cpu_time.saturating_add(ran_ns(ctx, vcpu));
        info.max_vcpu_id = vcpu.id.raw();
        match vcpu.run.state() {
            State::Offline => continue,
            State::Blocked => {}
            State::Runnable => flags &= !abi::XEN_DOMINF_BLOCKED,
            State::Running => {
                flags = flags & !abi::XEN_DOMINF_BLOCKED | abi::XEN_DOMINF_RUNNING;
            }
        }
        info.nr_online_vcpus = info.nr_online_vcpus.saturating_add(1);
    }
    info.flags = if info.nr_online_vcpus == 0 { 0 } else { flags };
    let code = domain.shutdown_reason();
    for (flag, on) in [
        (abi::XEN_DOMINF_DYING, domain.end.is_dead()),
        (abi::XEN_DOMINF_SHUTDOWN, code.is_some()),
        (abi::XEN_DOMINF_PAUSED, domain.pauses.any()),
        (abi::XEN_DOMINF_XS_DOMAIN, domain.limits.serves_store),
    ] {
        info.flags |= if on { flag } else { 0 };
    }
    info.flags |= u32::from(code.unwrap_or(u8::MAX)) << abi::XEN_DOMINF_SHUTDOWNSHIFT;
    info.tot_pages = domain.pages.load(Ordering::Relaxed).into();
    info.max_pages = domain.max_pages.load(Ordering::Relaxed).into();
    info.shared_info_frame = domain.shared_info.raw();
    info.handle = *domain.handle.lock();
    info.gpaddr_bits = 64;
    info.arch_config = ArchDomainconfig { emulation_flags: 0, misc_flags: 0 };
    info
}

/// Nanoseconds that a vCPU ran.
fn ran_ns<P: Platform>(ctx: &Ctx<'_, P>, vcpu: &Vcpu) -> u64 {
    let runstate = vcpu.run.runstate(ctx.sys.platform.now_ns());
    runstate.time_ns.get(RUNSTATE_RUNNING as usize).copied().unwrap_or(0)
}

/// `XEN_DOMCTL_getvcpuinfo`. `EINVAL`: beyond the domain's vCPUs; `ESRCH`: not made yet.
pub(super) fn getvcpuinfo<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    op: &mut Domctl,
) -> Result<Reply, Stop> {
    let mut info: Getvcpuinfo = argument(op)?;
    if info.vcpu >= domain.limits.vcpus {
        return Err(Errno::EINVAL.into());
    }
    let vcpu = vcpu(domain, info.vcpu).ok_or(Errno::ESRCH)?;
    let state = vcpu.run.state();
    info.online = u8::from(state != State::Offline);
    info.blocked = u8::from(state == State::Blocked);
    info.running = u8::from(state == State::Running);
    info.cpu_time = ran_ns(ctx, vcpu);
    info.cpu = vcpu.run.cpu().unwrap_or(0);
    Ok(answer(op, &info))
}

/// `XEN_DOMCTL_get_address_size`.
pub(super) fn get_address_size(domain: &Domain, op: &mut Domctl) -> Result<Reply, Stop> {
    let size = match domain.width() {
        Width::Pv32 => 32,
        Width::Pv64 => 64,
    };
    Ok(answer(op, &AddressSize { size }))
}

/// `XEN_DOMCTL_getpageframeinfo3`: turns frame numbers into what the frames are.
///
/// `E2BIG`: more than 1024; `EFAULT`.
pub(super) fn getpageframeinfo3<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    argument: &Getpageframeinfo3,
) -> Result<(), Errno> {
    if argument.num > MOST_FRAMES {
        return Err(Errno::E2BIG);
    }
    for index in 0..argument.num {
        let mfn = Mfn::new(ctx.read_long(argument.array, index)?);
        ctx.write_long(argument.array, index, kind(ctx, domain, mfn).into())?;
    }
    Ok(())
}

fn kind<P: Platform>(ctx: &Ctx<'_, P>, domain: &Domain, mfn: Mfn) -> u32 {
    let Ok(frame) = ctx.sys.memory.get_page(mfn, domain.id) else {
        return abi::XEN_DOMCTL_PFINFO_XTAB;
    };
    let word = frame.load();
    ctx.sys.put_page(mfn);
    if word.lent() {
        return abi::XEN_DOMCTL_PFINFO_XTAB;
    }
    let level = match word.kind() {
        Type::L1 => abi::XEN_DOMCTL_PFINFO_L1TAB,
        Type::L2 | Type::L2Top => abi::XEN_DOMCTL_PFINFO_L2TAB,
        Type::L3 => abi::XEN_DOMCTL_PFINFO_L3TAB,
        Type::L4 => abi::XEN_DOMCTL_PFINFO_L4TAB,
        Type::None | Type::SegDesc | Type::Writable => abi::XEN_DOMCTL_PFINFO_NOTAB,
    };
    match (word.pinned(), word.validated()) {
        (true, _) => level | abi::XEN_DOMCTL_PFINFO_LPINTAB,
        (false, true) => level,
        (false, false) => abi::XEN_DOMCTL_PFINFO_NOTAB,
    }
}
