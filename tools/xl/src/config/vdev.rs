//! How a disk is named and numbered: xen-vbd-interface(7).
//!
//! A name such as `xvda2` stands for a disk and a partition; the number that the guest finds in
//! XenStore says both, and by which of Linux's majors it wants to be known: 51712 is `xvda`.

/// Bits of Linux's majors of disks.
const XVD: u32 = 202 << 8;
const SD: u32 = 8 << 8;
const HD: [u32; 2] = [3 << 8, 22 << 8];
/// Marks a number that has room for many disks and partitions.
const EXTENDED: u32 = 1 << 28;

/// The number of a virtual disk; `None`: there is no such name, or no such disk.
pub fn number(name: &str) -> Option<u32> {
    if let Some((disk, partition)) = by_numbers(name).or_else(|| by_letters(name, "xvd")) {
        return match (disk, partition) {
            (0..16, 0..16) => Some(XVD | disk << 4 | partition),
            (0..0x10_0000, 0..256) => Some(EXTENDED | disk << 8 | partition),
            _ => None,
        };
    }
    if let Some((disk, partition)) = by_letters(name, "hd") {
        let major = HD.get(disk as usize / 2).filter(|_| partition < 64)?;
        return Some(major | (disk & 1) << 6 | partition);
    }
    if let Some((disk, partition)) = by_letters(name, "sd") {
        return (disk < 16 && partition < 16).then_some(SD | disk << 4 | partition);
    }
    let number = match name.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits(name),
    };
    // It is a C int to Xen's tools.
    number.filter(|number| *number <= i32::MAX as u32)
}

/// `d0p1`: disk 0, partition 1.
fn by_numbers(name: &str) -> Option<(u32, u32)> {
    let (disk, partition) = name.strip_prefix('d')?.split_once('p')?;
    digits(disk).zip(digits(partition))
}

/// `xvda1`: letters count disks as if `a` to `z` were digits, with `aa` after `z`.
fn by_letters(name: &str, prefix: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix(prefix)?;
    let end = rest.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(rest.len());
    let (letters, partition) = rest.split_at(end);
    let mut disk = None;
    for letter in letters.bytes() {
        let before = disk.map_or(0, |disk: u32| disk + 1);
        let index = before.checked_mul(26)?.checked_add(u32::from(letter - b'a'))?;
        // None of the kinds has more.
        disk = Some(index).filter(|index| *index < 0x10_0000);
        disk?;
    }
    match partition {
        "" => Some((disk?, 0)),
        // Partitions count from 1 on, without leading zeroes.
        _ if partition.starts_with('0') => None,
        _ => Some((disk?, digits(partition)?)),
    }
}

/// A number in decimal, digits alone.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_manual_s() {
        for (name, expected) in [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdb", 51728),
            ("xvdp15", 51967),
            ("xvdq", 1 << 28 | 16 << 8),
            ("xvda16", 1 << 28 | 16),
            ("xvdaa3", 1 << 28 | 26 << 8 | 3),
            ("xvdba", 1 << 28 | 52 << 8),
            ("d0p0", 51712),
            ("d2p1", 51745),
            ("d536p37", 268_572_709),
            ("hda", 768),
            ("hdb1", 833),
            ("hdc", 5632),
            ("hdd63", 5759),
            ("sda", 2048),
            ("sdb3", 2067),
            ("51712", 51712),
            ("0xca00", 51712),
            ("2147483647", i32::MAX as u32),
        ] {
            assert_eq!(number(name), Some(expected), "{name}");
        }
        for name in [
            "",
            "xvd",
            "xvd1",
            "xvda0",
            "xvda01",
            "xvda256",
            "xvdA",
            "xvda1b",
            "hde",
            "hda64",
            "sdq",
            "sda16",
            "d0",
            "d0p",
            "dp1",
            "d+1p1",
            "d1048576p0",
            "d0p256",
            "fda",
            "-1",
            "2147483648",
            "0x",
            "xvdzzzzz",
            "xvdzzzzzzzzzzzzzz",
            "+1",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(xvd|hd|sd|d)?[a-z0-9p+x]{0,14}") {
            let _ = number(&text);
        }
    }
}
