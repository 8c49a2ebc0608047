//! The symbol blob behind the hypervisor's image, from which a panic prints names.
//!
//! Little endian:
//! ```text
//! 0   "FRSYMS\0\x01"       magic and version
//! 8   u32 count            functions
//! 12  u32 total            bytes of the whole blob
//! 16  count × { u32 offset of the function from the image's virtual base,
//!               u32 offset of its name from the start of the blob }
//! …   names, demangled, each ended by NUL
//! ```
//! sorted by address, so that a reader without a heap finds the function that
//! an address lies in by binary search.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// The first eight bytes.
pub const MAGIC: &[u8; 8] = b"FRSYMS\0\x01";
const HEADER: usize = 16;
const ENTRY: usize = 8;

/// Encodes functions (offset, name) in any order; of two at one address the shorter name stays.
pub fn encode(functions: &[(u32, String)]) -> Result<Vec<u8>> {
    let mut sorted = BTreeMap::<u32, &str>::new();
    for (offset, name) in functions {
        let kept = sorted.entry(*offset).or_insert(name);
        if (name.len(), name.as_str()) < (kept.len(), *kept) {
            *kept = name;
        }
    }
    let mut table = Vec::new();
    let mut names = Vec::new();
    let names_at = HEADER + ENTRY * sorted.len();
    for (offset, name) in &sorted {
        let name_at = u32::try_from(names_at + names.len()).context("too many symbols")?;
        table.extend(offset.to_le_bytes());
        table.extend(name_at.to_le_bytes());
        names.extend(name.bytes().filter(|byte| *byte != 0));
        names.push(0);
    }
    let total = u32::try_from(names_at + names.len()).context("too many symbols")?;
    let mut blob = MAGIC.to_vec();
    blob.extend(u32::try_from(sorted.len())?.to_le_bytes());
    blob.extend(total.to_le_bytes());
    blob.extend(table);
    blob.extend(names);
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(blob: &[u8], at: usize) -> usize {
        u32::from_le_bytes(blob[at..at + 4].try_into().unwrap()) as usize
    }

    fn name(blob: &[u8], at: usize) -> &str {
        let end = at + blob[at..].iter().position(|byte| *byte == 0).unwrap();
        std::str::from_utf8(&blob[at..end]).unwrap()
    }

    #[test]
    fn is_sorted_and_says_its_size() {
        let functions = [
            (0x10_2000, "hypervisor::main".to_string()),
            (0x10_1000, "multiboot_entry".to_string()),
            (0x10_1000, "a_longer_alias_of_the_entry".to_string()),
        ];
        let blob = encode(&functions).unwrap();
        assert_eq!(&blob[..8], MAGIC);
        assert_eq!(word(&blob, 8), 2);
        assert_eq!(word(&blob, 12), blob.len());
        assert_eq!(word(&blob, 16), 0x10_1000);
        assert_eq!(name(&blob, word(&blob, 20)), "multiboot_entry");
        assert_eq!(word(&blob, 24), 0x10_2000);
        assert_eq!(name(&blob, word(&blob, 28)), "hypervisor::main");
        assert_eq!(blob.last(), Some(&0));
    }

    #[test]
    fn no_functions_is_a_blob_too() {
        let blob = encode(&[]).unwrap();
        assert_eq!(blob.len(), 16);
        assert_eq!(word(&blob, 12), 16);
    }
}
