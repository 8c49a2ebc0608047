//! The end of a domain: in steps that are short, and can be taken again and again.
//!
//! | stage | what is done | before it goes on |
//! |---|---|---|
//! | alive | it is marked dying, its vCPUs are taken down | a grace period: nobody is about to run one, or to give it memory |
//! | stripping | each vCPU's root, descriptor tables and places in queues | no CPU has its state |
//! | closing | event channels, grants; nobody writes to its memory by them any more | a grace period |
//! | frames | what it holds is let go: pins first, then each frame | all frames were looked at |
//! | dead | domain 0 is told (`VIRQ_DOM_EXC`) | |
//!
//! Frames that other domains still use stay: they belong to the dead domain until the last
//! reference goes, and so long its number is not given to another. Then it is taken out of
//! the table, and after one more grace period its own memory is freed ([`reap`]).
//!
//! A dying domain gets no more memory and no more event channels. Each subsystem that holds
//! something of a domain's has a function here that lets go of it, within a budget.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use pv_abi::types::{DomId, Mfn};
use pv_abi::virq::VIRQ_DOM_EXC;

use super::grace::Began;
use super::table::Leaving;
use super::vcpu::Vcpu;
use super::{Domain, create};
use crate::error::Stop;
use crate::evtchn::{reset, virq};
use crate::grant::release;
use crate::irq::pirq;
use crate::lock::{Lock, Rank};
use crate::mm::frame::{Frame, Word};
use crate::mm::types::PageTypes;
use crate::platform::{Platform, TablePage};
use crate::sched::{self, hold};
use crate::system::System;

/// Records of the frame table that one step looks at.
const LOOKED_AT: u64 = 16_384;
/// Frames that one step frees.
const FREED: u64 = 512;

/// How far a domain's end has come.
pub struct End {
    dying: AtomicBool,
    gave_shared_info: AtomicBool,
    stage: Lock<Stage>,
    dead: AtomicBool,
}

#[derive(Clone, Copy)]
enum Stage {
    Alive,
    Stopping(Began),
    Stripping,
    Closing,
    Settling(Began),
    Frames { next: u64 },
    Dead,
}

impl End {
    /// It lives.
    pub const fn new() -> End {
        End {
            dying: AtomicBool::new(false),
            gave_shared_info: AtomicBool::new(false),
            stage: Lock::new(Rank::Control, Stage::Alive),
            dead: AtomicBool::new(false),
        }
    }

    /// Whether it is being destroyed, or was: it gets nothing any more.
    pub fn is_dying(&self) -> bool {
        self.dying.load(Ordering::SeqCst)
    }

    /// Whether all that it had was let go of.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether the hypervisor's own reference to its `shared_info` is gone.
    pub fn gave_shared_info(&self) -> bool {
        self.gave_shared_info.load(Ordering::Acquire)
    }
}

impl Default for End {
    fn default() -> Self {
        End::new()
    }
}

/// What requests of domain control share; one is served at a time.
pub struct Control {
    /// The number that was given away last.
    pub rover: u16,
    /// Dead domains in the table.
    dead: u32,
    /// One that was taken out of it.
    leaving: Option<Leaving>,
    /// The last one that went.
    gone: Option<DomId>,
}

impl Control {
    /// Nobody has died.
    pub const fn new() -> Control {
        Control { rover: 0, dead: 0, leaving: None, gone: None }
    }

    /// Whether domain `id` was taken out of the table, but its memory is not free yet.
    pub fn is_leaving(&self, id: DomId) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.id() == id)
    }

    /// Whether `id` is the domain that went last; asking ends that.
    pub fn has_gone(&mut self, id: DomId) -> bool {
        let is = self.gone == Some(id);
        if is {
            self.gone = None;
        }
        is
    }
}

impl Default for Control {
    fn default() -> Self {
        Control::new()
    }
}

