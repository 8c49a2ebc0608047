//! An object of the hypervisor's in frames of its own: what `Box` would be, without a heap.
#![allow(unsafe_code)]
// UNSAFETY: turning frames into a typed object needs a pointer into them.

use core::ops::Deref;
use core::ptr::NonNull;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::Owner;
use super::memory::Memory;
use crate::platform::FrameAccess;

/// A `T` in frames owned by the hypervisor. It is shared, never moved and never dropped
/// except by [`FrameBox::free`].
pub struct FrameBox<T> {
    object: NonNull<T>,
    mfn: Mfn,
}

// SAFETY: 1. A FrameBox gives out `&T` only, as `&T` itself would.
unsafe impl<T: Send + Sync> Send for FrameBox<T> {}
// SAFETY: 1. As above.
unsafe impl<T: Send + Sync> Sync for FrameBox<T> {}

impl<T> FrameBox<T> {
    /// Frames a `T` takes, as a power of two.
    pub const ORDER: u8 = size_of::<T>().div_ceil(4096).next_power_of_two().trailing_zeros() as u8;

    /// Allocates frames and lets `init` make the object in them from zeroed memory.
    ///
    /// `ENOMEM` without memory.
    // Not inlined: the object passes through the stack, which is small.
    #[inline(never)]
    pub fn new(
        memory: &Memory,
        access: &impl FrameAccess,
        init: impl FnOnce() -> T,
    ) -> Result<FrameBox<T>, Errno> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let mfn = memory.allocate(Owner::Hypervisor, Self::ORDER)?;
        let pointer = access.pointer(mfn).cast::<T>();
        // SAFETY: 1. `allocate` gave 2^ORDER consecutive frames that nobody else uses.
        //         2. `pointer` maps them consecutively (FrameAccess), page-aligned, and T fits (above).
        unsafe { pointer.write(init()) };
        let object = NonNull::new(pointer).ok_or(Errno::ENOMEM)?;
        Ok(FrameBox { object, mfn })
    }

    /// Gives the object up to whoever keeps the pointer, and [`FrameBox::mfn`] with it.
    pub fn into_raw(self) -> *mut T {
        self.object.as_ptr()
    }

    /// The box that [`FrameBox::into_raw`] took apart; `mfn` was its first frame.
    ///
    /// # Safety
    /// 1. Both come from one box, and no other box was made of them since.
    /// 2. Whoever still has a reference to the object is done with it before `get_mut` or `free`.
    pub unsafe fn from_raw(object: *mut T, mfn: Mfn) -> FrameBox<T> {
        // SAFETY: 1. `into_raw` gave it, so it is not null (caller).
        FrameBox { object: unsafe { NonNull::new_unchecked(object) }, mfn }
    }

    /// The first frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// The object, for its only holder.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: 1. `new` initialised the object; it lives in `self`, which is borrowed.
        unsafe { self.object.as_mut() }
    }

    /// Drops the object and gives its frames back.
    pub fn free(self, memory: &Memory) {
        // SAFETY: 1. `self` is consumed, so no borrow of the object is left and it is dropped once.
        unsafe { self.object.drop_in_place() };
        memory.release(self.mfn, Self::ORDER);
    }
}

impl<T> Deref for FrameBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: 1. `new` initialised the object; only `free`, which consumes `self`, ends it.
        unsafe { self.object.as_ref() }
    }
}
