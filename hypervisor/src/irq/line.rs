//! One source of interrupts.

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use super::msi::Msi;
use super::storm::Storm;
use crate::platform::{Platform, Route};
use crate::system::System;

/// What interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nothing: there is no such input, or the number waits for an MSI.
    Nothing,
    /// An input, by its global interrupt number, that a driver of the hypervisor has.
    Own(u32),
    /// An input, by its global interrupt number.
    Input(u32),
    /// A message of a PCI function.
    Message(Msi),
}

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The domain.
    pub domain: DomId,
    /// What it calls the irq.
    pub pirq: u32,
    /// The CPU that is interrupted: where the vCPU that is told lived when that was decided.
    pub cpu: u32,
}

/// A source, with its lock around it.
pub struct Line {
    /// What it is.
    pub source: Source,
    /// Its vector, once it was needed.
    pub vector: Option<u8>,
    /// A low line means "interrupt".
    pub active_low: bool,
    /// The line is a level.
    pub level: bool,
    /// `PHYSDEVOP_setup_gsi` has said so.
    pub set_up: bool,
    /// Who is told.
    pub binding: Option<Binding>,
    /// Masked until the domain ends the interrupt.
    pub awaits_end: bool,
    /// How often it came lately.
    pub storm: Storm,
}

impl Line {
    /// A source that nobody uses.
    pub const fn new(source: Source) -> Line {
        Line {
            source,
            vector: None,
            active_low: false,
            level: false,
            set_up: false,
            binding: None,
            awaits_end: false,
            storm: Storm::new(),
        }
    }

    /// Starts the source for `binding`.
    ///
    /// `EINVAL`: there is no source; `EBUSY`: somebody has it; `ENOSPC`: there is no vector left.
    pub fn start<P: Platform>(
        &mut self,
        sys: &System<P>,
        irq: u32,
        binding: Binding,
    ) -> Result<(), Errno> {
        match self.source {
            Source::Nothing => return Err(Errno::EINVAL),
            Source::Own(_) => return Err(Errno::EBUSY),
            Source::Input(_) | Source::Message(_) if self.binding.is_some() => {
                return Err(Errno::EBUSY);
            }
            Source::Input(_) | Source::Message(_) => {}
        }
        if self.vector.is_none() {
            self.vector = Some(sys.irqs.vectors.take(irq).ok_or(Errno::ENOSPC)?);
        }
        self.binding = Some(binding);
        self.awaits_end = false;
        self.storm = Storm::new();
        self.aim(sys);
        self.mask(sys, false);
        Ok(())
    }

    /// Stops the source; nobody is told any more.
    pub fn stop<P: Platform>(&mut self, sys: &System<P>) {
        self.mask(sys, true);
        self.binding = None;
        self.awaits_end = false;
    }

    /// Writes where the source interrupts and with what, and leaves it masked.
    pub fn aim<P: Platform>(&self, sys: &System<P>) {
        let Some(vector) = self.vector else { return };
        let cpu = self.binding.map_or(0, |binding| binding.cpu);
        match self.source {
            Source::Input(gsi) => {
                let Line { active_low, level, .. } = *self;
                sys.platform.route(gsi, &Route { vector, cpu, active_low, level });
            }
            Source::Message(msi) => {
                msi.mask(sys, true);
                msi.write(sys, sys.platform.message(vector, cpu));
            }
            Source::Own(_) | Source::Nothing => {}
        }
    }

    /// Masks the source, or lets it go again.
    pub fn mask<P: Platform>(&self, sys: &System<P>, masked: bool) {
        match self.source {
            Source::Input(gsi) => sys.platform.mask_input(gsi, masked),
            Source::Message(msi) => msi.mask(sys, masked),
            Source::Own(_) | Source::Nothing => {}
        }
    }

    /// Has a source be quiet that came too often, or lets it go.
    pub fn hush<P: Platform>(&self, sys: &System<P>, hushed: bool) {
        match self.source {
            Source::Message(msi) => msi.hush(sys, hushed),
            _ => self.mask(sys, hushed || !self.is_open()),
        }
    }

    /// Whether a bound source may interrupt now.
    pub fn is_open(&self) -> bool {
        self.binding.is_some() && !self.awaits_end && !self.storm.is_quiet()
    }

    /// Lets the source go again if nothing holds it.
    pub fn reopen<P: Platform>(&self, sys: &System<P>) {
        if self.is_open() {
            self.mask(sys, false);
        }
    }

    /// Whether the domain has to end each interrupt.
    pub fn needs_end(&self) -> bool {
        self.level
    }
}
