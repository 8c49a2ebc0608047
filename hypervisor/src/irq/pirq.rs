//! A domain's numbers for interrupts, and what they stand for.
//!
//! As on Xen, an input's pirq is usually the irq's number, and pirqs of MSIs are taken from
//! the top. A number can be taken without standing for anything yet
//! (`PHYSDEVOP_get_free_pirq`).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::IRQS;
use super::line::Source;
use super::msi::{Msi, MsiRequest};
use super::pci::Function;
use crate::domain::Domain;
use crate::lock::{Lock, Rank};
use crate::platform::Platform;
use crate::system::System;

/// Interrupts that a domain can have.
pub const NR_PIRQS: u32 = 256;
/// The first pirq that is given to an input which may be any: those below are ISA's.
const FIRST_FREE_INPUT: u32 = 16;

/// What a pirq stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Meaning {
    /// Nothing.
    #[default]
    Nothing,
    /// Nothing yet, but it is taken.
    Taken,
    /// An irq.
    Irq(u16),
}

/// A pirq.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pirq {
    /// What it stands for.
    pub meaning: Meaning,
    /// Mapping it gave the domain permission for the irq, which ends with the mapping.
    permitted: bool,
}

impl Pirq {
    /// The irq that it stands for.
    pub fn irq(&self) -> Option<u32> {
        match self.meaning {
            Meaning::Irq(irq) => Some(irq.into()),
            Meaning::Nothing | Meaning::Taken => None,
        }
    }
}

/// All pirqs of a domain.
pub struct Pirqs {
    pub(super) table: Lock<[Pirq; NR_PIRQS as usize]>,
    /// The frame in which the guest looks whether a pirq needs an end; 0: it has not said.
    pub(super) eoi_page: AtomicU64,
    /// An end unmasks the port, too.
    pub(super) end_unmasks: AtomicBool,
}

impl Pirqs {
    /// None is taken.
    pub const fn new() -> Pirqs {
        const NOTHING: Pirq = Pirq { meaning: Meaning::Nothing, permitted: false };
        Pirqs {
            table: Lock::new(Rank::Pirqs, [NOTHING; NR_PIRQS as usize]),
            eoi_page: AtomicU64::new(0),
            end_unmasks: AtomicBool::new(false),
        }
    }

    /// The frame in which the guest looks whether a pirq needs an end.
    pub fn eoi_page(&self) -> Option<Mfn> {
        Some(self.eoi_page.load(Ordering::Acquire)).filter(|mfn| *mfn != 0).map(Mfn::new)
    }

    /// A pirq; `None` past the end.
    pub fn get(&self, pirq: u32) -> Option<Pirq> {
        self.table.lock().get(pirq as usize).copied()
    }
}

impl Default for Pirqs {
    fn default() -> Self {
        Pirqs::new()
    }
}

/// What a free pirq is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// An input.
    Input,
    /// A message.
    Message,
}

/// The number of a pirq that stands for nothing, and that no port is left from before; `ENOSPC`
/// if there is none.
fn find_free(domain: &Domain, table: &[Pirq], inputs: u32, want: Want) -> Result<u32, Errno> {
    let is_free = |pirq: &u32| {
        table.get(*pirq as usize).is_some_and(|entry| entry.meaning == Meaning::Nothing)
            && domain.events.pirq_port(*pirq).is_none()
    };
    let low = match want {
        Want::Input => (FIRST_FREE_INPUT..inputs).find(is_free),
        Want::Message => None,
    };
    low.or_else(|| (inputs..NR_PIRQS).rev().find(is_free)).ok_or(Errno::ENOSPC)
}

/// `PHYSDEVOP_get_free_pirq`: takes a pirq that stands for nothing. `ENOSPC` if there is none.
pub fn take_free<P: Platform>(sys: &System<P>, domain: &Domain, want: Want) -> Result<u32, Errno> {
    let mut table = domain.pirqs.table.lock();
    let pirq = find_free(domain, &*table, sys.irq_inputs(), want)?;
    if let Some(entry) = table.get_mut(pirq as usize) {
        entry.meaning = Meaning::Taken;
    }
    Ok(pirq)
}

/// The pirq to map `irq` to: the one that is wanted, the one that has it already, a free one.
///
/// `EINVAL`: no such pirq; `EEXIST`: the irq has another pirq, or the pirq another irq (Xen says
/// 0 to the latter, and maps nothing); `ENOSPC`: none is free.
fn choose(
    domain: &Domain,
    table: &[Pirq],
    irq: u32,
    wanted: Option<u32>,
    inputs: u32,
    want: Want,
) -> Result<u32, Errno> {
    let present = (0..).zip(table).find(|(_, entry)| entry.irq() == Some(irq)).map(|(n, _)| n);
    let Some(wanted) = wanted else {
        return present.map_or_else(|| find_free(domain, table, inputs, want), Ok);
    };
    if present.is_some_and(|present| present != wanted) {
        return Err(Errno::EEXIST);
    }
    let entry = table.get(wanted as usize).ok_or(Errno::EINVAL)?;
    match entry.irq() {
        Some(other) if other != irq => Err(Errno::EEXIST),
        _ => Ok(wanted),
    }
}

