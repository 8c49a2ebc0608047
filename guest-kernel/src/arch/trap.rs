//! Traps and event upcalls: how the hypervisor's frames become a call of a Rust function, and back.
//!
//! The hypervisor delivers a trap by pushing a frame onto the kernel's stack and continuing at the
//! address in its trap table. Low to high: `[error code] eip cs|mask<<16 eflags [esp ss]`, the last
//! two only when Ring 3 was interrupted (then on the stack of the last `stack_switch`), otherwise
//! the frame lies on the interrupted stack (Xen 4.17, `arch/x86/x86_64/compat/entry.S`,
//! `compat_create_bounce_frame`). The stubs here complete that to a [`TrapFrame`], load the kernel's
//! data segments and call the one handler that [`set_handler`] named.
//!
//! **The way back** is `iret` in Ring 1, which knows nothing of `evtchn_upcall_mask`: an upcall is
//! entered with the mask set, and must be left with the mask clear and no upcall lost between. So
//! the last instructions are a *restartable section*: clear the mask, look whether an event became
//! pending meanwhile, `iret`. At each of them all registers are the interrupted program's already
//! and only its iret frame is on the stack. An upcall inside drops its own frame and so counts as
//! one that interrupted the program itself: nothing is lost, no stack grows. Pending events found
//! there are delivered by the iret *hypercall*, after which the hypervisor looks for events.
//!
//! Invariants:
//! - Ring 3 runs with the mask clear; the mask is cleared last, after [`WORK`] was found zero.
//! - A page fault is entered with upcalls masked and its address is taken before they are unmasked:
//!   the hypervisor has one place for it, which the next task's fault overwrites.
//! - fs and gs are not touched: they are the current process's while the kernel works. ds and es
//!   are saved, since the kernel needs them.
//! - A user's segment register that no longer loads (its descriptor changed) becomes null.
#![allow(unsafe_code)] // UNSAFETY: the trap stubs are assembly; frames are reached by pointer.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use pv_abi::errno::Errno;
use pv_abi::traps::TI_IF;
use pv_abi::x86_32::{FLAT_RING1_CS, TrapInfo};

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

/// Names the function that every trap and upcall calls, instead of [`super::probe::handle`].
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// Registers the stubs with the hypervisor: traps, event callback, failsafe callback. Trap gates for
/// `int3`, `into` and `int 0x80` are open to Ring 3.
pub fn install() -> Result<(), Errno> {
    const VECTORS: [u8; 20] =
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, SYSCALL as u8];
    let mut table = [TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 }; VECTORS.len() + 1];
    for (index, (entry, vector)) in table.iter_mut().zip(VECTORS).enumerate() {
        let open = matches!(u32::from(vector), 3 | 4 | SYSCALL);
        let flags = match vector {
            14 => TI_IF,
            _ if open => 3,
            _ => 0,
        };
        // SAFETY: 1. The stubs' table has one address for each vector of the list, in its order.
        let address = unsafe { trap_stubs[index] };
        *entry = TrapInfo { vector, flags, cs: FLAT_RING1_CS, address };
    }
    super::calls::set_trap_table(&table)?;
    super::calls::set_callbacks(
        event_upcall as *const () as u32,
        failsafe_callback as *const () as u32,
    )
}

