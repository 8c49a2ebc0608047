//! The machine that host tests run on: `hypervisor::platform`'s traits over an array of frames.

mod cpu;
mod devices;
pub mod ram;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hypervisor::console_ring::ConsoleRing;
use hypervisor::platform::{Bytes, FrameAccess, HalfWords, Platform, Words};
use pv_abi::types::Mfn;

pub use cpu::{Cpu, HYPERVISOR_MARK, TableSlot, window_address};
pub use devices::{Devices, INPUTS, Input, OWN_INPUT, PortAccess};
use ram::Ram;
pub use walk::{Tlb, Translation};

/// A simulated machine.
pub struct FakeMachine {
    ram: Ram,
    /// The CPU whose code runs: there is one thread, so tests say which.
    current: AtomicU32,
    cpus: Vec<Mutex<Cpu>>,
    /// Frames in the descriptor-table windows, by vCPU window.
    windows: Mutex<BTreeMap<(u32, TableSlot), Mfn>>,
    devices: Mutex<Devices>,
    ring: ConsoleRing,
}

impl FakeMachine {
    /// A machine of `frames` frames of 4 KiB and `cpus` CPUs.
    pub fn new(frames: usize, cpus: usize) -> FakeMachine {
        FakeMachine {
            ram: Ram::take(frames),
            current: AtomicU32::new(0),
            cpus: (0..cpus).map(|_| Mutex::new(Cpu::default())).collect(),
            windows: Mutex::new(BTreeMap::new()),
            devices: Mutex::new(Devices::default()),
            ring: ConsoleRing::new(),
        }
    }

    /// Its memory.
    pub fn ram(&self) -> &Ram {
        &self.ram
    }

    /// Goes on as another CPU.
    pub fn run_on(&self, cpu: u32) {
        assert!((cpu as usize) < self.cpus.len(), "the machine has no CPU {cpu}");
        self.current.store(cpu, Ordering::Relaxed);
    }

    /// The state of a CPU.
    pub fn cpu(&self, cpu: u32) -> MutexGuard<'_, Cpu> {
        match self.cpus.get(cpu as usize) {
            Some(state) => lock(state),
            None => panic!("the machine has no CPU {cpu}"),
        }
    }

    /// The state of the CPU whose code runs.
    pub fn this(&self) -> MutexGuard<'_, Cpu> {
        self.cpu(self.current.load(Ordering::Relaxed))
    }

    /// Clock, console and what else lies outside of the CPUs.
    pub fn devices(&self) -> MutexGuard<'_, Devices> {
        lock(&self.devices)
    }

    /// What the descriptor-table windows hold.
    pub fn windows(&self) -> MutexGuard<'_, BTreeMap<(u32, TableSlot), Mfn>> {
        lock(&self.windows)
    }

    /// The root of translation on this CPU.
    pub fn root(&self) -> Option<Mfn> {
        self.this().root
    }

    fn with_tlb<T>(&self, f: impl FnOnce(&mut Tlb) -> T) -> T {
        f(&mut self.this().tlb)
    }

    /// Frames that some CPU can still write through its TLB though `allowed` says no: what a
    /// forgotten flush leaves behind.
    pub fn stale_writable(&self, allowed: impl Fn(Mfn) -> bool) -> Vec<(u32, u64, Mfn)> {
        let mut found = Vec::new();
        for (number, cpu) in self.cpus.iter().enumerate() {
            for (page, translation) in &lock(cpu).tlb {
                if translation.writable && !allowed(translation.mfn) {
                    found.push((number as u32, page << 12, translation.mfn));
                }
            }
        }
        found
    }
}

/// The lock's content, also after a test panicked with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FrameAccess for FakeMachine {
    fn words(&self, mfn: Mfn) -> &Words {
        self.ram.words(mfn.raw())
    }

    fn half_words(&self, mfn: Mfn) -> &HalfWords {
        self.ram.half_words(mfn.raw())
    }

    fn bytes(&self, mfn: Mfn) -> &Bytes {
        self.ram.bytes(mfn.raw())
    }

    fn zero(&self, mfn: Mfn) {
        for word in self.words(mfn) {
            word.store(0, Ordering::Relaxed);
        }
        self.devices().frames_zeroed += 1;
    }

    fn copy(&self, from: Mfn, to: Mfn) {
        for (from, to) in self.words(from).iter().zip(self.words(to)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn copy_bytes(&self, from: Mfn, from_offset: u16, to: Mfn, to_offset: u16, len: u16) {
        let range = |offset: u16| usize::from(offset)..usize::from(offset) + usize::from(len);
        let (from, to) = (&self.bytes(from)[range(from_offset)], &self.bytes(to)[range(to_offset)]);
        for (from, to) in from.iter().zip(to) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn pointer(&self, mfn: Mfn) -> *mut u8 {
        self.ram.pointer(mfn.raw())
    }
}

impl Platform for FakeMachine {}

#[allow(unsafe_code)] // UNSAFETY: vouches for the end of what was lent.
impl Drop for FakeMachine {
    fn drop(&mut self) {
        // SAFETY: 1. Frames are lent for as long as `self` is. The `'static` tables are used by
        //            the `System` over this machine, which owns it and is being dropped, and by
        //            what borrows from that.
        unsafe { self.ram.retire() };
    }
}
