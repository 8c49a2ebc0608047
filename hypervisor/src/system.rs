//! The machine as the hypervisor's logic sees it: one [`System`], shared by all CPUs.
//!
//! What changes in it sits behind locks of its own; there is no lock over all of it. The order
//! in which they are taken is [`crate::lock::Rank`]'s.
//!
//! A CPU waits for another's answer only when it flushes TLBs, and then it may hold nothing above
//! [`Rank::Paging`]: who waits for one of those answers meanwhile ([`System::spin_on`]). Under any
//! other lock the other might be waiting for that very lock with interrupts closed.

use pv_abi::types::DomId;
use spin::Once;

use crate::domain::destroy::Control;
use crate::domain::grace::Grace;
use crate::domain::windows::Windows;
use crate::domain::{Domain, Domains};
use crate::evtchn::virq::Handlers;
use crate::guest::regs::UserRegs;
use crate::irq::Irqs;
use crate::lock::{Lock, Rank};
use crate::machine::indexed_ports::IndexedPorts;
use crate::machine::io_memory::IoMemory;
use crate::machine::multiboot::CommandLine;
use crate::machine::ranges::MemoryMap;
use crate::mm::m2p_window::M2pWindow;
use crate::mm::memory::Memory;
use crate::platform::Platform;
use crate::sched::Scheduler;
use crate::time::wallclock::Wallclock;
use crate::trace::Trace;

/// Presses a debug key; the registers are those of who was interrupted.
pub type PressKey<P> = fn(&System<P>, &UserRegs, u8);

/// Everything that all CPUs share.
pub struct System<P: Platform> {
    /// The machine below.
    pub platform: P,
    /// Its memory.
    pub memory: Memory,
    /// What pv32 guests see of the machine-to-physical table.
    pub m2p_window: M2pWindow,
    /// The guests.
    pub domains: Domains,
    /// Who runs where.
    pub scheduler: Scheduler,
    /// PCI configuration space and the CMOS memory.
    pub indexed_ports: IndexedPorts,
    /// What is no RAM.
    pub io_memory: IoMemory,
    /// Which domain hears of what concerns the machine.
    pub virq_handlers: Handlers,
    /// What happened, if somebody wants to know.
    pub trace: Trace,
    /// Interrupts of the machine.
    pub irqs: Irqs,
    /// What time it is.
    pub wallclock: Wallclock,
    /// The hypervisor's own command line, once it is known.
    pub command_line: Once<CommandLine>,
    /// Presses a debug key for somebody who was interrupted: set by whoever knows all keys.
    pub press_key: Once<PressKey<P>>,
    /// The firmware's memory map, once it is known.
    pub memory_map: Once<MemoryMap>,
    /// Which descriptor-table windows vCPUs have.
    pub windows: Windows,
    /// When nobody can have a reference any more.
    pub grace: Grace,
    /// One request of domain control at a time.
    pub control: Lock<Control>,
}

impl<P: Platform> System<P> {
    /// A machine without guests.
    pub fn new(platform: P, memory: Memory, m2p_window: M2pWindow) -> System<P> {
        System {
            platform,
            memory,
            m2p_window,
            domains: Domains::new(),
            scheduler: Scheduler::new(),
            indexed_ports: IndexedPorts::new(),
            io_memory: IoMemory::new(),
            virq_handlers: Handlers::new(),
            trace: Trace::new(),
            irqs: Irqs::new(),
            wallclock: Wallclock::new(),
            command_line: Once::new(),
            press_key: Once::new(),
            memory_map: Once::new(),
            windows: Windows::new(),
            grace: Grace::new(),
            control: Lock::new(Rank::Control, Control::new()),
        }
    }

    /// The domain `id`. The reference is good until this CPU goes back to a guest or idles.
    pub fn domain(&self, id: DomId) -> Option<&Domain> {
        self.domains.get(id)
    }
}
