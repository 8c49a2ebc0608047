//! The frame allocator: who uses each frame, and how often.
//!
//! A frame is free (on a list), never used yet (above the high-water mark), or has a [`Use`] and a
//! reference count; user frames are shared between address spaces after a fork, the others have
//! one owner. What the builder laid out is [`Use::Boot`] and [`Use::Kernel`], for good.
#![allow(unsafe_code)] // UNSAFETY: places the frame table in memory itself; clears and copies frames.

use super::direct::{self, Reach};
use super::{PAGE, p2m};
use crate::sync::Guarded;
use pv_abi::types::Pfn;
use ring1::abi::StartInfo;
use ring1::events::Masked;
use ring1::{entry, page};

/// What a frame is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// Nothing.
    Free,
    /// Code, data and stacks of the kernel, and its frame table.
    Kernel,
    /// What the builder laid out and the kernel keeps.
    Boot,
    /// The kernel's heap.
    Heap,
    /// Nothing any more: the domain has given it back.
    Ballooned,
    /// A page of processes.
    User,
    /// A page table of level 1.
    Table1,
    /// A page table of level 2.
    Table2,
    /// A page table of level 3.
    Table3,
}

/// Number of uses.
const USES: usize = 9;

#[derive(Clone, Copy)]
struct Info {
    /// The next free frame; [`NONE`] at the end.
    next: u32,
    /// References; 0 when free.
    references: u16,
    /// The use.
    used_for: Use,
}

const NONE: u32 = u32::MAX;

struct Frames {
    info: &'static mut [Info],
    free: u32,
    free_frames: u32,
    /// First frame that was never handed out; all from here on are unused.
    fresh: u32,
    counts: [u32; USES],
    /// References to user frames beyond the first.
    shared: u32,
}

static FRAMES: Guarded<Frames> = Guarded::new(Frames {
    info: &mut [],
    free: NONE,
    free_frames: 0,
    fresh: 0,
    counts: [0; USES],
    shared: 0,
});

/// Frames that the kernel can map and so use.
fn usable(start_info: &StartInfo) -> u32 {
    start_info.nr_pages.min(direct::LIMIT)
}

/// Takes stock of what the builder used, and makes the frame table behind it.
pub(super) fn init(start_info: &'static StartInfo) {
    let total = usable(start_info);
    let [code, _, data] = entry::image();
    let round = |address: u32| address.next_multiple_of(PAGE);
    let list_end = start_info.mfn_list + start_info.nr_pages * 4;
    let mut used_end = [
        entry::builder_stack(),
        start_info.pt_base + start_info.nr_pt_frames * PAGE,
        list_end,
        data.end,
        core::ptr::from_ref(start_info).addr() as u32 + PAGE,
    ]
    .map(round)
    .into_iter()
    .max()
    .unwrap_or(data.end);
    if start_info.flags & pv_abi::start_info::SIF_MOD_START_PFN == 0 && start_info.mod_start != 0 {
        used_end = used_end.max(round(start_info.mod_start + start_info.mod_len));
    }
    // Behind it: L1 tables as far as the frame table needs them, and the frame table.
    let table_pages = round(total * size_of::<Info>() as u32) / PAGE;
    let tables = p2m::frame_at(used_end).raw() as u32;
    let table = direct::init(tables, table_pages, total);
    let first_free = table + table_pages;

    let pointer: *mut Info = p2m::pointer(Pfn::new(u64::from(table)));
    let boot = Info { next: NONE, references: 1, used_for: Use::Boot };
    for index in 0..first_free as usize {
        // SAFETY: 1. `direct::init` found the frames from `table` on unused, and mapped them for the
        // length of the table.
        unsafe { pointer.add(index).write(boot) };
    }
    for index in first_free as usize..total as usize {
        let info = Info { next: NONE, references: 0, used_for: Use::Free };
        // SAFETY: as above.
        unsafe { pointer.add(index).write(info) };
    }
    // SAFETY: 1. All `total` entries were just written. 2. Nothing else uses those frames.
    let info = unsafe { core::slice::from_raw_parts_mut(pointer, total as usize) };

    FRAMES.with(|frames| {
        frames.info = info;
        frames.fresh = first_free;
        frames.counts[Use::Boot as usize] = first_free;
        frames.counts[Use::Free as usize] = total - first_free;
        let image = p2m::frame_at(code.start).raw() as u32..p2m::frame_at(data.end).raw() as u32;
        for frame in image.chain(tables..first_free) {
            frames.mark(frame, Use::Kernel);
        }
        // Below the image lies nothing, where the link script left room.
        for frame in (0..p2m::frame_at(code.start).raw() as u32).rev() {
            frames.release(frame);
        }
    });
    direct::count_boot_tables();
}

