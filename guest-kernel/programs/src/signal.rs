//! Signals, as the kernel has them: without a C library between.
#![allow(unsafe_code)] // UNSAFETY: handlers are addresses, and where they return to is assembly.

use crate::sys::{self, Result, nr};

/// `SA_SIGINFO`.
pub const SIGINFO: usize = 4;
/// `SA_ONSTACK`.
pub const ON_STACK: usize = 0x0800_0000;
/// `SA_RESTART`.
pub const RESTART: usize = 0x1000_0000;
/// `SA_RESETHAND`.
pub const ONCE: usize = 0x8000_0000;
/// `SA_RESTORER`.
const RESTORER: usize = 0x0400_0000;

/// `SIG_DFL`.
pub const DEFAULT: usize = 0;
/// `SIG_IGN`.
pub const IGNORE: usize = 1;

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .type signal_return, @function
signal_return:
    popl %eax
    movl $119, %eax
    int $0x80
    .type signal_return_long, @function
signal_return_long:
    movl $173, %eax
    int $0x80
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn signal_return();
    fn signal_return_long();
}

/// A handler's address.
pub fn handler(function: extern "C" fn(u32)) -> usize {
    function as *const () as usize
}

/// The address of a handler that is told more ([`SIGINFO`]): what came, and the interrupted context.
pub fn long_handler(function: extern "C" fn(u32, *mut u32, *mut u32)) -> usize {
    function as *const () as usize
}

/// Sets what is done about a signal: a handler, [`DEFAULT`] or [`IGNORE`].
pub fn set(signal: u32, handler: usize, flags: usize) -> Result {
    let long = flags & SIGINFO != 0;
    let restorer = if long { signal_return_long as *const () } else { signal_return as *const () };
    let action = [handler, flags | RESTORER, restorer as usize, 0, 0];
    let address = (&raw const action).expose_provenance();
    // SAFETY: 1. It changes no memory. 2. A handler of ours may be called at any time: those only use
    // atomics and what the kernel hands them.
    unsafe { sys::call(nr::RT_SIGACTION, &[signal as usize, address, 0, 8]) }
}

/// A set of these signals, all below 33.
pub fn set_of(signals: &[u32]) -> [u32; 2] {
    [signals.iter().fold(0, |set, signal| set | 1 << (signal - 1)), 0]
}

/// How [`mask`] changes what is blocked.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum How {
    /// These, too.
    Block = 0,
    /// These not.
    Unblock = 1,
    /// These alone.
    Set = 2,
}

/// Changes what is blocked; what was before.
pub fn mask(how: How, set: [u32; 2]) -> Result<[u32; 2]> {
    let mut old = [0u32; 2];
    let (set, at) = ((&raw const set).expose_provenance(), (&raw mut old).expose_provenance());
    // SAFETY: 1. It writes to `old` alone.
    unsafe { sys::call(nr::RT_SIGPROCMASK, &[how as usize, set, at, 8]) }?;
    Ok(old)
}
