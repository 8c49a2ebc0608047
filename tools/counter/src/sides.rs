//! Whose an instruction is, by the address of its code: the machine's, and this host's.
//!
//! The hypervisor has a part of the address space that is nobody else's. Domain 0 and the other domains
//! run the same kernel at the same addresses, but out of different memory: QEMU tells where on this host
//! that is. A domain's kernel is in one piece there, so in one domain the difference of the two addresses
//! is the same all over its kernel; domain 0 is the first whose kernel runs.

/// Where the hypervisor is: the L4 slots that the PV ABI gives it.
const HYPERVISOR: std::ops::RangeInclusive<u64> = 0xffff_8000_0000_0000..=0xffff_87ff_ffff_ffff;
/// Where the guest kernel is: the upper half of what 32 bits address.
const KERNELS: std::ops::Range<u64> = 0x8000_0000..0x1_0000_0000;

/// Who executes code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The hypervisor, in Ring 0.
    Hypervisor,
    /// Domain 0's kernel.
    Domain0,
    /// Another domain's kernel.
    Domains,
    /// A program of any domain's.
    Programs,
}

impl Side {
    /// All of them, with their names.
    pub const ALL: [(Self, &str); 4] = [
        (Self::Hypervisor, "hypervisor"),
        (Self::Domain0, "domain0"),
        (Self::Domains, "domains"),
        (Self::Programs, "programs"),
    ];
}

/// What was learnt of the machine so far.
#[derive(Debug, Default)]
pub struct Sides {
    /// The hypervisor has run.
    is_booted: bool,
    /// How far domain 0's kernel is, on this host, from its own addresses.
    domain0: Option<u64>,
}

impl Sides {
    /// Nothing has run.
    pub const fn new() -> Self {
        Self { is_booted: false, domain0: None }
    }

    /// Whose code at these addresses is. None: the firmware's, or the hypervisor's before it is where it
    /// belongs.
    pub fn of(&mut self, machine: u64, host: u64) -> Option<Side> {
        if HYPERVISOR.contains(&machine) {
            self.is_booted = true;
            return Some(Side::Hypervisor);
        }
        if !self.is_booted {
            return None;
        }
        if !KERNELS.contains(&machine) {
            return Some(Side::Programs);
        }
        let distance = host.wrapping_sub(machine);
        let is_first = *self.domain0.get_or_insert(distance) == distance;
        Some(if is_first { Side::Domain0 } else { Side::Domains })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_kernel_is_domain_0s() {
        let mut sides = Sides::new();
        // The firmware, and the way to the hypervisor's own addresses.
        assert_eq!(sides.of(0xffff_fff0, 0x7000_fff0), None);
        assert_eq!(sides.of(0x10_0000, 0x7010_0000), None);
        assert_eq!(sides.of(0xffff_8200_0010_0000, 0x7010_0000), Some(Side::Hypervisor));
        assert_eq!(sides.of(0x8010_0000, 0x7410_0000), Some(Side::Domain0));
        assert_eq!(sides.of(0x0804_8000, 0x7654_3000), Some(Side::Programs));
        // Code that domain 0 has not run yet, and the same of another's.
        assert_eq!(sides.of(0x8020_0040, 0x7420_0040), Some(Side::Domain0));
        assert_eq!(sides.of(0x8020_0040, 0x7920_0040), Some(Side::Domains));
        assert_eq!(sides.of(0x8010_0000, 0x7910_0000), Some(Side::Domains));
    }

    #[test]
    fn addresses_do_not_overflow() {
        let mut sides = Sides::new();
        sides.of(*HYPERVISOR.end(), 0);
        assert_eq!(sides.of(0xffff_ffff, 0), Some(Side::Domain0));
        assert_eq!(sides.of(0x8000_0000, 0xffff_ffff_8000_0001), Some(Side::Domain0));
        assert_eq!(sides.of(u64::MAX, u64::MAX), Some(Side::Programs));
    }
}