unsafe extern "C" {
    static trap_stubs: [u32; 20];
    fn event_upcall();
    fn failsafe_callback();
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
unsafe extern "C" fn trap_dispatch(frame: *mut TrapFrame) {
    // SAFETY: 1. The caller's promise. 2. `esp` and `ss` of a Ring 1 frame are readable stack (the
    // interrupted function's, or the builder's page above the boot stack): the handlers leave them
    // alone, as `from_user` says.
    let frame = unsafe { &mut *frame };
    if frame.vector == 14 && !frame.was_masked() {
        super::events::unmask();
    }
    match load(&HANDLER) {
        Some(handler) => handler(frame),
        None => super::probe::handle(frame),
    }
}

/// # Safety
/// As [`trap_dispatch`].
unsafe extern "C" fn user_work(frame: *mut TrapFrame) {
    // SAFETY: 1. The caller's promise: the frame of the process that is about to continue.
    let frame = unsafe { &mut *frame };
    match load(&USER_WORK) {
        Some(work) => work(frame),
        None => WORK.store(0, Ordering::Relaxed),
    }
}

core::arch::global_asm!(
    r#"
    .set FRAME_CS, {cs}
    .set UPCALL_PENDING, shared_info_page + {pending}
    .set UPCALL_MASK, shared_info_page + {mask}

    .macro SAVE_ALL
        cld
        pushl %es
        pushl %ds
        pushl %eax
        pushl %ebp
        pushl %edi
        pushl %esi
        pushl %edx
        pushl %ecx
        pushl %ebx
        movl ${ring1_ds}, %eax
        movl %eax, %ds
        movl %eax, %es
    .endm
    /* Pops down to the iret frame. */
    .macro RESTORE_ALL
        popl %ebx
        popl %ecx
        popl %edx
        popl %esi
        popl %edi
        popl %ebp
        popl %eax
    771: popl %ds
    772: popl %es
        addl $12, %esp
        .pushsection .text.fixup, "ax", @progbits
    773: movl $0, (%esp)                /* null instead, and again */
        jmp 771b
    774: movl $0, (%esp)
        jmp 772b
        .popsection
        .pushsection .extable, "a", @progbits
        .long 771b, 773b, 772b, 774b
        .popsection
    .endm

    /* A trap stub: completes the hypervisor's frame with error code (if the vector has none) and
       vector, and the address of a page fault. That one is entered with upcalls masked, so that
       nobody else's fault can change the address before it is read here. */
    .macro TRAP vector, has_error
    trap_stub_\vector:
        .if \has_error == 0
        pushl $0
        .endif
        pushl $\vector
        .if \vector == 14
        pushl %ss:shared_info_page + {cr2}
        .else
        pushl $0
        .endif
        jmp trap_common
    .endm

    .pushsection .text, "ax", @progbits
    TRAP 0, 0
    TRAP 1, 0
    TRAP 2, 0
    TRAP 3, 0
    TRAP 4, 0
    TRAP 5, 0
    TRAP 6, 0
    TRAP 7, 0
    TRAP 8, 1
    TRAP 9, 0
    TRAP 10, 1
    TRAP 11, 1
    TRAP 12, 1
    TRAP 13, 1
    TRAP 14, 1
    TRAP 16, 0
    TRAP 17, 1
    TRAP 18, 0
    TRAP 19, 0
    TRAP 128, 0

    /* Stack: address, vector, error, eip cs eflags [esp ss]. But for page faults upcalls are as the interrupted code had them. */
    .type trap_common, @function
trap_common:
    SAVE_ALL
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    testb $2, FRAME_CS(%esp)
    jnz trap_return_user
    RESTORE_ALL
    iret

    /* Stack: TrapFrame of Ring 3. Masks upcalls, does what is to be done, goes back. */
    .globl trap_return_user
    .type trap_return_user, @function
trap_return_user:
    movb $1, UPCALL_MASK
    cmpl $0, {work}
    jne 1f
    RESTORE_ALL
    jmp upcall_exit
1:  movb $0, UPCALL_MASK
    cmpb $0, UPCALL_PENDING
    je 2f
    call {deliver}
2:  movl %esp, %eax
    pushl %eax
    call {user_work}
    addl $4, %esp
    jmp trap_return_user

    /* Stack: eip cs eflags [esp ss] of the interrupted; all registers its own; upcalls masked. */
upcall_exit:
restart_begin:
    movb $0, %ss:UPCALL_MASK
    cmpb $0, %ss:UPCALL_PENDING
    jne 3f
    iret
restart_end:
3:  jmp hypercall_page + 23 * 32        /* __HYPERVISOR_iret */

    .globl event_upcall
    .type event_upcall, @function
    /* The event callback. Stack: eip cs eflags [esp ss]; upcalls masked. */
event_upcall:
    testb $2, 4(%esp)
    jnz 1f
    cmpl $restart_begin, (%esp)
    jb 1f
    cmpl $restart_end, (%esp)
    jae 1f
    addl $12, %esp                      /* the interrupted's own frame lies above */
1:  pushl $0
    pushl ${upcall}
    pushl $0
    SAVE_ALL
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    testb $2, FRAME_CS(%esp)
    jnz trap_return_user
    RESTORE_ALL
    jmp upcall_exit

    .globl failsafe_callback
    .type failsafe_callback, @function
    /* Stack: ds es fs gs eip cs eflags [esp ss]; a segment register could not be loaded. */
failsafe_callback:
    addl $16, %esp
    pushl $0
    pushl ${failsafe}
    pushl $0
    SAVE_ALL
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %esp, %eax
    pushl %eax
    call {dispatch}
    addl $4, %esp
    testb $2, FRAME_CS(%esp)
    jnz trap_return_user
    RESTORE_ALL
    iret
    .popsection

    .pushsection .rodata, "a", @progbits
    .balign 4
    .globl trap_stubs
trap_stubs:
    .long trap_stub_0, trap_stub_1, trap_stub_2, trap_stub_3, trap_stub_4, trap_stub_5
    .long trap_stub_6, trap_stub_7, trap_stub_8, trap_stub_9, trap_stub_10, trap_stub_11
    .long trap_stub_12, trap_stub_13, trap_stub_14, trap_stub_16, trap_stub_17, trap_stub_18
    .long trap_stub_19, trap_stub_128
    .popsection
    "#,
    cs = const core::mem::offset_of!(TrapFrame, cs),
    cr2 = const super::shared::CR2_OFFSET,
    pending = const super::shared::UPCALL_PENDING_OFFSET,
    mask = const super::shared::UPCALL_MASK_OFFSET,
    ring1_ds = const pv_abi::x86_32::FLAT_RING1_DS,
    upcall = const UPCALL,
    failsafe = const FAILSAFE,
    work = sym WORK,
    dispatch = sym trap_dispatch,
    user_work = sym user_work,
    deliver = sym super::events::deliver_pending,
    options(att_syntax)
);
