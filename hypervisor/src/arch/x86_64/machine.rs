//! The CPU and its board as the traits of `platform`.

// UNSAFETY: the direct map turns frame numbers into references, and privileged instructions
// change what the CPU does.
#![allow(unsafe_code)]

use core::arch::asm;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::layout::{DIRECT_MAP, PAGE_SIZE};
use super::percpu::CpuInfo;
use super::window::{self, WindowPage};
use super::{
    address_space, apic, clock, console, cpu, cpus, device_window, end, extended_state, io_apic,
    serial, shootdown, uaccess,
};
use crate::console_ring::ConsoleRing;
use crate::platform::{
    Bytes, Clock, Console, CpuRegisters, Cpus, DeviceRegisters, FrameAccess, GuestAccess,
    GuestFault, HalfWords, Interrupts, Message, Mmu, Platform, Ports, Power, PvClock, Route,
    TablePage, Words,
};

/// The machine we run on.
pub struct Machine {
    /// A frame of zeros: what a descriptor table reads where the guest has none.
    pub zero: Mfn,
    /// Wallclock at boot, ns since 1970.
    pub wallclock_base_ns: u64,
    /// CPUs that are up.
    pub cpus: u32,
    /// Whether guests may trust the TSC on every CPU. Asked of CPUID once: each publication of
    /// a guest's clock needs it.
    pub tsc_stable: bool,
}

/// Bytes that CLFLUSH takes, or fewer: smaller steps only repeat.
const CACHE_LINE: u64 = 32;

#[inline(always)]
fn direct(mfn: Mfn) -> u64 {
    DIRECT_MAP + (mfn.raw() << 12)
}

impl FrameAccess for Machine {
    #[inline(always)]
    fn words(&self, mfn: Mfn) -> &Words {
        // SAFETY: 1. The caller has `mfn` from the frame table: RAM, so the direct map has it.
        //         2. Atomics may be shared with guests and page walkers.
        unsafe { &*(direct(mfn) as *const Words) }
    }
    #[inline(always)]
    fn half_words(&self, mfn: Mfn) -> &HalfWords {
        // SAFETY: as in `words`.
        unsafe { &*(direct(mfn) as *const HalfWords) }
    }
    #[inline(always)]
    fn bytes(&self, mfn: Mfn) -> &Bytes {
        // SAFETY: as in `words`.
        unsafe { &*(direct(mfn) as *const Bytes) }
    }
    #[inline(always)]
    fn byte_at(&self, maddr: u64) -> &AtomicU8 {
        // SAFETY: as in `words`.
        unsafe { &*((DIRECT_MAP + maddr) as *const AtomicU8) }
    }
    #[inline(always)]
    fn half_word_at(&self, maddr: u64) -> &AtomicU32 {
        // SAFETY: as in `words`; aligned by the mask.
        unsafe { &*((DIRECT_MAP + (maddr & !3)) as *const AtomicU32) }
    }
    fn zero(&self, mfn: Mfn) {
        // SAFETY: 1. As in `words`. 2. Plain stores race with a guest's at worst, whose loss it is.
        unsafe {
            asm!("rep stosq", inout("rcx") PAGE_SIZE / 8 => _, inout("rdi") direct(mfn) => _,
                in("rax") 0u64, options(nostack, preserves_flags));
        }
    }
    fn copy(&self, from: Mfn, to: Mfn) {
        // SAFETY: as in `zero`.
        unsafe {
            asm!("rep movsq", inout("rcx") PAGE_SIZE / 8 => _, inout("rsi") direct(from) => _,
                inout("rdi") direct(to) => _, options(nostack, preserves_flags));
        }
    }
    #[inline(always)]
    fn copy_bytes(&self, from: Mfn, from_offset: u16, to: Mfn, to_offset: u16, len: u16) {
        debug_assert!(u64::from(from_offset) + u64::from(len) <= PAGE_SIZE);
        debug_assert!(u64::from(to_offset) + u64::from(len) <= PAGE_SIZE);
        let (from, to) = (direct(from) + u64::from(from_offset), direct(to) + u64::from(to_offset));
        // SAFETY: as in `zero`; the ranges lie within the frames (trait). Those of one frame may
        //         overlap: then the copy is what a byte-wise one from the start on gives, or a
        //         word-wise one, and the guest's to make sense of.
        unsafe {
            asm!("rep movsq", "mov rcx, {rest}", "rep movsb", rest = in(reg) u64::from(len & 7),
                inout("rcx") u64::from(len >> 3) => _, inout("rsi") from => _,
                inout("rdi") to => _, options(nostack, preserves_flags));
        }
    }
    fn pointer(&self, mfn: Mfn) -> *mut u8 {
        direct(mfn) as *mut u8
    }
}

