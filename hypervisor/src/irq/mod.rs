//! Physical interrupts: from a wire or a message of a device to an event of a domain.
//!
//! Three numbers name an interrupt, each to somebody else:
//!
//! | number | whose | is |
//! |---|---|---|
//! | vector | the CPU's | what the controllers raise; the hypervisor gives them out ([`vectors`]) |
//! | irq | the hypervisor's | the source ([`mod@line`]): an input of an I/O APIC, or from `System::irq_inputs` on an MSI |
//! | pirq | a domain's | what a domain calls an irq that was mapped for it ([`pirq`]) |
//!
//! A domain maps an irq to a pirq (`PHYSDEVOP_map_pirq`), then binds the pirq to an event
//! channel (`EVTCHNOP_bind_pirq`): that starts the source. A source that interrupts rings the
//! port. At most one domain has an irq bound at a time: there is no sharing between domains, so
//! none can hold up another's device.
//!
//! # Who ends an interrupt
//!
//! The local APIC always gets its end at once, since no CPU can be left deaf to lower vectors
//! until a guest deigns to answer. An edge or an MSI is over with that. A level would come
//! again at once: its input is masked before the end, and stays so until the guest says that
//! it has dealt with its device (`PHYSDEVOP_eoi`); Xen calls that `ACKTYPE_UNMASK`. So a
//! level interrupts once for each time that a guest asks for it. An edge could come all the
//! time: one that does is masked for a while ([`storm`]).
//!
//! # Locks
//!
//! `Domain::events`, then the domain's pirqs, then a line, then the MSI-X tables; below are
//! run queues (an event may wake somebody) and the leaves of the devices' registers.
//!
//! | file | is |
//! |---|---|
//! | [`mod@line`] | one source: what it is, who has it, starting and stopping it |
//! | [`vectors`] | which vector belongs to which irq |
//! | [`pirq`] | a domain's numbers, and mapping |
//! | [`bind`] | event channels: bind, unbind, end of interrupt, another vCPU |
//! | [`arrive`] | what happens when a vector arrives; [`storm`]: too often |
//! | [`msi`], [`msix_tables`], [`pci`] | messages, the tables that hold them, configuration space |
//! | [`eoi_page`] | the page by which a guest knows whether an end is needed |
//! | [`invariants`] | what must be true of all that |

pub mod arrive;
pub mod bind;
pub mod eoi_page;
pub mod gsi;
pub mod invariants;
pub mod line;
pub mod msi;
pub mod msix_tables;
pub mod pci;
pub mod pirq;
pub mod storm;
pub mod vectors;

use pv_abi::errno::Errno;
use spin::Once;

use crate::lock::{Lock, Rank};
use crate::machine::acpi::Madt;
use crate::mm::frame_box::FrameBox;
use crate::platform::Platform;
use crate::system::System;
use line::Line;
use msix_tables::MsixTables;
use storm::Calm;
use vectors::VectorMap;

pub use bind::{bound, may_bind, retarget, unbound};
pub use pirq::{NR_PIRQS, Pirqs};
pub use vectors::VECTORS;

/// Sources that there can be, inputs and MSIs together.
pub const IRQS: usize = 256;
/// Inputs that are used: some numbers are left for MSIs.
const MAX_INPUTS: u32 = 192;

type Lines = [Lock<Line>; IRQS];

/// Everything about interrupts that CPUs share.
pub struct Irqs {
    /// Processors and interrupt controllers, once they are known.
    pub board: Once<Madt>,
    lines: Once<FrameBox<Lines>>,
    vectors: VectorMap,
    /// Devices whose MSI-X tables are the hypervisor's to write.
    msix: Lock<MsixTables>,
    calm: Calm,
}

impl Irqs {
    /// No interrupts.
    pub const fn new() -> Irqs {
        Irqs {
            board: Once::new(),
            lines: Once::new(),
            vectors: VectorMap::new(),
            msix: Lock::new(Rank::MsixTables, MsixTables::new()),
            calm: Calm::new(),
        }
    }

    /// A source; `None` while nobody has used any, or past the end.
    fn line(&self, irq: u32) -> Option<&Lock<Line>> {
        self.lines.get()?.get(irq as usize)
    }

    /// All sources with their numbers.
    fn lines(&self) -> impl Iterator<Item = (u32, &Lock<Line>)> {
        (0..).zip(self.lines.get().into_iter().flat_map(|lines| lines.iter()))
    }
}

impl Default for Irqs {
    fn default() -> Self {
        Irqs::new()
    }
}

/// Says which interrupt controllers there are. Their registers are nobody's to write.
pub fn describe<P: Platform>(sys: &System<P>, board: &Madt) {
    for io_apic in &board.io_apics {
        let mfn = u64::from(io_apic.address) >> 12;
        sys.io_memory.protect(mfn, mfn);
    }
    sys.irqs.board.call_once(|| board.clone());
}

impl<P: Platform> System<P> {
    /// Irqs below this are inputs of I/O APICs (`nr_irqs_gsi` in Xen).
    pub fn irq_inputs(&self) -> u32 {
        self.platform.inputs().min(MAX_INPUTS)
    }

    /// A source, for use. `EINVAL` past the end; `ENOMEM` if there is no memory for the table,
    /// which the first use makes.
    fn irq_line(&self, irq: u32) -> Result<&Lock<Line>, Errno> {
        let lines = self.irqs.lines.try_call_once(|| {
            FrameBox::new(&self.memory, &self.platform, || {
                core::array::from_fn(|irq| Lock::new(Rank::Line, gsi::initial(self, irq as u32)))
            })
        })?;
        lines.get(irq as usize).ok_or(Errno::EINVAL)
    }
}
