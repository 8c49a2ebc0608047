//! Traps and event upcalls: how the hypervisor's frames become a call of a Rust function, and back.
//!
//! The hypervisor delivers a trap by pushing a frame onto the kernel's stack and continuing at the
//! address in its trap table. Low to high: `[error code] eip cs|mask<<16 eflags [esp ss]`, the last
//! two only when Ring 3 was interrupted (then on the stack of the last `stack_switch`), otherwise
//! the frame lies on the interrupted stack (Xen 4.17, `arch/x86/x86_64/compat/entry.S`,
//! `compat_create_bounce_frame`). The [stubs](crate::stubs) complete that to a [`TrapFrame`], load the kernel's
//! data segments and call the one handler that [`set_handler`] named.
//!
#![allow(unsafe_code)] // UNSAFETY: frames are reached by pointer; functions are kept as addresses.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// The registers of what was interrupted, as the stubs leave them on the kernel stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TrapFrame {
    /// General register.
    pub ebx: u32,
    /// General register.
    pub ecx: u32,
    /// General register.
    pub edx: u32,
    /// General register.
    pub esi: u32,
    /// General register.
    pub edi: u32,
    /// General register.
    pub ebp: u32,
    /// General register.
    pub eax: u32,
    /// Data segment.
    pub ds: u32,
    /// Data segment.
    pub es: u32,
    /// The address whose access raised a page fault (vector 14); else 0.
    pub address: u32,
    /// Vector, or [`UPCALL`], [`FAILSAFE`].
    pub vector: u32,
    /// Error code; 0 where the vector has none.
    pub error: u32,
    /// Next instruction.
    pub eip: u32,
    /// Code segment in bits 15..0; bits 23..16: `evtchn_upcall_mask` as it was.
    pub cs: u32,
    /// Flags.
    pub eflags: u32,
    /// Stack pointer; there only when Ring 3 was interrupted.
    pub esp: u32,
    /// Stack segment; there only when Ring 3 was interrupted.
    pub ss: u32,
}

impl TrapFrame {
    /// Bytes of a frame that interrupted Ring 1: `esp` and `ss` are missing.
    pub const KERNEL_BYTES: usize = core::mem::size_of::<Self>() - 8;

    /// Whether Ring 3 was interrupted.
    pub fn from_user(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Whether upcalls were masked when the trap came.
    pub fn was_masked(&self) -> bool {
        self.cs >> 16 & 0xff != 0
    }

    /// Unmasks upcalls if the interrupted code had them so.
    pub fn restore_mask(&self) {
        if !self.was_masked() {
            crate::events::unmask();
        }
    }

    /// The interrupted code's stack pointer: below the frame when Ring 1 was interrupted.
    pub fn stack_pointer(&self) -> u32 {
        if self.from_user() {
            self.esp
        } else {
            core::ptr::from_ref(self).addr() as u32 + Self::KERNEL_BYTES as u32
        }
    }
}

/// `vector` of an event upcall.
pub const UPCALL: u32 = 0x100;
/// `vector` of a failsafe callback: a segment register could not be loaded. fs and gs are null then.
pub const FAILSAFE: u32 = 0x101;
/// The vector of Linux system calls.
pub const SYSCALL: u32 = 0x80;

/// Non-zero when something is to be done before Ring 3 continues: [`set_user_work`]'s function is
/// called, upcalls unmasked, until it is zero.
pub static WORK: AtomicU32 = AtomicU32::new(0);

/// What handles traps and upcalls. Called on the kernel stack; for an upcall with upcalls masked.
pub type Handler = fn(&mut TrapFrame);

static HANDLER: AtomicUsize = AtomicUsize::new(0);
static USER_WORK: AtomicUsize = AtomicUsize::new(0);

/// Names the function that every trap and upcall calls, instead of [`crate::probe::handle`].
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// What handles one vector alone: the stub calls it itself.
pub type Direct = extern "C" fn(&mut TrapFrame);

/// What `int 0x80` calls.
pub(crate) static SYSTEM_CALL: AtomicPtr<()> = AtomicPtr::new(trap_dispatch as *mut ());
/// What a page fault calls.
pub(crate) static PAGE_FAULT: AtomicPtr<()> = AtomicPtr::new(trap_dispatch as *mut ());

/// Names the function that `int 0x80` calls instead of the [handler](set_handler).
pub fn set_system_call(handler: Direct) {
    SYSTEM_CALL.store(handler as *mut (), Ordering::Relaxed);
}

/// Names the function that a page fault calls instead of the [handler](set_handler). It is entered with
/// upcalls masked ([`TrapFrame::restore_mask`]).
pub fn set_page_fault(handler: Direct) {
    PAGE_FAULT.store(handler as *mut (), Ordering::Relaxed);
}

/// Names the function that does what [`WORK`] calls for.
pub fn set_user_work(work: Handler) {
    USER_WORK.store(work as usize, Ordering::Relaxed);
}

fn load(slot: &AtomicUsize) -> Option<Handler> {
    let address = slot.load(Ordering::Relaxed);
    // SAFETY: 1. The slots hold 0 (`None`) or a `Handler` stored by the functions above.
    unsafe { core::mem::transmute::<usize, Option<Handler>>(address) }
}

/// First Rust function of every trap and upcall.
///
/// # Safety
/// For the stubs alone: `frame` points to a frame on the kernel stack (without its last two fields
/// when it interrupted Ring 1) that nothing else refers to.
pub(crate) unsafe extern "C" fn trap_dispatch(frame: *mut TrapFrame) {
    // SAFETY: 1. The caller's promise. 2. `esp` and `ss` of a Ring 1 frame are readable stack (the
    // interrupted function's, or the builder's page above the boot stack): the handlers leave them
    // alone, as `from_user` says.
    let frame = unsafe { &mut *frame };
    if frame.vector == 14 {
        frame.restore_mask();
    }
    match load(&HANDLER) {
        Some(handler) => handler(frame),
        None => crate::probe::handle(frame),
    }
}

/// # Safety
/// As [`trap_dispatch`].
pub(crate) unsafe extern "C" fn user_work(frame: *mut TrapFrame) {
    // SAFETY: 1. The caller's promise: the frame of the process that is about to continue.
    let frame = unsafe { &mut *frame };
    match load(&USER_WORK) {
        Some(work) => work(frame),
        None => WORK.store(0, Ordering::Relaxed),
    }
}
