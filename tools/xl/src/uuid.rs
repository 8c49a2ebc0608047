//! A domain's handle: sixteen bytes that name it for ever, unlike its number and its name.

use core::fmt;

/// A UUID, as `xen_domain_handle_t` holds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Reads 32 hexadecimal digits; hyphens may stand where they usually do, between bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut digits = text.chars();
        for byte in &mut bytes {
            let mut high = digits.next()?;
            if high == '-' {
                high = digits.next()?;
            }
            let (high, low) = (high.to_digit(16)?, digits.next()?.to_digit(16)?);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }

    /// Makes a random one (version 4) of random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_uuid_is_read_and_written() {
        let text = "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5";
        let uuid = Uuid::parse(text).unwrap();
        assert_eq!(uuid.0[..4], [0x59, 0xe1, 0xcf, 0x6c]);
        assert_eq!(uuid.to_string(), text);
        assert_eq!(Uuid::parse(&text.replace('-', "")), Some(uuid));
        assert_eq!(
            Uuid::from_random([0xff; 16]).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "59e1",
            "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf",
            "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf50",
        ] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
        assert_eq!(Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bg5"), None);
        assert_eq!(Uuid::parse("5-9e1cf6c-6ab9-4879-90e7-adc8d1c63bf5"), None);
    }
}
