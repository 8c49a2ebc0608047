//! Which vector belongs to which irq: one assignment for all CPUs.

use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU8, Ordering};

/// The vectors of devices: above those of exceptions and of the silenced PICs, below the
/// hypervisor's own.
pub const VECTORS: RangeInclusive<u8> = 0x30..=0xef;
/// Vectors in that range that programs use with `int`: system calls and hypercalls.
const TAKEN: [u8; 2] = [0x80, 0x82];

/// The irq of each vector; 0: none. Irq 0 is the timer's, which no domain has.
pub struct VectorMap([AtomicU8; 256]);

impl VectorMap {
    /// No assignments.
    pub const fn new() -> VectorMap {
        VectorMap([const { AtomicU8::new(0) }; 256])
    }

    /// The irq of `vector`.
    pub fn irq(&self, vector: u8) -> Option<u32> {
        let irq = self.0.get(usize::from(vector))?.load(Ordering::Acquire);
        (irq != 0).then_some(irq.into())
    }

    /// Takes a free vector for `irq`; `None` if there is none.
    pub fn take(&self, irq: u32) -> Option<u8> {
        let irq = u8::try_from(irq).ok().filter(|irq| *irq != 0)?;
        VECTORS.filter(|vector| !TAKEN.contains(vector)).find(|vector| {
            self.0.get(usize::from(*vector)).is_some_and(|slot| {
                slot.compare_exchange(0, irq, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            })
        })
    }

    /// Gives a vector back. One that is on its way to a CPU is nobody's when it arrives, or, if
    /// the vector was taken again meanwhile, an event too many for the new one.
    pub fn give_back(&self, vector: u8) {
        if let Some(slot) = self.0.get(usize::from(vector)) {
            slot.store(0, Ordering::Release);
        }
    }
}

impl Default for VectorMap {
    fn default() -> Self {
        VectorMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_vector_but_the_gates_of_guests() {
        let map = VectorMap::new();
        let taken: BTreeSet<u8> = std::iter::from_fn(|| map.take(7)).collect();
        assert_eq!(taken.len(), 190);
        assert!(taken.first() == Some(&0x30) && taken.last() == Some(&0xef));
        assert!(!taken.contains(&0x80) && !taken.contains(&0x82));
        assert!(taken.iter().all(|vector| map.irq(*vector) == Some(7)));
        map.give_back(0x99);
        assert_eq!((map.irq(0x99), map.take(255)), (None, Some(0x99)));
        assert_eq!(map.irq(0x99), Some(255));
        assert_eq!((map.take(0), map.take(256), map.irq(0x80)), (None, None, None));
    }
}
