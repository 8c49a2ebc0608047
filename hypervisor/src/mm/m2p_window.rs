//! The machine-to-physical table at the top of a pv32 guest's address space, read-only.

use pv_abi::types::Mfn;

/// Where the window begins unless a kernel asks for less (`HYPERVISOR_VIRT_START`, `arch-x86/xen-x86_32.h`).
pub const HV_START_PV32: u64 = 0xf580_0000;

/// Level-2 entries from the window's start to 4 GiB.
pub const WINDOW_SLOTS: usize = 512 - ((HV_START_PV32 - 0xc000_0000) >> 21) as usize;

/// The level-2 entries that every `L2Top` ends with.
pub struct M2pWindow {
    /// Level-1 tables of the window, from its start; each maps frames of the table read-only.
    tables: heapless::Vec<Mfn, WINDOW_SLOTS>,
}

impl M2pWindow {
    /// A window over the given level-1 tables.
    pub fn new(tables: heapless::Vec<Mfn, WINDOW_SLOTS>) -> M2pWindow {
        M2pWindow { tables }
    }

    /// The level-1 tables, from the window's start.
    pub fn tables(&self) -> &[Mfn] {
        &self.tables
    }

    /// The level-2 entry at `index` of the window; 0 past the table's end.
    pub fn entry(&self, index: usize) -> u64 {
        // Present, accessed, dirty; not writable, not for Ring 3.
        self.tables.get(index).map_or(0, |mfn| mfn.raw() << 12 | 0x61)
    }
}
