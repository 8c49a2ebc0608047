//! What `arch` does on the CPU before any guest exists, done for a simulated machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::machine::ranges::RamRanges;
use hypervisor::mm::m2p_window::M2pWindow;
use hypervisor::mm::memory::{INVALID_M2P, Memory};
use hypervisor::platform::FrameAccess;
use hypervisor::system::System;
use pv_abi::types::Mfn;

use crate::machine::FakeMachine;

/// Present, accessed; neither writable nor for Ring 3: how the M2P's frames are mapped.
const READ_ONLY: u64 = 0x21;

/// The machine that most tests run on: 8 MiB.
pub const FRAMES: usize = 2048;

/// A system of `frames` frames and `cpus` CPUs without domains.
pub fn system(frames: usize, cpus: usize) -> Arc<System<FakeMachine>> {
    let machine = FakeMachine::new(frames, cpus);
    let ram = machine.ram();
    let memory = Memory::new(ram.frame_table(), ram.m2p32(), ram.m2p64());
    for entry in ram.m2p64() {
        entry.store(INVALID_M2P, Ordering::Relaxed);
    }
    for entry in ram.m2p32() {
        entry.store(INVALID_M2P as u32, Ordering::Relaxed);
    }

    // Level-1 tables of the M2P's window, after the M2P itself.
    let m2p_frames = ram.m2p32_frames();
    let mut next = ram.first_free() as u64;
    let mut tables = heapless::Vec::new();
    for chunk in (0..m2p_frames).collect::<Vec<_>>().chunks(512) {
        let table = Mfn::new(next);
        next += 1;
        for (entry, index) in machine.words(table).iter().zip(chunk) {
            entry.store((1 + *index as u64) << 12 | READ_ONLY, Ordering::Relaxed);
        }
        tables.push(table).expect("the window is large enough for the machine");
    }
    memory.add_range(Mfn::new(next), Mfn::new(frames as u64));

    let sys = System::new(machine, memory, M2pWindow::new(tables));
    let mut all = RamRanges::default();
    all.add(0, (frames as u64) << 12);
    sys.io_memory.set_ram(all);
    Arc::new(sys)
}
