//! The balloon: frames that the domain has given back, and may get again.
//!
//! A frame that goes into the balloon is taken from the allocator, loses its mapping, and its machine
//! frame goes back to the hypervisor; its pseudo-physical number stays ours, with nothing behind it.
//! Coming out, it gets a new machine frame, a mapping, and goes to the allocator.
//!
//! The domain never has more than it started with: its p2m list has no room for more.
#![allow(unsafe_code)] // UNSAFETY: takes frames out of the map of all frames, and puts them back.

use super::frames::{self, Use};
use super::{direct, p2m, space, table};
use crate::sync::Guarded;
use alloc::vec::Vec;
use pv_abi::types::{DOMID_SELF, DomId, Mfn, Pfn};
use ring1::calls;

/// Frames that are moved at a time.
const BATCH: usize = table::BATCH;
/// Frames that stay free whatever the target: 2 MiB.
const FLOOR: u32 = 512;

/// The pseudo-physical numbers in the balloon.
static GONE: Guarded<Vec<u32>> = Guarded::new(Vec::new());

/// Frames that the domain has, after moving as many into or out of the balloon as it takes to have
/// `target`. Stops early where memory is short, here or on the machine.
pub fn move_to(target: u32) -> u32 {
    loop {
        let has = has();
        let moved = if has > target {
            give((has - target).min(BATCH as u32))
        } else {
            take((target - has).min(BATCH as u32))
        };
        if moved == 0 {
            return has;
        }
    }
}

/// Frames that the domain has.
pub fn has() -> u32 {
    let counts = frames::counts();
    counts.total() - counts.of(Use::Ballooned)
}

/// Gives up to `count` frames back; how many.
fn give(count: u32) -> usize {
    // Before the frames are taken: the list may need memory itself.
    if GONE.with(|gone| gone.try_reserve(BATCH)).is_err() {
        return 0;
    }
    let free = frames::counts().of(Use::Free);
    let count = count.min(free.saturating_sub(FLOOR));
    let taken: heapless::Vec<Pfn, BATCH> =
        (0..count).map_while(|_| frames::allocate(Use::Ballooned)).collect();
    let mut batch = table::Batch::new();
    taken.iter().for_each(|pfn| direct::clear_entry(&mut batch, *pfn));
    batch.send();
    space::flush();
    let mut machine: heapless::Vec<u32, BATCH> =
        taken.iter().map(|pfn| p2m::mfn(*pfn).raw() as u32).collect();
    let given = calls::decrease_reservation(&mut machine).unwrap_or(0) as usize;
    for (index, pfn) in taken.iter().enumerate() {
        if index < given {
            p2m::set(*pfn, None);
            GONE.with(|gone| gone.push(pfn.raw() as u32));
        } else {
            // The hypervisor did not want it.
            restore(*pfn);
        }
    }
    given
}

/// Takes up to `count` frames; how many.
fn take(count: u32) -> usize {
    let mut extents: heapless::Vec<u32, BATCH> = heapless::Vec::new();
    GONE.with(|gone| extents.extend((0..count).map_while(|_| gone.pop())));
    let numbers = extents.clone();
    let own = DomId::new(DOMID_SELF);
    let taken = match calls::populate_physmap(own, &mut extents, 0, 0) {
        Ok(taken) => taken as usize,
        Err(_) => 0,
    };
    for (index, (number, machine)) in numbers.iter().zip(&extents).enumerate() {
        if index < taken {
            let pfn = Pfn::new(u64::from(*number));
            p2m::set(pfn, Some(Mfn::new(u64::from(*machine))));
            restore(pfn);
        } else {
            // There was room: it has just been taken out.
            GONE.with(|gone| gone.push(*number));
        }
    }
    taken
}

/// Maps a frame again, and frees it.
fn restore(pfn: Pfn) {
    let mut batch = table::Batch::new();
    direct::set_entry(&mut batch, pfn, table::kernel_data());
    batch.send();
    frames::release(pfn);
}
