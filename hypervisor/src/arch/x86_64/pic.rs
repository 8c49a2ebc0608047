//! The two 8259 interrupt controllers: silenced for good; the I/O APIC does the work.

// UNSAFETY: writes the controllers' ports.
#![allow(unsafe_code)]

use x86_64::instructions::port::Port;

use super::interrupts::PIC_BASE;

/// Moves both controllers' vectors away from the exceptions (a masked controller can still
/// deliver a spurious interrupt), and masks every line.
pub fn disable() {
    // Command, then data port: ICW1 to ICW4, then the mask (8259A data sheet).
    const SETUP: [(u16, u8); 10] = [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, PIC_BASE),
        (0xa1, PIC_BASE + 8),
        (0x21, 0x04),
        (0xa1, 0x02),
        (0x21, 0x01),
        (0xa1, 0x01),
        (0x21, 0xff),
        (0xa1, 0xff),
    ];
    for (port, value) in SETUP {
        // SAFETY: the ports are the PICs' by PC convention, and nobody else drives them.
        unsafe { Port::<u8>::new(port).write(value) };
    }
}