/// Takes `domain`, not the caller's, apart; `Preempted` while there is more to do.
pub fn destroy<P: Platform>(
    sys: &System<P>,
    control: &mut Control,
    domain: &Domain,
) -> Result<(), Stop> {
    let mut stage = domain.end.stage.try_lock().ok_or(Stop::Preempted)?;
    loop {
        *stage = match *stage {
            Stage::Alive => {
                domain.end.dying.store(true, Ordering::SeqCst);
                hold::hold(sys, domain);
                for vcpu in domain.vcpus() {
                    sched::down(sys, vcpu);
                }
                Stage::Stopping(sys.grace.begin())
            }
            Stage::Stopping(began) => {
                passed(sys, &began)?;
                hold::stopped(sys, domain)?;
                for vcpu in domain.vcpus() {
                    hold::forget(sys, vcpu)?;
                }
                Stage::Stripping
            }
            Stage::Stripping => {
                for vcpu in domain.vcpus() {
                    strip(sys, domain, vcpu)?;
                }
                Stage::Closing
            }
            Stage::Closing => {
                reset::release_all(sys, domain)?;
                release::release_all(sys, domain)?;
                pirq::release_all(sys, domain);
                for vcpu in domain.vcpus() {
                    vcpu.set_info_address(create::info_address(domain, vcpu.id));
                }
                Stage::Settling(sys.grace.begin())
            }
            Stage::Settling(began) => {
                passed(sys, &began)?;
                give_infos(sys, domain)?;
                Stage::Frames { next: 0 }
            }
            Stage::Frames { next } => {
                match domain.footprint.first_of(next..sys.memory.frame_count()) {
                    Some(range) => {
                        let (next, outcome) = relinquish(sys, domain, range);
                        *stage = Stage::Frames { next };
                        return Err(outcome.err().unwrap_or(Stop::Preempted));
                    }
                    None => {
                        sys.page_types(domain).finish()?;
                        control.dead = control.dead.saturating_add(1);
                        announce(sys);
                        domain.end.dead.store(true, Ordering::Release);
                        log::info!("{} is destroyed", domain.id);
                        Stage::Dead
                    }
                }
            }
            Stage::Dead => return Ok(()),
        }
    }
}

/// Tells the toolstack that a domain has shut down or died.
pub fn announce<P: Platform>(sys: &System<P>) {
    virq::raise_global(sys, VIRQ_DOM_EXC);
}

/// `Preempted` until every CPU has passed since; those that have not are kicked.
fn passed<P: Platform>(sys: &System<P>, began: &Began) -> Result<(), Stop> {
    let (cpus, here) = (sys.platform.count(), sys.platform.this_cpu());
    if sys.grace.is_over(began, cpus, here) {
        return Ok(());
    }
    for cpu in (0..cpus).filter(|cpu| *cpu != here && !sys.grace.has_passed(began, *cpu)) {
        sys.platform.kick(cpu);
    }
    Err(Stop::Preempted)
}

/// Drops the references that a vCPU's state holds.
fn strip<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) -> Result<(), Stop> {
    let mut state = vcpu.state.try_lock().ok_or(Stop::Preempted)?;
    let mut types = sys.page_types(domain);
    types.finish()?;
    let root = core::mem::replace(&mut state.root, Mfn::new(0));
    if root.raw() != 0 {
        types.put(root);
        types.finish()?;
    }
    for (page, mfn) in (0..).zip(core::mem::take(&mut state.gdt)) {
        sys.platform.map_table_page(vcpu.window, TablePage::Gdt(page), None);
        types.put(mfn);
    }
    state.gdt_entries = 0;
    for (page, slot) in (0..).zip(&mut state.ldt) {
        if let Some(mfn) = slot.take() {
            sys.platform.map_table_page(vcpu.window, TablePage::Ldt(page), None);
            types.put(mfn);
        }
    }
    state.ldt_entries = 0;
    types.finish()
}