impl Frames {
    fn mark(&mut self, frame: u32, used_for: Use) {
        if let Some(info) = self.info.get_mut(frame as usize) {
            self.counts[info.used_for as usize] -= 1;
            info.used_for = used_for;
            self.counts[used_for as usize] += 1;
        }
    }

    fn release(&mut self, frame: u32) {
        self.mark(frame, Use::Free);
        if let Some(info) = self.info.get_mut(frame as usize) {
            info.references = 0;
            info.next = self.free;
            self.free = frame;
            self.free_frames += 1;
        }
    }

    fn drop_reference(&mut self, pfn: Pfn) {
        let info = &mut self.info[pfn.raw() as usize];
        assert!(info.references > 0, "{pfn} freed twice");
        if info.references > 1 {
            info.references -= 1;
            self.shared -= 1;
        } else {
            self.release(pfn.raw() as u32);
        }
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(info) = self.info.get(self.free as usize) {
            let frame = self.free;
            self.free = info.next;
            self.free_frames -= 1;
            return Some(frame);
        }
        None
    }
}

impl Frames {
    fn take_fresh(&mut self, used_for: Use) -> Option<Pfn> {
        let frame = self.fresh;
        let info = self.info.get_mut(frame as usize)?;
        info.references = 1;
        self.fresh += 1;
        self.mark(frame, used_for);
        Some(Pfn::new(u64::from(frame)))
    }
}

/// Notes that a frame that the builder laid out is of this use.
pub(super) fn mark_boot(pfn: Pfn, used_for: Use) {
    FRAMES.with(|frames| frames.mark(pfn.raw() as u32, used_for));
}

/// Frames that only the kernel's heap and its tables may take, so that a process that takes all memory
/// dies of it and not the kernel.
const RESERVE: u32 = 128;

/// Whether only the reserve is left.
pub fn is_short() -> bool {
    FRAMES.with(|frames| frames.counts[Use::Free as usize] <= RESERVE)
}

/// A frame for `used_for`, with one reference and any contents. None: out of memory.
pub fn allocate(used_for: Use) -> Option<Pfn> {
    allocate_above(if used_for == Use::Heap { 0 } else { RESERVE }, used_for)
}

/// As [`allocate`], when the kernel cannot go on without.
pub fn allocate_from_reserve(used_for: Use) -> Option<Pfn> {
    allocate_above(0, used_for)
}

/// As [`allocate`], when more than so many frames are free.
fn allocate_above(reserve: u32, used_for: Use) -> Option<Pfn> {
    // Outside: whether one was returned that can be handed out again; inside: whether there is enough.
    let returned = FRAMES.with(|frames| {
        if frames.counts[Use::Free as usize] <= reserve {
            return Some(None);
        }
        let frame = frames.take()?;
        frames.mark(frame, used_for);
        frames.info[frame as usize].references = 1;
        Some(Some(Pfn::new(u64::from(frame))))
    });
    match returned {
        Some(frame) => frame,
        None => allocate_fresh(reserve, used_for),
    }
}

