//! The machine layer's debug keys: registers, and quitting.

use core::fmt::{self, Write};

use spin::Mutex;

use super::trap_frame::TrapFrame;
use super::{console, cpus, end, interrupts, panic};
use crate::debug_keys::{self, DebugKey};

/// What the console's interrupt interrupted, while a key's report runs.
static INTERRUPTED: Mutex<Option<TrapFrame>> = Mutex::new(None);

pub(super) fn set_interrupted(frame: Option<TrapFrame>) {
    *INTERRUPTED.lock() = frame;
}

/// `0` and `d` (registers), `Q` (quit), for any table of keys.
pub const fn keys<S: ?Sized>() -> [DebugKey<S>; 3] {
    [
        DebugKey { key: b'd', help: "registers of what this CPU ran", report: registers },
        DebugKey { key: b'0', help: "the same", report: registers },
        DebugKey { key: b'Q', help: "quit: end QEMU, or restart the machine", report: quit },
    ]
}

fn registers<S: ?Sized>(_: &S, out: &mut dyn Write) -> fmt::Result {
    let frame = *INTERRUPTED.lock();
    let ran = match frame {
        Some(frame) if frame.is_guest() => "a guest",
        _ => "no guest",
    };
    let nmis = interrupts::nmi_count();
    writeln!(out, "CPU {} of {}, ran {ran}; {nmis} NMIs", cpus::number(), cpus::online())?;
    if let Some(frame) = frame {
        panic::print_registers(&frame);
    }
    Ok(())
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
