//! The symbol blob: names of the hypervisor's functions, for backtraces.
//!
//! The image builder appends it to the image:
//!
//! ```text
//! b"FRSYMS\0\x01"   u32 count   u32 bytes of the whole blob
//! count x { u32 offset of the function from the image's virtual base, u32 offset of its name
//!           from the start of the blob }, sorted by function
//! names, each ended by a zero byte
//! ```
//!
//! It is read in a panic, so nothing here trusts it: a damaged blob yields no names.

/// What a blob starts with.
pub const MAGIC: &[u8; 8] = b"FRSYMS\0\x01";
const HEADER: usize = 16;
const ENTRY: usize = 8;

/// A blob in memory.
#[derive(Clone, Copy)]
pub struct Symbols<'a> {
    blob: &'a [u8],
    count: usize,
}

impl<'a> Symbols<'a> {
    /// Takes `bytes` for a blob if they start like one and hold all of it.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::try_from(u32_at(bytes, 12)?).ok()?;
        let blob = bytes.get(..length).filter(|blob| blob.starts_with(MAGIC))?;
        let count = usize::try_from(u32_at(bytes, 8)?).ok()?;
        let table = count.checked_mul(ENTRY)?.checked_add(HEADER)?;
        (table <= length).then_some(Self { blob, count })
    }

    /// How many functions it names.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The function that `offset` (from the image's virtual base) is in, and how far in.
    pub fn lookup(&self, offset: u32) -> Option<(&'a str, u32)> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.word(middle, 0)? <= offset {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let found = low.checked_sub(1)?;
        let name = self.blob.get(usize::try_from(self.word(found, 4)?).ok()?..)?;
        let end = name.iter().position(|&byte| byte == 0)?;
        let name = core::str::from_utf8(name.get(..end)?).ok()?;
        Some((name, offset - self.word(found, 0)?))
    }

    fn word(&self, entry: usize, at: usize) -> Option<u32> {
        u32_at(self.blob, HEADER + entry * ENTRY + at)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let word = bytes.get(offset..offset + 4)?;
    word.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn blob() -> Vec<u8> {
        let names = b"boot\0main\0panic\0";
        let table = [(0x10_0000u32, 0u32), (0x10_0040, 5), (0x10_0100, 10)];
        let start = HEADER + table.len() * ENTRY;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(table.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&((start + names.len()) as u32).to_le_bytes());
        for (function, name) in table {
            bytes.extend_from_slice(&function.to_le_bytes());
            bytes.extend_from_slice(&(start as u32 + name).to_le_bytes());
        }
        bytes.extend_from_slice(names);
        bytes
    }

    #[test]
    fn functions_are_found_by_any_of_their_addresses() {
        let bytes = blob();
        let symbols = Symbols::new(&bytes).unwrap();
        assert_eq!(symbols.count(), 3);
        assert_eq!(symbols.lookup(0x10_0000), Some(("boot", 0)));
        assert_eq!(symbols.lookup(0x10_00ff), Some(("main", 0xbf)));
        assert_eq!(symbols.lookup(u32::MAX), Some(("panic", u32::MAX - 0x10_0100)));
        assert_eq!(symbols.lookup(0xf_ffff), None);
    }

    #[test]
    fn damage_yields_no_names() {
        let good = blob();
        for length in 0..good.len() {
            assert!(Symbols::new(&good[..length]).is_none(), "{length}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0xff;
            if let Some(symbols) = Symbols::new(&bytes) {
                let _ = symbols.lookup(0x10_0041);
            }
        }
    }
}
