//! Any hypercall with any arguments.
#![allow(unsafe_code)] // UNSAFETY: hypercalls; tests choose the arguments, wrong ones included.

use core::sync::atomic::{Ordering, compiler_fence};
use pv_abi::errno::Errno;
use ring1::hypercall::raw;

/// Hypercall `number` with up to five arguments; what came back in eax.
///
/// Addresses among the arguments must be of spare pages, of values that the caller holds mutably,
/// or such as the hypervisor must refuse: nothing else may change.
pub fn hypercall(number: u32, arguments: &[u32]) -> i32 {
    let mut all = [0; 5];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e] = all;
    compiler_fence(Ordering::SeqCst);
    // SAFETY: 1. The rule above, which the callers (tests of this package) keep.
    unsafe { raw(number, a, b, c, d, e) }
}

/// A hypercall of the form `number(command, &argument)`; the argument is read and written.
pub fn with_argument<T>(number: u32, command: u32, argument: &mut T) -> i32 {
    hypercall(number, &[command, address_of(argument)])
}

/// The address of a value, for a hypercall's argument.
pub fn address_of<T: ?Sized>(value: &mut T) -> u32 {
    core::ptr::from_mut(value).cast::<u8>().expose_provenance() as u32
}

/// An errno as eax says it.
pub fn ret(errno: Errno) -> i32 {
    errno.to_ret() as i32
}
