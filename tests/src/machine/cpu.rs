//! A simulated CPU: what it was last told to load, and how often it was told to flush.

use hypervisor::platform::{CpuRegisters, Cpus, FrameAccess, Mmu, TablePage};
use pv_abi::errno::Errno;
use pv_abi::types::Mfn;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::{FakeMachine, Tlb};

/// A page of a descriptor-table window, in an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TableSlot {
    /// Page of the GDT.
    Gdt(u8),
    /// Page of the LDT.
    Ldt(u8),
}

impl From<TablePage> for TableSlot {
    fn from(page: TablePage) -> TableSlot {
        match page {
            TablePage::Gdt(n) => TableSlot::Gdt(n),
            TablePage::Ldt(n) => TableSlot::Ldt(n),
        }
    }
}

/// One CPU's state.
#[derive(Default, Debug)]
pub struct Cpu {
    /// The L4 it walks.
    pub root: Option<Mfn>,
    /// Its TLB.
    pub tlb: Tlb,
    /// Times all of the TLB was flushed, loads of a root not counted.
    pub flushes: u64,
    /// Addresses flushed one by one.
    pub flushed_pages: Vec<u64>,
    /// Times the caches were flushed.
    pub cache_flushes: u64,
    /// Pieces of frames that were written back: frame, first byte, length.
    pub flushed_lines: Vec<(Mfn, u16, u16)>,
    /// Times a root was loaded.
    pub root_loads: u64,
    /// The LDT register: window and number of entries.
    pub ldt: Option<(u32, u32)>,
    /// When it wants a timer interrupt, in ns.
    pub deadline_ns: Option<u64>,
    /// CR0.TS of the running guest.
    pub task_switched: bool,
    /// CR4.TSD of the running guest.
    pub time_stamp_disabled: bool,
    /// XCR0 of the running guest, once it was set; features whose state was made initial then.
    pub xcr0: Option<(u64, u64)>,
    /// TSC_AUX of the running guest.
    pub tsc_aux: u32,
    /// Model-specific registers that exist.
    pub msrs: BTreeMap<u32, u64>,
    /// CPUID leaves that are not as [`CpuRegisters::cpuid`] makes them up.
    pub cpuid: BTreeMap<(u32, u32), [u32; 4]>,
    /// DR0 to DR7.
    pub debug_registers: [u64; 8],
    /// The selectors in ds, es, fs and gs.
    pub data_segments: [u16; 4],
    /// Address of the last page fault.
    pub page_fault_address: u64,
    /// DR6 as the last debug exception left it.
    pub debug_status: u64,
    /// Times it was told to look at its run queue.
    pub kicks: u64,
    /// Of those, the ones that it has done.
    pub kicks_taken: u64,
}

/// A mark in slot 256 of every L4 that `init_vcpu_l4` made: the hypervisor's half. Not present,
/// so that no walk goes there.
pub const HYPERVISOR_MARK: u64 = 0x4865_7276_6973_6500;

/// Where a vCPU's descriptor-table window begins: GDT at +0, LDT at +0x10000.
pub fn window_address(window: u32) -> u64 {
    0xffff_8100_0000_0000 + u64::from(window) * 0x4_0000
}

impl Mmu for FakeMachine {
    fn load_root(&self, l4: Mfn) {
        let mark = self.words(l4)[256].load(Ordering::Relaxed);
        assert_eq!(mark, HYPERVISOR_MARK, "{l4} lacks the hypervisor's half");
        let mut cpu = self.this();
        cpu.root = Some(l4);
        cpu.root_loads += 1;
        cpu.tlb.clear();
    }

    fn flush_tlb(&self) {
        let mut cpu = self.this();
        cpu.flushes += 1;
        cpu.tlb.clear();
    }

    fn flush_page(&self, address: u64) {
        let mut cpu = self.this();
        cpu.flushed_pages.push(address);
        cpu.tlb.remove(&(address >> 12));
    }

    fn flush_cache(&self) {
        self.this().cache_flushes += 1;
    }

