//! Physical interrupts, and the domains that they are given to.
//!
//! What event channels ask of them is here: [`crate::evtchn::pirq`] calls these functions
//! with the domain's event lock held, and is told of an interrupt by its `raise`.

use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;

use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;

/// Interrupts that a domain can have.
pub const NR_PIRQS: u32 = 256;

/// Whether `domain` may bind its interrupt `pirq`.
///
/// `EINVAL`: no domain has such a number (XSA-21); `EPERM`: it was not given to this one.
pub fn may_bind<P: Platform>(_: &System<P>, _: &Domain, pirq: u32) -> Result<(), Errno> {
    // Nobody was given any yet.
    Err(if pirq < NR_PIRQS { Errno::EPERM } else { Errno::EINVAL })
}

/// A port of `domain` is bound to `pirq`: its line is opened. `will_share`: the guest can
/// live with a line that others have, too.
///
/// `EINVAL`: no line is behind the number; `EBUSY`: somebody has it and does not share.
pub fn bound<P: Platform>(
    _: &System<P>,
    _: &Domain,
    _pirq: u32,
    _will_share: bool,
) -> Result<(), Errno> {
    Err(Errno::EINVAL)
}

/// The port is closed: nothing of `pirq`'s reaches `domain` any more, and an interrupt that
/// it has not ended is ended.
pub fn unbound<P: Platform>(_: &System<P>, _: &Domain, _pirq: u32) {}

/// Events of `pirq` go to vCPU `vcpu` from now on.
pub fn retarget<P: Platform>(_: &System<P>, _: &Domain, _pirq: u32, _vcpu: VcpuId) {}
