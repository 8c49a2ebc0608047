//! A virtual CPU.
//!
//! It has two halves. [`VcpuState`] belongs to whoever runs the vCPU: the CPU that
//! picked it holds the lock until it switches away, and reaches the state without
//! further ado. [`Vcpu`] around it is what other CPUs may look at and poke: atomics.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use pv_abi::types::{DomId, Mfn, VcpuId};

use super::special_registers::SpecialRegisters;
use crate::guest::regs::UserRegs;
use crate::lock::{Lock, Rank};
use crate::mm::descriptor::GdtFrames;
use crate::platform::FrameAccess;
use crate::sched::VcpuRun;
use crate::time::VcpuTime;
use crate::trap::{Callbacks, Nmi, TrapTable, debug_registers};

/// A virtual CPU, shared.
pub struct Vcpu {
    /// Its number within the domain.
    pub id: VcpuId,
    /// Its domain.
    pub domain: DomId,
    /// Which descriptor-table window is its own: unique in the machine.
    pub window: u32,
    /// Machine address of its `vcpu_info`.
    info: AtomicU64,
    /// The frame to which `VCPUOP_register_vcpu_info` has moved it; 0: it is in `shared_info`.
    registered_info: AtomicU64,
    /// The CPU on which its address space was loaded last.
    pub(crate) last_cpu: AtomicU32,
    /// What the scheduler knows.
    pub run: VcpuRun,
    /// Its timers.
    pub time: VcpuTime,
    /// What belongs to the CPU that runs it.
    pub state: Lock<VcpuState>,
}

/// A vCPU's own state.
pub struct VcpuState {
    /// Its registers while it does not run.
    pub regs: UserRegs,
    /// Its data segment selectors (ds, es, fs, gs) while it does not run.
    pub segments: [u16; 4],
    /// Stack for traps from Ring 3 (`stack_switch`).
    pub kernel_ss: u16,
    /// Its top.
    pub kernel_sp: u64,
    /// Where traps go (`set_trap_table`).
    pub traps: TrapTable,
    /// Whether it is in its NMI handler.
    pub nmi: Nmi,
    /// Where upcalls go (`set_callbacks`, `callback_op`).
    pub callbacks: Callbacks,
    /// The I/O privilege level that `PHYSDEVOP_set_iopl` set: emulated, never real.
    pub iopl: u8,
    /// Where the bitmap of ports lies that its users may touch (`PHYSDEVOP_set_iobitmap`).
    pub io_bitmap: u64,
    /// How many ports the bitmap is for.
    pub io_bitmap_ports: u32,
    /// The guest's root page table; holds a reference of the root type. 0: none yet.
    pub root: Mfn,
    /// The L4 that the CPU walks while the vCPU runs; the hypervisor's.
    pub l4: Mfn,
    /// Frames of the GDT (`set_gdt`); each holds a `SegDesc` reference.
    pub gdt: GdtFrames,
    /// Entries of the GDT.
    pub gdt_entries: u32,
    /// The LDT: its guest address.
    pub ldt_base: u64,
    /// Its entries.
    pub ldt_entries: u32,
    /// Frames mapped so far, by page; each holds a `SegDesc` reference.
    pub ldt: [Option<Mfn>; 16],
    /// CR0.TS as the guest set it (`fpu_taskswitch`).
    pub task_switched: bool,
    /// CR4 as the guest set it.
    pub cr4: u64,
    /// Its other registers that are set by instructions that trap.
    pub special: SpecialRegisters,
    /// DR0-DR7 as the guest set them.
    pub debug_registers: [u64; 8],
    /// The XSAVE area: extended state while it does not run. A frame of the hypervisor's.
    pub fpu: Mfn,
}

impl Vcpu {
    /// A vCPU that has not started. `info` is the machine address of its slot in `shared_info`.
    pub fn new(id: VcpuId, domain: DomId, window: u32, info: u64, l4: Mfn, fpu: Mfn) -> Vcpu {
        Vcpu {
            id,
            domain,
            window,
            info: AtomicU64::new(info),
            registered_info: AtomicU64::new(0),
            last_cpu: AtomicU32::new(0),
            run: VcpuRun::new(),
            time: VcpuTime::new(),
            state: Lock::new(
                Rank::Vcpu,
                VcpuState {
                    regs: UserRegs::default(),
                    segments: [0; 4],
                    kernel_ss: 0,
                    kernel_sp: 0,
                    traps: TrapTable::new(),
                    nmi: Nmi::default(),
                    callbacks: Callbacks::default(),
                    iopl: 0,
                    io_bitmap: 0,
                    io_bitmap_ports: 0,
                    root: Mfn::new(0),
                    l4,
                    gdt: GdtFrames::new(),
                    gdt_entries: 0,
                    ldt_base: 0,
                    ldt_entries: 0,
                    ldt: [None; 16],
                    task_switched: false,
                    cr4: 0,
                    special: SpecialRegisters::new(),
                    debug_registers: debug_registers::RESET,
                    fpu,
                },
            ),
        }
    }

    /// Machine address of the `vcpu_info`.
    #[inline(always)]
    pub fn info_address(&self) -> u64 {
        self.info.load(Ordering::Acquire)
    }

    /// Moves the `vcpu_info`; its contents are the caller's to copy.
    pub fn set_info_address(&self, maddr: u64) {
        self.info.store(maddr, Ordering::Release);
    }

    /// The frame in which the guest registered it; the vCPU holds a writable reference.
    pub fn registered_info(&self) -> Option<Mfn> {
        Some(Mfn::new(self.registered_info.load(Ordering::Acquire))).filter(|mfn| mfn.raw() != 0)
    }

    /// Records that frame, or that there is none any more.
    pub fn set_registered_info(&self, frame: Option<Mfn>) {
        self.registered_info.store(frame.map_or(0, |mfn| mfn.raw()), Ordering::Release);
    }

    /// A byte of the `vcpu_info`.
    #[inline(always)]
    fn info_byte<'a>(&self, access: &'a impl FrameAccess, offset: u64) -> &'a AtomicU8 {
        access.byte_at(self.info_address() + offset)
    }

    /// `evtchn_upcall_pending`.
    #[inline(always)]
    pub fn upcall_pending(&self, access: &impl FrameAccess) -> bool {
        // Sequentially consistent, as is setting it: see `sched::run::VcpuRun::block`.
        self.info_byte(access, 0).load(Ordering::SeqCst) != 0
    }

    /// Sets `evtchn_upcall_pending`; returns whether it was set before.
    #[inline(always)]
    pub fn set_upcall_pending(&self, access: &impl FrameAccess) -> bool {
        self.info_byte(access, 0).swap(1, Ordering::SeqCst) != 0
    }

    /// Whether an upcall is pending and not masked.
    #[inline(always)]
    pub fn upcall_due(&self, access: &impl FrameAccess) -> bool {
        // Both bytes at once: the structure begins on a word. Mask 0 and pending not 0 are
        // the numbers 1 to 255.
        let word = access.half_word_at(self.info_address());
        (word.load(Ordering::Relaxed) as u16).wrapping_sub(1) < 0xff
    }

    /// `evtchn_upcall_mask`: the guest's virtual interrupt flag, inverted.
    #[inline(always)]
    pub fn upcall_masked(&self, access: &impl FrameAccess) -> bool {
        self.info_byte(access, 1).load(Ordering::Relaxed) != 0
    }

    /// Writes `evtchn_upcall_mask`.
    #[inline(always)]
    pub fn set_upcall_mask(&self, access: &impl FrameAccess, masked: bool) {
        self.info_byte(access, 1).store(u8::from(masked), Ordering::Relaxed);
    }
}
