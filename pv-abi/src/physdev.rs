//! `physdev_op(cmd, args)`: I/O privilege and physical interrupts.
//!
//! `PhysdevSetIobitmap`, `PhysdevApic` and `PhysdevMapPirq` have the guest's
//! width: see [`crate::x86_32`], [`crate::x86_64`].

layouts! { in "physdev.h";
    /// Argument of [`PHYSDEVOP_EOI`].
    struct PhysdevEoi("struct physdev_eoi", 4) {
        /// IN: the physical interrupt.
        irq: u32,
    }

    /// Argument of [`PHYSDEVOP_IRQ_STATUS_QUERY`].
    struct PhysdevIrqStatusQuery("struct physdev_irq_status_query", 8) {
        /// IN: the physical interrupt.
        irq: u32,
        /// OUT: bits `XENIRQSTAT_*`.
        flags: u32,
    }

    /// Argument of [`PHYSDEVOP_SET_IOPL`].
    struct PhysdevSetIopl("struct physdev_set_iopl", 4) {
        /// IN: 0 to 3; a kernel counts as level 1.
        iopl: u32,
    }
}

constants! { in "physdev.h";
    /// Ends an interrupt.
    PHYSDEVOP_EOI: u32 = 12 => "PHYSDEVOP_eoi";
    /// Tells whether an interrupt needs an end and is shared.
    PHYSDEVOP_IRQ_STATUS_QUERY: u32 = 5 => "PHYSDEVOP_irq_status_query";
    /// Sets the calling vCPU's virtual I/O privilege level.
    PHYSDEVOP_SET_IOPL: u32 = 6 => "PHYSDEVOP_set_iopl";
    /// Sets the calling vCPU's I/O port bitmap; argument `PhysdevSetIobitmap`.
    PHYSDEVOP_SET_IOBITMAP: u32 = 7 => "PHYSDEVOP_set_iobitmap";
    /// Reads an I/O APIC register.
    PHYSDEVOP_APIC_READ: u32 = 8 => "PHYSDEVOP_apic_read";
    /// Writes an I/O APIC register.
    PHYSDEVOP_APIC_WRITE: u32 = 9 => "PHYSDEVOP_apic_write";
    /// The guest must end the interrupt.
    XENIRQSTAT_NEEDS_EOI: u32 = 1 << 0 => "XENIRQSTAT_needs_eoi";
    /// Several guests share the interrupt.
    XENIRQSTAT_SHARED: u32 = 1 << 1 => "XENIRQSTAT_shared";
}
