//! Numbers as people write and read them: sizes of memory, seconds with a decimal.

use core::fmt;

/// Reads an amount of memory, `64`, `64m`, `1g`, and returns KiB. The default unit is MiB: xl's
/// manual says KiB, xl itself takes MiB.
pub fn kib(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    let unit = text.get(digits.len()..)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "b" => return Some(number >> 10),
        "k" => 0,
        "" | "m" => 10,
        "g" => 20,
        "t" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Reads a decimal number, digits only.
pub fn decimal<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Nanoseconds as seconds with one decimal, rounded: what `%.1f` shows. It takes a width.
pub struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_add(50_000_000) / 100_000_000;
        Tenths(tenths).fmt(f)
    }
}

/// Tenths as a number with one decimal. It takes a width.
pub struct Tenths(pub u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.0 / 10, self.0 % 10);
        match f.width() {
            Some(width) => write!(f, "{whole:>width$}.{tenth}", width = width.saturating_sub(2)),
            None => write!(f, "{whole}.{tenth}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64", Some(65536)),
            ("64m", Some(65536)),
            ("64M", Some(65536)),
            ("1g", Some(1 << 20)),
            ("1T", Some(1 << 30)),
            ("100k", Some(100)),
            ("4096b", Some(4)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1mb", None),
            ("1x", None),
            ("1é", None),
            ("18446744073709551615t", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(kib(text), expected, "{text}");
        }
        assert_eq!(
            (decimal::<u32>("7"), decimal::<u32>("+7"), decimal::<u8>("256")),
            (Some(7), None, None)
        );
        assert_eq!(decimal::<u32>(""), None);
    }

    #[test]
    fn seconds() {
        assert_eq!(format!("[{:>8}]", Seconds(1_249_999_999)), "[     1.2]");
        assert_eq!(format!("[{}]", Seconds(1_250_000_000)), "[1.3]");
        assert_eq!(format!("[{:>3}]", Seconds(11_794_300_000_000)), "[11794.3]");
        assert_eq!(format!("{}", Seconds(u64::MAX)), "18446744073.7");
    }
}
