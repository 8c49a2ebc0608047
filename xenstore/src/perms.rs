//! Who may read and write a node.
//!
//! A node has a list of [`Permission`]s. The first is special: its domain *owns* the node and may do
//! everything with it, and its access is what domains have that no later entry names. Among the later
//! entries the first that names the domain decides.

use alloc::vec::Vec;
use core::fmt;

use pv_abi::types::DomId;

/// What a domain may do with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing; `n` in text.
    None,
    /// Read; `r`.
    Read,
    /// Write, which includes making nodes below; `w`.
    Write,
    /// Both; `b`.
    Both,
}

impl Access {
    /// Whether the node may be read.
    #[must_use]
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    /// Whether the node may be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }

    /// What a letter stands for.
    #[must_use]
    pub const fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'n' => Some(Self::None),
            b'r' => Some(Self::Read),
            b'w' => Some(Self::Write),
            b'b' => Some(Self::Both),
            _ => None,
        }
    }

    /// The letter in text.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'n',
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Both => 'b',
        }
    }
}

/// One entry: a domain and what it may do. Its text is a letter and a decimal number: `r5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permission {
    /// The domain.
    pub domid: DomId,
    /// What it may do.
    pub access: Access,
}

impl Permission {
    /// An entry.
    #[must_use]
    pub const fn new(access: Access, domid: DomId) -> Self {
        Self { domid, access }
    }

    /// Reads an entry's text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (letter, number) = text.split_first()?;
        let access = Access::from_letter(*letter)?;
        let number = core::str::from_utf8(number).ok()?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::new(access, DomId::new(number.parse().ok()?)))
    }

    /// Reads the texts of a list, which has an entry at least.
    #[must_use]
    pub fn parse_list<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Self>> {
        let list: Vec<Self> = texts.map(Self::parse).collect::<Option<_>>()?;
        (!list.is_empty()).then_some(list)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access.letter(), self.domid.raw())
    }
}

/// Who asks: a domain, and the one that it acts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subject {
    pub(crate) domid: DomId,
    pub(crate) target: Option<DomId>,
}

impl Subject {
    /// Whether permissions do not bind it.
    pub(crate) fn is_privileged(self) -> bool {
        is_privileged(self.domid)
    }

    fn is(self, domid: DomId) -> bool {
        self.domid == domid || self.target == Some(domid)
    }

    /// Whether it has what it `needs` by this list. `counts` says whether an entry for a domain is
    /// about the domain that has the number now.
    pub(crate) fn may(
        self,
        needs: Need,
        list: &[Permission],
        counts: impl Fn(DomId) -> bool,
    ) -> bool {
        let Some((owner, others)) = list.split_first() else { return false };
        if self.is_privileged() || self.is(owner.domid) {
            return true;
        }
        let own = others.iter().find(|entry| self.is(entry.domid) && counts(entry.domid));
        let access = own.unwrap_or(owner).access;
        match needs {
            Need::Read => access.reads(),
            Need::Write => access.writes(),
            Need::Own => false,
        }
    }
}

/// Whether permissions and quotas do not bind a domain.
pub(crate) fn is_privileged(domid: DomId) -> bool {
    domid.raw() == 0
}

/// What a request needs of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// To read it.
    Read,
    /// To write it.
    Write,
    /// To be its owner.
    Own,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn texts_come_back() {
        for text in ["n0", "r5", "w65535", "b12"] {
            assert_eq!(Permission::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        for wrong in ["", "r", "x1", "r65536", "r-1", "r+1", "r1 ", "R1", "r1\u{663}"] {
            assert_eq!(Permission::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Permission::parse_list(core::iter::empty()), None);
        assert_eq!(Permission::parse_list([&b"n0"[..], b"q"].into_iter()), None);
    }

    fn list(text: &str) -> Vec<Permission> {
        Permission::parse_list(text.split(' ').map(str::as_bytes)).unwrap()
    }

    #[test]
    fn the_first_entry_that_names_the_domain_decides() {
        let list = list("n1 r2 b3 w2 n4");
        let may = |domid, target: Option<u16>| {
            let subject = Subject { domid: DomId::new(domid), target: target.map(DomId::new) };
            [Need::Read, Need::Write, Need::Own].map(|need| subject.may(need, &list, |_| true))
        };
        assert_eq!(may(0, None), [true; 3]);
        assert_eq!(may(1, None), [true; 3]);
        assert_eq!(may(2, None), [true, false, false]);
        assert_eq!(may(3, None), [true, true, false]);
        assert_eq!(may(4, None), [false; 3]);
        assert_eq!(may(5, None), [false; 3]);
        assert_eq!(may(5, Some(1)), [true; 3]);
        assert_eq!(may(5, Some(3)), [true, true, false]);
    }

    #[test]
    fn entries_for_a_dead_domain_do_not_count() {
        let subject = Subject { domid: DomId::new(2), target: None };
        assert!(subject.may(Need::Read, &list("n1 r2"), |_| true));
        assert!(!subject.may(Need::Read, &list("n1 r2"), |_| false));
        assert!(subject.may(Need::Write, &list("w1 r2"), |_| false));
    }
}
