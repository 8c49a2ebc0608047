//! The CMOS real-time clock's registers as seconds since 1970.
//!
//! MC146818: BCD or binary, 12 or 24 hours, a year without its century. Taken as UTC, which
//! is what QEMU and servers keep there.

/// What the registers held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcRegisters {
    /// Register 0.
    pub second: u8,
    /// Register 2.
    pub minute: u8,
    /// Register 4; bit 7 is "afternoon" in 12-hour mode.
    pub hour: u8,
    /// Register 7, from 1.
    pub day: u8,
    /// Register 8, from 1.
    pub month: u8,
    /// Register 9, within the century.
    pub year: u8,
    /// Register 0xb: bit 2 binary, bit 1 24 hours.
    pub mode: u8,
}

const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;

impl RtcRegisters {
    /// Seconds since 1970-01-01 00:00; `None` if the registers show no date.
    ///
    /// Years 70 to 99 are taken for 1970 to 1999, the others for 2000 to 2069.
    pub fn unix_seconds(&self) -> Option<u64> {
        let number = |value: u8| match self.mode & BINARY {
            0 => {
                let (tens, ones) = (value >> 4, value & 0xf);
                (tens < 10 && ones < 10).then_some(u64::from(tens) * 10 + u64::from(ones))
            }
            _ => Some(u64::from(value)),
        };
        let mut hour = number(self.hour & !AFTERNOON)?;
        if self.mode & HOURS_24 == 0 {
            hour = hour % 12 + if self.hour & AFTERNOON == 0 { 0 } else { 12 };
        }
        let (second, minute) = (number(self.second)?, number(self.minute)?);
        let (day, month, year) = (number(self.day)?, number(self.month)?, number(self.year)?);
        let sane = second < 60
            && minute < 60
            && hour < 24
            && (1..=31).contains(&day)
            && (1..=12).contains(&month)
            && year < 100;
        if !sane {
            return None;
        }
        let year = if year < 70 { 2000 + year } else { 1900 + year };
        let days = days_before(year, month) + day - 1;
        Some(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}

/// Days from 1970-01-01 to the first day of a month.
fn days_before(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400;
    const LEAP_DAYS_BEFORE_1970: u64 = 1969 / 4 - 1969 / 100 + 1969 / 400;
    let in_year = BEFORE.get(month as usize - 1).copied().unwrap_or(0);
    (year - 1970) * 365 + leap_days - LEAP_DAYS_BEFORE_1970 + in_year + u64::from(leap && month > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: RtcRegisters = RtcRegisters {
        second: 0x30,
        minute: 0x59,
        hour: 0x12,
        day: 0x29,
        month: 0x02,
        year: 0x24,
        mode: HOURS_24,
    };

    #[test]
    fn a_leap_day_in_bcd() {
        // date -u -d '2024-02-29 12:59:30' +%s
        assert_eq!(NOON.unix_seconds(), Some(1_709_211_570));
    }

    #[test]
    fn binary_registers() {
        let binary = RtcRegisters {
            second: 30,
            minute: 59,
            hour: 12,
            day: 29,
            month: 2,
            year: 24,
            mode: HOURS_24 | BINARY,
        };
        assert_eq!(binary.unix_seconds(), NOON.unix_seconds());
    }

    #[test]
    fn twelve_hours() {
        let at = |hour| RtcRegisters { hour, mode: 0, ..NOON }.unix_seconds().unwrap();
        assert_eq!(at(0x12 | AFTERNOON), NOON.unix_seconds().unwrap());
        assert_eq!(at(0x12), NOON.unix_seconds().unwrap() - 12 * 3600);
        assert_eq!(at(0x01 | AFTERNOON), NOON.unix_seconds().unwrap() + 3600);
    }

    #[test]
    fn the_epoch_and_later() {
        let at = |year, month, day| RtcRegisters {
            second: 0,
            minute: 0,
            hour: 0,
            day,
            month,
            year,
            mode: HOURS_24 | BINARY,
        };
        assert_eq!(at(70, 1, 1).unix_seconds(), Some(0));
        assert_eq!(at(0, 3, 1).unix_seconds(), Some(951_868_800));
        assert_eq!(at(26, 11, 22).unix_seconds(), Some(1_795_305_600));
    }

    #[test]
    fn nonsense_is_no_date() {
        assert_eq!(RtcRegisters { second: 0x61, ..NOON }.unix_seconds(), None);
        assert_eq!(RtcRegisters { minute: 0xaa, ..NOON }.unix_seconds(), None);
        assert_eq!(RtcRegisters { month: 0, ..NOON }.unix_seconds(), None);
        assert_eq!(RtcRegisters { day: 0, ..NOON }.unix_seconds(), None);
    }
}
