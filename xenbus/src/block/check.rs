//! Is a request of a front end's one that can be done? Nothing is changed by finding out.

use alloc::vec::Vec;

use pv_abi::io::blkif::{
    BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_READ, BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER,
    BLKIF_RSP_EOPNOTSUPP, BLKIF_RSP_ERROR, BlkifRequestSegment,
};
use pv_abi::types::GrantRef;

use super::wire::{Body, Request};
use super::{Properties, SECTOR};

/// Segments of an indirect request that a back end takes: 256 KiB.
pub const MOST_SEGMENTS: u16 = 64;

/// Whole sectors in a granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The page.
    pub grant: GrantRef,
    /// First byte in it.
    pub offset: u16,
    /// How many bytes, up to the page's end.
    pub length: u16,
}

/// What is to be done, within the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Read.
    Read(u64, Vec<Segment>),
    /// Write.
    Write(u64, Vec<Segment>),
    /// Write, behind a barrier; nothing at all, perhaps.
    Barrier(u64, Vec<Segment>),
    /// Flush.
    Flush,
    /// Discard so many sectors.
    Discard(u64, u64),
}

/// A status for the response.
pub type Refused = i16;

/// Judges a request. `indirect` is what its pages of segments say, where it has some.
///
/// # Errors
/// The response's status.
pub fn check(
    disk: &Properties,
    request: &Request,
    indirect: &[BlkifRequestSegment],
) -> Result<Plan, Refused> {
    match &request.body {
        Body::Direct { sector, count, segments } => {
            let segments = segments.get(..usize::from(*count)).ok_or(BLKIF_RSP_ERROR)?;
            transfer(disk, request.operation, *sector, segments)
        }
        Body::Indirect {
            operation: operation @ (BLKIF_OP_READ | BLKIF_OP_WRITE), sector, ..
        } => transfer(disk, *operation, *sector, indirect),
        Body::Indirect { .. } => Err(BLKIF_RSP_ERROR),
        Body::Discard { .. } if !disk.discard => Err(BLKIF_RSP_EOPNOTSUPP),
        Body::Discard { sector, count, .. } => {
            // Securely or not: that is not offered, and the header has the flag ignored then.
            writable(disk)?;
            within(disk, *sector, *count)?;
            Ok(Plan::Discard(*sector, *count))
        }
        Body::Unknown => Err(BLKIF_RSP_EOPNOTSUPP),
    }
}

/// How many segments the pages of an indirect request shall be read for.
///
/// # Errors
/// More than are taken, or none.
pub fn indirect_segments(count: u16) -> Result<usize, Refused> {
    if (1..=MOST_SEGMENTS).contains(&count) { Ok(count.into()) } else { Err(BLKIF_RSP_ERROR) }
}

fn transfer(
    disk: &Properties,
    operation: u8,
    sector: u64,
    segments: &[BlkifRequestSegment],
) -> Result<Plan, Refused> {
    let checked: Vec<Segment> = segments.iter().map(segment).collect::<Result<_, _>>()?;
    let bytes: u64 = checked.iter().map(|segment| u64::from(segment.length)).sum();
    if !checked.is_empty() {
        within(disk, sector, bytes / SECTOR as u64)?;
    }
    match operation {
        BLKIF_OP_READ if !checked.is_empty() => return Ok(Plan::Read(sector, checked)),
        BLKIF_OP_FLUSH_DISKCACHE if checked.is_empty() => return Ok(Plan::Flush),
        _ => writable(disk)?,
    }
    match operation {
        BLKIF_OP_WRITE if !checked.is_empty() => Ok(Plan::Write(sector, checked)),
        // A flush with data is one before the data is written: a barrier is that, and more.
        BLKIF_OP_WRITE_BARRIER | BLKIF_OP_FLUSH_DISKCACHE => Ok(Plan::Barrier(sector, checked)),
        _ => Err(BLKIF_RSP_ERROR),
    }
}

fn segment(wire: &BlkifRequestSegment) -> Result<Segment, Refused> {
    let BlkifRequestSegment { gref, first_sect, last_sect, .. } = *wire;
    if first_sect > last_sect || last_sect > 7 {
        return Err(BLKIF_RSP_ERROR);
    }
    let sectors = last_sect - first_sect + 1;
    let bytes = |sectors: u8| u16::from(sectors) * SECTOR as u16;
    Ok(Segment { grant: gref, offset: bytes(first_sect), length: bytes(sectors) })
}

fn writable(disk: &Properties) -> Result<(), Refused> {
    if disk.read_only { Err(BLKIF_RSP_ERROR) } else { Ok(()) }
}

