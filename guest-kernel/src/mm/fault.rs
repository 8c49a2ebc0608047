//! Page faults of processes: zeroes on demand, file contents on demand, copies on write.

use super::frames::{self, Use};
use super::space::{NoMemory, Space, flags};
use super::table::{self, PRESENT, USER, WRITE};
use super::{PAGE, p2m};
use crate::regions::{Region, Regions, Source};
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::Pfn;

/// Faults resolved with a frame of zeroes (or of a file's bytes), since boot.
pub static DEMAND: AtomicU32 = AtomicU32::new(0);
/// Faults resolved by copying, since boot.
pub static COPIES: AtomicU32 = AtomicU32::new(0);

/// Error code bit: the page was there, the access was not allowed.
pub const PROTECTION: u32 = 1;
/// Error code bit: a write.
pub const WRITING: u32 = 2;
/// Error code bit: an instruction fetch (with NX only).
pub const FETCH: u32 = 16;

/// Why a fault cannot be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing is mapped there, or not for this kind of access.
    NotAllowed,
    /// No frame is left.
    NoMemory,
}

impl From<NoMemory> for Refusal {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Provides the page at `address` of the current space, as its region says.
pub fn resolve(
    space: &mut Space,
    regions: &Regions,
    address: u32,
    error: u32,
) -> Result<(), Refusal> {
    let Some(region) = regions.find(address) else { return Err(Refusal::NotAllowed) };
    let access = region.access;
    let write = error & WRITING != 0;
    let allowed = if write {
        access.write
    } else if error & FETCH != 0 {
        access.execute
    } else {
        access.read || access.execute
    };
    if !allowed {
        return Err(Refusal::NotAllowed);
    }
    let page = address & !(PAGE - 1);
    let (entry, place) = space.entry(page);
    let Some(pfn) = table::target(entry) else {
        if entry & PRESENT != 0 {
            return Err(Refusal::NotAllowed);
        }
        let (pfn, flags) = first_contents(region, page, write)?;
        DEMAND.fetch_add(1, Ordering::Relaxed);
        return space.map_at(place, page, pfn, flags).map_err(|no_memory| {
            frames::release(pfn);
            no_memory.into()
        });
    };
    if !write || entry & WRITE != 0 {
        // Permissions were extended since the page was mapped, or the CPU knew an older entry.
        if entry & USER == 0 || error & FETCH != 0 {
            space.replace(page, pfn, flags(access, frames::references(pfn) > 1));
        } else {
            super::space::flush();
        }
        return Ok(());
    }
    if frames::references(pfn) == 1 {
        space.replace(page, pfn, flags(access, false));
        return Ok(());
    }
    let copy = frames::allocate(Use::User).ok_or(Refusal::NoMemory)?;
    frames::copy(copy, pfn);
    space.replace(page, copy, flags(access, false));
    frames::release(pfn);
    COPIES.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// A frame with the first contents of the page at `page`, and the flags of its entry. A page of the
/// initrd is mapped in place until it is written to.
fn first_contents(region: &Region, page: u32, write: bool) -> Result<(Pfn, u64), Refusal> {
    let lasting = region.lasting_page(page);
    let lasting = lasting.and_then(|bytes| frames::share_boot(bytes.as_ptr().addr() as u32));
    let Some(frame) = lasting else {
        let pfn = frames::allocate_zeroed(Use::User).ok_or(Refusal::NoMemory)?;
        if region.source != Source::Zero {
            p2m::with_bytes(pfn, |bytes| region.fill_page(page, bytes));
        }
        return Ok((pfn, flags(region.access, false)));
    };
    if !write {
        return Ok((frame, flags(region.access, true)));
    }
    let copy = frames::allocate(Use::User);
    if let Some(copy) = copy {
        frames::copy(copy, frame);
    }
    frames::release(frame);
    copy.map(|copy| (copy, flags(region.access, false))).ok_or(Refusal::NoMemory)
}
