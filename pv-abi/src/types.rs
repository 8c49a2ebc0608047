//! Newtypes for what is easily mixed up: domains, vCPUs, frames, ports.
//!
//! None converts implicitly. `new` wraps what came over the ABI and claims
//! nothing about it: a [`DomId`] names a domain that may not exist, an [`Mfn`]
//! a frame that the machine may not have. Checks are the hypervisor's.

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Declares a newtype over an integer with `new` and `raw`, printed as
/// `prefix:number`.
macro_rules! newtype {
    ($(#[$meta:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            FromBytes, IntoBytes, KnownLayout, Immutable,
        )]
        #[repr(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps a number as it came over the ABI; nothing is checked.
            #[must_use]
            pub const fn new(raw: $inner) -> Self {
                Self(raw)
            }

            /// The number as it goes over the ABI.
            #[must_use]
            pub const fn raw(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

newtype! {
    /// A domain's number (`domid_t`). Printed as `d0`, as in log lines.
    DomId(u16), "d{}"
}
newtype! {
    /// A virtual CPU's number within its domain. Printed as `v1`.
    VcpuId(u32), "v{}"
}
newtype! {
    /// A machine frame number: machine address / 4096.
    Mfn(u64), "mfn:{:#x}"
}
newtype! {
    /// A pseudo-physical frame number: a guest's own, contiguous numbering.
    Pfn(u64), "pfn:{:#x}"
}
newtype! {
    /// An event channel port (`evtchn_port_t`). Port 0 is never valid.
    Port(u32), "port:{}"
}
newtype! {
    /// A grant reference (`grant_ref_t`): an index into the granter's table.
    GrantRef(u32), "gref:{}"
}
newtype! {
    /// A tracking number of a grant mapping (`grant_handle_t`).
    GrantHandle(u32), "handle:{}"
}

impl DomId {
    /// The calling domain.
    pub const SELF: Self = Self(DOMID_SELF);
    /// The owner of I/O memory.
    pub const IO: Self = Self(DOMID_IO);
    /// The hypervisor.
    pub const XEN: Self = Self(DOMID_XEN);
    /// No domain.
    pub const INVALID: Self = Self(DOMID_INVALID);

    /// Whether the number can be an ordinary domain's: below
    /// [`DOMID_FIRST_RESERVED`].
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        self.0 < DOMID_FIRST_RESERVED
    }
}

/// A 64-bit number in a 32-bit layout, where C aligns it to 4 bytes.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct U64A4 {
    /// Bits 31..0.
    pub lo: u32,
    /// Bits 63..32.
    pub hi: u32,
}

impl U64A4 {
    /// Splits a number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        Self { lo: u32::from_le_bytes([a, b, c, d]), hi: u32::from_le_bytes([e, f, g, h]) }
    }

    /// Joins the halves.
    #[must_use]
    pub const fn get(self) -> u64 {
        let [a, b, c, d] = self.lo.to_le_bytes();
        let [e, f, g, h] = self.hi.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl From<u64> for U64A4 {
    fn from(value: u64) -> Self {
        Self::new(value)
    }
}

impl From<U64A4> for u64 {
    fn from(value: U64A4) -> Self {
        value.get()
    }
}

impl fmt::Debug for U64A4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

constants! { in "xen.h";
    /// Numbers from here on never are ordinary domains.
    DOMID_FIRST_RESERVED: u16 = 0x7FF0;
    /// The calling domain, where a call takes a domain.
    DOMID_SELF: u16 = 0x7FF0;
    /// As `foreigndom`: only I/O memory may be mapped.
    DOMID_IO: u16 = 0x7FF1;
    /// As `foreigndom`, privileged callers only: the hypervisor's own frames
    /// (the M2P table, read-only).
    DOMID_XEN: u16 = 0x7FF2;
    /// Owner of sharable pages.
    DOMID_COW: u16 = 0x7FF3;
    /// Owner of frames whose owner is not known.
    DOMID_INVALID: u16 = 0x7FF4;
    /// The idle domain.
    DOMID_IDLE: u16 = 0x7FFF;
    /// Mask of the bits that a domain number may have.
    DOMID_MASK: u16 = 0x7FFF;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn split_numbers_join_again() {
        for value in [0, 1, u64::from(u32::MAX), 1 << 32, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(U64A4::new(value).get(), value);
        }
        assert_eq!(U64A4::new(0x0123_4567_89ab_cdef).as_bytes()[0], 0xef);
        assert_eq!(align_of::<U64A4>(), 4);
    }

    #[test]
    fn printing_shows_the_kind() {
        assert_eq!(format!("{}{}", DomId::new(1), VcpuId::new(0)), "d1v0");
        assert_eq!(format!("{:?}", Mfn::new(0x1a2)), "mfn:0x1a2");
    }

    #[test]
    fn reserved_domains_are_not_ordinary() {
        assert!(DomId::new(0x7fef).is_ordinary());
        assert!(!DomId::SELF.is_ordinary());
    }
}
