//! Which CPUs may hold translations of a domain's memory, and making them forget.
//!
//! A CPU has translations of a domain only while one of its vCPUs is *loaded* there: loading
//! another root drops all of them (no entry is global, there are no process identifiers). So
//! each domain knows the CPUs where it is loaded ([`Loaded`]), and a flush goes to those alone.
//!
//! Two rules keep a stale translation from reaching a frame in its next life:
//!
//! - **T1** A domain that drops a reference to a frame that is not its own (a grant, a foreign
//!   mapping) is flushed first.
//! - **T2** The owner of a frame is flushed before the frame changes its type, is freed, or goes
//!   to another owner.
//!
//! By T1 all others have forgotten a frame by the time its owner lets go of it, so T2 need not
//! look for them.
//!
//! # Order
//!
//! Who flushes has changed an entry or a frame's word before, by a locked instruction; then it
//! reads the set. Who loads a root joins the set first, then loads. So either the flush sees
//! the CPU in the set, or the CPU sees the change.
//!
//! # Waiting
//!
//! A flush waits until each CPU has answered, with interrupts closed, and may hold
//! `Domain::paging` and `Vcpu::state`. Another CPU may spin on those two, so it answers while it
//! spins ([`System::spin_on`]). Under any other lock nobody may flush.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use crate::cell::Cell;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::lock::{self, Guard, Lock, Rank};
use crate::platform::Platform;
use crate::system::System;

/// A set of CPUs, a bit for each.
pub type Cpus = u32;

/// The set of one CPU.
#[inline(always)]
pub(super) const fn only(cpu: u32) -> Cpus {
    1_u32.wrapping_shl(cpu)
}

/// The CPUs on which a domain is loaded.
#[derive(Default)]
pub struct Loaded<C = AtomicU32>(C);

impl Loaded {
    /// On none.
    pub const fn new() -> Loaded {
        Loaded(AtomicU32::new(0))
    }
}

impl<C: Cell> Loaded<C> {
    /// On none: the word is zero.
    pub fn over(word: C) -> Loaded<C> {
        Loaded(word)
    }

    /// `cpu` is about to load a root of the domain's.
    #[inline(always)]
    pub fn join(&self, cpu: u32) {
        self.0.fetch_or(only(cpu));
    }

    /// `cpu` has loaded another root instead.
    #[inline(always)]
    pub fn leave(&self, cpu: u32) {
        self.0.fetch_and(!only(cpu));
    }

    /// The set at this moment.
    #[inline(always)]
    pub fn cpus(&self) -> Cpus {
        self.0.load()
    }
}

impl<P: Platform> System<P> {
    /// A root of `domain` is about to be loaded on this CPU, for `vcpu`.
    pub fn loading(&self, domain: &Domain, vcpu: &Vcpu) {
        let cpu = self.platform.this_cpu();
        domain.loaded.join(cpu);
        vcpu.last_cpu.store(cpu, Ordering::SeqCst);
    }

    /// The root of another domain, or of none, has been loaded on this CPU instead of `domain`'s.
    pub fn unloaded(&self, domain: &Domain) {
        domain.loaded.leave(self.platform.this_cpu());
    }

    /// Drops every translation of `domain`'s address spaces, wherever there may be some.
    #[inline(always)]
    pub fn flush_domain(&self, domain: &Domain) {
        // After the change that makes translations stale: see the module's essay.
        fence(Ordering::SeqCst);
        self.flush_cpus(domain.loaded.cpus());
    }

    /// Drops every translation that the CPUs of the set hold.
    #[inline(always)]
    pub(super) fn flush_cpus(&self, cpus: Cpus) {
        if self.flush_others(cpus) {
            self.platform.flush_tlb();
        }
    }

    /// Drops the translation of one guest address that the CPUs of the set hold. Others than this
    /// one drop all they have.
    pub(super) fn flush_address(&self, cpus: Cpus, address: u64) {
        if self.flush_others(cpus) {
            self.platform.flush_page(address);
        }
    }

    /// Flushes the other CPUs of the set; returns whether this one is in it, too.
    #[inline(always)]
    fn flush_others(&self, cpus: Cpus) -> bool {
        lock::expect_at_most(Rank::Paging);
        let here = only(self.platform.this_cpu());
        if cpus & !here != 0 {
            self.platform.flush_others(cpus & !here);
        }
        cpus & here != 0
    }

    /// The CPUs where those vCPUs of `domain` may be loaded whose bits are set in `vcpus`.
    pub(super) fn cpus_of(&self, domain: &Domain, vcpus: u64) -> Cpus {
        fence(Ordering::SeqCst);
        let cpus = domain
            .vcpus()
            .filter(|vcpu| vcpus >> vcpu.id.raw() & 1 != 0)
            .fold(0, |cpus, vcpu| cpus | only(vcpu.last_cpu.load(Ordering::SeqCst)));
        cpus & domain.loaded.cpus()
    }

    /// Takes a lock that may be held while its holder waits for an answer of ours.
    #[inline(always)]
    pub fn spin_on<'a, T>(&self, lock: &'a Lock<T>) -> Guard<'a, T> {
        lock.lock_doing(|| self.platform.answer_flushes())
    }
}
