//! Who deserves a CPU: virtual time.
//!
//! A vCPU's virtual time advances while it runs, by nanoseconds over its domain's weight. The one
//! that has had the least is next; so all advance alike, and each gets CPU time in proportion to
//! its weight. Virtual time means the same on all CPUs: a CPU whose vCPUs are ahead of those
//! that wait for another takes one of them ([`super::balance`]), so the shares hold over all CPUs.
//!
//! Each CPU has a *clock*: the virtual time of whom it picked last. It bounds what history is
//! worth. Who slept does not come back with all the time that it did not use, but with
//! [`SLEEPER_NS`]. And where virtual times cannot stay together, because vCPUs are bound to CPUs
//! or have more weight than a CPU can give, they drift apart by [`APART_NS`] at most in the eyes of a
//! CPU that takes one over: what was unfair longer ago is forgotten.

/// The weight that a domain has by default.
pub const WEIGHT_DEFAULT: u32 = 256;
/// The largest weight.
pub const WEIGHT_MAX: u32 = 65535;

/// How long a vCPU runs while others wait: long against the cost of a switch, short against human
/// patience.
pub const SLICE_NS: u64 = 5_000_000;
/// How far a woken vCPU must be behind the one that runs to take its place.
pub(super) const PREEMPT_NS: u64 = 1_000_000;
/// How far behind its CPU's clock a vCPU is that has slept for long.
pub(super) const SLEEPER_NS: u64 = 2_000_000;
/// How far behind this CPU's vCPUs another one's must be to be taken over.
pub(super) const STEAL_NS: u64 = 2 * SLICE_NS;
/// How far apart virtual times may be when a vCPU moves.
pub(super) const APART_NS: u64 = 256_000_000;

/// Virtual time for `ran_ns` of a vCPU with this weight.
#[inline(always)]
pub(super) fn virtual_ns(ran_ns: u64, weight: u32) -> u64 {
    // By far the most frequent one costs no division.
    if weight == WEIGHT_DEFAULT {
        return ran_ns;
    }
    ran_ns.saturating_mul(u64::from(WEIGHT_DEFAULT)) / u64::from(weight.max(1))
}

/// The virtual time with which a vCPU is taken over by a CPU whose clock is this.
pub(super) fn rebased(vtime: u64, clock: u64, weight: u32) -> u64 {
    let ahead = APART_NS.saturating_add(virtual_ns(SLICE_NS, weight));
    vtime.clamp(clock.saturating_sub(APART_NS), clock.saturating_add(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_by_weight() {
        assert_eq!(virtual_ns(1000, 256), 1000);
        assert_eq!(virtual_ns(1000, 512), 500);
        assert_eq!(virtual_ns(1000, 1), 256_000);
        assert_eq!(virtual_ns(u64::MAX, 1), u64::MAX);
        assert_eq!(virtual_ns(1000, 0), 256_000, "there is no such weight, and no division by it");
    }

    #[test]
    fn history_counts_for_so_much() {
        let clock = 10 * APART_NS;
        assert_eq!(rebased(clock + 5, clock, 256), clock + 5);
        assert_eq!(rebased(0, clock, 256), clock - APART_NS);
        assert_eq!(rebased(u64::MAX, clock, 256), clock + APART_NS + SLICE_NS);
        assert_eq!(rebased(5, 7, 256), 5);
    }
}