/// Drops every cached translation of this CPU's.
#[inline(always)]
pub fn flush_tlb() {
    // SAFETY: 1. Writes back what is there. No entry is global (CR4.PGE is off).
    unsafe {
        asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags));
    }
}

impl GuestAccess for Machine {
    #[inline(always)]
    fn copy_from_guest(&self, address: u64, to: &mut [u8]) -> Result<(), GuestFault> {
        uaccess::copy_from(address, to)
    }
    #[inline(always)]
    fn copy_to_guest(&self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        uaccess::copy_to(address, from)
    }
}

impl Mmu for Machine {
    #[inline(always)]
    fn load_root(&self, l4: Mfn) {
        // SAFETY: 1. The L4 was made by `init_vcpu_l4`: the hypervisor is mapped in it as here.
        unsafe { asm!("mov cr3, {}", in(reg) l4.raw() << 12, options(nostack, preserves_flags)) };
    }
    #[inline(always)]
    fn flush_tlb(&self) {
        flush_tlb();
    }
    #[inline(always)]
    fn flush_page(&self, address: u64) {
        // SAFETY: 1. Only drops a cached translation.
        unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
    }
    fn flush_cache(&self) {
        // SAFETY: 1. Writes back before it invalidates: no data is lost.
        unsafe { asm!("wbinvd", options(nostack, preserves_flags)) };
    }
    fn flush_lines(&self, mfn: Mfn, offset: u16, len: u16) {
        let start = direct(mfn) + u64::from(offset);
        let first = start & !(CACHE_LINE - 1);
        for line in (first..start + u64::from(len)).step_by(CACHE_LINE as usize) {
            // SAFETY: 1. Every x86-64 CPU has CLFLUSH; it writes back before it invalidates. The
            //            address is mapped, as in `words`.
            unsafe { asm!("clflush [{}]", in(reg) line, options(nostack, preserves_flags)) };
        }
        // SAFETY: 1. Orders what was flushed before what follows.
        unsafe { asm!("mfence", options(nostack, preserves_flags)) };
    }
    fn init_vcpu_l4(&self, l4: Mfn) {
        self.zero(l4);
        address_space::copy_hypervisor_slots(self.words(l4));
    }
    fn create_window(
        &self,
        window: u32,
        take: &mut dyn FnMut() -> Option<Mfn>,
    ) -> Result<(), Errno> {
        let mut take = || take().map(|mfn| mfn.raw() << 12);
        // SAFETY: 1. The frames are zeroed and given for good (trait).
        unsafe { window::create(window, &mut take) }.map_err(|_| Errno::ENOMEM)?;
        for page in 0..window::GDT_PAGES {
            self.map_table_page(window, TablePage::Gdt(page), None);
        }
        Ok(())
    }
    fn map_table_page(&self, window: u32, page: TablePage, mfn: Option<Mfn>) {
        let (page, absent) = match page {
            // A selector in a GDT page that the guest has not set must be an invalid one (#GP).
            TablePage::Gdt(n) => (WindowPage::Gdt(n), Some(self.zero)),
            // In the LDT it must fault, so that the page can be mapped then.
            TablePage::Ldt(n) => (WindowPage::Ldt(n), None),
        };
        let physical = mfn.or(absent).map(|m| m.raw() << 12);
        // SAFETY: 1. The frame holds descriptors that were checked, and has the type that
        //            keeps it unwritable (`mm`). 2. Only the CPU that runs the vCPU calls this,
        //            or the vCPU does not run yet.
        let done = unsafe { window::set_page(window, page, physical) };
        debug_assert!(done.is_ok());
    }
    fn load_ldt(&self, window: u32, entries: u32) {
        // SAFETY: 1. This CPU's pages. 2. The window's LDT pages are checked or absent.
        unsafe { CpuInfo::this().reserved_gdt.load_ldt(window, entries) };
    }
    fn table_page_at(&self, window: u32, address: u64) -> Option<TablePage> {
        let page = address.checked_sub(window::base(window))? / PAGE_SIZE;
        match u8::try_from(page).ok()? {
            n @ 0..=13 => Some(TablePage::Gdt(n)),
            n @ 16..=31 => Some(TablePage::Ldt(n - 16)),
            _ => None,
        }
    }
}

