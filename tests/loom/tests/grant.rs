//! Grants: the granter ends one while the hypervisor begins, widens and ends its use.
//!
//! The claim is the hypervisor's ([`hypervisor::grant::claim`]); the granter is written as the
//! ABI has it (`grant_table.h`, "Ending" of each version). A page that both reach at once is a
//! race, which loom finds.

use std::sync::Arc;

use hypervisor::cell::Cell;
use hypervisor::grant::active::Pins;
use hypervisor::grant::claim::{HalfWord, Wanted, claim_v1, claim_v2};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::thread;
use pv_abi::grant_table::{GTF_PERMIT_ACCESS, GTF_READING, GTF_WRITING};
use pv_abi::types::DomId;
use pv_loom::{DoubleWord, Word, check};

const GRANTEE: u16 = 1;
/// The header of an entry that grants a page.
const GRANTED: u32 = GTF_PERMIT_ACCESS as u32 | (GRANTEE as u32) << 16;
const IN_USE: u16 = GTF_READING | GTF_WRITING;

/// An entry, as each side works on it. The granter owns two pages.
trait Entry: Send + Sync + 'static {
    fn granted(page: u32) -> Self;
    /// The granter's: grants another page by an entry that is its own again.
    fn grant(&self, page: u32);
    /// The granter's: ends the grant, if it can. Then the page is its own.
    fn end(&self) -> bool;
    /// The hypervisor's: the page, from now on in use.
    fn claim(&self, pinned: bool, want: &Wanted) -> Option<u32>;
    /// Where the granter is told of it.
    fn status(&self) -> HalfWord<'_, Word>;
}

struct V1 {
    header: Word,
    frame: Word,
}

impl Entry for V1 {
    fn granted(page: u32) -> V1 {
        V1 { header: Word::new(GRANTED), frame: Word::new(page) }
    }

    fn grant(&self, page: u32) {
        self.frame.store(page);
        self.header.store(GRANTED);
    }

    fn end(&self) -> bool {
        let mut was = self.header.load();
        while was as u16 & IN_USE == 0 {
            match self.header.compare_exchange(was, 0) {
                Ok(()) => return true,
                Err(found) => was = found,
            }
        }
        false
    }

    fn claim(&self, pinned: bool, want: &Wanted) -> Option<u32> {
        claim_v1(&self.header, &self.frame, pinned, want).ok()
    }

    fn status(&self) -> HalfWord<'_, Word> {
        HalfWord { word: &self.header, shift: 0 }
    }
}

struct V2 {
    head: DoubleWord,
    frame: DoubleWord,
    status: Word,
}

impl Entry for V2 {
    fn granted(page: u32) -> V2 {
        let (head, frame) = (DoubleWord::new(GRANTED.into()), DoubleWord::new(page.into()));
        V2 { head, frame, status: Word::new(0) }
    }

    fn grant(&self, page: u32) {
        self.frame.store(page.into());
        self.head.store(GRANTED.into());
    }

    fn end(&self) -> bool {
        self.head.store(0);
        fence(Ordering::SeqCst);
        if self.status().get() & IN_USE == 0 {
            return true;
        }
        // It is in use: nothing has been ended.
        self.head.store(GRANTED.into());
        false
    }

    fn claim(&self, pinned: bool, want: &Wanted) -> Option<u32> {
        let status = self.status();
        let (_, frame) = claim_v2(&self.head, &self.frame, status, pinned, want).ok()?;
        Some(frame as u32)
    }

    fn status(&self) -> HalfWord<'_, Word> {
        HalfWord { word: &self.status, shift: 16 }
    }
}

/// A page of the granter's. Beside what finds races it is a word that orders nothing: loom tries
/// both orders of two accesses only if they are to one atomic.
struct Page(UnsafeCell<()>, AtomicU32);

impl Page {
    fn new() -> Page {
        Page(UnsafeCell::new(()), AtomicU32::new(0))
    }

    fn write(&self) {
        self.1.store(0, Ordering::Relaxed);
        self.0.with_mut(|_| ());
    }

