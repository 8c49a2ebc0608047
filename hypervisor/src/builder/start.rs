//! How a new domain finds the world: start info page and registers.

use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};
use pv_image::kernel::Kernel;
use pv_image::layout::{Layout, PAGE};
use pv_image::start::{Facts, info32, info64};
use zerocopy::IntoBytes;

use super::BuildError;
use super::contents::Contents;
use crate::domain::vcpu::VcpuState;
use crate::guest::regs::{UserRegs, rflags};
use crate::platform::Platform;
use crate::width::Width;

/// Writes the start info page.
pub fn write_info<P: Platform>(
    contents: &Contents<'_, P>,
    width: Width,
    facts: &Facts<'_>,
) -> Result<(), BuildError> {
    let at = facts.layout.start_info;
    contents.zero(at, PAGE)?;
    match width {
        Width::Pv32 => contents.write(at, info32(facts).as_bytes()),
        Width::Pv64 => contents.write(at, info64(facts).as_bytes()),
    }
}

/// Sets the first vCPU's registers and root; the references to the root are the caller's.
///
/// `arch-x86/xen-x86_32.h`, "entry": flat segments, the start info's address in (E|R)SI, the
/// stack pointer at the top of the boot stack. Events are masked in its `vcpu_info`, so the
/// interrupt flag may be set.
pub fn set_registers(
    state: &mut VcpuState,
    width: Width,
    kernel: &Kernel<'_>,
    layout: &Layout,
    root: Mfn,
) {
    let (cs, ss) = match width {
        Width::Pv32 => (x86_32::FLAT_KERNEL_CS, x86_32::FLAT_KERNEL_SS),
        Width::Pv64 => (x86_64::FLAT_KERNEL_CS, x86_64::FLAT_KERNEL_SS),
    };
    let stack_top = layout.stack + PAGE;
    state.regs = UserRegs {
        rip: kernel.entry,
        rsp: stack_top,
        rsi: layout.start_info,
        rflags: rflags::FIXED | rflags::IF,
        cs,
        ss,
        ..UserRegs::default()
    };
    state.segments = [ss; 4];
    state.kernel_ss = ss;
    state.kernel_sp = stack_top;
    state.root = root;
}
