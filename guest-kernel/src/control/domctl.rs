//! `domctl`: what domain 0 does to other domains, as functions with typed arguments.
//!
//! A domain that does not exist is `ESRCH` from all of them, an unprivileged caller `EPERM`.
#![allow(unsafe_code)] // UNSAFETY: hypercalls read and write memory through their arguments.

use pv_abi::domctl::{
    self as abi, AddressSize, Bitmap, Createdomain, Domctl, Getdomaininfo, Getvcpuinfo,
    HypercallInit, MaxMem, MaxVcpus, SchedCredit, SchedulerOp, Sendtrigger, Settimeoffset,
    Vcpuaffinity, Vcpucontext,
};
use pv_abi::hypercall;
use pv_abi::types::{DomId, Mfn, VcpuId};
use ring1::abi::VcpuGuestContext;
use ring1::calls::{Result, outcome};
use ring1::hypercall::raw;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// The argument, aligned as Xen's headers have it.
#[repr(align(8))]
struct Aligned(Domctl);

/// Makes the command `cmd` about `domain`. Its structure is read and written; the domain that came
/// back is returned.
pub fn domctl<T>(cmd: u32, domain: DomId, argument: &mut T) -> Result<DomId>
where
    T: FromBytes + IntoBytes + Immutable,
{
    let interface_version = abi::XEN_DOMCTL_INTERFACE_VERSION;
    let mut op = Aligned(Domctl { cmd, interface_version, domain, _pad: [0; 3], u: [0; 128] });
    // There is room for any of them.
    let _ = argument.write_to_prefix(&mut op.0.u);
    let address = core::ptr::from_mut(&mut op).expose_provenance() as u32;
    // SAFETY: 1. The hypervisor reads and writes `op`, which is borrowed for this, and buffers that
    // the caller's structure names, which the functions below borrow.
    outcome(unsafe { raw(hypercall::DOMCTL, address, 0, 0, 0, 0) })?;
    if let Ok((answer, _)) = T::read_from_prefix(&op.0.u) {
        *argument = answer;
    }
    Ok(op.0.domain)
}

/// A command without a structure.
fn plain(cmd: u32, domain: DomId) -> Result {
    domctl(cmd, domain, &mut 0_u32).map(|_| ())
}

/// `XEN_DOMCTL_createdomain` with any free number: a paused domain that has nothing yet.
pub fn create(config: &mut Createdomain) -> Result<DomId> {
    domctl(abi::XEN_DOMCTL_CREATEDOMAIN, DomId::new(0), config)
}

/// `XEN_DOMCTL_destroydomain`. When it is done the domain has nothing any more.
pub fn destroy(domain: DomId) -> Result {
    plain(abi::XEN_DOMCTL_DESTROYDOMAIN, domain)
}

/// `XEN_DOMCTL_pausedomain`.
pub fn pause(domain: DomId) -> Result {
    plain(abi::XEN_DOMCTL_PAUSEDOMAIN, domain)
}

/// `XEN_DOMCTL_unpausedomain`.
pub fn unpause(domain: DomId) -> Result {
    plain(abi::XEN_DOMCTL_UNPAUSEDOMAIN, domain)
}

/// `XEN_DOMCTL_max_vcpus`: makes its vCPUs, as many as it was created for.
pub fn max_vcpus(domain: DomId, max: u32) -> Result {
    domctl(abi::XEN_DOMCTL_MAX_VCPUS, domain, &mut MaxVcpus { max }).map(|_| ())
}

/// `XEN_DOMCTL_set_address_size`: 32 makes a domain without memory narrow.
pub fn set_address_size(domain: DomId, size: u32) -> Result {
    domctl(abi::XEN_DOMCTL_SET_ADDRESS_SIZE, domain, &mut AddressSize { size }).map(|_| ())
}

/// `XEN_DOMCTL_max_mem`: the most memory that it may have, KiB.
pub fn max_mem(domain: DomId, max_memkb: u64) -> Result {
    domctl(abi::XEN_DOMCTL_MAX_MEM, domain, &mut MaxMem { max_memkb }).map(|_| ())
}

/// `XEN_DOMCTL_settimeoffset`: how many seconds its wall clock is ahead of the machine's.
pub fn set_time_offset(domain: DomId, time_offset_seconds: i64) -> Result {
    let mut argument = Settimeoffset { time_offset_seconds };
    domctl(abi::XEN_DOMCTL_SETTIMEOFFSET, domain, &mut argument).map(|_| ())
}

/// `XEN_DOMCTL_hypercall_init`: fills a frame of its with stubs for hypercalls.
pub fn hypercall_init(domain: DomId, frame: Mfn) -> Result {
    let mut argument = HypercallInit { gmfn: frame.raw() };
    domctl(abi::XEN_DOMCTL_HYPERCALL_INIT, domain, &mut argument).map(|_| ())
}