    fn read(&self) {
        self.1.load(Ordering::Relaxed);
        self.0.with(|_| ());
    }
}

/// An entry, and the pages that it may grant.
struct Model<E> {
    entry: E,
    pages: [Page; 2],
}

fn want(write: bool) -> Wanted {
    let (grantee, pins) = (DomId::new(GRANTEE), Pins::host(write));
    Wanted { grantee, pins, write, map: true, transitive: false }
}

impl<E: Entry> Model<E> {
    fn new() -> Arc<Model<E>> {
        Arc::new(Model { entry: E::granted(0), pages: [Page::new(), Page::new()] })
    }

    fn write_page(&self, page: u32) {
        self.pages[page as usize].write();
    }

    fn read_page(&self, page: u32) {
        self.pages[page as usize].read();
    }

    /// The hypervisor uses the grant once.
    fn use_once(&self) {
        if let Some(page) = self.entry.claim(false, &want(true)) {
            self.write_page(page);
            self.entry.status().reduce(Pins::NONE, true);
        }
    }

    /// Uses it for reading, meanwhile for writing, too.
    fn use_twice(&self) {
        let Some(page) = self.entry.claim(false, &want(false)) else { return };
        self.read_page(page);
        if let Some(again) = self.entry.claim(true, &want(true)) {
            assert_eq!(again, page, "it changed while it was in use");
            self.write_page(again);
            self.entry.status().reduce(Pins::host(false), true);
        }
        self.read_page(page);
        self.entry.status().reduce(Pins::NONE, false);
    }

    /// The granter takes its page back and grants the other one.
    fn take_back(&self) {
        if self.entry.end() {
            self.write_page(0);
            self.entry.grant(1);
        }
    }

    /// After everybody is done the grant is out of use, and its end is possible.
    fn settle(&self) {
        assert!(self.entry.end(), "it stays in use for ever");
        self.write_page(0);
        self.write_page(1);
    }
}

fn run<E: Entry>(hypervisor: fn(&Model<E>)) {
    check(3, move || {
        let model = Model::<E>::new();
        let other = Arc::clone(&model);
        let using = thread::spawn(move || hypervisor(&other));
        model.take_back();
        using.join().unwrap();
        model.settle();
    });
}

#[test]
fn a_grant_is_used_or_ended_in_version_1() {
    run::<V1>(Model::use_once);
}

#[test]
fn a_grant_is_used_or_ended_in_version_2() {
    run::<V2>(Model::use_once);
}

#[test]
fn a_grant_is_in_use_until_its_last_use_ends_in_version_1() {
    run::<V1>(Model::use_twice);
}

#[test]
fn a_grant_is_in_use_until_its_last_use_ends_in_version_2() {
    run::<V2>(Model::use_twice);
}

/// The model can tell: two steps are no claim.
#[test]
#[should_panic(expected = "Causality violation")]
fn to_look_at_version_1_and_then_mark_it_is_a_mistake() {
    run::<V1>(|model| {
        let entry = &model.entry;
        if entry.header.load() == GRANTED {
            entry.header.fetch_or(IN_USE.into());
            model.write_page(entry.frame.load());
            entry.status().reduce(Pins::NONE, true);
        }
    });
}

/// The model can tell: version 2 has to be looked at again.
#[test]
#[should_panic(expected = "Causality violation")]
fn to_mark_version_2_and_not_look_again_is_a_mistake() {
    run::<V2>(|model| {
        let entry = &model.entry;
        if entry.head.load() as u32 == GRANTED {
            entry.status.fetch_or(u32::from(IN_USE) << 16);
            model.write_page(entry.frame.load() as u32);
            entry.status().reduce(Pins::NONE, true);
        }
    });
}

/// The model can tell: the use is over before the granter is told.
#[test]
#[should_panic(expected = "Causality violation")]
fn to_tell_the_granter_first_is_a_mistake() {
    run::<V1>(|model| {
        if let Some(page) = model.entry.claim(false, &want(true)) {
            model.entry.status().reduce(Pins::NONE, true);
            model.write_page(page);
        }
    });
}