/// As [`allocate_above`], where no frame was returned that could be handed out again.
fn allocate_fresh(reserve: u32, used_for: Use) -> Option<Pfn> {
    // Nobody may take the frame between look and taking, or need the spare before it is replaced.
    let masked = Masked::new();
    let first = FRAMES.with(|frames| frames.fresh);
    // The table that maps more memory must lie in memory that is mapped already: `direct` keeps a frame
    // for that, and the first one newly mapped is its next.
    let reach = direct::reach(first);
    if reach == Reach::End {
        return None;
    }
    let fresh = FRAMES.with(|frames| {
        if reach == Reach::Extended {
            let spare = frames.take_fresh(Use::Table1)?;
            direct::set_spare(spare);
        }
        frames.take_fresh(used_for)
    });
    drop(masked);
    match fresh {
        None if reach == Reach::Extended => allocate_above(reserve, used_for),
        fresh => fresh,
    }
}

/// A zeroed frame.
pub fn allocate_zeroed(used_for: Use) -> Option<Pfn> {
    let pfn = allocate(used_for)?;
    clear(pfn);
    Some(pfn)
}

/// Adds a reference to a user frame.
pub fn share(pfn: Pfn) -> bool {
    FRAMES.with(|frames| {
        let info = &mut frames.info[pfn.raw() as usize];
        match info.references.checked_add(1) {
            Some(references) => {
                info.references = references;
                frames.shared += 1;
                true
            }
            None => false,
        }
    })
}

/// The frame of the builder's at an address of the map of all frames, with one reference more, so that
/// nobody writes to it. None: it is none of those.
pub fn share_boot(address: u32) -> Option<Pfn> {
    let pfn = p2m::frame_at(address);
    let is_boot = FRAMES.with(|frames| {
        frames.info.get(pfn.raw() as usize).is_some_and(|info| info.used_for == Use::Boot)
    });
    (is_boot && share(pfn)).then_some(pfn)
}

/// Drops a reference; the last one frees the frame.
pub fn release(pfn: Pfn) {
    FRAMES.with(|frames| frames.drop_reference(pfn));
}

/// Drops a reference to each.
pub fn release_all(pfns: impl IntoIterator<Item = Pfn>) {
    FRAMES.with(|frames| pfns.into_iter().for_each(|pfn| frames.drop_reference(pfn)));
}

/// References to a frame.
pub fn references(pfn: Pfn) -> u16 {
    FRAMES.with(|frames| frames.info[pfn.raw() as usize].references)
}

/// Zeroes a frame that the caller owns.
pub fn clear(pfn: Pfn) {
    // SAFETY: 1. The frame is the caller's alone, and mapped writable at its address.
    unsafe { page::clear(p2m::pointer(pfn)) }
}

/// Copies one frame to another that the caller owns.
pub fn copy(to: Pfn, from: Pfn) {
    // SAFETY: 1. Both are mapped at their addresses; `to` is the caller's alone, so they differ.
    unsafe { page::copy(p2m::pointer(to), p2m::pointer(from)) }
}

/// Writes `bytes` into a frame that the caller owns, at `offset`. Both must fit in the page.
pub fn fill(pfn: Pfn, offset: usize, bytes: &[u8]) {
    assert!(offset + bytes.len() <= PAGE as usize);
    // SAFETY: 1. The range lies in the frame, which is the caller's alone.
    unsafe {
        core::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            p2m::pointer::<u8>(pfn).add(offset),
            bytes.len(),
        );
    }
}

/// Frames by use, and how many references beyond the first user frames have.
pub struct Counts {
    uses: [u32; USES],
    /// References to user frames beyond the first one of each.
    pub shared: u32,
    /// User frames that have more than one reference.
    pub copy_on_write: u32,
}

impl Counts {
    /// Frames of one use.
    pub fn of(&self, used_for: Use) -> u32 {
        self.uses[used_for as usize]
    }

    /// All frames.
    pub fn total(&self) -> u32 {
        self.uses.iter().sum()
    }
}

/// The counts of now.
pub fn counts() -> Counts {
    FRAMES.with(|frames| Counts {
        uses: frames.counts,
        shared: frames.shared,
        copy_on_write: frames
            .info
            .iter()
            .take(frames.fresh as usize)
            .filter(|info| info.used_for == Use::User && info.references > 1)
            .count() as u32,
    })
}
