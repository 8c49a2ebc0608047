//! The simulated page walk and its TLB.
//!
//! As on the CPU, a translation stays in the TLB until it is flushed, whatever happens to
//! the tables: hypervisor code that forgets a flush is found out by what a guest can then
//! reach ([`super::FakeMachine::stale_writable`]).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hypervisor::platform::{FrameAccess, GuestAccess, GuestFault};
use pv_abi::types::Mfn;

use super::FakeMachine;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const FRAME_BITS: u64 = 0x000f_ffff_ffff_f000;

/// What a CPU remembers of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The frame.
    pub mfn: Mfn,
    /// Whether all levels allowed writing.
    pub writable: bool,
}

/// A CPU's TLB, by page number.
pub type Tlb = BTreeMap<u64, Translation>;

impl FakeMachine {
    /// Walks the tables below the loaded root as the CPU would, setting accessed and dirty bits.
    pub fn walk(&self, address: u64, write: bool) -> Result<Translation, GuestFault> {
        let mut table = self.root().ok_or(GuestFault)?;
        let mut writable = true;
        for level in (0..4).rev() {
            let index = (address >> (12 + 9 * level) & 0x1ff) as usize;
            let entry = &self.words(table)[index];
            let value = entry.load(Ordering::Relaxed);
            if value & PRESENT == 0 {
                return Err(GuestFault);
            }
            assert!(level == 0 || value & LARGE == 0, "a guest got a large page: {value:#x}");
            writable &= value & WRITABLE != 0;
            if level == 0 && write && !writable {
                return Err(GuestFault);
            }
            let used = if level == 0 && write { ACCESSED | DIRTY } else { ACCESSED };
            entry.fetch_or(used, Ordering::Relaxed);
            table = Mfn::new((value & FRAME_BITS) >> 12);
        }
        Ok(Translation { mfn: table, writable })
    }

    /// What the current CPU translates `address` to: out of the TLB, else by a walk.
    pub fn translate(&self, address: u64, write: bool) -> Result<Translation, GuestFault> {
        let page = address >> 12;
        let cached = self.with_tlb(|tlb| tlb.get(&page).copied());
        match cached {
            Some(translation) if translation.writable || !write => return Ok(translation),
            // A CPU walks again before it faults.
            _ => {}
        }
        let translation = self.walk(address, write)?;
        self.with_tlb(|tlb| tlb.insert(page, translation));
        Ok(translation)
    }
}

/// Splits `[address, address + len)` at page boundaries: address, and range of the buffer.
fn pieces(address: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = address + done as u64;
        let now = (len - done).min(4096 - (at & 0xfff) as usize);
        let range = done..done + now;
        done += now;
        (now != 0).then_some((at, range))
    })
}

impl GuestAccess for FakeMachine {
    fn copy_from_guest(&self, address: u64, to: &mut [u8]) -> Result<(), GuestFault> {
        for (at, range) in pieces(address, to.len()) {
            let frame = self.bytes(self.translate(at, false)?.mfn);
            for (to, from) in to[range].iter_mut().zip(&frame[(at & 0xfff) as usize..]) {
                *to = from.load(Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        for (at, range) in pieces(address, from.len()) {
            let frame = self.bytes(self.translate(at, true)?.mfn);
            for (from, to) in from[range].iter().zip(&frame[(at & 0xfff) as usize..]) {
                to.store(*from, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
