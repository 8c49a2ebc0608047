//! Which CPUs there are, and which of them run.

// UNSAFETY: reads the stack pointer.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use super::layout::{CPU_AREA_STRIDE, CPU_AREAS, MAX_CPUS};
use super::percpu::CpuInfo;

/// The APIC id of each CPU, by number.
static APIC_IDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
static ONLINE: AtomicU32 = AtomicU32::new(0);

/// Remembers the APIC id of CPU `cpu`.
pub fn set_apic_id(cpu: usize, apic_id: u32) {
    if let Some(slot) = APIC_IDS.get(cpu) {
        slot.store(apic_id, Ordering::Relaxed);
    }
}

/// The APIC id of CPU `cpu`.
pub fn apic_id(cpu: u32) -> Option<u32> {
    let slot = APIC_IDS.get(usize::try_from(cpu).ok()?)?;
    (cpu < online()).then(|| slot.load(Ordering::Relaxed))
}

/// Counts this CPU as one that runs. CPUs are started in the order of their numbers.
pub fn set_online() {
    ONLINE.fetch_add(1, Ordering::Release);
}

/// CPUs that run: numbers 0 to this, exclusive.
pub fn online() -> u32 {
    ONLINE.load(Ordering::Acquire)
}

/// The running CPU's data; `None` on the boot stack, where there is none yet.
pub fn this() -> Option<&'static CpuInfo> {
    let rsp: u64;
    // SAFETY: reads a register, nothing else.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags));
    }
    let areas = CPU_AREAS..CPU_AREAS + MAX_CPUS as u64 * CPU_AREA_STRIDE;
    areas.contains(&rsp).then(CpuInfo::this)
}

/// The running CPU's number; 0 while it is the only one and has no data.
pub fn number() -> u32 {
    this().map_or(0, |info| info.cpu)
}
