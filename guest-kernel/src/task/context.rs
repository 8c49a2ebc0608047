//! What of the CPU belongs to a process besides its general registers: FPU, TLS descriptors, fs, gs.
//!
//! The kernel uses none of these, so they stay the current process's in the kernel and change hands
//! when another process is switched to. The FPU is switched eagerly, as the hypervisor does.
//!
//! TLS is Linux's for i386: three descriptors, GDT entries 6 to 8, which a process sets with
//! `set_thread_area` and reaches through gs. The GDT is one page of ours, read-only to us; the
//! hypervisor checks and writes each descriptor.
#![allow(unsafe_code)] // UNSAFETY: FPU and segment registers in assembly.

use crate::mm::{p2m, table};
use crate::sync::Guarded;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};
use ring1::calls;

/// First GDT entry for TLS.
pub const TLS_FIRST: u32 = 6;
/// Number of GDT entries for TLS.
pub const TLS_COUNT: usize = 3;

/// The FPU's registers in FXSAVE form.
#[repr(C, align(16))]
struct Fpu([u8; 512]);

/// Offset of MXCSR.
const MXCSR: usize = 24;
/// Offset of the mask of its bits that the CPU has.
const MXCSR_MASK: usize = 28;

impl Fpu {
    /// As `fninit` and the ABI leave it.
    const fn fresh() -> Self {
        let mut bytes = [0; 512];
        [bytes[0], bytes[1]] = 0x037fu16.to_le_bytes(); // control word
        [bytes[MXCSR], bytes[MXCSR + 1], ..] = 0x1f80u32.to_le_bytes();
        Self(bytes)
    }
}

static FRESH: Fpu = Fpu::fresh();

/// A process's part of the CPU.
pub struct Context {
    fpu: UnsafeCell<Fpu>,
    /// fs in bits 15..0, gs in bits 31..16.
    selectors: AtomicU32,
    tls: Guarded<[u64; TLS_COUNT]>,
}

// SAFETY: 1. `fpu` is written and read by the methods of the running task's alone, upcalls
// masked.
unsafe impl Sync for Context {}

/// The descriptors that the GDT holds now.
static LOADED: Guarded<[u64; TLS_COUNT]> = Guarded::new([0; TLS_COUNT]);
static GDT_MACHINE_PAGE: AtomicU32 = AtomicU32::new(0);

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .type load_selectors, @function
    /* load_selectors(fs, gs): cdecl; one that cannot be loaded becomes null. */
load_selectors:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
991: movl %eax, %fs
992: movl %edx, %gs
    ret
993: xorl %eax, %eax
    jmp 991b
994: xorl %edx, %edx
    jmp 992b
    .popsection
    .pushsection .extable, "a", @progbits
    .long 991b, 993b, 992b, 994b
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn load_selectors(fs: u32, gs: u32);
}

/// Gives the vCPU a GDT of ours, and the kernel an FPU that does not trap.
pub fn init() {
    let page = crate::mm::frames::allocate_zeroed(crate::mm::frames::Use::Kernel);
    let Some(page) = page else { panic!("no memory for the GDT") };
    table::protect(page);
    let machine = p2m::mfn(page).raw() as u32;
    if let Err(errno) = calls::set_gdt(&[machine], 512) {
        panic!("set_gdt: {errno:?}");
    }
    GDT_MACHINE_PAGE.store(machine, Ordering::Relaxed);
    let _ = calls::fpu_taskswitch(0);
}

impl Context {
    /// Of a program that begins: FPU as `fninit` and the ABI leave it, no TLS.
    pub fn new() -> Self {
        Self {
            fpu: UnsafeCell::new(Fpu::fresh()),
            selectors: AtomicU32::new(0),
            tls: Guarded::new([0; TLS_COUNT]),
        }
    }

    /// A copy of the running process's, for its child.
    pub fn fork(&self) -> Self {
        self.save();
        let child = Self::new();
        // SAFETY: 1. `save` just filled ours; the child's is not shared yet.
        unsafe { (*child.fpu.get()).0.copy_from_slice(&(*self.fpu.get()).0) };
        child.selectors.store(self.selectors.load(Ordering::Relaxed), Ordering::Relaxed);
        let tls = self.tls.with(|tls| *tls);
        child.tls.with(|child| *child = tls);
        child
    }

