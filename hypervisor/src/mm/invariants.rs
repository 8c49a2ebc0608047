//! The invariants of the memory rules, walked from scratch.
//!
//! For tests: nothing here relies on the counts that it checks. Every reference that
//! can be found anywhere is counted, and compared with what the frames say. The
//! numbers are those of the essay in [`super`].

use core::sync::atomic::Ordering;

use pv_abi::types::Mfn;

use super::frame::{Frame, Owner, Type};
use super::pte;
use super::validate::{Child, PV32_ROOT_ENTRIES, child};
use crate::domain::Domain;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

/// A broken invariant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which one: `"I1"` to `"I9"`.
    pub invariant: &'static str,
    /// The frame at which it shows.
    pub mfn: Mfn,
    /// What is wrong, in words.
    pub what: &'static str,
}

/// References found to one frame. The caller lends one per frame of the machine.
#[derive(Clone, Copy, Default, Debug)]
pub struct Found {
    total: u64,
    typed: u64,
    kind: Option<Type>,
}

impl<P: Platform> System<P> {
    /// Walks I1 to I9. `found` has one element per frame of the machine; its contents do not matter.
    ///
    /// No vCPU may be running: their states are looked into.
    pub fn check_invariants(&self, found: &mut [Found]) -> Result<(), Violation> {
        found.fill(Found::default());
        for (mfn, _) in self.memory.owned() {
            self.check_frame(mfn, found)?;
        }
        for domain in self.domains.iter() {
            self.find_holders(domain, found)?;
        }
        for (mfn, frame) in self.memory.owned() {
            if !matches!(frame.owner(), Owner::Domain(_)) {
                continue;
            }
            let (word, f) =
                (frame.load(), found.get(mfn.raw() as usize).copied().unwrap_or_default());
            let bad = |invariant, what| Err(Violation { invariant, mfn, what });
            if word.type_count() > word.total() {
                return bad("I1", "more type references than references");
            }
            if word.total() != f.total {
                return bad("I3", "the total count is not what was found");
            }
            if word.type_count() != f.typed {
                return bad("I4", "the type count is not what was found");
            }
            if f.typed > 0 && f.kind != Some(word.kind()) {
                return bad("I4", "references rely on a type that the frame does not have");
            }
        }
        self.check_free()?;
        self.check_grants(false)
    }

    /// What a frame's record says by itself, and what the entries in it refer to.
    fn check_frame(&self, mfn: Mfn, found: &mut [Found]) -> Result<(), Violation> {
        let Some(frame) = self.memory.frame(mfn) else { return Ok(()) };
        let Owner::Domain(owner) = frame.owner() else { return Ok(()) };
        let word = frame.load();
        let bad = |invariant, what| Err(Violation { invariant, mfn, what });
        let own = u64::from(word.allocated()) + u64::from(word.partial());
        if let Some(f) = found.get_mut(mfn.raw() as usize) {
            f.total += own;
        }
        if word.allocated() && !self.domain(owner).is_some_and(|d| d.footprint.contains(mfn)) {
            return bad("I9", "its domain would not look for it there");
        }
        if word.pinned() {
            note(found, mfn, Some(word.kind()), mfn)?;
        }
        let in_use = word.type_count() > 0;
        if in_use && word.kind().needs_validation() && !word.validated() {
            return bad("I2", "a table with references is not validated");
        }
        if word.partial() && in_use {
            return bad("I2", "a partial table has references");
        }
        if !word.kind().is_page_table() {
            return Ok(());
        }
        let Some(domain) = self.domain(owner) else {
            return bad("I5", "the owner does not exist");
        };
        if in_use {
            self.check_fixed_entries(mfn, word.kind(), domain)?;
            if word.kind() == Type::L2Top && word.type_count() != 1 {
                return bad("I7", "an L2Top is shared");
            }
        }
        let live = match (in_use, word.partial()) {
            (true, _) => pte::ENTRIES,
            (false, true) => frame.progress(),
            (false, false) => 0,
        };
        self.check_entries(mfn, word.kind(), domain, live, found)
    }

    fn check_entries(
        &self,
        mfn: Mfn,
        kind: Type,
        domain: &Domain,
        live: u16,
        found: &mut [Found],
    ) -> Result<(), Violation> {
        let bad = |what| Err(Violation { invariant: "I5", mfn, what });
        let mut linear = 0;
        for (index, word) in (0..live).zip(self.platform.words(mfn)) {
            let entry = word.load(Ordering::Relaxed);
            if entry & pte::P == 0 {
                continue;
            }
            let needs = match child(domain.width(), domain.hv_start, kind, index) {
                Child::Reserved => continue,
                Child::Page if entry & pte::RW != 0 => Some(Type::Writable),
                Child::Page => None,
                Child::Table(_) if pte::mfn(entry) == mfn => continue,
                Child::Table(below) => {
                    let frame = self.memory.frame(pte::mfn(entry));
                    let level = if kind == Type::L2Top { Type::L2 } else { kind };
                    let is_linear = frame.is_some_and(|f| f.load().kind() == level);
                    linear += i32::from(is_linear);
                    if is_linear && frame.is_some_and(|f| f.linear() >= 0) {
                        return bad("a table of its own level does not know of an entry");
                    }
                    if is_linear && entry & pte::RW != 0 {
                        return bad("a table of its own level is mapped writable");
                    }
                    Some(if is_linear { level } else { below })
                }
            };
            let device = self.io_memory.is_device(pte::mfn(entry).raw());
            if entry & pte::forbidden(domain.width(), kind) != 0 && !device {
                return bad("an entry has flags that its level does not permit");
            }
            match self.memory.frame(pte::mfn(entry)).map(Frame::owner) {
                Some(Owner::Domain(id)) if id == domain.id => {}
                // By privilege or a grant; that it holds its references is for I3 and I4 to say.
                Some(Owner::Domain(_)) if kind == Type::L1 => {}
                Some(Owner::Nobody) | None if kind == Type::L1 && device => continue,
                _ => return bad("an entry names a frame that is not the owner's"),
            }
            note(found, pte::mfn(entry), needs, mfn)?;
        }
        if linear > 0 && self.memory.frame(mfn).is_none_or(|f| f.linear() != linear) {
            return bad("it does not count its entries to tables of its own level");
        }
        Ok(())
    }

