//! Model-specific registers as a guest sees them: few, and none that it can change.

use pv_abi::errno::Errno;

use crate::guest::Ctx;
use crate::platform::Platform;
use crate::width::Width;

/// IA32_APIC_BASE. Kernels read it without asking; there is no local APIC.
const APIC_BASE: u32 = 0x1b;
/// IA32_BIOS_SIGN_ID: the microcode's revision. Written with 0 before it is read.
const MICROCODE_REVISION: u32 = 0x8b;
/// IA32_PAT.
const PAT: u32 = 0x277;
/// IA32_PAT after reset (SDM volume 3, 12.12.4).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// IA32_EFER.
const EFER: u32 = 0xc000_0080;
/// EFER.NXE: page-table entries have a no-execute bit.
const EFER_NXE: u64 = 1 << 11;
/// EFER.LMA, LME, SCE: long mode, and its `syscall`.
const EFER_LONG: u64 = 1 << 10 | 1 << 8 | 1 << 0;

/// What `rdmsr` gives; `None`: #GP.
pub fn read<P: Platform>(ctx: &Ctx<'_, P>, index: u32) -> Option<u64> {
    match index {
        APIC_BASE | MICROCODE_REVISION => Some(0),
        PAT => Some(PAT_RESET),
        EFER => Some(match ctx.width() {
            Width::Pv32 => EFER_NXE,
            Width::Pv64 => EFER_NXE | EFER_LONG,
        }),
        _ => None,
    }
}

/// What `wrmsr` does: nothing, for the value that is there anyway; else `EPERM`, a #GP.
pub fn write<P: Platform>(ctx: &Ctx<'_, P>, index: u32, value: u64) -> Result<(), Errno> {
    if read(ctx, index) == Some(value) { Ok(()) } else { Err(Errno::EPERM) }
}