    /// Makes the running process's context that of a program that begins.
    pub fn reset(&self) {
        let _masked = ring1::events::Masked::new();
        let fresh = Self::new();
        // SAFETY: 1. The running task's own; masked.
        unsafe { (*self.fpu.get()).0.copy_from_slice(&(*fresh.fpu.get()).0) };
        self.selectors.store(0, Ordering::Relaxed);
        self.tls.with(|tls| *tls = [0; TLS_COUNT]);
        self.load();
    }

    /// A copy of the running process's FPU, and its fs (bits 15..0) and gs.
    pub fn snapshot(&self) -> ([u8; 512], u32) {
        let _masked = ring1::events::Masked::new();
        self.save();
        // SAFETY: 1. The running task's own; masked.
        (unsafe { (*self.fpu.get()).0 }, self.selectors.load(Ordering::Relaxed))
    }

    /// Gives the running process an FPU and selectors that it chose itself.
    pub fn restore(&self, fpu: &[u8; 512], selectors: u32) {
        let _masked = ring1::events::Masked::new();
        self.save();
        // SAFETY: 1. The running task's own; masked.
        let mine = unsafe { &mut (*self.fpu.get()).0 };
        // Loading bits of MXCSR that the CPU has not would be a fault. It says which it has, or 0
        // where the mask is younger than it.
        let word = |bytes: &[u8; 512], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mask = match word(mine, MXCSR_MASK) {
            0 => 0xffbf,
            mask => mask,
        };
        let mxcsr = word(fpu, MXCSR) & mask;
        mine.copy_from_slice(fpu);
        mine[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        self.selectors.store(selectors, Ordering::Relaxed);
        self.load();
    }

    /// Gives the running process the FPU of a program that begins.
    pub fn reset_fpu() {
        // SAFETY: 1. The area is 512 bytes, aligned to 16, and valid. 2. The FPU is the running task's, which
        // this changes for; it is saved when another task gets the CPU.
        unsafe { core::arch::asm!("fxrstor [{}]", in(reg) &raw const FRESH, options(nostack)) }
    }

    /// Takes the CPU's state, which is this process's.
    pub fn save(&self) {
        let (fs, gs): (u32, u32);
        // SAFETY: 1. The area is 512 bytes, aligned to 16, and the running task's own. 2. Reading
        // segment registers has no effect.
        unsafe {
            core::arch::asm!("fxsave [{}]", in(reg) self.fpu.get(), options(nostack));
            core::arch::asm!("mov {:e}, fs", out(reg) fs, options(nomem, nostack));
            core::arch::asm!("mov {:e}, gs", out(reg) gs, options(nomem, nostack));
        }
        self.selectors.store((fs & 0xffff) | (gs << 16), Ordering::Relaxed);
    }

    /// Gives the CPU this process's state.
    pub fn load(&self) {
        let tls = self.tls.with(|tls| *tls);
        load_descriptors(tls);
        let selectors = self.selectors.load(Ordering::Relaxed);
        // SAFETY: 1. The area was written by `new` or by `fxsave`. 2. Selectors that do not load
        // become null by the exception table; the kernel uses neither register.
        unsafe {
            core::arch::asm!("fxrstor [{}]", in(reg) self.fpu.get(), options(nostack));
            load_selectors(selectors & 0xffff, selectors >> 16);
        }
    }

    /// The TLS descriptors.
    pub fn tls(&self) -> [u64; TLS_COUNT] {
        self.tls.with(|tls| *tls)
    }

    /// Sets TLS descriptor `index` of the running process.
    pub fn set_tls(&self, index: usize, descriptor: u64) {
        let tls = self.tls.with(|tls| {
            if let Some(slot) = tls.get_mut(index) {
                *slot = descriptor;
            }
            *tls
        });
        load_descriptors(tls);
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

fn load_descriptors(tls: [u64; TLS_COUNT]) {
    LOADED.with(|loaded| {
        for (index, (wanted, now)) in tls.iter().zip(loaded.iter_mut()).enumerate() {
            if wanted != now {
                let entry = TLS_FIRST + index as u32;
                let page = u64::from(GDT_MACHINE_PAGE.load(Ordering::Relaxed));
                let machine = (page << 12) + u64::from(entry) * 8;
                // The descriptor was built by `set_thread_area` in a form that is accepted.
                if calls::update_descriptor(machine, *wanted).is_ok() {
                    *now = *wanted;
                }
            }
        }
    });
}
