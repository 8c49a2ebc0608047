//! The kernel's heap: talc over a window of kernel addresses that grows page by page.
//!
//! Empty until [`set_growth`] names the function that maps more of the window: programs that never
//! do (the micro-guests) have an allocator that always fails. The lock masks upcalls, so that
//! handlers and preempted tasks may allocate. The heap never shrinks.
#![allow(unsafe_code)] // UNSAFETY: implements the allocator's source of memory.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use ring1::events;
use talc::base::{Talc, binning::Binning};
use talc::lock_api::{GuardNoSend, RawMutex};
use talc::source::Source;

/// Bytes by which the heap grows at least.
const STEP: usize = 64 * 1024;

/// A lock that is held by masking upcalls: there is one vCPU.
pub struct MaskLock {
    held: AtomicBool,
    was_masked: AtomicBool,
}

// SAFETY: 1. On one vCPU nothing runs between `lock` and `unlock` but the holder: upcalls are
// masked, and traps of the holder are bugs that do not return here.
unsafe impl RawMutex for MaskLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Self = Self { held: AtomicBool::new(false), was_masked: AtomicBool::new(false) };
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        let was_masked = events::is_masked();
        events::mask();
        assert!(!self.held.swap(true, Ordering::Relaxed), "heap lock taken twice");
        self.was_masked.store(was_masked, Ordering::Relaxed);
    }

    fn try_lock(&self) -> bool {
        if self.held.load(Ordering::Relaxed) {
            return false;
        }
        self.lock();
        true
    }

    unsafe fn unlock(&self) {
        let was_masked = self.was_masked.load(Ordering::Relaxed);
        self.held.store(false, Ordering::Relaxed);
        if !was_masked {
            events::unmask();
        }
    }
}

/// Maps `bytes` (whole pages) at `address`, the end of the heap so far; false when it cannot.
pub type Growth = fn(address: u32, bytes: u32) -> bool;

static GROWTH: AtomicUsize = AtomicUsize::new(0);
static WINDOW: AtomicU32 = AtomicU32::new(0);

/// Gives the heap its window: from `address` on, mapped by `growth` as needed.
pub fn set_growth(address: u32, growth: Growth) {
    WINDOW.store(address, Ordering::Relaxed);
    GROWTH.store(growth as usize, Ordering::Relaxed);
}

/// The heap's window as talc's source of memory.
#[derive(Debug)]
struct Window {
    /// Where the mapped part ends; none before the first growth.
    end: Option<NonNull<u8>>,
}

// SAFETY: 1. The pointer is an address in the window, which belongs to the kernel, not to a task.
unsafe impl Send for Window {}

// SAFETY: 1. `acquire` uses nothing but the `Talc` that it is given: growth works on frames and page
// tables and never allocates. 2. Each success extends the heap by at least what was asked.
unsafe impl Source for Window {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let address = GROWTH.load(Ordering::Relaxed);
        // SAFETY: 1. The slot holds 0 (`None`) or a `Growth`.
        let growth = unsafe { core::mem::transmute::<usize, Option<Growth>>(address) }.ok_or(())?;
        let bytes = layout
            .size()
            .checked_add(layout.align())
            .and_then(|bytes| bytes.checked_add(4096))
            .and_then(|bytes| bytes.max(STEP).checked_next_multiple_of(4096))
            .ok_or(())?;
        let start = WINDOW.load(Ordering::Relaxed);
        if !growth(start, u32::try_from(bytes).map_err(|_| ())?) {
            return Err(());
        }
        WINDOW.store(start + bytes as u32, Ordering::Relaxed);
        let base: *mut u8 = core::ptr::with_exposed_provenance_mut(start as usize);
        // SAFETY: 1. `growth` mapped these bytes for the heap alone. 2. They follow the part that
        // the heap has, whose end talc returned.
        talc.source.end = Some(unsafe {
            match talc.source.end {
                None => talc.claim(base, bytes).ok_or(())?,
                Some(end) => talc.extend(end, base.wrapping_add(bytes)),
            }
        });
        Ok(())
    }
}

#[global_allocator]
static HEAP: talc::TalcLock<MaskLock, Window> = talc::TalcLock::new(Window { end: None });
