//! Checks, and the verdict that they add up to.

use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use ring1::calls;
use ring1::println;

/// What a micro-guest returns.
pub type Outcome<T = ()> = Result<T, Stop>;

/// Why a micro-guest ends early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The machine lacks what the test needs.
    Skip(&'static str),
    /// The test could not do its work.
    Error(&'static str),
    /// A check failed that the rest builds on; it is reported already.
    Failed,
}

static FAILURES: AtomicU32 = AtomicU32::new(0);

/// Reports a failed check; what [`check!`](crate::check) calls.
#[doc(hidden)]
pub fn failed(what: core::fmt::Arguments<'_>) {
    if FAILURES.fetch_add(1, Ordering::Relaxed) == 0 {
        println!("Test result: FAILURE {what}");
    } else {
        println!("  and: {what}");
    }
}

/// Prints the verdict and powers off.
pub fn end(outcome: Outcome) -> ! {
    match outcome {
        Ok(()) if FAILURES.load(Ordering::Relaxed) == 0 => println!("Test result: SUCCESS"),
        Ok(()) | Err(Stop::Failed) => {}
        Err(Stop::Skip(why)) => println!("Test result: SKIP {why}"),
        Err(Stop::Error(why)) => println!("Test result: ERROR {why}"),
    }
    ring1::console::flush();
    calls::poweroff()
}

/// A hypercall's result that the rest builds on.
pub fn must<T>(result: Result<T, Errno>, what: &str) -> Outcome<T> {
    result.map_err(|errno| {
        failed(format_args!("{what}: {errno:?}"));
        Stop::Failed
    })
}

/// Checks a condition; if it does not hold, the verdict is FAILURE with the text, and the guest
/// goes on.
#[macro_export]
macro_rules! check {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            $crate::verdict::failed(format_args!($($text)+));
        }
    };
}

/// Checks that what was got is what is wanted: `check_eq!(got, wanted, "what it is")`.
#[macro_export]
macro_rules! check_eq {
    ($got:expr, $wanted:expr, $($what:tt)+) => {{
        let (got, wanted) = ($got, $wanted);
        if got != wanted {
            $crate::verdict::failed(format_args!(
                "{}: {got:x?}, expected {wanted:x?}",
                format_args!($($what)+)
            ));
        }
    }};
}
