//! Faults that are expected, as values; and stays in Ring 3 that end as values, too.
//!
//! [`probe`] runs a closure; when an instruction of it (or of what it calls) traps, the trap ends
//! the closure and is returned. [`enter_user`] continues in Ring 3 with given registers and returns
//! the frame of the trap that ended the stay: a fault, a system call, anything but an upcall. Both
//! leave the trap by jumping to where they began, as `longjmp` does: the hypervisor keeps no state
//! about traps in progress, so there is nothing to undo. What the closure held is leaked, not
//! dropped.
//!
//! [`handle`] is the trap handler of programs that set none: expected faults and the exception table
//! first, then [`set_upcall_handler`]'s function for upcalls, and a report and the shutdown "crash"
//! for everything else. A kernel's own handler calls [`expected`] for what it cannot resolve itself.
#![allow(unsafe_code)] // UNSAFETY: saves and restores the stack pointer in assembly.

use crate::trap::{TrapFrame, UPCALL};
use crate::{calls, uaccess};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use pv_abi::x86_32::{FLAT_RING3_CS, FLAT_RING3_DS, FLAT_RING3_SS};

/// A trap that ended a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Vector.
    pub vector: u32,
    /// Error code; 0 where the vector has none.
    pub error: u32,
    /// Address of the instruction.
    pub eip: u32,
    /// For page faults (vector 14) the address accessed, otherwise 0.
    pub address: u32,
    /// Segment selector and saved upcall mask as in [`TrapFrame::cs`].
    pub cs: u32,
    /// Flags at the instruction.
    pub eflags: u32,
}

impl Fault {
    fn of(frame: &TrapFrame) -> Self {
        Self {
            vector: frame.vector,
            error: frame.error,
            eip: frame.eip,
            address: frame.address,
            cs: frame.cs,
            eflags: frame.eflags,
        }
    }
}

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .globl probe_call
    .type probe_call, @function
    /* u32 probe_call(f, argument, *stack): calls f(argument) and returns 0, or 1 when probe_end was
       called meanwhile. Leaves its stack pointer in *stack. cdecl. */
probe_call:
    pushl %ebp
    movl %esp, %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl 16(%ebp), %eax
    movl %esp, (%eax)
    pushl 12(%ebp)
    call *8(%ebp)
    addl $4, %esp
    xorl %eax, %eax
    jmp 1f

    /* probe_end(stack): makes the probe_call with that stack pointer return 1. */
    .globl probe_end
    .type probe_end, @function
probe_end:
    movl 4(%esp), %esp
    cld
    movl $1, %eax
1:  popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

    /* user_start(*TrapFrame): loads all of it but vector and error, and goes there. Upcall mask
       unchanged. Never returns. */
    .globl user_start
    .type user_start, @function
user_start:
    movl 4(%esp), %eax
    pushl {ss}(%eax)
    pushl {esp}(%eax)
    pushl {eflags}(%eax)
    pushl {cs}(%eax)
    pushl {eip}(%eax)
    pushl {es}(%eax)
    pushl {ds}(%eax)
    movl {ebx}(%eax), %ebx
    movl {ecx}(%eax), %ecx
    movl {edx}(%eax), %edx
    movl {esi}(%eax), %esi
    movl {edi}(%eax), %edi
    movl {ebp}(%eax), %ebp
    movl {eax}(%eax), %eax
    popl %ds
    popl %es
    iret
    .popsection
    "#,
    ss = const core::mem::offset_of!(TrapFrame, ss),
    esp = const core::mem::offset_of!(TrapFrame, esp),
    eflags = const core::mem::offset_of!(TrapFrame, eflags),
    cs = const core::mem::offset_of!(TrapFrame, cs),
    eip = const core::mem::offset_of!(TrapFrame, eip),
    es = const core::mem::offset_of!(TrapFrame, es),
    ds = const core::mem::offset_of!(TrapFrame, ds),
    ebx = const core::mem::offset_of!(TrapFrame, ebx),
    ecx = const core::mem::offset_of!(TrapFrame, ecx),
    edx = const core::mem::offset_of!(TrapFrame, edx),
    esi = const core::mem::offset_of!(TrapFrame, esi),
    edi = const core::mem::offset_of!(TrapFrame, edi),
    ebp = const core::mem::offset_of!(TrapFrame, ebp),
    eax = const core::mem::offset_of!(TrapFrame, eax),
    options(att_syntax)
);

