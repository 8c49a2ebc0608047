//! Registers that a guest's kernel sets by instructions that trap, beside those of [`UserRegs`].
//!
//! [`UserRegs`]: crate::guest::regs::UserRegs

/// XCR0 bits: x87 and SSE state, which every guest may use whatever its XCR0 says.
pub const XCR0_LEGACY: u64 = 0b011;

/// A vCPU's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpecialRegisters {
    /// XCR0: whose extended state it may use. In the processor while it runs.
    pub xcr0: u64,
    /// All that XCR0 ever had: what has to be saved, though it may be switched off now.
    pub xcr0_ever: u64,
    /// TSC_AUX: what `rdtscp` gives beside the time. In the processor while it runs.
    pub tsc_aux: u32,
    /// Enable bits of DR7 for breakpoints on I/O, which only the emulation knows.
    pub io_breakpoints: u64,
}

impl SpecialRegisters {
    /// As a vCPU starts.
    pub const fn new() -> SpecialRegisters {
        SpecialRegisters {
            xcr0: XCR0_LEGACY,
            xcr0_ever: XCR0_LEGACY,
            tsc_aux: 0,
            io_breakpoints: 0,
        }
    }
}

impl Default for SpecialRegisters {
    fn default() -> Self {
        SpecialRegisters::new()
    }
}
