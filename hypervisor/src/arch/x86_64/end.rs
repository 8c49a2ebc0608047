//! How it ends: telling QEMU, restarting the machine, or stopping it.

// UNSAFETY: writes ports that end the machine.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::instructions::port::Port;
use x86_64::instructions::{hlt, interrupts, tables};
use x86_64::structures::DescriptorTablePointer;

use super::serial;
use crate::cmdline::{AtEnd, DebugExit};

/// The port of QEMU's `isa-debug-exit` device: code c ends QEMU with status (c << 1) | 1.
const DEBUG_EXIT: u16 = 0xf4;

/// First and last of its ports.
pub const DEBUG_EXIT_PORTS: (u16, u16) = (DEBUG_EXIT, DEBUG_EXIT + 3);

/// Codes for [`finish`].
pub mod code {
    /// Domain 0 shut down; its reason (`SHUTDOWN_*` in `sched.h`) is added.
    pub const DOMAIN_0: u8 = 0x10;
    /// The hypervisor panicked.
    pub const PANIC: u8 = 0x20;
    /// Domain 0's image, or the command line, was refused.
    pub const REFUSED: u8 = 0x21;
    /// The person at the console asked for it.
    pub const QUIT: u8 = 0x22;
}

static USE_DEBUG_EXIT: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// Remembers what the command line says about the end.
pub fn configure(at_end: AtEnd, debug_exit: DebugExit) {
    STOP.store(at_end == AtEnd::Stop, Ordering::Relaxed);
    USE_DEBUG_EXIT.store(debug_exit == DebugExit::On, Ordering::Relaxed);
}

/// Whether the command line names the debug-exit device.
pub fn uses_debug_exit() -> bool {
    USE_DEBUG_EXIT.load(Ordering::Relaxed)
}

/// Ends everything: by the debug-exit device with `code` if the command line names it, else
/// by a restart, or, with `noreboot`, by stopping this CPU.
pub fn finish(code: u8) -> ! {
    interrupts::disable();
    serial::drain();
    if USE_DEBUG_EXIT.load(Ordering::Relaxed) {
        // SAFETY: the command line says that the device is there; without it nothing happens.
        unsafe { Port::<u32>::new(DEBUG_EXIT).write(code.into()) };
    }
    if STOP.load(Ordering::Relaxed) {
        stop();
    }
    restart()
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    loop {
        interrupts::disable();
        hlt();
    }
}

/// Restarts the machine: PCI reset register, keyboard controller, triple fault.
fn restart() -> ! {
    let nothing = DescriptorTablePointer { limit: 0, base: x86_64::VirtAddr::zero() };
    // SAFETY: 1. Port 0xcf9 is the chipset's reset control, 0x64 the keyboard controller's
    // command port; both writes ask for a reset, which is the intent. 2. With an empty IDT
    // the next exception is a triple fault: a reset too.
    unsafe {
        Port::<u8>::new(0xcf9).write(0x02);
        Port::<u8>::new(0xcf9).write(0x06);
        Port::<u8>::new(0x64).write(0xfe);
        tables::lidt(&nothing);
        core::arch::asm!("ud2", options(noreturn));
    }
}
