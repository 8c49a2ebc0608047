//! From one kernel stack to another, and the first steps of a new task.
//!
//! A task that is not running has on its stack what [`switch`] pushed: edi, esi, ebx, ebp, return
//! address. A new one gets a stack that looks so, with the return address of what it does first.
#![allow(unsafe_code)] // UNSAFETY: changes stacks in assembly, and prepares them.

use core::cell::UnsafeCell;
use ring1::trap::TrapFrame;

/// Where a task's stack pointer is while it does not run.
#[derive(Debug)]
pub struct Saved(UnsafeCell<u32>);

// SAFETY: 1. Written by `switch` and read by it, upcalls masked, on one vCPU.
unsafe impl Sync for Saved {}

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .type task_switch, @function
    /* task_switch(*save, load): cdecl; upcalls masked. Returns when something switches back. */
task_switch:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, (%eax)
    movl %edx, %esp
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret
    .size task_switch, . - task_switch

    .type task_begin_kernel, @function
    /* First of a kernel task: ebx = function, esi = its argument. */
task_begin_kernel:
    xorl %ebp, %ebp
    call {begin}
    pushl %esi
    call *%ebx
    ud2

    .type task_begin_user, @function
    /* First of a process: its TrapFrame lies at esp. */
task_begin_user:
    xorl %ebp, %ebp
    call {begin}
    jmp trap_return_user
    .popsection
    "#,
    begin = sym super::scheduler::begin,
    options(att_syntax)
);

unsafe extern "C" {
    fn task_switch(save: *mut u32, load: u32);
    fn task_begin_kernel();
    fn task_begin_user();
}

/// Writes words below `top` and returns where they begin.
fn push(top: u32, words: &[u32]) -> u32 {
    let start = top - words.len() as u32 * 4;
    let stack: *mut u32 = core::ptr::with_exposed_provenance_mut(start as usize);
    for (index, word) in words.iter().enumerate() {
        // SAFETY: 1. The callers pass the top of a fresh kernel stack, mapped and used by nothing.
        unsafe { stack.add(index).write(*word) }
    }
    start
}

impl Saved {
    /// Of the task that runs.
    pub const fn running() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// Of a kernel task that calls `function(argument)` on the stack that ends at `top`.
    pub fn kernel(top: u32, function: extern "C" fn(u32) -> !, argument: u32) -> Self {
        let begin = task_begin_kernel as *const () as u32;
        let function = function as *const () as u32;
        // edi, esi, ebx, ebp, return address; then room that keeps the stack aligned to 16.
        Self(UnsafeCell::new(push(top - 12, &[0, argument, function, 0, begin])))
    }

    /// Of a process that goes to Ring 3 with these registers.
    pub fn user(top: u32, registers: &TrapFrame) -> Self {
        let r = registers;
        let frame = [
            r.ebx, r.ecx, r.edx, r.esi, r.edi, r.ebp, r.eax, r.ds, r.es, r.address, r.vector,
            r.error, r.eip, r.cs, r.eflags, r.esp, r.ss,
        ];
        let at = push(top, &frame);
        Self(UnsafeCell::new(push(at, &[0, 0, 0, 0, task_begin_user as *const () as u32])))
    }
}

/// Leaves the running task, whose place is `from`, for the one at `to`. Upcalls masked. Returns when
/// something switches back.
///
/// # Safety
/// `from` is the running task's, `to` that of another live task with its stack; address space and
/// kernel stack of the vCPU are switched by the caller.
pub unsafe fn switch(from: &Saved, to: &Saved) {
    // SAFETY: 1. The caller's promise. 2. Masked: nothing else touches the two cells.
    unsafe { task_switch(from.0.get(), *to.0.get()) }
}
