//! A disk in tests, held against a row of bytes.

use super::{Disk, SECTOR};
use pv_abi::errno::Errno;
use std::vec;
use std::vec::Vec;

/// Sectors of the disks.
pub const SECTORS: usize = 40;
/// Their bytes.
pub const BYTES: usize = SECTORS * SECTOR;

/// Writes to a disk of zeroes (from this sector on, so many, filled with this byte); those that do not
/// fit must be refused, and what is read afterwards must be the bytes that come back.
pub fn written(disk: &dyn Disk, writes: Vec<(u64, usize, u8)>) -> Vec<u8> {
    let mut model = vec![0; BYTES];
    for (sector, count, byte) in writes {
        let fits = sector as usize + count <= SECTORS;
        let written = disk.write(sector, &vec![byte; count * SECTOR]);
        assert_eq!(written, if fits { Ok(()) } else { Err(Errno::EIO) });
        if fits {
            model[sector as usize * SECTOR..][..count * SECTOR].fill(byte);
        }
    }
    let mut all = vec![0; BYTES];
    assert_eq!(disk.read(0, &mut all), Ok(()));
    assert!(all == model);
    model
}