/// Maps an input of the machine to a pirq of `domain`'s; returns the pirq. What is mapped
/// already stays as it is.
///
/// `EINVAL`: no such irq or pirq; `EPERM`: the irq is not `caller`'s to give; `EEXIST`,
/// `ENOSPC`: see `choose`.
pub fn map_irq<P: Platform>(
    sys: &System<P>,
    caller: &Domain,
    domain: &Domain,
    irq: u32,
    wanted: Option<u32>,
) -> Result<u32, Errno> {
    if irq >= sys.irq_inputs() {
        return Err(Errno::EINVAL);
    }
    let mut table = domain.pirqs.table.lock();
    let pirq = choose(domain, &*table, irq, wanted, sys.irq_inputs(), Want::Input)?;
    if !caller.permissions.has_irq(irq) {
        return Err(Errno::EPERM);
    }
    if matches!(sys.irq_line(irq)?.lock().source, Source::Nothing) {
        return Err(Errno::EINVAL);
    }
    set(&mut *table, domain, pirq, irq);
    Ok(pirq)
}

/// Makes `pirq` stand for `irq`; the domain may use that as long as it does.
fn set(table: &mut [Pirq], domain: &Domain, pirq: u32, irq: u32) {
    let Some(entry) = table.get_mut(pirq as usize) else { return };
    if entry.irq().is_none() {
        entry.permitted = !domain.permissions.has_irq(irq);
        domain.permissions.permit_irq(irq);
    }
    // Irqs are below IRQS.
    entry.meaning = Meaning::Irq(irq as u16);
}

/// Maps a new MSI to a pirq of `domain`'s; returns the pirq.
///
/// `EINVAL`: no irq is left, or no such pirq or entry of the device's table; `ENODEV`: no such
/// device, or it has no such messages; `ENXIO`: its table cannot be reached; `EEXIST`: the pirq
/// stands for something, or the entry is mapped; `ENOSPC`: no pirq or vector is left.
pub fn map_msi<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    request: &MsiRequest,
    wanted: Option<u32>,
) -> Result<u32, Errno> {
    let inputs = sys.irq_inputs();
    let mut table = domain.pirqs.table.lock();
    for irq in inputs..IRQS as u32 {
        if sys.irq_line(irq)?.lock().source != Source::Nothing {
            continue;
        }
        let pirq = choose(domain, &*table, irq, wanted, inputs, Want::Message)?;
        let msi = Msi::open(sys, domain, request)?;
        let mut line = sys.irq_line(irq)?.lock();
        let vector = match line.source {
            Source::Nothing => sys.irqs.vectors.take(irq),
            // Another CPU has taken it since.
            _ => {
                msi.close(sys);
                continue;
            }
        };
        if vector.is_none() {
            msi.close(sys);
            return Err(Errno::ENOSPC);
        }
        line.source = Source::Message(msi);
        line.vector = vector;
        line.aim(sys);
        drop(line);
        set(&mut *table, domain, pirq, irq);
        return Ok(pirq);
    }
    Err(Errno::EINVAL)
}

/// `PHYSDEVOP_unmap_pirq`: a pirq stands for nothing any more. A port that is bound to it stays,
/// but never rings again.
///
/// `EINVAL`: no such pirq, or it stands for no irq.
pub fn unmap<P: Platform>(sys: &System<P>, domain: &Domain, pirq: u32) -> Result<(), Errno> {
    let mut table = domain.pirqs.table.lock();
    let entry = table.get_mut(pirq as usize).ok_or(Errno::EINVAL)?;
    let irq = entry.irq().ok_or(Errno::EINVAL)?;
    {
        let mut line = sys.irq_line(irq)?.lock();
        let bound = line.binding.is_some_and(|b| b.domain == domain.id && b.pirq == pirq);
        if bound {
            line.stop(sys);
        }
        // An MSI is one domain's; an input may be mapped for others as well.
        if let Source::Message(msi) = line.source {
            msi.close(sys);
            if let Some(vector) = line.vector.take() {
                sys.irqs.vectors.give_back(vector);
            }
            line.source = Source::Nothing;
        }
    }
    if entry.permitted {
        domain.permissions.deny_irq(irq);
    }
    *entry = Pirq::default();
    Ok(())
}

/// Unmaps all messages of a PCI function that is gone; whether it had any.
pub fn unmap_function<P: Platform>(sys: &System<P>, function: Function) -> bool {
    let mut had_some = false;
    for domain in sys.domains.iter() {
        for pirq in 0..NR_PIRQS {
            let line = domain.pirqs.get(pirq).and_then(|entry| sys.irqs.line(entry.irq()?));
            let source = line.map(|line| line.lock().source);
            if matches!(source, Some(Source::Message(msi)) if msi.function == function) {
                // It is mapped, or was until just now.
                had_some |= unmap(sys, domain, pirq).is_ok();
            }
        }
    }
    had_some
}

/// Gives back everything that a domain has of interrupts: it is about to be destroyed.
pub fn release_all<P: Platform>(sys: &System<P>, domain: &Domain) {
    for pirq in 0..NR_PIRQS {
        // What stands for nothing is none's loss.
        let _ = unmap(sys, domain, pirq);
    }
    super::eoi_page::release(sys, domain);
}
