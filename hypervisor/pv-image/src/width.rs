//! The two kinds of guest: how wide their words and how deep their page tables are.
//!
//! One algorithm serves both; what differs is data here. A guest's kind is
//! decided once, by the class of its kernel's ELF file, and never changes.

/// The kind of a PV guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// `x86_32p`: kernel in Ring 1, compatibility mode, PAE tables of three levels.
    Pv32,
    /// `x86_64`: kernel in Ring 3, long mode, tables of four levels.
    Pv64,
}

impl Width {
    /// Bytes of a guest `long`, a guest handle, and a frame number in an array.
    pub const fn long(self) -> u64 {
        match self {
            Width::Pv32 => 4,
            Width::Pv64 => 8,
        }
    }

    /// Whether `[address, address + len)` can be the guest's own memory.
    ///
    /// pv32: below 4 GiB. pv64: canonical and outside L4 slots 256 to 271. What
    /// is mapped there, and how, is for the page tables to say.
    #[inline(always)]
    pub const fn range_ok(self, address: u64, len: u64) -> bool {
        const PV32_END: u64 = 1 << 32;
        const PV64_LOWER_END: u64 = 0x0000_8000_0000_0000;
        const PV64_UPPER: u64 = 0xffff_8800_0000_0000;
        // Lengths are mostly constants, so what is left is one comparison for pv32.
        match self {
            Width::Pv32 => len <= PV32_END && address <= PV32_END - len,
            Width::Pv64 => match address.checked_add(len) {
                Some(end) => end <= PV64_LOWER_END || address >= PV64_UPPER,
                None => false,
            },
        }
    }
}
