//! `sysctl`: what domain 0 asks and sets of the machine, as functions with typed arguments.
#![allow(unsafe_code)] // UNSAFETY: hypercalls read and write memory through their arguments.

use super::counters::Counters;
use alloc::vec;
use alloc::vec::Vec;
use pv_abi::domctl::Getdomaininfo;
use pv_abi::hypercall;
use pv_abi::sysctl::{
    self as abi, CreditSchedule, DebugKeys, Getdomaininfolist, PerfcDesc, PerfcOp, Physinfo,
    Readconsole, SchedId, SchedulerOp, Sysctl,
};
use pv_abi::types::DomId;
use ring1::calls::{Result, outcome};
use ring1::hypercall::raw;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Domains that one hypercall tells about.
const INFOS: usize = 64;

/// The argument, aligned as Xen's headers have it.
#[repr(align(8))]
struct Aligned(Sysctl);

/// Makes the command `cmd`. Its structure is read and written.
fn sysctl<T>(cmd: u32, argument: &mut T) -> Result
where
    T: FromBytes + IntoBytes + Immutable,
{
    let interface_version = abi::XEN_SYSCTL_INTERFACE_VERSION;
    let mut op = Aligned(Sysctl { cmd, interface_version, u: [0; 128] });
    // There is room for any of them.
    let _ = argument.write_to_prefix(&mut op.0.u);
    let address = core::ptr::from_mut(&mut op).expose_provenance() as u32;
    // SAFETY: 1. The hypervisor reads and writes `op`, which is borrowed for this, and buffers that
    // the structure names, which the functions below borrow.
    outcome(unsafe { raw(hypercall::SYSCTL, address, 0, 0, 0, 0) })?;
    if let Ok((answer, _)) = T::read_from_prefix(&op.0.u) {
        *argument = answer;
    }
    Ok(())
}

/// `XEN_SYSCTL_physinfo`: CPUs and memory of the machine.
pub fn physinfo() -> Result<Physinfo> {
    let mut info = Physinfo::new_zeroed();
    sysctl(abi::XEN_SYSCTL_PHYSINFO, &mut info)?;
    Ok(info)
}

/// `XEN_SYSCTL_getdomaininfolist`: about all domains, by number.
pub fn all_domains() -> Result<Vec<Getdomaininfo>> {
    let mut all: Vec<Getdomaininfo> = Vec::new();
    loop {
        let known = all.len();
        all.resize(known + INFOS, Getdomaininfo::new_zeroed());
        let (told, room) = all.split_at_mut(known);
        let mut argument = Getdomaininfolist::new_zeroed();
        argument.first_domain = DomId::new(told.last().map_or(0, |last| last.domain.raw() + 1));
        argument.max_domains = INFOS as u32;
        argument.buffer = room.as_mut_ptr().expose_provenance() as u64;
        sysctl(abi::XEN_SYSCTL_GETDOMAININFOLIST, &mut argument)?;
        let count = (argument.num_domains as usize).min(INFOS);
        all.truncate(known + count);
        if count < INFOS {
            return Ok(all);
        }
    }
}

/// `XEN_SYSCTL_sched_id`: which scheduler there is, `XEN_SCHEDULER_*`.
pub fn scheduler() -> Result<u32> {
    let mut id = SchedId::new_zeroed();
    sysctl(abi::XEN_SYSCTL_SCHED_ID, &mut id)?;
    Ok(id.sched_id)
}

/// `XEN_SYSCTL_scheduler_op`: the scheduler's settings.
pub fn schedule() -> Result<CreditSchedule> {
    let mut argument = SchedulerOp::new_zeroed();
    argument.sched_id = scheduler()?;
    argument.cmd = abi::XEN_SYSCTL_SCHEDOP_GETINFO;
    sysctl(abi::XEN_SYSCTL_SCHEDULER_OP, &mut argument)?;
    Ok(argument.credit)
}

/// `XEN_SYSCTL_readconsole`: messages of the hypervisor from byte `index` on, or from the oldest
/// that is kept; how many bytes, and where the next begin.
pub fn read_console(index: u32, into: &mut [u8]) -> Result<(usize, u32)> {
    let mut argument = Readconsole::new_zeroed();
    argument.incremental = 1;
    argument.index = index;
    argument.buffer = into.as_mut_ptr().expose_provenance() as u64;
    argument.count = into.len() as u32;
    sysctl(abi::XEN_SYSCTL_READCONSOLE, &mut argument)?;
    Ok(((argument.count as usize).min(into.len()), argument.index))
}

/// `XEN_SYSCTL_readconsole`: forgets the messages before byte `index`, which were read.
pub fn clear_console(index: u32) -> Result {
    let mut argument = Readconsole::new_zeroed();
    argument.clear = 1;
    argument.incremental = 1;
    argument.index = index;
    sysctl(abi::XEN_SYSCTL_READCONSOLE, &mut argument)
}

/// `XEN_SYSCTL_debug_keys`: as if these keys were pressed at the hypervisor's console.
pub fn debug_keys(keys: &[u8]) -> Result {
    let mut argument = DebugKeys::new_zeroed();
    argument.keys = keys.as_ptr().expose_provenance() as u64;
    argument.nr_keys = keys.len() as u32;
    sysctl(abi::XEN_SYSCTL_DEBUG_KEYS, &mut argument)
}

/// `XEN_SYSCTL_perfc_op`: what the hypervisor counts. `ENOSYS`: nothing.
pub fn counters() -> Result<Counters> {
    let mut argument = PerfcOp::new_zeroed();
    argument.cmd = abi::XEN_SYSCTL_PERFCOP_QUERY;
    // Without an array it says how many there are, which stays so until the machine ends.
    sysctl(abi::XEN_SYSCTL_PERFC_OP, &mut argument)?;
    let mut descriptions = vec![PerfcDesc::new_zeroed(); argument.nr_counters as usize];
    let mut values = vec![0_u32; argument.nr_vals as usize];
    argument.desc = descriptions.as_mut_ptr().expose_provenance() as u64;
    argument.val = values.as_mut_ptr().expose_provenance() as u64;
    sysctl(abi::XEN_SYSCTL_PERFC_OP, &mut argument)?;
    Ok(Counters { descriptions, values })
}