/// Drops the frames in which events were announced to the domain.
fn give_infos<P: Platform>(sys: &System<P>, domain: &Domain) -> Result<(), Stop> {
    let mut types = sys.page_types(domain);
    types.finish()?;
    for vcpu in domain.vcpus() {
        if let Some(mfn) = vcpu.registered_info() {
            vcpu.set_registered_info(None);
            types.put(mfn);
        }
    }
    if !domain.end.gave_shared_info.swap(true, Ordering::AcqRel) {
        types.put(domain.shared_info);
    }
    Ok(())
}

/// Takes pins and frames in `range` from the domain, some at a time; returns the first frame that was
/// not looked at.
fn relinquish<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    range: Range<u64>,
) -> (u64, Result<(), Stop>) {
    let mut types = sys.page_types(domain);
    let (mut next, end) = (range.start, range.end.min(range.start.saturating_add(LOOKED_AT)));
    // Frames whose last reference is gone, and that are to be freed together.
    let mut freed = next..next;
    let mut count = 0_u64;
    let mut outcome = Ok(());
    while outcome.is_ok() && next < end && count < FREED {
        let mfn = Mfn::new(next);
        let Some(frame) = sys.memory.frame(mfn).filter(|frame| frame.is_owned_by(domain.id)) else {
            // Most of what a machine has is others'.
            next = sys.memory.first_owned(domain.id, next..end);
            continue;
        };
        match let_go(&mut types, domain, mfn, frame) {
            Ok(last) => {
                if !last || freed.end != next {
                    sys.free_pages(domain, core::mem::replace(&mut freed, next..next));
                }
                next = next.saturating_add(1);
                if last {
                    freed.end = next;
                    count = count.saturating_add(1);
                }
            }
            Err(stop) => outcome = Err(stop),
        }
    }
    sys.free_pages(domain, freed);
    (next, outcome)
}

/// Takes a frame's pin from the domain, if it has one, and the frame, if it is the domain's still;
/// whether that was the last reference. `Preempted`: ask again.
fn let_go<P: Platform>(
    types: &mut PageTypes<'_, P>,
    domain: &Domain,
    mfn: Mfn,
    frame: &Frame,
) -> Result<bool, Stop> {
    if frame.load().pinned() {
        let _ = types.unpin(mfn);
        types.finish()?;
    }
    // A validation that a guest never let come to its end holds references, too.
    types.abandon(mfn);
    types.finish()?;
    let taken = |w: Word| if w.allocated() { w.with_allocated(false).sub_total() } else { None };
    Ok(frame.is_owned_by(domain.id) && frame.update(taken).is_ok_and(|word| word.total() == 0))
}

/// Frees the memory of dead domains that nobody refers to any more, as far as can be done now.
///
/// Every request of domain control begins with it.
pub fn reap<P: Platform>(sys: &System<P>, control: &mut Control) {
    let (cpus, here) = (sys.platform.count(), sys.platform.this_cpu());
    if let Some(domain) = Leaving::gone(&mut control.leaving, &sys.grace, cpus, here) {
        control.gone = Some(domain.id);
        sys.discard_domain(domain);
    }
    if let Some(leaving) = &control.leaving {
        for cpu in leaving.missing(&sys.grace, cpus).filter(|cpu| *cpu != here) {
            sys.platform.kick(cpu);
        }
        return;
    }
    if control.dead == 0 {
        return;
    }
    let done = |domain: &&Domain| {
        let frames = domain.pages.load(Ordering::SeqCst) | domain.lent.load(Ordering::SeqCst);
        domain.end.is_dead() && frames == 0
    };
    if let Some(id) = sys.domains.iter().find(done).map(|domain| domain.id) {
        control.dead = control.dead.saturating_sub(1);
        control.leaving = sys.domains.take_out(id, &sys.grace);
        // With one CPU there is nobody to wait for.
        if cpus == 1 {
            reap(sys, control);
        }
    }
}
