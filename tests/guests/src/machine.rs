//! Which machine this is: some emulators are wrong in corners that tests go into.
//!
//! QEMU's TCG enforces no segment limits; version 7.2 executes far `call`, `ret` and `iret` in
//! Ring 3 with supervisor accesses and gives `INT n` through a gate of too low a DPL the error code
//! `n * 16 + 2`. Tests that rest on these leave them out there; Bochs is right in all of them.

/// Whether this is QEMU's TCG (CPUID leaf 0x4000_0000, which Ring 1 reads natively).
pub fn is_tcg() -> bool {
    let leaf = core::arch::x86::__cpuid(0x4000_0000);
    let leaf = if leaf.ebx == XEN_EBX { core::arch::x86::__cpuid(0x4000_0100) } else { leaf };
    leaf.ebx == u32::from_le_bytes(*b"TCGT")
}

const XEN_EBX: u32 = u32::from_le_bytes(*b"XenV");
