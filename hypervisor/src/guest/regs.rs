//! The registers of a guest at the moment it entered the hypervisor.
//!
//! The entry stubs of `arch` build this frame at the top of the CPU's stack, and
//! return by it; the logic changes fields. Host tests make frames of their own.

/// Registers in the order in which the entry stubs push them, lowest address first.
///
/// pv32: only the low halves mean something, and r8 to r15 nothing at all.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are the processor's.
pub struct UserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The error code that the processor pushed, or 0.
    pub error_code: u32,
    /// The vector through which the guest entered.
    pub entry_vector: u32,
    pub rip: u64,
    pub cs: u16,
    pub cs_padding: [u16; 3],
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u16,
    pub ss_padding: [u16; 3],
}

const _: () = assert!(size_of::<UserRegs>() == 21 * 8);

/// RFLAGS bits that the logic names (SDM volume 1, 3.4.3).
pub mod rflags {
    /// Carry.
    pub const CF: u64 = 1 << 0;
    /// Reads as one.
    pub const FIXED: u64 = 1 << 1;
    /// Zero.
    pub const ZF: u64 = 1 << 6;
    /// Single step.
    pub const TF: u64 = 1 << 8;
    /// Interrupts enabled.
    pub const IF: u64 = 1 << 9;
    /// Direction.
    pub const DF: u64 = 1 << 10;
    /// I/O privilege level, two bits.
    pub const IOPL: u64 = 3 << 12;
    /// Nested task.
    pub const NT: u64 = 1 << 14;
    /// Resume.
    pub const RF: u64 = 1 << 16;
    /// Virtual 8086 mode.
    pub const VM: u64 = 1 << 17;
    /// Alignment check.
    pub const AC: u64 = 1 << 18;
    /// What a guest may have as it likes: CF PF AF ZF SF TF DF OF RF AC ID.
    pub const GUEST: u64 = 0x0025_0dd5;
    /// Virtual interrupt flag.
    pub const VIF: u64 = 1 << 19;
    /// Virtual interrupt pending.
    pub const VIP: u64 = 1 << 20;
}

impl UserRegs {
    /// Whether a guest was interrupted, rather than the hypervisor.
    #[inline(always)]
    pub const fn is_guest(&self) -> bool {
        self.cs & 3 != 0
    }
}