    /// I7: the entries that are the hypervisor's are what it put there.
    fn check_fixed_entries(&self, mfn: Mfn, kind: Type, domain: &Domain) -> Result<(), Violation> {
        let bad = |what| Err(Violation { invariant: "I7", mfn, what });
        let words = self.platform.words(mfn);
        match (kind, domain.width()) {
            (Type::L3, Width::Pv32) => {
                if words.get(3).is_none_or(|w| w.load(Ordering::Relaxed) & pte::P == 0) {
                    return bad("a root lacks the table with the hypervisor's window");
                }
                let rest = words.iter().skip(usize::from(PV32_ROOT_ENTRIES));
                if rest.map(|w| w.load(Ordering::Relaxed)).any(|e| e != 0) {
                    return bad("a root has entries past the fourth");
                }
            }
            (Type::L2Top, _) => {
                let reserved = (0..pte::ENTRIES).zip(words).filter(|(i, _)| {
                    matches!(child(domain.width(), domain.hv_start, kind, *i), Child::Reserved)
                });
                for (i, (_, word)) in reserved.enumerate() {
                    if word.load(Ordering::Relaxed) & !(pte::A | pte::D)
                        != self.m2p_window.entry(i) & !(pte::A | pte::D)
                    {
                        return bad("an entry of the window is not the hypervisor's");
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// References held by a domain and its vCPUs outside of page tables.
    fn find_holders(&self, domain: &Domain, found: &mut [Found]) -> Result<(), Violation> {
        for mfn in domain.events.frames_held() {
            note(found, mfn, Some(Type::Writable), mfn)?;
        }
        if !domain.end.gave_shared_info() {
            note(found, domain.shared_info, Some(Type::Writable), domain.shared_info)?;
        }
        if let Some(mfn) = domain.pirqs.eoi_page() {
            note(found, mfn, Some(Type::Writable), mfn)?;
        }
        domain.grants.find_holders(&self.platform, |mfn, kind| note(found, mfn, kind, mfn))?;
        for vcpu in domain.vcpus() {
            if let Some(mfn) = vcpu.registered_info() {
                note(found, mfn, Some(Type::Writable), mfn)?;
            }
            let state = vcpu.state.lock();
            if state.root.raw() != 0 {
                note(found, state.root, Some(Type::root_of(domain.width())), state.root)?;
            }
            for mfn in state.gdt.iter().chain(state.ldt.iter().flatten()) {
                note(found, *mfn, Some(Type::SegDesc), *mfn)?;
            }
        }
        Ok(())
    }

    /// I8: free blocks and owned frames do not overlap, and make up all of the heap.
    fn check_free(&self) -> Result<(), Violation> {
        let (free, _) = self.memory.free_and_total();
        let mut seen = 0;
        let mut covered_to = 0;
        for raw in 0..self.memory.frame_count() {
            let mfn = Mfn::new(raw);
            let Some(frame) = self.memory.frame(mfn) else { continue };
            let bad = |what| Err(Violation { invariant: "I8", mfn, what });
            let word = frame.load();
            if frame.owner() != Owner::Nobody && (word.free_head() || raw < covered_to) {
                return bad("a frame is free and has an owner");
            }
            if word.free_head() {
                if raw < covered_to {
                    return bad("free blocks overlap");
                }
                seen += 1u64 << frame.progress();
                covered_to = raw + (1 << frame.progress());
            } else if frame.owner() == Owner::Nobody && word.total() > 0 {
                return bad("a frame that nobody has is referred to");
            }
        }
        if seen != free {
            return Err(Violation {
                invariant: "I8",
                mfn: Mfn::new(0),
                what: "the heap counts other frames than are free",
            });
        }
        Ok(())
    }
}

/// Counts one reference to `mfn`, made at `from`.
fn note(found: &mut [Found], mfn: Mfn, kind: Option<Type>, from: Mfn) -> Result<(), Violation> {
    let Some(f) = found.get_mut(mfn.raw() as usize) else {
        return Err(Violation {
            invariant: "I5",
            mfn: from,
            what: "it names a frame that is not there",
        });
    };
    f.total += 1;
    if let Some(kind) = kind {
        f.typed += 1;
        if f.kind.is_some_and(|k| k != kind) {
            // I6 is the case of a page table that is also mapped writable.
            return Err(Violation {
                invariant: "I6",
                mfn,
                what: "it is used as two types at once",
            });
        }
        f.kind = Some(kind);
    }
    Ok(())
}
