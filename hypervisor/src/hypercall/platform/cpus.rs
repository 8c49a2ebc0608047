//! Physical CPUs. Those that exist are up, and stay so.

use pv_abi::errno::Errno;
use pv_abi::platform::{
    CpuOl, PcpuVersion, Pcpuinfo, XEN_PCPU_FLAGS_INVALID, XEN_PCPU_FLAGS_ONLINE,
};

use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;

/// CPUID leaves: vendor; family, model and stepping.
const VENDOR: u32 = 0;
const SIGNATURE: u32 = 1;

/// `XENPF_get_cpuinfo`: ids and state of a CPU, and the number of the last one.
pub(super) fn info<P: Platform>(ctx: &Ctx<'_, P>, mut arg: Pcpuinfo, at: u64) -> HypercallResult {
    let count = ctx.sys.platform.count();
    arg.max_present = count.saturating_sub(1);
    arg.flags = XEN_PCPU_FLAGS_INVALID;
    if arg.xen_cpuid < count {
        arg.flags = XEN_PCPU_FLAGS_ONLINE;
        let board = ctx.sys.irqs.board.get();
        if let Some(cpu) = board.and_then(|b| b.processors.get(arg.xen_cpuid as usize)) {
            (arg.apic_id, arg.acpi_id) = (cpu.apic_id, cpu.acpi_id);
        }
    }
    ctx.write(at, &arg)?;
    Ok(0)
}

/// `XENPF_get_cpu_version`: vendor, family, model and stepping of a CPU; zeros for one that is not
/// there. All are alike.
pub(super) fn version<P: Platform>(ctx: &Ctx<'_, P>, arg: PcpuVersion, at: u64) -> HypercallResult {
    let cpu = &ctx.sys.platform;
    let max_present = cpu.count().saturating_sub(1);
    let mut out = PcpuVersion {
        max_present,
        vendor_id: [0; 12],
        family: 0,
        model: 0,
        stepping: 0,
        xen_cpuid: arg.xen_cpuid,
    };
    if arg.xen_cpuid < cpu.count() {
        let [_, b, c, d] = cpu.cpuid(VENDOR, 0);
        for (to, from) in out.vendor_id.chunks_exact_mut(4).zip([b, d, c]) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        let signature = cpu.cpuid(SIGNATURE, 0)[0];
        (out.family, out.model, out.stepping) = decode(signature);
    }
    ctx.write(at, &out)?;
    Ok(0)
}

/// Family, model and stepping (SDM volume 2, CPUID, figure 3-6).
fn decode(signature: u32) -> (u32, u32, u32) {
    let (family, model) = (signature >> 8 & 0xf, signature >> 4 & 0xf);
    let extended_model = if family == 6 || family == 15 { signature >> 16 & 0xf } else { 0 };
    let extended_family = if family == 15 { signature >> 20 & 0xff } else { 0 };
    (family + extended_family, model | extended_model << 4, signature & 0xf)
}

/// `XENPF_cpu_online`. `EINVAL`: no such CPU.
pub(super) fn online<P: Platform>(ctx: &Ctx<'_, P>, arg: &CpuOl) -> HypercallResult {
    if arg.cpuid < ctx.sys.platform.count() { Ok(0) } else { Err(Errno::EINVAL.into()) }
}

/// `XENPF_cpu_offline`: refused; `EINVAL`: no such CPU.
pub(super) fn offline<P: Platform>(ctx: &Ctx<'_, P>, arg: &CpuOl) -> HypercallResult {
    let exists = arg.cpuid < ctx.sys.platform.count();
    Err(if exists { Errno::EOPNOTSUPP } else { Errno::EINVAL }.into())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn signatures_of_real_cpus() {
        assert_eq!(decode(0x306d4), (6, 0x3d, 4), "Broadwell");
        assert_eq!(decode(0x60fb1), (15, 0x6b, 1), "Athlon 64");
        assert_eq!(decode(0x80_0f12), (0x17, 1, 2), "Zen");
    }
}
