//! Flat segments in the hypervisor's part of every GDT, 64-bit guests.
//!
//! The header's comments give GDT indices of 260 to 262; the selectors that it
//! defines, and that count, have the indices 7172 to 7174.

constants! { in "arch-x86/xen-x86_64.h";
    /// 32-bit code.
    FLAT_RING3_CS32: u16 = 0xe023;
    /// 64-bit code.
    FLAT_RING3_CS64: u16 = 0xe033;
    /// 32-bit data.
    FLAT_RING3_DS32: u16 = 0xe02b;
    /// 64-bit data: the null selector.
    FLAT_RING3_DS64: u16 = 0;
    /// 32-bit stack.
    FLAT_RING3_SS32: u16 = 0xe02b;
    /// 64-bit stack.
    FLAT_RING3_SS64: u16 = 0xe02b;
    /// The guest kernel's 64-bit data segment.
    FLAT_KERNEL_DS64: u16 = 0;
    /// The guest kernel's 32-bit data segment.
    FLAT_KERNEL_DS32: u16 = 0xe02b;
    /// The guest kernel's data segment.
    FLAT_KERNEL_DS: u16 = 0;
    /// The guest kernel's 64-bit code segment.
    FLAT_KERNEL_CS64: u16 = 0xe033;
    /// The guest kernel's 32-bit code segment.
    FLAT_KERNEL_CS32: u16 = 0xe023;
    /// The guest kernel's code segment.
    FLAT_KERNEL_CS: u16 = 0xe033;
    /// The guest kernel's 64-bit stack segment.
    FLAT_KERNEL_SS64: u16 = 0xe02b;
    /// The guest kernel's 32-bit stack segment.
    FLAT_KERNEL_SS32: u16 = 0xe02b;
    /// The guest kernel's stack segment.
    FLAT_KERNEL_SS: u16 = 0xe02b;
    /// The guest users' 64-bit data segment.
    FLAT_USER_DS64: u16 = 0;
    /// The guest users' 32-bit data segment.
    FLAT_USER_DS32: u16 = 0xe02b;
    /// The guest users' data segment.
    FLAT_USER_DS: u16 = 0;
    /// The guest users' 64-bit code segment.
    FLAT_USER_CS64: u16 = 0xe033;
    /// The guest users' 32-bit code segment.
    FLAT_USER_CS32: u16 = 0xe023;
    /// The guest users' code segment.
    FLAT_USER_CS: u16 = 0xe033;
    /// The guest users' 64-bit stack segment.
    FLAT_USER_SS64: u16 = 0xe02b;
    /// The guest users' 32-bit stack segment.
    FLAT_USER_SS32: u16 = 0xe02b;
    /// The guest users' stack segment.
    FLAT_USER_SS: u16 = 0xe02b;
}