    fn flush_lines(&self, mfn: Mfn, offset: u16, len: u16) {
        self.this().flushed_lines.push((mfn, offset, len));
    }

    fn init_vcpu_l4(&self, l4: Mfn) {
        self.zero(l4);
        self.words(l4)[256].store(HYPERVISOR_MARK, Ordering::Relaxed);
    }

    fn create_window(
        &self,
        _window: u32,
        _take: &mut dyn FnMut() -> Option<Mfn>,
    ) -> Result<(), Errno> {
        Ok(())
    }

    fn map_table_page(&self, window: u32, page: TablePage, mfn: Option<Mfn>) {
        let key = (window, TableSlot::from(page));
        match mfn {
            Some(mfn) => self.windows().insert(key, mfn),
            None => self.windows().remove(&key),
        };
    }

    fn load_ldt(&self, window: u32, entries: u32) {
        self.this().ldt = (entries != 0).then_some((window, entries));
    }

    fn table_page_at(&self, window: u32, address: u64) -> Option<TablePage> {
        let page = address.checked_sub(window_address(window))? >> 12;
        match page {
            0..14 => Some(TablePage::Gdt(page as u8)),
            16..32 => Some(TablePage::Ldt(page as u8 - 16)),
            _ => None,
        }
    }
}

impl CpuRegisters for FakeMachine {
    fn set_task_switched(&self, on: bool) {
        self.this().task_switched = on;
    }

    fn set_time_stamp_disable(&self, on: bool) {
        self.this().time_stamp_disabled = on;
    }

    fn set_xcr0(&self, _area: Mfn, xcr0: u64, new: u64) {
        self.this().xcr0 = Some((xcr0, new));
    }

    fn set_tsc_aux(&self, value: u32) {
        self.this().tsc_aux = value;
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        self.this().msrs.get(&index).copied()
    }

    fn set_debug_register(&self, index: u8, value: u64) {
        match self.this().debug_registers.get_mut(usize::from(index)) {
            Some(register) if index != 4 && index != 5 => *register = value,
            _ => panic!("there is no debug register {index}"),
        }
    }

    fn init_extended_state(&self, area: Mfn) {
        self.zero(area);
    }

    fn data_segments(&self) -> [u16; 4] {
        self.this().data_segments
    }

    fn page_fault_address(&self) -> u64 {
        self.this().page_fault_address
    }

    fn take_debug_status(&self) -> u64 {
        std::mem::take(&mut self.this().debug_status)
    }

    /// A machine of Intel's that has all features.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        if let Some(given) = self.this().cpuid.get(&(leaf, subleaf)) {
            return *given;
        }
        let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        match (leaf, subleaf) {
            (0, _) => [0x20, word(b"Genu"), word(b"ntel"), word(b"ineI")],
            (0xd, 0) => [0xe7, 0x340, 0xa80, 0],
            (0xd, 1) => [0xf, 0x340, 0, 0],
            (0xd, 2) => [0x100, 0x240, 0, 0],
            (0x8000_0000, _) => [0x8000_0021, 0, 0, 0],
            (0x8000_0008, _) => [0x3028, !0, !0, !0],
            _ => [!0; 4],
        }
    }
}

impl Cpus for FakeMachine {
    fn this_cpu(&self) -> u32 {
        self.current.load(Ordering::Relaxed)
    }

    fn count(&self) -> u32 {
        self.cpus.len() as u32
    }

    fn apic_id(&self, cpu: u32) -> u32 {
        2 * cpu
    }

    fn kick(&self, cpu: u32) {
        self.cpu(cpu).kicks += 1;
    }

    fn flush_others(&self, cpus: u32) {
        let this = self.this_cpu();
        for cpu in (0..self.count()).filter(|cpu| cpus >> cpu & 1 != 0) {
            assert_ne!(cpu, this, "a CPU does not wait for itself");
            let mut cpu = self.cpu(cpu);
            cpu.flushes += 1;
            cpu.tlb.clear();
        }
    }

    fn answer_flushes(&self) {}
}
