//! What `arch` does on the CPU before any guest exists, done for a simulated machine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::irq;
use hypervisor::machine::acpi::{IoApic, Madt, Override, Processor, Signal};
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
    irq::describe(&sys, &board(cpus));
    Arc::new(sys)
}

/// What the firmware says of a board as QEMU's: one I/O APIC, the timer at input 2, PCI's wires at
/// inputs 5, 9, 10 and 11, which are levels and active high.
fn board(cpus: usize) -> Madt {
    let mut board = Madt { local_apic: 0xfee0_0000, ..Madt::default() };
    for cpu in 0..cpus {
        // What ACPI calls a CPU, what interrupts call it and what we do are three numbers.
        let processor = Processor { apic_id: cpu as u32, acpi_id: 0x80 + cpu as u32 };
        board.processors.push(processor).expect("room for the CPUs");
    }
    board.io_apics.push(IoApic { id: 0, address: 0xfec0_0000, gsi_base: 0 }).expect("room for one");
    let edge = Signal::default();
    let level = Signal { active_low: false, level: true };
    for (isa_irq, gsi, signal) in
        [(0, 2, edge), (5, 5, level), (9, 9, level), (10, 10, level), (11, 11, level)]
    {
        board.overrides.push(Override { isa_irq, gsi, signal }).expect("room for a few");
    }
    board
}
