//! From counter ticks to nanoseconds without a division.
//!
//! `ns = ((ticks << shift) * mul_frac) >> 32`: the form that the PV clock hands to guests
//! (`vcpu_time_info.tsc_shift` and `.tsc_to_system_mul` in `public/xen.h`), used by the
//! hypervisor too, so that both compute the same time to the last bit.

/// How ticks of a counter become nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeScale {
    /// Ticks are shifted left by this first (right, if negative).
    pub shift: i8,
    /// Then multiplied by this, and divided by 2^32.
    pub mul_frac: u32,
}

const NS_PER_SECOND: u64 = 1_000_000_000;

impl TimeScale {
    /// The scale of a counter with `hz` ticks a second (0 is taken as 1).
    pub const fn from_hz(hz: u64) -> Self {
        Self::between(hz, NS_PER_SECOND)
    }

    /// From ticks of a counter at `from_hz` to ticks of one at `to_hz` (0 is taken as 1).
    ///
    /// The shift is chosen so that the fraction's top bit is set: full precision.
    pub const fn between(from_hz: u64, to_hz: u64) -> Self {
        let from = if from_hz == 0 { 1 } else { from_hz as u128 };
        let to = if to_hz == 0 { 1 } else { to_hz as u128 };
        // The ratio times 2^64: at least 1, as `from` is below 2^64.
        let ratio = (to << 64) / from;
        // ratio = fraction * 2^(bits - 32), with 2^31 <= fraction < 2^32.
        let bits = u128::BITS - ratio.leading_zeros();
        let fraction = if bits > 32 { ratio >> (bits - 32) } else { ratio << (32 - bits) };
        Self { shift: (bits as i32 - 64) as i8, mul_frac: fraction as u32 }
    }

    /// Nanoseconds (ticks of the second counter) in `ticks`; wraps where the result exceeds 64 bits.
    #[inline]
    pub const fn to_ns(self, ticks: u64) -> u64 {
        let shifted =
            if self.shift < 0 { ticks >> self.shift.unsigned_abs() } else { ticks << self.shift };
        ((shifted as u128 * self.mul_frac as u128) >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gigahertz_counts_nanoseconds() {
        let scale = TimeScale::from_hz(1_000_000_000);
        assert_eq!(scale.to_ns(1_000_000_000), 1_000_000_000);
        assert_eq!(scale.to_ns(12_345), 12_345);
    }

    #[test]
    fn a_second_is_a_second_at_any_frequency() {
        for hz in [1, 1_193_182, 24_000_000, 999_999_999, 1_000_000_001, 2_893_202_000, 1 << 40] {
            let ns = TimeScale::from_hz(hz).to_ns(hz);
            assert!(ns.abs_diff(NS_PER_SECOND) <= 2, "{hz} Hz: {ns}");
        }
    }

    #[test]
    fn the_fraction_uses_all_its_bits() {
        for hz in [3, 1_000_000, 2_000_000_000, 2_000_000_001, u64::MAX] {
            assert!(TimeScale::from_hz(hz).mul_frac >= 1 << 31, "{hz} Hz");
        }
    }

    #[test]
    fn nanoseconds_become_ticks() {
        for hz in [24_000_000, 62_500_000, 1_000_000_000, 2_893_202_000] {
            let to_ticks = TimeScale::between(NS_PER_SECOND, hz);
            let ticks = to_ticks.to_ns(NS_PER_SECOND);
            assert!(ticks.abs_diff(hz) <= 2, "{hz} Hz: {ticks}");
        }
        assert_eq!(TimeScale::between(0, 0).to_ns(7), 7);
    }
}
