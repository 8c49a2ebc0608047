//! What the hypervisor's logic needs of the machine below it.
//!
//! `arch` implements these traits on the CPU; `pv-tests` implements them over an
//! array of frames, so that the same logic runs under `cargo test`. They say
//! what is needed, not how a processor provides it.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use crate::console_ring::ConsoleRing;

/// A guest address that could not be read or written: not mapped, or not for us to touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestFault;

/// A machine frame seen as page-table entries.
pub type Words = [AtomicU64; 512];
/// A machine frame seen as 32-bit words.
pub type HalfWords = [AtomicU32; 1024];
/// A machine frame seen as bytes.
pub type Bytes = [AtomicU8; 4096];

/// Reaching the contents of machine frames.
///
/// The frame must be RAM: callers have it from the frame table. Contents are
/// atomics since guests and page walkers change them under us.
pub trait FrameAccess {
    /// The frame as 512 64-bit words.
    fn words(&self, mfn: Mfn) -> &Words;
    /// The frame as 1024 32-bit words.
    fn half_words(&self, mfn: Mfn) -> &HalfWords;
    /// The frame as bytes.
    fn bytes(&self, mfn: Mfn) -> &Bytes;
    /// The byte at machine address `maddr`.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // The index is masked to the array's length.
    fn byte_at(&self, maddr: u64) -> &AtomicU8 {
        &self.bytes(Mfn::new(maddr >> 12))[(maddr & 0xfff) as usize]
    }
    /// The 32-bit word that machine address `maddr` lies in.
    #[inline(always)]
    #[allow(clippy::indexing_slicing)] // As above.
    fn half_word_at(&self, maddr: u64) -> &AtomicU32 {
        &self.half_words(Mfn::new(maddr >> 12))[(maddr >> 2 & 0x3ff) as usize]
    }
    /// Fills the frame with zeros.
    fn zero(&self, mfn: Mfn);
    /// Copies a whole frame.
    fn copy(&self, from: Mfn, to: Mfn);
    /// Copies `len` bytes between two frames, which may be one; the ranges lie within them.
    fn copy_bytes(&self, from: Mfn, from_offset: u16, to: Mfn, to_offset: u16, len: u16);
    /// Where consecutive frames starting at `mfn` lie, one after another, in our address space.
    fn pointer(&self, mfn: Mfn) -> *mut u8;
}

/// Reading and writing the memory of the running guest at its virtual addresses.
///
/// Callers have checked the range against the guest's width. A fault part way
/// leaves a prefix done.
pub trait GuestAccess {
    /// Copies from the guest.
    fn copy_from_guest(&self, address: u64, to: &mut [u8]) -> Result<(), GuestFault>;
    /// Copies to the guest, honouring write protection (CR0.WP).
    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault>;
}

/// A page of the address space that the running vCPU's descriptor tables occupy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TablePage {
    /// Page 0 to 13 of the GDT.
    Gdt(u8),
    /// Page 0 to 15 of the LDT.
    Ldt(u8),
}

/// The translation hardware of the CPU we run on.
pub trait Mmu {
    /// Makes `l4` the root of translation; stale entries of the old one are gone.
    fn load_root(&self, l4: Mfn);
    /// Drops every cached translation of guest addresses, on this CPU.
    fn flush_tlb(&self);
    /// Drops cached translations of one guest address, on this CPU.
    fn flush_page(&self, address: u64);
    /// Writes back and invalidates the caches.
    fn flush_cache(&self);
    /// Writes `len` bytes of a frame back to memory, out of every CPU's caches.
    fn flush_lines(&self, mfn: Mfn, offset: u16, len: u16);
    /// An L4 for a new vCPU: the hypervisor's half filled in, the guest's empty.
    fn init_vcpu_l4(&self, l4: Mfn);
    /// Makes vCPU window `window`, with empty descriptor tables. `take` gives zeroed frames,
    /// which become the hypervisor's for good. `ENOMEM` if it has none.
    fn create_window(
        &self,
        window: u32,
        take: &mut dyn FnMut() -> Option<Mfn>,
    ) -> Result<(), Errno>;
    /// Puts `mfn` (or nothing) at a page of vCPU window `window`.
    fn map_table_page(&self, window: u32, page: TablePage, mfn: Option<Mfn>);
    /// Loads the LDT register: `entries` descriptors at the window's LDT, or none.
    fn load_ldt(&self, window: u32, entries: u32);
    /// The page of window `window` that `address` lies in, if it lies in that window.
    fn table_page_at(&self, window: u32, address: u64) -> Option<TablePage>;
}

