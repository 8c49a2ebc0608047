//! The frames of a simulated machine and the tables that boot code would make for them.
//!
//! `hypervisor` wants its tables for ever (`'static`). A property test makes thousands of
//! machines, so the memory of one that is gone goes back to a pool and serves the next.
#![allow(unsafe_code)]
// UNSAFETY: frames are looked at as words, half words and bytes, and objects are put into
// them by pointer; safe Rust has no type for such memory.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64};

use hypervisor::mm::frame::Frame;
use hypervisor::platform::{Bytes, HalfWords, Words};

/// Bytes in a frame.
pub const FRAME_SIZE: usize = 4096;
/// What precedes RAM's first usable frame: frame 0, as on a PC, is never handed out.
const FIRST_FRAME: usize = 1;

/// One contiguous, page-aligned block: frames, then the frame table, then the 8-byte M2P.
/// The 4-byte M2P lies in the first frames, where guests can be shown it.
pub struct Ram {
    base: NonNull<u8>,
    frames: usize,
}

// SAFETY: 1. `Ram` owns its block; all that it gives out is atomics or raw pointers.
unsafe impl Send for Ram {}
// SAFETY: 1. As above.
unsafe impl Sync for Ram {}

/// Blocks of machines that are gone.
static POOL: Mutex<Vec<Ram>> = Mutex::new(Vec::new());

impl Ram {
    /// Zeroed memory of `frames` frames.
    pub fn take(frames: usize) -> Ram {
        let pooled = POOL.lock().ok().and_then(|mut pool| {
            pool.iter().position(|ram| ram.frames == frames).map(|at| pool.swap_remove(at))
        });
        match pooled {
            Some(ram) => {
                // SAFETY: 1. The block has this size and belongs to `ram` alone: it came out of
                //            the pool, and what was lent from it ended with its machine.
                unsafe { ram.base.as_ptr().write_bytes(0, layout(frames).size()) };
                ram
            }
            None => {
                let layout = layout(frames);
                // SAFETY: 1. The size is not zero.
                let base = unsafe { alloc_zeroed(layout) };
                let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
                Ram { base, frames }
            }
        }
    }

    /// Gives the memory to the pool.
    ///
    /// # Safety
    ///
    /// 1. Nothing that this `Ram` lent is used any more.
    pub unsafe fn retire(&self) {
        if let Ok(mut pool) = POOL.lock() {
            pool.push(Ram { base: self.base, frames: self.frames });
        }
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The first frame that may be handed out.
    pub fn first_free(&self) -> usize {
        FIRST_FRAME + self.m2p32_frames()
    }

    /// Frames of the 4-byte M2P, from frame 1 on.
    pub fn m2p32_frames(&self) -> usize {
        (self.frames * 4).div_ceil(FRAME_SIZE)
    }

    /// Where the frame lies. Panics where there is no RAM: the hypervisor may reach only
    /// frames that it has from the frame table.
    pub fn pointer(&self, mfn: u64) -> *mut u8 {
        let index = usize::try_from(mfn).unwrap_or(usize::MAX);
        assert!(index < self.frames, "frame {mfn:#x} is not RAM");
        self.base.as_ptr().wrapping_add(index * FRAME_SIZE)
    }

    /// The frame as 64-bit words.
    pub fn words(&self, mfn: u64) -> &Words {
        // SAFETY: 1. `pointer` gives 4096 page-aligned bytes inside of the block, all initialised.
        //         2. The block lives as long as `self`; atomics allow for sharing.
        unsafe { &*self.pointer(mfn).cast() }
    }

    /// The frame as 32-bit words.
    pub fn half_words(&self, mfn: u64) -> &HalfWords {
        // SAFETY: 1., 2. as in `words`.
        unsafe { &*self.pointer(mfn).cast() }
    }

    /// The frame as bytes.
    pub fn bytes(&self, mfn: u64) -> &Bytes {
        // SAFETY: 1., 2. as in `words`.
        unsafe { &*self.pointer(mfn).cast() }
    }

    /// The frame table. It is `'static` for as long as the machine is.
    pub fn frame_table(&self) -> &'static [Frame] {
        self.table(self.frames * FRAME_SIZE)
    }

    /// The 8-byte machine-to-physical table.
    pub fn m2p64(&self) -> &'static [AtomicU64] {
        self.table(self.frames * (FRAME_SIZE + size_of::<Frame>()))
    }

    /// The 4-byte machine-to-physical table.
    pub fn m2p32(&self) -> &'static [AtomicU32] {
        self.table(FIRST_FRAME * FRAME_SIZE)
    }

    /// `frames` elements of a type of atomics for which zeros are a value, at `offset`.
    fn table<T>(&self, offset: usize) -> &'static [T] {
        assert!(offset + self.frames * size_of::<T>() <= layout(self.frames).size());
        let start = self.base.as_ptr().wrapping_add(offset).cast();
        // SAFETY: 1. The elements lie inside of the block (asserted), aligned: all offsets are
        //            multiples of 16. Zeros are a value of Frame, AtomicU32 and AtomicU64.
        //         2. The block is never freed, only pooled, and `retire`'s caller vouches that
        //            nobody uses this any more then.
        unsafe { slice::from_raw_parts(start, self.frames) }
    }
}

fn layout(frames: usize) -> Layout {
    let size = frames * (FRAME_SIZE + size_of::<Frame>() + size_of::<u64>());
    match Layout::from_size_align(size, FRAME_SIZE) {
        Ok(layout) => layout,
        Err(_) => panic!("{frames} frames are too many"),
    }
}
