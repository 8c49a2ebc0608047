//! Flat segments in the hypervisor's part of every GDT, 32-bit guests.
//!
//! The header's comments give GDT indices of 259 to 262; the selectors that it
//! defines, and that count, have the indices 7171 to 7174.

constants! { in "arch-x86/xen-x86_32.h";
    /// Code, Ring 1: the guest kernel.
    FLAT_RING1_CS: u16 = 0xe019;
    /// Data, Ring 1.
    FLAT_RING1_DS: u16 = 0xe021;
    /// Stack, Ring 1.
    FLAT_RING1_SS: u16 = 0xe021;
    /// Code, Ring 3: guest users.
    FLAT_RING3_CS: u16 = 0xe02b;
    /// Data, Ring 3.
    FLAT_RING3_DS: u16 = 0xe033;
    /// Stack, Ring 3.
    FLAT_RING3_SS: u16 = 0xe033;
    /// The guest kernel's code segment.
    FLAT_KERNEL_CS: u16 = 0xe019;
    /// The guest kernel's data segment.
    FLAT_KERNEL_DS: u16 = 0xe021;
    /// The guest kernel's stack segment.
    FLAT_KERNEL_SS: u16 = 0xe021;
    /// The guest users' code segment.
    FLAT_USER_CS: u16 = 0xe02b;
    /// The guest users' data segment.
    FLAT_USER_DS: u16 = 0xe033;
    /// The guest users' stack segment.
    FLAT_USER_SS: u16 = 0xe033;
}