impl Clock for Machine {
    #[inline(always)]
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }
    #[inline(always)]
    fn ticks(&self) -> u64 {
        clock::tsc()
    }
    fn pvclock(&self) -> PvClock {
        let (tsc, scale) = (clock::tsc(), clock::scale());
        PvClock {
            tsc_timestamp: tsc,
            system_time: scale.to_ns(tsc.wrapping_sub(clock::start_tsc())),
            tsc_to_system_mul: scale.mul_frac,
            tsc_shift: scale.shift,
            tsc_stable: self.tsc_stable,
        }
    }
    fn wallclock_base_ns(&self) -> u64 {
        self.wallclock_base_ns
    }
    fn set_deadline(&self, deadline_ns: Option<u64>) {
        apic::set_deadline_ns(deadline_ns);
    }
}

impl Console for Machine {
    fn write(&self, bytes: &[u8]) {
        console::write_guest(bytes);
    }
    fn read(&self, to: &mut [u8]) -> usize {
        console::read(to)
    }
    fn ring(&self) -> &ConsoleRing {
        &serial::RING
    }
}

impl CpuRegisters for Machine {
    fn set_task_switched(&self, on: bool) {
        // SAFETY: 1. Changes CR0.TS alone; Ring 0 uses no x87 or SSE but in `switch`, which
        //            clears it first.
        unsafe {
            if on {
                asm!("mov {0}, cr0", "or {0}, 8", "mov cr0, {0}", out(reg) _, options(nostack));
            } else {
                asm!("clts", options(nostack, preserves_flags));
            }
        }
    }
    fn set_time_stamp_disable(&self, on: bool) {
        cpu::set_time_stamp_disable(on);
    }
    fn set_xcr0(&self, area: Mfn, xcr0: u64, new: u64) {
        extended_state::enable(area, xcr0, new);
    }
    fn set_tsc_aux(&self, value: u32) {
        cpu::set_tsc_aux(value);
    }
    fn read_msr(&self, index: u32) -> Option<u64> {
        uaccess::read_msr(index)
    }
    fn set_debug_register(&self, index: u8, value: u64) {
        // SAFETY: 1. The caller checked the value: no reserved bit, no address of ours.
        unsafe {
            match index {
                0 => asm!("mov dr0, {}", in(reg) value, options(nostack)),
                1 => asm!("mov dr1, {}", in(reg) value, options(nostack)),
                2 => asm!("mov dr2, {}", in(reg) value, options(nostack)),
                3 => asm!("mov dr3, {}", in(reg) value, options(nostack)),
                6 => asm!("mov dr6, {}", in(reg) value, options(nostack)),
                7 => asm!("mov dr7, {}", in(reg) value, options(nostack)),
                _ => {}
            }
        }
    }
    fn data_segments(&self) -> [u16; 4] {
        uaccess::segments()
    }
    #[inline(always)]
    fn page_fault_address(&self) -> u64 {
        x86_64::registers::control::Cr2::read_raw()
    }
    fn init_extended_state(&self, area: Mfn) {
        self.zero(area);
        // The legacy region's x87 control word (bytes 0-1) and MXCSR (bytes 24-27) at reset;
        // an empty XSTATE_BV makes XRSTOR initialise the rest (SDM volume 1, 13.8).
        if let Some(word) = self.half_words(area).first() {
            word.store(0x37f, Ordering::Relaxed);
        }
        if let Some(word) = self.half_words(area).get(6) {
            word.store(0x1f80, Ordering::Relaxed);
        }
    }
    fn take_debug_status(&self) -> u64 {
        take_debug_status()
    }
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let r = core::arch::x86_64::__cpuid_count(leaf, subleaf);
        [r.eax, r.ebx, r.ecx, r.edx]
    }
}