/// `XEN_DOMCTL_setvcpucontext` for a 32-bit domain.
pub fn set_vcpu_context(domain: DomId, vcpu: VcpuId, context: &VcpuGuestContext) -> Result {
    let ctxt = core::ptr::from_ref(context).expose_provenance() as u64;
    let mut argument = Vcpucontext { vcpu: vcpu.raw(), _pad: 0, ctxt };
    domctl(abi::XEN_DOMCTL_SETVCPUCONTEXT, domain, &mut argument).map(|_| ())
}

/// `XEN_DOMCTL_getdomaininfo`; `ESRCH` if there is no such domain.
pub fn info(domain: DomId) -> Result<Getdomaininfo> {
    let mut info = Getdomaininfo::new_zeroed();
    domctl(abi::XEN_DOMCTL_GETDOMAININFO, domain, &mut info)?;
    // For one that is not there it tells about the next higher one.
    if info.domain == domain { Ok(info) } else { Err(pv_abi::errno::Errno::ESRCH) }
}

/// `XEN_DOMCTL_getvcpuinfo`.
pub fn vcpu_info(domain: DomId, vcpu: u32) -> Result<Getvcpuinfo> {
    let mut info = Getvcpuinfo::new_zeroed();
    info.vcpu = vcpu;
    domctl(abi::XEN_DOMCTL_GETVCPUINFO, domain, &mut info)?;
    Ok(info)
}

/// Which of a vCPU's affinities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Affinity {
    /// CPUs where it may run.
    Hard,
    /// CPUs where it is to run if it can.
    Soft,
}

/// CPUs of an affinity of a vCPU's (`XEN_DOMCTL_getvcpuaffinity`), a bit each for the first 64.
pub fn affinity(domain: DomId, vcpu: u32, which: Affinity) -> Result<u64> {
    let mut cpus = 0_u64;
    affinity_op(abi::XEN_DOMCTL_GETVCPUAFFINITY, domain, vcpu, which, &mut cpus)?;
    Ok(cpus)
}

/// `XEN_DOMCTL_setvcpuaffinity`: sets one.
pub fn set_affinity(domain: DomId, vcpu: u32, which: Affinity, mut cpus: u64) -> Result {
    affinity_op(abi::XEN_DOMCTL_SETVCPUAFFINITY, domain, vcpu, which, &mut cpus)
}

fn affinity_op(cmd: u32, domain: DomId, vcpu: u32, which: Affinity, cpus: &mut u64) -> Result {
    let bitmap = Bitmap {
        bitmap: core::ptr::from_mut(cpus).expose_provenance() as u64,
        nr_bits: u64::BITS,
        _pad: 0,
    };
    let mut argument = Vcpuaffinity::new_zeroed();
    argument.vcpu = vcpu;
    match which {
        Affinity::Hard => {
            argument.flags = abi::XEN_VCPUAFFINITY_HARD;
            argument.cpumap_hard = bitmap;
        }
        Affinity::Soft => {
            argument.flags = abi::XEN_VCPUAFFINITY_SOFT;
            argument.cpumap_soft = bitmap;
        }
    }
    domctl(cmd, domain, &mut argument).map(|_| ())
}

/// A domain's share of the CPUs (`XEN_DOMCTL_SCHEDOP_getinfo`).
pub fn share(domain: DomId) -> Result<SchedCredit> {
    scheduler_op(domain, abi::XEN_DOMCTL_SCHEDOP_GETINFO, SchedCredit { weight: 0, cap: 0 })
}

/// Sets it (`XEN_DOMCTL_SCHEDOP_putinfo`).
pub fn set_share(domain: DomId, share: SchedCredit) -> Result {
    scheduler_op(domain, abi::XEN_DOMCTL_SCHEDOP_PUTINFO, share).map(|_| ())
}

fn scheduler_op(domain: DomId, cmd: u32, credit: SchedCredit) -> Result<SchedCredit> {
    let mut argument = SchedulerOp::new_zeroed();
    argument.sched_id = super::sysctl::scheduler().unwrap_or(abi::XEN_SCHEDULER_CREDIT);
    argument.cmd = cmd;
    argument.credit = credit;
    domctl(abi::XEN_DOMCTL_SCHEDULER_OP, domain, &mut argument)?;
    Ok(argument.credit)
}

/// `XEN_DOMCTL_sendtrigger`: sends one of `XEN_DOMCTL_SENDTRIGGER_*` to a vCPU.
pub fn send_trigger(domain: DomId, trigger: u32, vcpu: u32) -> Result {
    domctl(abi::XEN_DOMCTL_SENDTRIGGER, domain, &mut Sendtrigger { trigger, vcpu }).map(|_| ())
}
