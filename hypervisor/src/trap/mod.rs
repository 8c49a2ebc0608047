//! From the processor's traps to the guest's handlers, and back.

/// Where a guest handles something: a selector and an address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Target {
    /// Code selector; 0 means there is no handler. Its RPL is the guest kernel's ring.
    pub cs: u16,
    /// Entry address.
    pub address: u64,
}

/// Where upcalls go.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Callbacks {
    /// Events.
    pub event: Target,
    /// A segment register or frame that could not be restored.
    pub failsafe: Target,
    /// Non-maskable interrupts.
    pub nmi: Target,
    /// pv64: `syscall` from the guest's user mode.
    pub syscall: Target,
    /// Whether the failsafe callback masks events.
    pub failsafe_masks: bool,
    /// Whether the syscall callback masks events.
    pub syscall_masks: bool,
}

/// One entry of a guest's trap table.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Trap {
    /// The handler.
    pub target: Target,
    /// The least privileged ring that may raise the trap by `int n`.
    pub dpl: u8,
    /// Whether events are masked on the way in.
    pub masks: bool,
}

/// A guest's trap table, by vector.
pub struct TrapTable([Trap; 256]);

impl TrapTable {
    /// A table without handlers.
    pub const fn new() -> TrapTable {
        TrapTable([Trap { target: Target { cs: 0, address: 0 }, dpl: 0, masks: false }; 256])
    }

    /// The entry of `vector`.
    #[inline(always)]
    pub fn get(&self, vector: u8) -> Trap {
        self.0[usize::from(vector)]
    }

    /// Sets the entry of `vector`.
    pub fn set(&mut self, vector: u8, trap: Trap) {
        self.0[usize::from(vector)] = trap;
    }
}

impl Default for TrapTable {
    fn default() -> Self {
        TrapTable::new()
    }
}
