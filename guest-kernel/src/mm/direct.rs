//! The map of all frames at `VIRT_BASE`, extended 2 MiB at a time.
//!
//! The builder maps what it laid out and some slack. `reach` maps on: it takes the spare frame,
//! fills it with 512 entries while it is plain memory, makes it read-only and links it as L1. The
//! next spare is the first of the frames that it maps.

use super::frames::{self, Use};
use super::table::{self, ENTRIES, KERNEL_RW};
use super::{PAGE, p2m, window};
use crate::sync::Guarded;
use pv_abi::types::Pfn;
use ring1::entry::{self, VIRT_BASE};

/// Frames that fit below the heap's window.
pub const LIMIT: u32 = (window::HEAP - VIRT_BASE) / PAGE;

struct Direct {
    /// First frame that is not mapped.
    end: u32,
    /// Frames that there are.
    total: u32,
    /// A mapped frame that the next L1 is made of.
    spare: Option<Pfn>,
}

static DIRECT: Guarded<Direct> = Guarded::new(Direct { end: 0, total: 0, spare: None });

fn l1_of(frame: u32) -> Option<Pfn> {
    table::target(table::read(table::kernel_l2(), (VIRT_BASE >> 21) + frame / ENTRIES))
}

/// Finds out what the builder mapped, and maps on for a frame table of `table_pages` frames that
/// cannot be allocated, since it does not exist yet. The frames from `unused` on are free: the first
/// ones become the L1s that this takes. Returns the frame after those, the frame table's first.
pub(super) fn init(unused: u32, table_pages: u32, total: u32) -> u32 {
    let mut end = 0;
    while end < total {
        match l1_of(end) {
            Some(l1) if table::read(l1, end) & table::PRESENT != 0 => end += 1,
            _ => break,
        }
    }
    assert!(unused < end, "the builder left no room behind the boot stack");
    let mut tables = unused;
    // A few frames more than the table itself, for the L1s in front of it and the first spare.
    while end < (tables + table_pages + 8).min(total) {
        assert!(tables < end, "no room for the frame table's page tables");
        let (new_end, used) = extend(end, total, Pfn::new(u64::from(tables)));
        tables += u32::from(used);
        end = new_end;
    }
    DIRECT.with(|direct| {
        direct.total = total;
        direct.end = end;
    });
    tables
}

/// Maps the frames from `end` to the end of their 2 MiB; returns the new end, and whether `spare`
/// became a table for it.
fn extend(end: u32, total: u32, spare: Pfn) -> (u32, bool) {
    let new_end = (end + 1).next_multiple_of(ENTRIES).min(total);
    let flags = table::kernel_data();
    let entry_of = |frame: u32| table::entry(Pfn::new(u64::from(frame)), flags);
    if let Some(l1) = l1_of(end) {
        let mut batch = table::Batch::new();
        for frame in end..new_end {
            batch.set(l1, frame, entry_of(frame));
        }
        return (new_end, false);
    }
    for index in 0..ENTRIES {
        let frame = end / ENTRIES * ENTRIES + index;
        let entry = if frame < new_end { entry_of(frame) } else { 0 };
        table::write_plain(spare, index, entry);
    }
    table::protect(spare);
    let index = (VIRT_BASE >> 21) + end / ENTRIES;
    table::set(table::kernel_l2(), index, table::entry(spare, KERNEL_RW));
    (new_end, true)
}

/// What `reach` found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The frame was mapped already.
    Mapped,
    /// It is now; a new spare must be set (`set_spare`).
    Extended,
    /// There is no such frame, or no table to map it with.
    End,
}

/// Sees to it that `frame`, the first never used, is mapped.
pub(super) fn reach(frame: u32) -> Reach {
    DIRECT.with(|direct| {
        if frame >= direct.total {
            return Reach::End;
        }
        if frame < direct.end {
            return Reach::Mapped;
        }
        let Some(spare) = direct.spare.take() else { return Reach::End };
        let (end, used) = extend(direct.end, direct.total, spare);
        direct.end = end;
        if used {
            Reach::Extended
        } else {
            direct.spare = Some(spare);
            Reach::Mapped
        }
    })
}

/// Names the frame that the next L1 is made of.
pub(super) fn set_spare(spare: Pfn) {
    DIRECT.with(|direct| direct.spare = Some(spare));
}

/// Notes which of the builder's frames are page tables, and sets the first spare aside.
pub(super) fn count_boot_tables() {
    let root = table::boot_root();
    frames::mark_boot(root, Use::Table3);
    for slot in 0..4 {
        let Some(l2) = table::target(table::read(root, slot)) else { continue };
        frames::mark_boot(l2, Use::Table2);
        // Slot 3 holds the hypervisor's entries, which lead to no frame of ours.
        for index in 0..ENTRIES {
            if let Some(l1) = table::target(table::read(l2, index)) {
                frames::mark_boot(l1, Use::Table1);
            }
        }
    }
    if let Some(spare) = frames::allocate(Use::Table1) {
        set_spare(spare);
    }
}

/// Gives the image the permissions that its parts are to have: code is not written, data not
/// executed. The builder maps everything writable and executable.
pub(super) fn protect_image() {
    let [code, rodata, data] = entry::image();
    let read_only = table::KERNEL_RO;
    let parts = [
        (code, read_only),
        (rodata, read_only | table::no_execute()),
        (data, table::kernel_data()),
    ];
    let mut batch = table::Batch::new();
    for (range, flags) in parts {
        for address in range.step_by(PAGE as usize) {
            // Data pages that lead elsewhere by now stay: the window on the shared info page.
            if address != entry::shared_info_address() {
                set_entry(&mut batch, p2m::frame_at(address), flags);
            }
        }
    }
    batch.send();
    super::space::flush();
}

/// Adds to a batch: the frame has no mapping any more.
pub fn clear_entry(batch: &mut table::Batch, pfn: Pfn) {
    let frame = pfn.raw() as u32;
    match l1_of(frame) {
        Some(l1) => batch.set(l1, frame, 0),
        None => panic!("{pfn} is not mapped"),
    }
}

/// Adds to a batch: the frame's own mapping gets these flags.
pub fn set_entry(batch: &mut table::Batch, pfn: Pfn, flags: u64) {
    let frame = pfn.raw() as u32;
    match l1_of(frame) {
        Some(l1) => batch.set(l1, frame, table::entry(pfn, flags)),
        None => panic!("{pfn} is not mapped"),
    }
}
