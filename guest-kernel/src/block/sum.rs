//! The checksum of Ethernet, zip and GPT (CRC-32, reflected, polynomial 0x04c11db7).

/// What each value of a byte does to a sum.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut sum, mut bit) = (at as u32, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ ((sum & 1) * 0xedb8_8320);
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

/// The sum of bytes that come part by part.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u32);

impl Sum {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let step = |sum: u32, byte: &u8| TABLE[(sum as u8 ^ byte) as usize] ^ (sum >> 8);
        self.0 = bytes.iter().fold(self.0, step);
    }

    /// The sum of all.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

/// The sum of bytes that are there.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_right_in_parts_too() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let mut sum = Sum::new();
        sum.add(b"1234");
        sum.add(b"56789");
        assert_eq!(sum.value(), 0xcbf4_3926);
    }
}
