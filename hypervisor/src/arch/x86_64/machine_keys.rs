//! The machine layer's debug keys: registers, a forced crash, and quitting.

// UNSAFETY: copies a guest's registers from where its entry left them.
#![allow(unsafe_code)]

use core::fmt::{self, Write};

use spin::Mutex;

use super::{console, cpus, end, interrupts, panic};
use crate::debug_keys::{self, DebugKey};
use crate::guest::regs::UserRegs;

/// What was interrupted, while a key's report runs.
static INTERRUPTED: Mutex<Option<UserRegs>> = Mutex::new(None);

/// Lets `report` run for somebody who interrupted `frame`.
pub fn interrupted(frame: &UserRegs, report: impl FnOnce()) {
    *INTERRUPTED.lock() = Some(*frame);
    report();
    *INTERRUPTED.lock() = None;
}

/// `0` and `d` (registers), `C` (crash), `Q` (quit), for any table of keys.
pub const fn keys<S: ?Sized>() -> [DebugKey<S>; 4] {
    [
        DebugKey { key: b'd', help: "registers of this CPU and of its vCPU", report: registers },
        DebugKey { key: b'0', help: "the same", report: registers },
        DebugKey { key: b'C', help: "crash the hypervisor, to see its report", report: crash },
        DebugKey { key: b'Q', help: "quit: end QEMU, or restart the machine", report: quit },
    ]
}

fn registers<S: ?Sized>(_: &S, out: &mut dyn Write) -> fmt::Result {
    let interrupted = *INTERRUPTED.lock();
    let nmis = interrupts::nmi_count();
    write!(out, "CPU {} of {}, {nmis} NMIs, ", cpus::number(), cpus::online())?;
    let loaded = cpus::this().and_then(|info| Some((info, info.loaded.get()?)));
    match (interrupted, loaded) {
        (Some(frame), Some((_, loaded))) if frame.is_guest() => {
            writeln!(out, "runs {}{}:", loaded.domain.id, loaded.vcpu.id)?;
            panic::print_registers(&frame);
        }
        (_, Some((info, loaded))) => {
            writeln!(out, "idle; {}{} was last:", loaded.domain.id, loaded.vcpu.id)?;
            // SAFETY: 1. A vCPU is loaded, so its registers lie where its entry, or `switch`,
            // put them; the two types have one layout. 2. The CPU is idle: nobody changes them.
            panic::print_registers(&unsafe { *info.regs() });
        }
        (_, None) => writeln!(out, "idle; no vCPU has run here")?,
    }
    Ok(())
}

// A crash is what the person at the console asked for.
#[allow(clippy::panic)]
fn crash<S: ?Sized>(_: &S, _: &mut dyn Write) -> fmt::Result {
    panic!("forced by debug key 'C'")
}

fn quit<S: ?Sized>(_: &S, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "quitting")?;
    end::finish(end::code::QUIT)
}

/// Presses a key when the library has no keys yet.
pub(super) fn press_alone(key: u8) {
    // The console cannot fail.
    let _ = debug_keys::press(&[&keys::<()>()], key, &(), &mut console::Out);
}
