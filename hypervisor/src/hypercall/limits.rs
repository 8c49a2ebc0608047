//! The commands that are not whole, of all hypercalls: see [`crate::support`].

use pv_abi::hypercall as nr;

use crate::mm;
use crate::support::Limit;

/// By hypercall: the constant beside each match. Those that are not here have no limits.
pub const LIMITS: &[(u32, &[Limit])] = &[
    (nr::MMUEXT_OP, mm::mmuext::LIMITS),
    (nr::MEMORY_OP, mm::memory_op::LIMITS),
    (nr::SYSCTL, super::sysctl::LIMITS),
    (nr::DOMCTL, super::domctl::LIMITS),
    (nr::PHYSDEV_OP, super::physdev::LIMITS),
    (nr::PLATFORM_OP, super::platform::LIMITS),
    (nr::XEN_VERSION, super::version::LIMITS),
];