/// Time.
pub trait Clock {
    /// Nanoseconds since boot, the same on every CPU.
    fn now_ns(&self) -> u64;
    /// The time stamp counter of the CPU we run on.
    fn ticks(&self) -> u64;
    /// How guests turn TSC ticks into `now_ns`.
    fn pvclock(&self) -> PvClock;
    /// Nanoseconds since 1970 at `now_ns() == 0`.
    fn wallclock_base_ns(&self) -> u64;
    /// Asks for a timer interrupt on this CPU at `deadline_ns`, or none.
    fn set_deadline(&self, deadline_ns: Option<u64>);
}

/// A TSC reading with its system time and the scale between them, as
/// `vcpu_time_info` in `xen.h` has them: ns = ((tsc - stamp) << shift) * mul >> 32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PvClock {
    /// TSC at the time of the reading.
    pub tsc_timestamp: u64,
    /// System time then, in ns.
    pub system_time: u64,
    /// 32-bit fixed-point multiplier.
    pub tsc_to_system_mul: u32,
    /// Shift applied before the multiplication; negative is to the right.
    pub tsc_shift: i8,
    /// Whether the TSC runs at one rate on every CPU for as long as the machine is up.
    pub tsc_stable: bool,
}

impl PvClock {
    /// Ticks of the TSC in a millisecond.
    pub fn tsc_khz(&self) -> u32 {
        const NS_PER_MS: u64 = 1_000_000;
        let ticks = (NS_PER_MS << 32).checked_div(self.tsc_to_system_mul.into()).unwrap_or(0);
        let amount = u32::from(self.tsc_shift.unsigned_abs());
        let shifted =
            if self.tsc_shift < 0 { ticks.checked_shl(amount) } else { ticks.checked_shr(amount) };
        u32::try_from(shifted.unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

/// The machine's console.
pub trait Console {
    /// Writes bytes as they are; `\n` becomes `\r\n`.
    fn write(&self, bytes: &[u8]);
    /// Takes received bytes that are meant for the guest; returns how many.
    fn read(&self, to: &mut [u8]) -> usize;
    /// What the hypervisor itself said.
    fn ring(&self) -> &ConsoleRing;
}

/// Registers of the CPU that guests see or set through the ABI.
pub trait CpuRegisters {
    /// CR0.TS as the running guest wants it.
    fn set_task_switched(&self, on: bool);
    /// CR4.TSD as the running guest wants it: whether `rdtsc` traps.
    fn set_time_stamp_disable(&self, on: bool);
    /// XCR0 as the running guest wants it. `new` are features that it never had before: their
    /// state becomes initial. `area` is where its extended state is saved.
    fn set_xcr0(&self, area: Mfn, xcr0: u64, new: u64);
    /// TSC_AUX of the running guest.
    fn set_tsc_aux(&self, value: u32);
    /// A model-specific register of the machine's; `None` if it has none of that number.
    fn read_msr(&self, index: u32) -> Option<u64>;
    /// Sets debug register 0-3, 6 or 7; the value is checked.
    fn set_debug_register(&self, index: u8, value: u64);
    /// Fills a frame with the extended state (x87, SSE, AVX) that a processor has after reset.
    fn init_extended_state(&self, area: Mfn);
    /// The selectors that the running guest has in ds, es, fs and gs.
    fn data_segments(&self) -> [u16; 4];
    /// Address of the last page fault.
    fn page_fault_address(&self) -> u64;
    /// DR6 as the last debug exception left it; it is reset.
    fn take_debug_status(&self) -> u64;
    /// What `cpuid` says: eax, ebx, ecx, edx.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
}

/// The machine's I/O ports.
pub trait Ports {
    /// Reads `bytes` (1, 2 or 4) bytes from `port`.
    fn read_port(&self, port: u16, bytes: u8) -> u32;
    /// Writes them.
    fn write_port(&self, port: u16, bytes: u8, value: u32);
    /// The ports that drivers of the hypervisor use: first and last of each range.
    fn own_ports(&self) -> &[(u16, u16)];
}

/// Reaching other CPUs.
pub trait Cpus {
    /// The number of the CPU we run on.
    fn this_cpu(&self) -> u32;
    /// How many CPUs are up.
    fn count(&self) -> u32;
    /// The number by which interrupt controllers know `cpu`.
    fn apic_id(&self, cpu: u32) -> u32;
    /// Makes `cpu` look at its run queue: it sees everything that was written before.
    fn kick(&self, cpu: u32);
    /// Makes each CPU whose bit is set, not this one, drop all cached translations of guest
    /// addresses, and waits until it has. Meanwhile others' requests are answered.
    fn flush_others(&self, cpus: u32);
    /// Does what others wait for in [`Cpus::flush_others`]: for whoever spins with interrupts
    /// closed on a lock under which that may be called.
    fn answer_flushes(&self);
}

/// What an input of the interrupt controllers is to do when its line says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The vector it raises.
    pub vector: u8,
    /// The CPU it raises it on.
    pub cpu: u32,
    /// A low line means "interrupt", rather than a high one.
    pub active_low: bool,
    /// The line is a level rather than an edge.
    pub level: bool,
}

/// What a device writes, and where, to interrupt: MSI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// A machine address.
    pub address: u64,
    /// Four bytes.
    pub data: u32,
}

/// The interrupt controllers of the board. Their inputs have numbers, ACPI's "global system
/// interrupts"; there may be gaps.
pub trait Interrupts {
    /// One more than the highest number of an input.
    fn inputs(&self) -> u32;
    /// Whether there is an input with that number.
    fn has_input(&self, gsi: u32) -> bool;
    /// The input that a driver of the hypervisor uses.
    fn own_input(&self) -> Option<u32>;
    /// Sets what an input does, and masks it.
    fn route(&self, gsi: u32, route: &Route);
    /// Masks an input, or lets it go again. A level that is still there then interrupts anew.
    fn mask_input(&self, gsi: u32, masked: bool);
    /// What a device has to write to raise `vector` on `cpu`.
    fn message(&self, vector: u8, cpu: u32) -> Message;
    /// A register of the I/O APIC whose input 0 has number `gsi_base`; `None`: there is no such one.
    fn read_io_apic(&self, gsi_base: u32, register: u32) -> Option<u32>;
}

/// Registers of devices in memory.
///
/// Callers know that the frame is no RAM; addresses are multiples of 4.
pub trait DeviceRegisters {
    /// Reads a register.
    fn read_device(&self, address: u64) -> u32;
    /// Writes it.
    fn write_device(&self, address: u64, value: u32);
}

/// The machine's end.
pub trait Power {
    /// Domain 0 has shut down for `reason` (`SHUTDOWN_*`), and the machine with it. On a real
    /// machine this does not return; should it, no vCPU of domain 0 ever runs again.
    fn domain0_shut_down(&self, reason: u8);
}

/// All of the machine.
pub trait Platform:
    FrameAccess
    + GuestAccess
    + Mmu
    + Clock
    + Console
    + CpuRegisters
    + Cpus
    + Ports
    + Interrupts
    + DeviceRegisters
    + Power
    + Sync
    + 'static
{
}
