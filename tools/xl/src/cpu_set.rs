//! Sets of physical CPUs, written as people write them: `0-3,5,^1`.
//!
//! 64 CPUs at most: the hypervisor brings up 32.

use core::fmt;

/// A set of CPUs 0 to 63.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuSet(pub u64);

/// Why a list of CPUs is refused; the sentence goes on from "CPU list ".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuListError {
    /// An element that is no number, no range and not `all`.
    Element,
    /// A range whose end lies before its start.
    Backwards,
    /// A number above 63.
    TooHigh,
    /// NUMA nodes, which this machine does not have.
    Nodes,
    /// Nothing is left.
    Empty,
}

impl fmt::Display for CpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Element => "has elements like 2, 0-3, ^1 and all",
            Self::Backwards => "has a range that ends before it starts",
            Self::TooHigh => "knows CPUs 0 to 63",
            Self::Nodes => "names nodes: there is no NUMA here, name CPUs",
            Self::Empty => "leaves no CPU",
        })
    }
}

impl CpuSet {
    /// Every CPU.
    pub const ALL: Self = Self(u64::MAX);

    /// The first `count` CPUs.
    pub fn first(count: u32) -> Self {
        Self(1u64.checked_shl(count).map_or(u64::MAX, |bit| bit.wrapping_sub(1)))
    }

    /// Whether `cpu` is in it.
    pub fn contains(self, cpu: u32) -> bool {
        self.0.checked_shr(cpu).is_some_and(|bits| bits & 1 != 0)
    }

    /// What both have.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Reads a CPU list of xl.cfg(5): numbers, ranges, `all`, each with `^` before it if it is to
    /// be taken out again; elements count from the left.
    pub fn parse(list: &str) -> Result<Self, CpuListError> {
        let mut set = Self::default();
        for element in list.split(',') {
            let element = element.trim();
            let (bits, element) = match element.strip_prefix('^') {
                Some(rest) => (None, rest.trim()),
                None => (Some(()), element),
            };
            let range = Self::element(element)?;
            set.0 = if bits.is_some() { set.0 | range.0 } else { set.0 & !range.0 };
        }
        if set.0 == 0 { Err(CpuListError::Empty) } else { Ok(set) }
    }

    fn element(element: &str) -> Result<Self, CpuListError> {
        if element == "all" {
            return Ok(Self::ALL);
        }
        if element.starts_with("node") {
            return Err(CpuListError::Nodes);
        }
        let number = |text: &str| {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(CpuListError::Element);
            }
            text.parse().ok().filter(|cpu| *cpu < 64).ok_or(CpuListError::TooHigh)
        };
        let (first, last) = match element.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(element)?, number(element)?),
        };
        if first > last {
            return Err(CpuListError::Backwards);
        }
        Ok(Self(Self::first(last + 1).0 & !Self::first(first).0))
    }

    /// Writes it as xl's columns do: `0-3,5`, `all` when it has all of the machine's `cpus`,
    /// `none` when it has none of them.
    pub fn display(self, cpus: u32) -> impl fmt::Display {
        Shown { set: self, cpus: cpus.min(64) }
    }
}

struct Shown {
    set: CpuSet,
    cpus: u32,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = CpuSet::first(self.cpus);
        let set = self.set.intersection(whole);
        if set.0 == 0 {
            return f.write_str("none");
        }
        if set == whole {
            return f.write_str("all");
        }
        let mut comma = "";
        let mut cpu = 0;
        while cpu < self.cpus {
            if !set.contains(cpu) {
                cpu += 1;
                continue;
            }
            let first = cpu;
            while set.contains(cpu + 1) {
                cpu += 1;
            }
            write!(f, "{comma}{first}")?;
            if cpu > first {
                write!(f, "-{cpu}")?;
            }
            comma = ",";
            cpu += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn shown(list: &str, cpus: u32) -> std::string::String {
        format!("{}", CpuSet::parse(list).unwrap().display(cpus))
    }

    #[test]
    fn lists_are_read_from_the_left() {
        assert_eq!(CpuSet::parse("0-3,5,^1"), Ok(CpuSet(0b10_1101)));
        assert_eq!(CpuSet::parse("^1,0-3"), Ok(CpuSet(0b1111)));
        assert_eq!(CpuSet::parse("all,^0"), Ok(CpuSet(!1)));
        assert_eq!(CpuSet::parse(" 2 , 4 - 5 "), Ok(CpuSet(0b11_0100)));
        assert_eq!(CpuSet::parse("63"), Ok(CpuSet(1 << 63)));
        assert_eq!(CpuSet::parse("0-63"), Ok(CpuSet::ALL));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (list, error) in [
            ("", CpuListError::Element),
            ("x", CpuListError::Element),
            ("1,,2", CpuListError::Element),
            ("-1", CpuListError::Element),
            ("+1", CpuListError::Element),
            ("3-1", CpuListError::Backwards),
            ("64", CpuListError::TooHigh),
            ("0-99999999999999999999", CpuListError::TooHigh),
            ("nodes:0", CpuListError::Nodes),
            ("1,^1", CpuListError::Empty),
        ] {
            assert_eq!(CpuSet::parse(list), Err(error), "{list}");
        }
    }

    #[test]
    fn sets_are_written_as_columns_have_them() {
        assert_eq!(shown("all", 4), "all");
        assert_eq!(shown("0-3", 4), "all");
        assert_eq!(shown("0-1,3", 4), "0-1,3");
        assert_eq!(shown("5", 4), "none");
        assert_eq!(shown("0,2,4-6,63", 64), "0,2,4-6,63");
    }
}
