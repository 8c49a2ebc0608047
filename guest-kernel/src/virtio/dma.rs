//! Memory that devices read and write, by its machine address.
//!
//! Frames that follow each other in the domain do not in the machine, so whatever a device is given
//! lies within one page: a queue's rings, a buffer.
#![allow(unsafe_code)] // UNSAFETY: implements the driver's access to memory.

use crate::mm::frames::{self, Use};
use crate::mm::{PAGE, p2m, window};
use core::ptr::NonNull;
use pv_abi::types::Pfn;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// The machine as drivers see it.
pub struct Machine;

/// A page for a device.
pub struct Page(Pfn);

impl Page {
    /// A zeroed one. None: out of memory.
    pub fn new() -> Option<Self> {
        frames::allocate_zeroed(Use::Kernel).map(Self)
    }

    /// One with any contents, for who fills it. None: out of memory.
    pub fn uncleared() -> Option<Self> {
        frames::allocate(Use::Kernel).map(Self)
    }

    /// Lends its bytes, while no device uses them.
    pub fn with<R>(&mut self, f: impl FnOnce(&mut [u8; PAGE as usize]) -> R) -> R {
        p2m::with_bytes(self.0, f)
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: 1. The frame is this value's alone, mapped at its address, and no device writes to
        // it while it is borrowed.
        unsafe { core::slice::from_raw_parts(p2m::pointer(self.0), PAGE as usize) }
    }
}

impl AsMut<[u8]> for Page {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; borrowed for writing.
        unsafe { core::slice::from_raw_parts_mut(p2m::pointer(self.0), PAGE as usize) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        frames::release(self.0);
    }
}

/// The machine address of what is mapped in the map of all frames.
fn machine_address(pointer: NonNull<u8>) -> PhysAddr {
    let address = pointer.as_ptr().expose_provenance() as u32;
    (p2m::mfn(p2m::frame_at(address)).raw() << 12) | u64::from(address % PAGE)
}

// SAFETY: 1. `dma_alloc` hands out a zeroed frame that nobody else has, mapped for good at its
// address. 2. `mmio_phys_to_virt` maps each register region at addresses of its own. 3. Buffers are
// `Page`s of the map of all frames, so `share` has nothing to copy.
unsafe impl Hal for Machine {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // An address of 0 says that there is none.
        let none = (0, NonNull::dangling());
        if pages != 1 {
            return none;
        }
        let Some(frame) = frames::allocate_zeroed(Use::Kernel) else { return none };
        NonNull::new(p2m::pointer::<u8>(frame)).map_or(none, |at| (machine_address(at), at))
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, vaddr: NonNull<u8>, _pages: usize) -> i32 {
        let address = vaddr.as_ptr().expose_provenance() as u32;
        frames::release(p2m::frame_at(address));
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        match window::map_device(paddr, size) {
            Some(at) => at,
            None => panic!("cannot map {size} bytes of device memory at {paddr:#x}"),
        }
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        let offset = buffer.cast::<u8>().as_ptr().expose_provenance() % PAGE as usize;
        assert!(offset + buffer.len() <= PAGE as usize, "a device's buffer in two pages");
        machine_address(buffer.cast())
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
