//! All of a vCPU's state at once: what `vcpu_guest_context` holds, without its width.
//!
//! A vCPU gets its first state as a whole: by `VCPUOP_initialise` from another vCPU of its
//! domain, or by `setvcpucontext` from the domain that builds it. Both decode what they were
//! given ([`Context::from_pv32`], [`Context::from_pv64`]) and call [`set::initialise`] or
//! [`set::set`], which check everything before they change anything. `getvcpucontext` is
//! [`get::get`], and then [`Context::to_pv32`] or [`Context::to_pv64`].
//!
//! | file | does |
//! |---|---|
//! | [`abi`] | from and to the structures of the two widths |
//! | [`mod@set`] | checks, references, and the change |
//! | [`mod@get`] | the way back |
//!
//! The layout is that of the *target's* width, whoever makes the call (as on Xen).

pub mod abi;
pub mod get;
pub mod set;

use pv_abi::types::Mfn;

use crate::guest::regs::UserRegs;
use crate::trap::{Target, TrapTable};

/// Frames that the structure names for the GDT; a guest can have 14.
const GDT_FRAMES: usize = 16;
/// Bytes of an image in FXSAVE form.
const FXSAVE_BYTES: usize = 512;

/// A vCPU's state as a whole.
pub struct Context {
    /// `VGCF_*`.
    pub flags: u32,
    /// General registers; RFLAGS with the virtual IOPL in its place.
    pub regs: UserRegs,
    /// ds, es, fs, gs.
    pub segments: [u16; 4],
    /// x87 and SSE registers, used if `VGCF_I387_VALID` is set.
    pub fpu: [u8; FXSAVE_BYTES],
    /// The trap table.
    pub traps: TrapTable,
    /// Guest address of the LDT.
    pub ldt_base: u64,
    /// Its entries.
    pub ldt_entries: u64,
    /// Frames of the GDT.
    pub gdt: [Mfn; GDT_FRAMES],
    /// Its entries.
    pub gdt_entries: u64,
    /// Stack for traps from the guest's users.
    pub kernel_ss: u16,
    /// Its top.
    pub kernel_sp: u64,
    /// CR0, of which TS counts.
    pub cr0: u64,
    /// The root page table (CR3).
    pub root: Mfn,
    /// pv64: the root of user mode (in the place of CR1); 0: none.
    pub user_root: Mfn,
    /// CR4 as the guest has it.
    pub cr4: u64,
    /// DR0 to DR7.
    pub debug_registers: [u64; 8],
    /// The event callback.
    pub event: Target,
    /// The failsafe callback.
    pub failsafe: Target,
    /// pv64: the syscall callback.
    pub syscall: Target,
    /// `vm_assist` of the domain; looked at for vCPU 0 only.
    pub vm_assist: u64,
    /// pv64: bases of FS, of GS in kernel mode, of GS in user mode.
    pub bases: [u64; 3],
}
