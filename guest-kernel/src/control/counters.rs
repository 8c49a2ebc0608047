//! What the hypervisor counts for each domain, as `XEN_SYSCTL_perfc_op` tells it: counters found by
//! their names, with a value for every number of a domain.

use alloc::vec::Vec;
use pv_abi::sysctl::PerfcDesc;
use pv_abi::types::DomId;

/// Hypercalls that a domain made.
pub const HYPERCALLS: &str = "hypercalls";
/// How often a domain was called because of events.
pub const EVENTS: &str = "event callbacks";

/// All counters, at one time.
pub struct Counters {
    /// Their names, and how many values each has.
    pub descriptions: Vec<PerfcDesc>,
    /// All values, in the counters' order.
    pub values: Vec<u32>,
}

impl Counters {
    /// A domain's value of the counter `name`; `None` if there is none. It goes round at 32 bits.
    pub fn of(&self, domain: DomId, name: &str) -> Option<u32> {
        let mut first = 0_usize;
        for counter in &self.descriptions {
            let count = counter.nr_vals as usize;
            let named = counter.name.split(|byte| *byte == 0).next();
            let index = usize::from(domain.raw());
            if named == Some(name.as_bytes()) && index < count {
                return self.values.get(first.checked_add(index)?).copied();
            }
            first = first.checked_add(count)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use zerocopy::FromZeros;

    fn counters(described: &[(&str, u32)], values: u32) -> Counters {
        let describe = |(name, nr_vals): &(&str, u32)| {
            let mut counter = PerfcDesc { nr_vals: *nr_vals, ..PerfcDesc::new_zeroed() };
            counter.name[..name.len()].copy_from_slice(name.as_bytes());
            counter
        };
        Counters {
            descriptions: described.iter().map(describe).collect(),
            values: (0..values).collect(),
        }
    }

    #[test]
    fn a_counter_is_found_by_its_name() {
        let long = "x".repeat(80);
        let counters = counters(&[("hyper", 3), (HYPERCALLS, 2), (&long, 1), (EVENTS, 4)], 10);
        let of = |domain, name| counters.of(DomId::new(domain), name);
        assert_eq!([of(0, HYPERCALLS), of(1, HYPERCALLS)], [Some(3), Some(4)]);
        assert_eq!([of(0, EVENTS), of(3, EVENTS)], [Some(6), Some(9)]);
        assert_eq!(of(0, &long), Some(5), "a name that no zero ends");
        assert_eq!([of(2, HYPERCALLS), of(4, EVENTS), of(u16::MAX, EVENTS)], [None; 3]);
        assert_eq!([of(0, "hypercall"), of(0, "hypercalls "), of(0, "")], [None; 3]);
    }

    #[test]
    fn values_that_are_not_there_are_not_found() {
        let counters = counters(&[(HYPERCALLS, u32::MAX), (EVENTS, u32::MAX)], 2);
        assert_eq!(counters.of(DomId::new(1), HYPERCALLS), Some(1));
        assert_eq!(counters.of(DomId::new(2), HYPERCALLS), None);
        assert_eq!(counters.of(DomId::new(0), EVENTS), None);
        let none = Counters { descriptions: vec![], values: vec![] };
        assert_eq!(none.of(DomId::new(0), EVENTS), None);
    }
}
