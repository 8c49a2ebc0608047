//! Linear page tables: entries that refer to a table of their own level.
//!
//! Some kernels let a slot of a table refer to that table, or to another of the same level: the
//! walker then takes the tables below for pages, and they appear in a window of the address
//! space. That is safe if nobody can write through it, so such an entry never permits writes;
//! and if references can still be followed to their end. Two tables that refer to each other
//! would keep each other for ever, and a chain of them would be taken down by recursion without
//! bound (XSA-240). So a chain has one link: **a table that refers to others of its level is
//! referred to by none**, and the reverse. [`Frame::linear`] counts: above zero, how many such
//! entries the table has; below zero, how many refer to it. It changes under the paging lock, and
//! is zero when a frame becomes a table, unless that continues what was interrupted (XSA-309).
//!
//! An entry that refers to its own table holds no reference: it goes with the table.
//!
//! A pv32 root is never part of it (XSA-185): its entries have no permissions, so that such an
//! entry would permit writes.

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::frame::{Frame, Type};
use super::pte;
use super::types::PageTypes;
use crate::error::Stop;
use crate::platform::Platform;
use crate::width::Width;

/// The type of the tables that an entry of a table of type `table` may refer to in this way.
const fn same_level(width: Width, table: Type) -> Option<Type> {
    match (width, table) {
        (_, Type::L2 | Type::L2Top) => Some(Type::L2),
        (Width::Pv64, Type::L3) => Some(Type::L3),
        (Width::Pv64, Type::L4) => Some(Type::L4),
        _ => None,
    }
}

impl<P: Platform> PageTypes<'_, P> {
    /// Takes the reference of a present entry of `table` that refers to a table of its level.
    ///
    /// `EINVAL`: such an entry is not possible here.
    #[cold]
    pub(super) fn get_linear(&mut self, table: Mfn, kind: Type, entry: u64) -> Result<(), Stop> {
        let child = pte::mfn(entry);
        let level = same_level(self.width, kind).ok_or(Errno::EINVAL)?;
        if entry & pte::RW != 0 {
            return Err(Errno::EINVAL.into());
        }
        if child == table {
            return Ok(());
        }
        let (from, to) = self.both(table, child).ok_or(Errno::EINVAL)?;
        if !to.is_owned_by(self.domain.id) || from.linear() < 0 || to.linear() > 0 {
            return Err(Errno::EINVAL.into());
        }
        // The type cannot change meanwhile: that takes the lock that we hold.
        let word = to.load();
        if word.kind() != level || word.type_count() == 0 || !word.validated() {
            return Err(Errno::EINVAL.into());
        }
        let counts = (from.linear().checked_add(1), to.linear().checked_sub(1));
        let (Some(uses), Some(used)) = counts else { return Err(Errno::EINVAL.into()) };
        to.update(|w| w.add_type().and_then(|w| w.add_total())).map_err(|_| Errno::EBUSY)?;
        from.set_linear(uses);
        to.set_linear(used);
        Ok(())
    }

    /// Whether a present entry of the validated `table` refers to a table of its level.
    #[inline(always)]
    pub(super) fn is_linear(&self, table: Mfn, below: Type, entry: u64) -> bool {
        let child = pte::mfn(entry);
        child == table
            || self.sys.memory.frame(child).is_some_and(|frame| frame.load().kind() != below)
    }

    /// Drops the reference of such an entry.
    #[cold]
    pub(super) fn put_linear(&mut self, table: Mfn, entry: u64) {
        let child = pte::mfn(entry);
        if child == table {
            return;
        }
        if let Some((from, to)) = self.both(table, child) {
            from.set_linear(from.linear().saturating_sub(1));
            to.set_linear(to.linear().saturating_add(1));
        }
        self.put(child);
    }

    fn both(&self, table: Mfn, child: Mfn) -> Option<(&'static Frame, &'static Frame)> {
        Some((self.sys.memory.frame(table)?, self.sys.memory.frame(child)?))
    }
}
