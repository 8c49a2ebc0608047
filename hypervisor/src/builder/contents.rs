//! Writing into the new domain's memory by its future virtual addresses.
//!
//! Memory comes as it is. Domain 0's pages that nothing is written to are *not* zeroed: at
//! boot RAM has never belonged to another guest, domain 0 may map any of it anyway, and to
//! scrub 512 MiB would take more instructions than all the rest of the boot. What a kernel
//! relies on is zeroed: bss, page tables, start info, the boot stack, and the tails of pages
//! that are partly written.
#![deny(clippy::arithmetic_side_effects)]

use core::sync::atomic::Ordering;

use pv_abi::types::Mfn;
use pv_image::layout::PAGE;

use super::BuildError;
use super::memory::DomainMemory;
use crate::platform::Platform;

/// A new domain's memory, at the addresses that it will see.
pub struct Contents<'a, P: Platform> {
    pub(super) platform: &'a P,
    pub(super) memory: &'a DomainMemory,
    /// Where pseudo-physical frame 0 will be.
    pub(super) start: u64,
}

impl<P: Platform> Contents<'_, P> {
    /// The machine frame that will be mapped at `address`.
    pub fn mfn_at(&self, address: u64) -> Result<Mfn, BuildError> {
        let offset = address.checked_sub(self.start).ok_or(BuildError::Outside { address })?;
        self.frame(offset >> 12)
    }

    /// The machine frame behind the pseudo-physical frame `pfn`.
    pub fn frame(&self, pfn: u64) -> Result<Mfn, BuildError> {
        let address = self.start.saturating_add(pfn.saturating_mul(PAGE));
        self.memory.mfn(pfn).ok_or(BuildError::Outside { address })
    }

    /// Copies bytes to `address` and on.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), BuildError> {
        let (mut address, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let (offset, room) = in_page(address);
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.write_in_page(self.mfn_at(address)?, offset, now);
            (address, rest) = (address.saturating_add(now.len() as u64), later);
        }
        Ok(())
    }

    /// Zeroes `len` bytes from `address` on.
    pub fn zero(&self, address: u64, len: u64) -> Result<(), BuildError> {
        let (mut address, mut rest) = (address, len);
        while rest != 0 {
            let (offset, room) = in_page(address);
            let now = rest.min(room as u64);
            let mfn = self.mfn_at(address)?;
            if now == PAGE {
                self.platform.zero(mfn);
            } else {
                for byte in self.platform.bytes(mfn).iter().skip(offset).take(now as usize) {
                    byte.store(0, Ordering::Relaxed);
                }
            }
            (address, rest) = (address.saturating_add(now), rest.saturating_sub(now));
        }
        Ok(())
    }

    /// Zeroes from `address` to the end of its page.
    pub fn zero_tail(&self, address: u64) -> Result<(), BuildError> {
        self.zero(address, in_page(address).1 as u64 % PAGE)
    }

    /// Word by word where the target is aligned: a kernel is large.
    fn write_in_page(&self, mfn: Mfn, offset: usize, bytes: &[u8]) {
        let head = offset.next_multiple_of(8).saturating_sub(offset).min(bytes.len());
        let (head, body) = bytes.split_at_checked(head).unwrap_or((bytes, &[]));
        self.write_bytes(mfn, offset, head);
        let (words, tail) = body.as_chunks::<8>();
        let at = offset.saturating_add(head.len());
        for (to, from) in self.platform.words(mfn).iter().skip(at / 8).zip(words) {
            to.store(u64::from_le_bytes(*from), Ordering::Relaxed);
        }
        self.write_bytes(mfn, at.saturating_add(body.len()).saturating_sub(tail.len()), tail);
    }

    fn write_bytes(&self, mfn: Mfn, offset: usize, bytes: &[u8]) {
        for (to, from) in self.platform.bytes(mfn).iter().skip(offset).zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
    }
}

/// The offset of `address` in its page, and the bytes from there to the page's end.
fn in_page(address: u64) -> (usize, usize) {
    let offset = address & 0xfff;
    (offset as usize, PAGE.saturating_sub(offset) as usize)
}