unsafe extern "C" {
    fn probe_call(
        f: unsafe extern "C" fn(*mut u8),
        argument: *mut u8,
        stack: *const AtomicU32,
    ) -> u32;
    fn probe_end(stack: u32) -> !;
    fn user_start(frame: *const TrapFrame) -> !;
}

/// Stack pointer of the innermost probe; 0: none.
static PROBE: AtomicU32 = AtomicU32::new(0);
/// Stack pointer of the `probe_call` that entered Ring 3; 0: none.
static SESSION: AtomicU32 = AtomicU32::new(0);

/// The frame that ended the last probe or stay in Ring 3.
struct Ending(core::cell::UnsafeCell<TrapFrame>);
// SAFETY: 1. One vCPU; written by the trap handler and read right after by the code it jumps to.
unsafe impl Sync for Ending {}
static ENDING: Ending = Ending(core::cell::UnsafeCell::new(TrapFrame {
    ebx: 0,
    ecx: 0,
    edx: 0,
    esi: 0,
    edi: 0,
    ebp: 0,
    eax: 0,
    ds: 0,
    es: 0,
    address: 0,
    vector: 0,
    error: 0,
    eip: 0,
    cs: 0,
    eflags: 0,
    esp: 0,
    ss: 0,
}));

/// How far below a probe's stack pointer a fault still counts as the probe's own.
const PROBE_REACH: u32 = 0x1_0000;

/// Runs `f`. A trap in it is the result; `f` then ends where it stands, and its values are not
/// dropped. Upcalls: as they were when `probe` was called. Probes may be nested.
pub fn probe<R>(f: impl FnOnce() -> R) -> Result<R, Fault> {
    struct Job<F, R> {
        f: Option<F>,
        result: Option<R>,
    }
    unsafe extern "C" fn run<F: FnOnce() -> R, R>(job: *mut u8) {
        // SAFETY: 1. `probe` below passes its own `Job<F, R>`, which it does not touch meanwhile.
        let job = unsafe { &mut *job.cast::<Job<F, R>>() };
        if let Some(f) = job.f.take() {
            job.result = Some(f());
        }
    }
    fn runner<F: FnOnce() -> R, R>(_: &Job<F, R>) -> unsafe extern "C" fn(*mut u8) {
        run::<F, R>
    }
    let mut job = Job { f: Some(f), result: None };
    let runner = runner(&job);
    let was_masked = crate::events::is_masked();
    let outer = PROBE.load(Ordering::Relaxed);
    // SAFETY: 1. `runner` casts its argument back to the type it has. 2. The second return of
    // `probe_call` happens while this frame is live, on the same stack.
    let faulted = unsafe { probe_call(runner, (&raw mut job).cast(), &PROBE) } != 0;
    PROBE.store(outer, Ordering::Relaxed);
    if faulted {
        if was_masked {
            crate::events::mask();
        } else {
            crate::events::unmask();
        }
        // SAFETY: 1. See `Ending`.
        return Err(Fault::of(unsafe { &*ENDING.0.get() }));
    }
    match job.result {
        Some(result) => Ok(result),
        None => unreachable!("the probe's function was not run"),
    }
}

/// Bytes of the stack on which traps out of a stay in Ring 3 arrive.
const SESSION_STACK: usize = 8192;
#[repr(C, align(4096))]
struct SessionStack(core::cell::UnsafeCell<[u8; SESSION_STACK]>);
// SAFETY: 1. Only the hypervisor and the trap stubs touch it, on the one vCPU.
unsafe impl Sync for SessionStack {}
static STACK: SessionStack = SessionStack(core::cell::UnsafeCell::new([0; SESSION_STACK]));

/// Registers for a stay in Ring 3: flat segments, the given place and stack, everything else 0.
pub fn user_registers(eip: u32, esp: u32) -> TrapFrame {
    TrapFrame {
        eip,
        esp,
        eflags: 0x202,
        cs: FLAT_RING3_CS as u32,
        ss: FLAT_RING3_SS as u32,
        ds: FLAT_RING3_DS as u32,
        es: FLAT_RING3_DS as u32,
        ..TrapFrame::default()
    }
}

