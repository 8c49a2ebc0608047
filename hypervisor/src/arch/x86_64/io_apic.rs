//! I/O APICs: which wire raises which vector on which CPU.
//!
//! All pins are masked but the one of COM1. Physical interrupts for domain 0 will be more
//! entries of the same kind.

// UNSAFETY: device registers.
#![allow(unsafe_code)]

use spin::Mutex;

use crate::machine::acpi::{MAX_IO_APICS, Madt, Signal};

const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;
const MASKED: u32 = 1 << 16;

/// One I/O APIC.
struct IoApic {
    /// Where its registers are mapped.
    address: u64,
    /// The global interrupt number of pin 0.
    gsi_base: u32,
}

static IO_APICS: Mutex<heapless::Vec<IoApic, MAX_IO_APICS>> = Mutex::new(heapless::Vec::new());

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

    fn pins(&self) -> u32 {
        (self.read(VERSION) >> 16 & 0xff) + 1
    }

    /// Sets pin `pin`, masked while it changes.
    fn set_pin(&self, pin: u32, low: u32, high: u32) {
        let register = REDIRECTION + 2 * pin;
        self.write(register, MASKED);
        self.write(register + 1, high);
        self.write(register, low);
    }
}

/// Remembers an I/O APIC whose registers will be mapped at `address`.
///
/// # Safety
/// They are, uncached, in every address space that is used after [`mask_all`].
pub unsafe fn add(address: u64, gsi_base: u32) {
    // ACPI's list, from which these come, is no longer than ours.
    let _ = IO_APICS.lock().push(IoApic { address, gsi_base });
}

/// Masks every pin: whatever the firmware used is over.
pub fn mask_all() {
    for io_apic in IO_APICS.lock().iter() {
        for pin in 0..io_apic.pins() {
            io_apic.set_pin(pin, MASKED, 0);
        }
    }
}

/// Routes ISA interrupt `irq` to `vector` on the CPU with `apic_id`. False if no I/O APIC has
/// its pin.
pub fn route_isa(madt: &Madt, irq: u8, vector: u8, apic_id: u32) -> bool {
    let (gsi, Signal { active_low, level }) = madt.isa_irq(irq);
    let io_apics = IO_APICS.lock();
    let found = io_apics.iter().find_map(|io_apic| {
        let pin = gsi.checked_sub(io_apic.gsi_base)?;
        (pin < io_apic.pins()).then_some((io_apic, pin))
    });
    let Some((io_apic, pin)) = found else { return false };
    let low = u32::from(vector) | u32::from(active_low) << 13 | u32::from(level) << 15;
    io_apic.set_pin(pin, low, apic_id << 24);
    true
}
