//! CPUID leaves of the hypervisor, and the prefix that has CPUID emulated.

/// The bytes before `cpuid` that make the hypervisor emulate it: `ud2a` and
/// `xen`. Without them the instruction does not trap (unless the processor can
/// fault on it) and shows the processor's own leaves.
///
/// C: `XEN_EMULATE_PREFIX` in `xen/arch-x86/xen.h`.
pub const EMULATE_PREFIX: [u8; 5] = [0x0f, 0x0b, b'x', b'e', b'n'];

layouts! { in "arch-x86/xen.h";
    /// A CPUID leaf, as control calls carry it.
    struct CpuidLeaf("struct xen_cpuid_leaf", 24) {
        /// Leaf, EAX on input.
        leaf: u32,
        /// Subleaf, ECX on input, or [`XEN_CPUID_NO_SUBLEAF`].
        subleaf: u32,
        /// EAX.
        a: u32,
        /// EBX.
        b: u32,
        /// ECX.
        c: u32,
        /// EDX.
        d: u32,
    }

    /// A model specific register, as control calls carry it.
    struct MsrEntry("struct xen_msr_entry", 16) {
        /// Number of the register.
        idx: u32,
        /// Zero.
        flags: u32,
        /// Its value.
        val: u64,
    }
}

constants! { in "arch-x86/cpuid.h";
    /// Value of [`CpuidLeaf::subleaf`]: the leaf has none.
    XEN_CPUID_NO_SUBLEAF: u32 = 0xffff_ffff;
    /// First leaf, unless moved up by multiples of 0x100 (for HVM guests). It
    /// tells the last leaf in EAX and the signature in EBX, ECX, EDX.
    XEN_CPUID_FIRST_LEAF: u32 = 0x4000_0000;
    /// How many leaves follow the first.
    XEN_CPUID_MAX_NUM_LEAVES: u32 = 5;
    /// `XenV`.
    XEN_CPUID_SIGNATURE_EBX: u32 = 0x566e_6558;
    /// `MMXe`.
    XEN_CPUID_SIGNATURE_ECX: u32 = 0x6558_4d4d;
    /// `nVMM`.
    XEN_CPUID_SIGNATURE_EDX: u32 = 0x4d4d_566e;
    /// Bit of ECX of leaf first + 2: `MMU_PT_UPDATE_PRESERVE_AD` is supported.
    XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD: u32 = 1;
    /// Bits of EBX of leaf first + 5: width of machine addresses.
    XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK: u32 = 0xff;
}
