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
    ///
    /// The frequency is shifted into (10^9, 2 * 10^9], which gives the fraction its top bit.
    pub const fn from_hz(hz: u64) -> Self {
        let mut hz = if hz == 0 { 1 } else { hz };
        let mut shift = 0i8;
        while hz > 2 * NS_PER_SECOND {
            hz >>= 1;
            shift -= 1;
        }
        while hz <= NS_PER_SECOND {
            hz <<= 1;
            shift += 1;
        }
        // hz > 10^9, so the quotient is below 2^32.
        Self { shift, mul_frac: ((NS_PER_SECOND << 32) / hz) as u32 }
    }

    /// Nanoseconds in `ticks`; wraps where the result exceeds 64 bits.
    #[inline]
    pub const fn to_ns(self, ticks: u64) -> u64 {
        let shifted =
            if self.shift < 0 { ticks >> self.shift.unsigned_abs() } else { ticks << self.shift };
        ((shifted as u128 * self.mul_frac as u128) >> 32) as u64
    }

    /// Ticks in `ns`, saturating: for programming a counter that far ahead.
    #[inline]
    pub const fn to_ticks(self, ns: u64) -> u64 {
        if self.mul_frac == 0 {
            return 0;
        }
        let wide = ((ns as u128) << 32) / self.mul_frac as u128;
        let ticks =
            if self.shift < 0 { wide << self.shift.unsigned_abs() } else { wide >> self.shift };
        if ticks > u64::MAX as u128 { u64::MAX } else { ticks as u64 }
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
    fn ticks_are_the_inverse() {
        let scale = TimeScale::from_hz(2_893_202_000);
        let ticks = scale.to_ticks(5_000_000);
        assert!(scale.to_ns(ticks).abs_diff(5_000_000) <= 1);
        assert_eq!(TimeScale::default().to_ticks(7), 0);
        assert_eq!(TimeScale::from_hz(u64::MAX).to_ticks(u64::MAX), u64::MAX);
    }
}
