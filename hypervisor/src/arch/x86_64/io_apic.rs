//! I/O APICs: which wire raises which vector on which CPU.
//!
//! A wire has a number that ACPI gives it, its *global system interrupt*; each I/O APIC has
//! those from its base on, one a pin. All pins are masked at first. The console's is set
//! here; the others when a domain binds them (`irq`).

// UNSAFETY: device registers.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;

use super::cpus;
use crate::machine::acpi::{MAX_IO_APICS, Madt, Signal};
use crate::platform::Route;

const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;
/// In the low half of a redirection entry.
const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// One I/O APIC.
struct IoApic {
    /// Where its registers are mapped.
    address: u64,
    /// The global interrupt number of pin 0.
    gsi_base: u32,
    /// Its pins; 0 until they have been counted.
    pins: u32,
}

/// A leaf in the order of locks.
static IO_APICS: Mutex<heapless::Vec<IoApic, MAX_IO_APICS>> = Mutex::new(heapless::Vec::new());

/// The console's input; `NONE` if it has none.
static CONSOLE: AtomicU32 = AtomicU32::new(NONE);
const NONE: u32 = u32::MAX;

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        // SAFETY: 1. `add`'s caller mapped the registers. 2. The lock keeps the pair of
        // accesses together.
        unsafe {
            ((self.address + SELECT) as *mut u32).write_volatile(register);
            ((self.address + WINDOW) as *const u32).read_volatile()
        }
    }

    fn write(&self, register: u32, value: u32) {
        // SAFETY: as above.
        unsafe {
            ((self.address + SELECT) as *mut u32).write_volatile(register);
            ((self.address + WINDOW) as *mut u32).write_volatile(value);
        }
    }

    /// The pin with number `gsi`, if it is one of ours.
    fn pin(&self, gsi: u32) -> Option<u32> {
        gsi.checked_sub(self.gsi_base).filter(|pin| *pin < self.pins)
    }

    /// Sets pin `pin`, masked while it changes.
    fn set_pin(&self, pin: u32, low: u32, high: u32) {
        let register = REDIRECTION + 2 * pin;
        self.write(register, MASKED);
        self.write(register + 1, high);
        self.write(register, low);
    }

    /// Masks a pin, or takes the mask away.
    fn mask_pin(&self, pin: u32, masked: bool) {
        let register = REDIRECTION + 2 * pin;
        let low = self.read(register) & !MASKED;
        self.write(register, low | if masked { MASKED } else { 0 });
    }
}

/// Calls `f` with the I/O APIC that has input `gsi`, and the pin.
fn with<T>(gsi: u32, f: impl FnOnce(&IoApic, u32) -> T) -> Option<T> {
    let io_apics = IO_APICS.lock();
    let (io_apic, pin) = io_apics.iter().find_map(|io_apic| Some((io_apic, io_apic.pin(gsi)?)))?;
    Some(f(io_apic, pin))
}

/// Remembers an I/O APIC whose registers will be mapped at `address`.
///
/// # Safety
/// They are, uncached, in every address space that is used after [`mask_all`].
pub unsafe fn add(address: u64, gsi_base: u32) {
    // ACPI's list, from which these come, is no longer than ours.
    let _ = IO_APICS.lock().push(IoApic { address, gsi_base, pins: 0 });
}

/// Counts the pins and masks every one: whatever the firmware used is over.
pub fn mask_all() {
    for io_apic in IO_APICS.lock().iter_mut() {
        io_apic.pins = (io_apic.read(VERSION) >> 16 & 0xff) + 1;
        for pin in 0..io_apic.pins {
            io_apic.set_pin(pin, MASKED, 0);
        }
    }
}

/// One more than the highest input.
pub fn inputs() -> u32 {
    let end = |io_apic: &IoApic| io_apic.gsi_base.saturating_add(io_apic.pins);
    IO_APICS.lock().iter().map(end).max().unwrap_or(0)
}

/// Whether there is an input with number `gsi`.
pub fn has_input(gsi: u32) -> bool {
    with(gsi, |_, _| ()).is_some()
}

/// The console's input.
pub fn console_input() -> Option<u32> {
    Some(CONSOLE.load(Ordering::Relaxed)).filter(|gsi| *gsi != NONE)
}

/// A redirection entry for `route`, not masked: low half and high half.
fn entry(route: &Route) -> (u32, u32) {
    let low = u32::from(route.vector)
        | if route.active_low { ACTIVE_LOW } else { 0 }
        | if route.level { LEVEL } else { 0 };
    // Physical destination, fixed delivery. A CPU that is not there is never asked for.
    (low, cpus::apic_id(route.cpu).unwrap_or(0) << 24)
}

/// Sets what an input does, and masks it.
pub fn route(gsi: u32, route: &Route) {
    let (low, high) = entry(route);
    with(gsi, |io_apic, pin| io_apic.set_pin(pin, low | MASKED, high));
}

/// Masks an input, or lets it go.
pub fn mask(gsi: u32, masked: bool) {
    with(gsi, |io_apic, pin| io_apic.mask_pin(pin, masked));
}

/// A register of the I/O APIC whose pin 0 is input `gsi_base`.
pub fn read(gsi_base: u32, register: u32) -> Option<u32> {
    let io_apics = IO_APICS.lock();
    let io_apic = io_apics.iter().find(|io_apic| io_apic.gsi_base == gsi_base)?;
    Some(io_apic.read(register & 0xff))
}

/// Routes the console's ISA interrupt `irq` to `vector` on CPU `cpu`. False if no I/O APIC has its
/// pin.
pub fn route_console(madt: &Madt, irq: u8, vector: u8, cpu: u32) -> bool {
    let (gsi, Signal { active_low, level }) = madt.isa_irq(irq);
    if !has_input(gsi) {
        return false;
    }
    CONSOLE.store(gsi, Ordering::Relaxed);
    route(gsi, &Route { vector, cpu, active_low, level });
    mask(gsi, false);
    true
}
