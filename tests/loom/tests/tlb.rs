//! Flushing other CPUs: no translation outlives what it was made from, and nobody waits for ever.

use std::sync::Arc;

use hypervisor::cell::Cell;
use hypervisor::mm::requests::Requests;
use hypervisor::mm::tlb::Loaded;
use loom::sync::atomic::{Ordering, fence};
use loom::thread;
use pv_loom::{Word, check};

/// An entry, and what CPU 1 remembers of it.
struct Memory {
    loaded: Loaded<Word>,
    requests: Requests<Word>,
    entry: Word,
    remembered: Word,
}

/// In `entry` and `remembered`: the page is mapped.
const MAPPED: u32 = 1;

impl Memory {
    fn new() -> Arc<Memory> {
        let word = Word::new;
        Arc::new(Memory {
            loaded: Loaded::over(word(0)),
            requests: Requests::over(word(0), word(0)),
            entry: word(MAPPED),
            remembered: word(0),
        })
    }

    /// CPU 1 drops what it remembers.
    fn flush(&self) {
        self.remembered.store(0);
    }

    /// CPU 1 uses the page: it walks the tables, and remembers.
    fn touch(&self) {
        self.remembered.store(self.entry.load());
    }
}

/// CPU 1 loads the domain while CPU 0 unmaps a page and flushes; `joins` first, as it should be.
fn unmap_while_loading(joins_first: bool) {
    let memory = Memory::new();
    let other = Arc::clone(&memory);
    let cpu1 = thread::spawn(move || {
        if joins_first {
            other.loaded.join(1);
            other.touch();
        } else {
            other.touch();
            other.loaded.join(1);
        }
        // Its interrupt, whenever it comes.
        for _ in 0..2 {
            other.requests.answer(|| other.flush());
            thread::yield_now();
        }
    });
    memory.entry.fetch_and(0);
    fence(Ordering::SeqCst);
    let ticket = (memory.loaded.cpus() & 2 != 0).then(|| memory.requests.ask());
    if cpu1.join().is_ok() {
        // What was asked too late for the loop above is answered now; CPU 0 waits till then.
        memory.requests.answer(|| memory.flush());
    }
    assert!(ticket.is_none_or(|ticket| memory.requests.is_answered(ticket)));
    assert_eq!(memory.remembered.load(), 0, "the page is gone, and CPU 1 still knows it");
}

#[test]
fn a_cpu_that_loads_a_root_is_flushed_or_sees_the_change() {
    check(3, || unmap_while_loading(true));
}

#[test]
#[should_panic(expected = "still knows it")]
fn joining_too_late_is_found_out() {
    check(3, || unmap_while_loading(false));
}

/// Two CPUs that ask each other.
fn ask_each_other(answering: bool) {
    let word = Word::new;
    let cpus = Arc::new([0, 1].map(|_| Requests::over(word(0), word(0))));
    let pages = Arc::new([word(MAPPED), word(MAPPED)]);
    let seen = Arc::new([word(MAPPED), word(MAPPED)]);
    let done = Arc::new([word(0), word(0)]);
    let run = move |here: usize| {
        let (cpus, pages, seen) = (Arc::clone(&cpus), Arc::clone(&pages), Arc::clone(&seen));
        let done = Arc::clone(&done);
        move || {
            let there = 1 - here;
            // What this CPU sees of the other's page when it flushes is what it may remember.
            let answer = || cpus[here].answer(|| seen[here].store(pages[there].load()));
            pages[here].fetch_and(0);
            let ticket = cpus[there].ask();
            let mut patience = 20;
            while !cpus[there].is_answered(ticket) {
                if answering {
                    answer();
                }
                patience -= 1;
                assert!(patience > 0, "nobody answers");
                thread::yield_now();
            }
            assert_eq!(seen[there].load(), 0, "answered before the change was seen");
            done[here].store(1);
            // Back in its guest, it takes the interrupt when that comes.
            while done[there].load() == 0 {
                answer();
                thread::yield_now();
            }
        }
    };
    let other = thread::spawn(run(1));
    run(0)();
    if let Err(panic) = other.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn two_cpus_that_ask_each_other_are_answered() {
    check(2, || ask_each_other(true));
}

#[test]
#[should_panic(expected = "nobody answers")]
fn waiting_without_answering_is_found_out() {
    check(2, || ask_each_other(false));
}