/// Continues in Ring 3 with `registers` until a trap, and returns its frame. Upcalls stay masked or
/// unmasked as they are; unmasked ones are handled and do not end the stay.
///
/// Sets the kernel stack of the vCPU (`stack_switch`) and leaves it so. Not for a kernel with
/// processes while they can run: mask upcalls then, and switch the stack back.
///
/// # Safety
/// What Ring 3 can reach (pages mapped for it) must be nothing that Rust relies on.
pub unsafe fn enter_user(registers: &TrapFrame) -> TrapFrame {
    unsafe extern "C" fn start(registers: *mut u8) {
        // SAFETY: 1. `enter_user` passes a frame. 2. The caller promised what Ring 3 may reach.
        unsafe { user_start(registers.cast()) }
    }
    let top = (&raw const STACK).addr() as u32 + SESSION_STACK as u32;
    if let Err(errno) = calls::stack_switch(top) {
        panic!("cannot switch the kernel stack: {errno:?}");
    }
    // SAFETY: 1. The argument is a frame, which `start` only reads. 2. As in `probe`.
    unsafe {
        probe_call(start, core::ptr::from_ref(registers).cast_mut().cast(), &SESSION);
    }
    SESSION.store(0, Ordering::Relaxed);
    // SAFETY: 1. See `Ending`.
    unsafe { *ENDING.0.get() }
}

/// Resolves a trap that is expected: by the exception table, a probe, or a stay in Ring 3. False
/// when it is none of these; does not return when it ends a probe or a stay.
pub fn expected(frame: &mut TrapFrame) -> bool {
    if frame.from_user() {
        let session = SESSION.load(Ordering::Relaxed);
        if session != 0 {
            // SAFETY: 1. See `Ending`. 2. `session` is the live stack pointer of `enter_user`.
            unsafe {
                *ENDING.0.get() = *frame;
                probe_end(session);
            }
        }
        return false;
    }
    if let Some(to) = uaccess::fixup(frame.eip) {
        frame.eip = to;
        return true;
    }
    let probe = PROBE.load(Ordering::Relaxed);
    let depth = probe.wrapping_sub(core::ptr::from_ref(frame).addr() as u32);
    if probe != 0 && depth < PROBE_REACH {
        // SAFETY: 1. The frame lies just below the probe's stack pointer, so that probe runs: its
        // stack frame is live. 2. The last two fields are readable stack, see `trap_dispatch`.
        unsafe {
            *ENDING.0.get() = *frame;
            probe_end(probe);
        }
    }
    false
}

static UPCALL_HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Names the function that [`handle`] calls on an event upcall, upcalls masked.
pub fn set_upcall_handler(handler: fn()) {
    UPCALL_HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// The trap handler of programs that set none.
pub fn handle(frame: &mut TrapFrame) {
    if frame.vector == UPCALL {
        let address = UPCALL_HANDLER.load(Ordering::Relaxed);
        // SAFETY: 1. The slot holds 0 (`None`) or a `fn()`.
        match unsafe { core::mem::transmute::<usize, Option<fn()>>(address) } {
            Some(handler) => handler(),
            None => crate::events::dispatch(|_| {}),
        }
        return;
    }
    if !expected(frame) {
        crate::panic::unexpected_trap(frame);
    }
}

/// Reads the word at `address`, whatever is there; for probes.
pub fn read_u32(address: u32) -> u32 {
    let value: u32;
    // SAFETY: 1. Reading any address in assembly has no effect beyond a fault.
    unsafe {
        core::arch::asm!("mov {0:e}, [{0:e}]", inout(reg) address => value, options(nostack));
    }
    value
}

/// Writes the word at `address`; for probes.
///
/// # Safety
/// Nothing that Rust relies on may change: the write is expected to fault, or the word is spare.
pub unsafe fn write_u32(address: u32, value: u32) {
    // SAFETY: 1. The caller's promise.
    unsafe {
        core::arch::asm!("mov [{0:e}], {1:e}", in(reg) address, in(reg) value, options(nostack));
    }
}