/// Whether sectors are the disk's, and whole ones of its own.
fn within(disk: &Properties, sector: u64, count: u64) -> Result<(), Refused> {
    let own = u64::from(disk.sector_size) / SECTOR as u64;
    let end = sector.checked_add(count).ok_or(BLKIF_RSP_ERROR)?;
    let whole = sector.is_multiple_of(own) && count.is_multiple_of(own);
    if whole && end <= disk.sectors { Ok(()) } else { Err(BLKIF_RSP_ERROR) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::io::blkif::{BLKIF_OP_DISCARD, BLKIF_OP_INDIRECT};
    use std::vec;

    const DISK: Properties =
        Properties { sectors: 100, sector_size: 512, read_only: false, discard: true };

    fn wire(first_sect: u8, last_sect: u8) -> BlkifRequestSegment {
        BlkifRequestSegment { gref: GrantRef::new(5), first_sect, last_sect, _pad: [0; 2] }
    }

    fn direct(operation: u8, sector: u64, segments: &[BlkifRequestSegment]) -> Request {
        let mut all = [wire(0, 0); 11];
        all[..segments.len()].copy_from_slice(segments);
        let count = segments.len() as u8;
        Request { id: 1, operation, body: Body::Direct { sector, count, segments: all } }
    }

    fn judge(disk: &Properties, request: &Request) -> Result<Plan, Refused> {
        check(disk, request, &[])
    }

    #[test]
    fn segments_are_sectors_in_a_page() {
        let plan = judge(&DISK, &direct(BLKIF_OP_READ, 3, &[wire(0, 7), wire(2, 2)]));
        let grant = GrantRef::new(5);
        let expected = vec![
            Segment { grant, offset: 0, length: 4096 },
            Segment { grant, offset: 1024, length: 512 },
        ];
        assert_eq!(plan, Ok(Plan::Read(3, expected)));
        for (first, last) in [(3, 2), (0, 8), (8, 8), (255, 255), (0, 255)] {
            let request = direct(BLKIF_OP_READ, 0, &[wire(0, 7), wire(first, last)]);
            assert_eq!(judge(&DISK, &request), Err(BLKIF_RSP_ERROR), "{first} {last}");
        }
    }

    #[test]
    fn too_many_segments_and_none_are_errors() {
        let mut request = direct(BLKIF_OP_READ, 0, &[wire(0, 0)]);
        for (count, status) in [(0, false), (1, true), (11, true), (12, false), (255, false)] {
            if let Body::Direct { count: stated, .. } = &mut request.body {
                *stated = count;
            }
            assert_eq!(judge(&DISK, &request).is_ok(), status, "{count}");
        }
        assert_eq!(indirect_segments(0), Err(BLKIF_RSP_ERROR));
        assert_eq!(indirect_segments(MOST_SEGMENTS), Ok(64));
        assert_eq!(indirect_segments(MOST_SEGMENTS + 1), Err(BLKIF_RSP_ERROR));
    }

    #[test]
    fn nothing_reaches_behind_the_end() {
        for (sector, fits) in [(92, true), (93, false), (100, false), (u64::MAX, false)] {
            let request = direct(BLKIF_OP_WRITE, sector, &[wire(0, 7)]);
            assert_eq!(judge(&DISK, &request).is_ok(), fits, "{sector}");
        }
        for (sector, count, fits) in
            [(0, 100, true), (1, 100, false), (5, u64::MAX, false), (100, 0, true)]
        {
            let body = Body::Discard { flag: 1, sector, count };
            let request = Request { id: 1, operation: BLKIF_OP_DISCARD, body };
            assert_eq!(judge(&DISK, &request).is_ok(), fits, "{sector} {count}");
        }
    }

    #[test]
    fn large_sectors_are_whole() {
        let disk = Properties { sectors: 96, sector_size: 4096, ..DISK };
        for (sector, last, fits) in [(8, 7, true), (4, 7, false), (8, 3, false), (88, 7, true)] {
            let request = direct(BLKIF_OP_WRITE, sector, &[wire(0, last)]);
            assert_eq!(judge(&disk, &request).is_ok(), fits, "{sector} {last}");
        }
        let halves = direct(BLKIF_OP_READ, 8, &[wire(0, 3), wire(4, 7)]);
        assert!(judge(&disk, &halves).is_ok(), "together they are one");
    }

    #[test]
    fn a_read_only_disk_is_read_and_flushed() {
        let disk = Properties { read_only: true, ..DISK };
        assert!(judge(&disk, &direct(BLKIF_OP_READ, 0, &[wire(0, 0)])).is_ok());
        assert_eq!(judge(&disk, &direct(BLKIF_OP_FLUSH_DISKCACHE, 0, &[])), Ok(Plan::Flush));
        for operation in [BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER, BLKIF_OP_FLUSH_DISKCACHE] {
            let request = direct(operation, 0, &[wire(0, 0)]);
            assert_eq!(judge(&disk, &request), Err(BLKIF_RSP_ERROR), "{operation}");
        }
    }

    #[test]
    fn what_is_not_done_is_not_supported() {
        let unknown = Request { id: 1, operation: 200, body: Body::Unknown };
        assert_eq!(judge(&DISK, &unknown), Err(BLKIF_RSP_EOPNOTSUPP));
        let body = Body::Discard { flag: 0, sector: 0, count: 1 };
        let discard = Request { id: 1, operation: BLKIF_OP_DISCARD, body };
        let disk = Properties { discard: false, ..DISK };
        assert_eq!(judge(&disk, &discard), Err(BLKIF_RSP_EOPNOTSUPP));
        let pages = [GrantRef::new(1); 8];
        let body = Body::Indirect { operation: BLKIF_OP_WRITE_BARRIER, sector: 0, count: 1, pages };
        let barrier = Request { id: 1, operation: BLKIF_OP_INDIRECT, body };
        assert_eq!(check(&DISK, &barrier, &[wire(0, 0)]), Err(BLKIF_RSP_ERROR));
    }

    #[test]
    fn a_barrier_may_be_empty() {
        let empty = Plan::Barrier(0, vec![]);
        assert_eq!(judge(&DISK, &direct(BLKIF_OP_WRITE_BARRIER, 0, &[])), Ok(empty));
        let flush = judge(&DISK, &direct(BLKIF_OP_FLUSH_DISKCACHE, 1, &[wire(0, 0)]));
        assert!(matches!(flush, Ok(Plan::Barrier(1, _))), "with data it is one");
    }
}
