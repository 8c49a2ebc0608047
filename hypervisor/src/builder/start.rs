//! How a new domain finds the world: start info page and registers.

use pv_abi::start_info::{MAX_GUEST_CMDLINE, SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED};
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};
use zerocopy::{FromZeros, IntoBytes};

use super::contents::Contents;
use super::kernel::Kernel;
use super::layout::{Layout, PAGE};
use super::{BuildError, Request};
use crate::domain::vcpu::VcpuState;
use crate::guest::regs::{UserRegs, rflags};
use crate::platform::Platform;
use crate::width::Width;

/// What start info says, without its width.
pub struct Facts<'a> {
    /// What was laid out.
    pub layout: &'a Layout,
    /// Pages of the domain.
    pub pages: u64,
    /// Its shared info page.
    pub shared_info: Mfn,
    /// Whether the kernel takes the initrd unmapped.
    pub mod_start_pfn: bool,
}

/// Writes the start info page.
pub fn write_info<P: Platform>(
    contents: &Contents<'_, P>,
    width: Width,
    facts: &Facts<'_>,
    request: &Request<'_>,
) -> Result<(), BuildError> {
    let at = facts.layout.start_info;
    contents.zero(at, PAGE)?;
    match width {
        Width::Pv32 => contents.write(at, info32(facts, request).as_bytes()),
        Width::Pv64 => contents.write(at, info64(facts, request).as_bytes()),
    }
}

macro_rules! start_info {
    ($name:ident, $module:ident, $long:ty, $magic:literal) => {
        fn $name(facts: &Facts<'_>, request: &Request<'_>) -> $module::StartInfo {
            // Addresses and counts fit: the layout ends below the guest's last address, and
            // the shared info page of a narrow guest was taken below 4 GiB.
            let layout = facts.layout;
            let mut info = $module::StartInfo::new_zeroed();
            info.magic = padded($magic);
            info.nr_pages = facts.pages as $long;
            info.shared_info = (facts.shared_info.raw() << 12) as $long;
            info.flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
            info.pt_base = layout.tables as $long;
            info.nr_pt_frames = layout.table_count as $long;
            info.mfn_list = layout.p2m as $long;
            if !request.initrd.is_empty() {
                info.mod_len = request.initrd.len() as $long;
                info.mod_start = if facts.mod_start_pfn {
                    info.flags |= SIF_MOD_START_PFN;
                    layout.pfn(layout.initrd) as $long
                } else {
                    layout.initrd as $long
                };
            }
            info.cmd_line = padded::<MAX_GUEST_CMDLINE>(request.command_line);
            info
        }
    };
}

start_info!(info32, x86_32, u32, b"xen-3.0-x86_32p");
start_info!(info64, x86_64, u64, b"xen-3.0-x86_64");

/// `bytes`, with zeros behind them. At least one: the caller has checked the length.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut to = [0; N];
    for (to, from) in to.iter_mut().zip(bytes).take(N.saturating_sub(1)) {
        *to = *from;
    }
    to
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