impl Ports for Machine {
    fn read_port(&self, port: u16, bytes: u8) -> u32 {
        let value: u32;
        // SAFETY: 1. The caller answers for what the port does: it is the hypervisor's own, or a
        //            domain's that is trusted with the machine.
        unsafe {
            match bytes {
                1 => {
                    asm!("in al, dx", inout("eax") 0 => value, in("dx") port, options(nostack, preserves_flags))
                }
                2 => {
                    asm!("in ax, dx", inout("eax") 0 => value, in("dx") port, options(nostack, preserves_flags))
                }
                _ => {
                    asm!("in eax, dx", out("eax") value, in("dx") port, options(nostack, preserves_flags))
                }
            }
        }
        value
    }
    fn write_port(&self, port: u16, bytes: u8, value: u32) {
        // SAFETY: as in `read_port`.
        unsafe {
            match bytes {
                1 => {
                    asm!("out dx, al", in("al") value as u8, in("dx") port, options(nostack, preserves_flags))
                }
                2 => {
                    asm!("out dx, ax", in("ax") value as u16, in("dx") port, options(nostack, preserves_flags))
                }
                _ => {
                    asm!("out dx, eax", in("eax") value, in("dx") port, options(nostack, preserves_flags))
                }
            }
        }
    }
    fn own_ports(&self) -> &[(u16, u16)] {
        const PORTS: [(u16, u16); 2] = [serial::PORTS, end::DEBUG_EXIT_PORTS];
        if end::uses_debug_exit() { &PORTS } else { PORTS.split_at(1).0 }
    }
}

impl Cpus for Machine {
    #[inline(always)]
    fn this_cpu(&self) -> u32 {
        CpuInfo::this().cpu
    }
    fn count(&self) -> u32 {
        self.cpus
    }
    fn apic_id(&self, cpu: u32) -> u32 {
        cpus::apic_id(cpu).unwrap_or(0)
    }
    fn kick(&self, cpu: u32) {
        apic::kick(cpu);
    }
    fn flush_others(&self, cpus: u32) {
        shootdown::flush_others(cpus, flush_tlb);
    }
    #[inline(always)]
    fn answer_flushes(&self) {
        shootdown::answer(flush_tlb);
    }
}

impl Interrupts for Machine {
    fn inputs(&self) -> u32 {
        io_apic::inputs()
    }
    fn has_input(&self, gsi: u32) -> bool {
        io_apic::has_input(gsi)
    }
    fn own_input(&self) -> Option<u32> {
        io_apic::console_input()
    }
    fn route(&self, gsi: u32, route: &Route) {
        io_apic::route(gsi, route);
    }
    fn mask_input(&self, gsi: u32, masked: bool) {
        io_apic::mask(gsi, masked);
    }
    fn message(&self, vector: u8, cpu: u32) -> Message {
        // SDM volume 3, section 11.11: physical destination, fixed delivery, edge.
        let apic_id = cpus::apic_id(cpu).unwrap_or(0);
        Message { address: 0xfee0_0000 | u64::from(apic_id & 0xff) << 12, data: vector.into() }
    }
    fn read_io_apic(&self, gsi_base: u32, register: u32) -> Option<u32> {
        io_apic::read(gsi_base, register)
    }
}

impl DeviceRegisters for Machine {
    fn read_device(&self, address: u64) -> u32 {
        device_window::read(address)
    }
    fn write_device(&self, address: u64, value: u32) {
        device_window::write(address, value);
    }
}

impl Power for Machine {
    fn domain0_shut_down(&self, reason: u8) {
        end::finish(end::code::DOMAIN_0 + reason)
    }
}

impl Platform for Machine {}

/// DR6 as the last debug exception left it; it is reset.
pub fn take_debug_status() -> u64 {
    let status: u64;
    // SAFETY: 1. Reads DR6 and gives it its reset value.
    unsafe {
        asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) status, in(reg) 0xffff_0ff0u64,
            options(nostack));
    }
    status
}
