//! The sensitive instructions, executed in Ring 1 (the essay is in the crate [`sensitive`]).

use core::fmt::Write;

use sensitive::{Catch, Ring, Seen};

use crate::{events, probe};

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
    let run = &mut |act| sensitive::execute(&mut Probe, act);
    let good = sensitive::report(Ring::One, out, run) == Ok(0);
    let offered = if offers_umip() { "offers" } else { "does not offer" };
    let told = writeln!(
        out,
        "This CPU {offered} UMIP, with which SGDT, SIDT, SLDT, SMSW and STR would be #GP(0)."
    );
    good && told.is_ok()
}

/// CPUID leaf 7, ECX bit 2 (Intel SDM volume 2, CPUID).
fn offers_umip() -> bool {
    let highest = core::arch::x86::__cpuid(0).eax;
    highest >= 7 && core::arch::x86::__cpuid_count(7, 0).ecx & (1 << 2) != 0
}
