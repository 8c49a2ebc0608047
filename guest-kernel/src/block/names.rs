//! Names of disks.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `a` to `z`, then `aa` and so on.
pub fn letters(number: u32) -> String {
    let mut name = Vec::new();
    let mut rest = Some(number);
    while let Some(number) = rest {
        name.push(char::from(b'a' + (number % 26) as u8));
        rest = (number / 26).checked_sub(1);
    }
    name.into_iter().rev().collect()
}

/// The name of the disk that XenStore has as `device/vbd/<number>`, by xen-vbd-interface(7): 202 in
/// the byte above a minor number, of which 16 are a disk's; or bit 28, and 256 for each. Disks of other
/// kinds are known by their number.
pub fn vbd(number: u32) -> String {
    let (disk, partition) = match (number >> 28, number >> 8) {
        (0, 202) => ((number & 0xff) >> 4, number & 0xf),
        (1, _) => ((number & 0x0fff_ffff) >> 8, number & 0xff),
        _ => return format!("vbd{number}"),
    };
    let letters = letters(disk);
    if partition > 0 { format!("xvd{letters}{partition}") } else { format!("xvd{letters}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_behind_z() {
        for (number, name) in
            [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (701, "zz"), (702, "aaa")]
        {
            assert_eq!(letters(number), name);
        }
    }

    #[test]
    fn a_number_is_a_name() {
        for (number, name) in [
            (51712, "xvda"),
            (51713, "xvda1"),
            (51728, "xvdb"),
            (51967, "xvdp15"),
            (1 << 28 | 16 << 8, "xvdq"),
            (1 << 28 | 26 << 8 | 3, "xvdaa3"),
            (768, "vbd768"),
            (u32::MAX, "vbd4294967295"),
        ] {
            assert_eq!(vbd(number), name);
        }
    }
}
