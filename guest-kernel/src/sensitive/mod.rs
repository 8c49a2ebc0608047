//! The sensitive instructions, executed in Ring 1 (the essay is in the crate [`sensitive`]).

use core::fmt::Write;

use sensitive::{Catch, Ring, Seen};

use crate::arch::{events, probe};

/// Executes with upcalls masked, as a kernel's critical section would be, and returns traps.
struct Probe;

impl Catch for Probe {
    fn catch(&mut self, act: fn() -> Seen) -> Seen {
        let was_masked = events::is_masked();
        events::mask();
        let seen = match probe::probe(act) {
            Ok(seen) => seen,
            Err(fault) => Seen::Trap { vector: fault.vector, error: fault.error },
        };
        if !was_masked {
            events::unmask();
        }
        seen
    }
}

/// Prints the table of what each sensitive instruction does in Ring 1. True when every row is as
/// expected.
pub fn report(out: &mut dyn Write) -> bool {
    sensitive::report(Ring::One, out, &mut |act| sensitive::execute(&mut Probe, act)) == Ok(0)
}
