//! From the processor's traps to the guest's handlers, and back.
//!
//! A PV guest has no IDT and no TSS of its own. Every exception and every `int $n` arrives
//! in Ring 0 first, with the guest's registers saved in [`crate::guest::regs::UserRegs`].
//! What happens then is one of three things:
//!
//! 1. The cause is ours to cure ([`mod@exception`]): a page of the LDT that is mapped on first
//!    use, a store to a page table under `writable_pagetables`, a privileged instruction
//!    that the ABI emulates ([`emulate`]). The guest goes on as if nothing happened.
//! 2. The guest has a handler in the table it registered ([`ops`]): [`bounce`] writes the
//!    frame that the processor would have pushed onto the guest kernel's stack, and sets the
//!    registers to enter the handler. Upcalls for events take the same way.
//! 3. It has none, or its stack cannot take the frame: the domain ends ([`Crash`]). It is
//!    never a fault of ours.
//!
//! The way back is `iret`: native for a pv32 kernel that returns to its Ring 3, or the
//! hypercall ([`iret`]) that restores the event mask as well.
//!
//! A guest's interrupt flag is `evtchn_upcall_mask` in its `vcpu_info`, inverted. The real
//! IF is on whenever a guest runs; frames show the virtual one.
//!
//! [`Crash`]: crate::error::Crash

pub mod bounce;
pub mod control;
pub mod debug_registers;
pub mod descriptors;
pub mod emulate;
pub mod exception;
pub mod iret;
pub mod nmi;
pub mod ops;
pub mod page_fault;
pub mod segment;
pub mod traced;

pub use exception::exception;
pub use nmi::Nmi;
pub use page_fault::ldt_fault;

/// Where a guest handles something: a selector and an address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Target {
    /// Code selector; a null one means there is no handler. Its RPL is the guest kernel's
    /// ring, or a less privileged one.
    pub cs: u16,
    /// Entry address.
    pub address: u64,
}

impl Target {
    /// Whether there is a handler.
    #[inline(always)]
    pub const fn is_set(self) -> bool {
        self.cs & !3 != 0
    }
}

/// Where upcalls go.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Callbacks {
    /// Events.
    pub event: Target,
    /// A segment register or frame that could not be restored.
    pub failsafe: Target,
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

impl Trap {
    /// No handler.
    pub const NONE: Trap = Trap { target: Target { cs: 0, address: 0 }, dpl: 0, masks: false };
}

/// A guest's trap table, by vector.
#[derive(Clone, Copy)]
pub struct TrapTable([Trap; 256]);

impl TrapTable {
    /// A table without handlers.
    pub const fn new() -> TrapTable {
        TrapTable([Trap::NONE; 256])
    }

    /// The entry of `vector`.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // A u8 cannot be out of 256.
    pub fn get(&self, vector: u8) -> &Trap {
        &self.0[usize::from(vector)]
    }

    /// Sets the entry of `vector`.
    #[allow(clippy::indexing_slicing)] // As above.
    pub fn set(&mut self, vector: u8, trap: Trap) {
        self.0[usize::from(vector)] = trap;
    }

    /// Removes all handlers.
    pub fn clear(&mut self) {
        self.0 = [Trap::NONE; 256];
    }
}

impl Default for TrapTable {
    fn default() -> Self {
        TrapTable::new()
    }
}
