//! What the entry stubs save: all registers of what was interrupted.
//!
//! The order is the stubs' push order, lowest address first, and close to Xen's
//! `cpu_user_regs` (`public/arch-x86/xen-x86_64.h`): error code and vector share one slot.

/// Registers of interrupted code, guest or hypervisor.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)] // Named as the CPU names them.
pub struct TrapFrame {
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
    /// What the CPU pushed, or zero.
    pub error_code: u32,
    /// The interrupt vector.
    pub vector: u32,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = assert!(size_of::<TrapFrame>() == 21 * 8);

impl TrapFrame {
    /// Whether a guest was interrupted, rather than the hypervisor.
    #[inline]
    pub fn is_guest(&self) -> bool {
        self.cs & 3 != 0
    }
}
