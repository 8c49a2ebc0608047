//! Functions whose MSI-X tables are the hypervisor's to write.
//!
//! As long as an entry is in use, or domain 0 has said that the function will be given away
//! (`PHYSDEVOP_prepare_msix`), the frames of the table and of its pending bits are read-only to
//! every domain. Where they are is read from the function, not taken from the caller; that
//! they are device memory which the caller may touch is checked, since domain 0 decides what
//! the function's registers say.

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::msi::{CAPABILITY_MSIX, CONTROL, ENTRY_SIZE, MSIX_LAST_ENTRY};
use super::pci::Function;
use crate::domain::Domain;
use crate::domain::permissions;
use crate::platform::Platform;
use crate::system::System;

/// Functions that can have their tables in use.
const FUNCTIONS: usize = 32;
/// In the capability: where the table and the pending bits are: which BAR, and where in that.
const TABLE: u8 = 4;
const PENDING: u8 = 8;
const BAR_INDEX: u32 = 7;
/// Below, there is no memory of PCI functions, though it counts as device memory.
const FIRST_MFN: u64 = 0x100;

/// A table in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Table {
    function: Function,
    /// The machine address of its first entry.
    at: u64,
    /// Its frames, and those of its pending bits: first and last.
    frames: [(u64, u64); 2],
    /// Entries in use, and one for "prepared".
    uses: u32,
    prepared: bool,
}

/// All tables in use.
pub struct MsixTables {
    tables: heapless::Vec<Table, FUNCTIONS>,
}

impl MsixTables {
    /// None is.
    pub const fn new() -> MsixTables {
        MsixTables { tables: heapless::Vec::new() }
    }

    fn find(&mut self, function: Function) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.function == function)
    }

    /// Uses entry `entry` of a function's table once more; returns its machine address.
    ///
    /// `EINVAL`: no such entry; `ENXIO`: the function does not answer in memory, its table is
    /// nowhere, or not where `domain` may touch something; `ENOMEM`: too many functions.
    pub(super) fn open<P: Platform>(
        &mut self,
        sys: &System<P>,
        domain: &Domain,
        function: Function,
        capability: u8,
        entry: u32,
    ) -> Result<u64, Errno> {
        let control = function.read(sys, capability + CONTROL, 2);
        if entry > control & MSIX_LAST_ENTRY {
            return Err(Errno::EINVAL);
        }
        let table = self.table(sys, domain, function, capability)?;
        table.uses += 1;
        Ok(table.at + u64::from(entry) * ENTRY_SIZE)
    }

    /// Uses an entry less.
    pub(super) fn close<P: Platform>(&mut self, sys: &System<P>, function: Function) {
        if let Some(table) = self.find(function) {
            table.uses = table.uses.saturating_sub(1);
        }
        self.sweep(sys);
    }

    /// Lets go of the tables that nobody uses.
    fn sweep<P: Platform>(&mut self, sys: &System<P>) {
        self.tables.retain(|table| {
            let used = table.uses != 0 || table.prepared;
            if !used {
                for (first, last) in table.frames {
                    sys.io_memory.unprotect(first, last);
                }
            }
            used
        });
    }

    /// The function's table; if it is not in use yet, it is remembered and protected.
    fn table<P: Platform>(
        &mut self,
        sys: &System<P>,
        domain: &Domain,
        function: Function,
        capability: u8,
    ) -> Result<&mut Table, Errno> {
        if let Some(at) = self.tables.iter().position(|table| table.function == function) {
            return self.tables.get_mut(at).ok_or(Errno::ENOMEM);
        }
        if !function.decodes_memory(sys) {
            return Err(Errno::ENXIO);
        }
        let entries = u64::from(function.read(sys, capability + CONTROL, 2) & MSIX_LAST_ENTRY) + 1;
        let (at, table) = place(sys, domain, function, capability + TABLE, entries * ENTRY_SIZE)?;
        let pending_bytes = entries.div_ceil(64) * 8;
        let (_, pending) = place(sys, domain, function, capability + PENDING, pending_bytes)?;
        let frames = [table, pending];
        let new = Table { function, at, frames, uses: 0, prepared: false };
        self.tables.push(new).map_err(|_| Errno::ENOMEM)?;
        if !frames.iter().all(|&(first, last)| sys.io_memory.protect(first, last)) {
            self.sweep(sys);
            return Err(Errno::ENOMEM);
        }
        self.tables.last_mut().ok_or(Errno::ENOMEM)
    }
}

impl Default for MsixTables {
    fn default() -> Self {
        MsixTables::new()
    }
}

/// Where `bytes` bytes are that a register of the capability says the place of: their machine
/// address, and their frames. `ENXIO` if that is not device memory which `domain` may touch.
fn place<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    function: Function,
    register: u8,
    bytes: u64,
) -> Result<(u64, (u64, u64)), Errno> {
    let word = function.read(sys, register, 4);
    let bar = function.memory_bar(sys, (word & BAR_INDEX) as u8).ok_or(Errno::ENXIO)?;
    let at = bar.checked_add(u64::from(word & !BAR_INDEX)).ok_or(Errno::ENXIO)?;
    let last = at.checked_add(bytes - 1).ok_or(Errno::ENXIO)?;
    let frames = (at >> 12, last >> 12);
    let reachable = |mfn| permissions::device_access(sys, domain, Mfn::new(mfn)).is_some();
    if frames.0 >= FIRST_MFN && (frames.0..=frames.1).all(reachable) {
        Ok((at, frames))
    } else {
        Err(Errno::ENXIO)
    }
}

/// `PHYSDEVOP_prepare_msix`, or with `release` `PHYSDEVOP_release_msix`.
///
/// `ENODEV`: no such function, or it has no table; `EBUSY`: an entry is in use, or it was
/// prepared already (was not prepared); else as [`MsixTables::open`].
pub fn prepare<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    function: Function,
    release: bool,
) -> Result<(), Errno> {
    let capability = function.capability(sys, CAPABILITY_MSIX).ok_or(Errno::ENODEV)?;
    let mut tables = sys.irqs.msix.lock();
    let (uses, prepared) = tables.find(function).map_or((0, false), |t| (t.uses, t.prepared));
    if uses != 0 || prepared != release {
        return Err(Errno::EBUSY);
    }
    tables.table(sys, domain, function, capability)?.prepared = !release;
    tables.sweep(sys);
    Ok(())
}
