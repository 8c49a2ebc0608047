//! The FIFO ABI: what is appended while the guest drains, and unmasked meanwhile.

use std::sync::Arc;

use hypervisor::cell::Cell;
use hypervisor::evtchn::fifo::queue::{self, BUSY, LINKED, MASKED, PENDING, Raised, Tails, Target};
use loom::sync::Mutex;
use loom::thread;
use pv_loom::{Word, check};

const LINK: u32 = (1 << 17) - 1;

/// What the two sides share, and the tail that we keep for ourselves. One queue.
struct Memory {
    words: [Word; 3],
    head: Word,
    ready: Word,
    upcall: Word,
    tail: Mutex<Tail>,
}

struct Tail(u32);

impl Tails for Tail {
    fn forget(&mut self, port: u32) {
        if self.0 == port {
            self.0 = 0;
        }
    }
    fn replace(&mut self, port: u32) -> u32 {
        std::mem::replace(&mut self.0, port)
    }
}

impl Memory {
    fn new(words: [u32; 3]) -> Memory {
        Memory {
            words: words.map(Word::new),
            head: Word::new(0),
            ready: Word::new(0),
            upcall: Word::new(0),
            tail: Mutex::new(Tail(0)),
        }
    }

    fn word(&self, port: u32) -> &Word {
        &self.words[port as usize]
    }

    /// An event comes, as `fifo::set_pending` has it.
    fn send(&self, port: u32) {
        let target = Target { head: &self.head, ready: &self.ready, ready_bit: 1 };
        let mut tail = self.tail.lock().unwrap();
        let word_of = |port| Some(self.word(port));
        let raised = queue::set_pending(port, self.word(port), &mut *tail, &target, word_of);
        drop(tail);
        self.tell(raised);
    }

    fn tell(&self, raised: Raised) {
        if raised.upcall {
            self.upcall.fetch_or(1);
        }
    }

    /// `EVTCHNOP_unmask`.
    fn unmask(&self, port: u32) {
        if queue::unmask(self.word(port)) {
            self.send(port);
        }
    }
}

/// The guest: where it is in its queue.
#[derive(Default)]
struct Guest {
    head: u32,
    handled: u32,
}

impl Guest {
    /// Linux's handler (`evtchn_fifo_handle_events`).
    fn handle(&mut self, memory: &Memory) {
        if memory.upcall.load() == 0 {
            return;
        }
        memory.upcall.store(0);
        let mut ready = memory.ready.take();
        while ready != 0 {
            self.take_one(memory, &mut ready);
            ready |= memory.ready.take();
        }
    }

    fn take_one(&mut self, memory: &Memory, ready: &mut u32) {
        let port = if self.head == 0 { memory.head.load() } else { self.head };
        let word = memory.word(port);
        self.head = word.fetch_and(!(LINKED | LINK)) & LINK;
        if self.head == 0 {
            *ready = 0;
        }
        if word.load() & (PENDING | MASKED) == PENDING {
            word.fetch_and(!PENDING);
            self.handled |= 1 << port;
        }
    }

    /// Linux's unmask (`clear_masked_cond`): natively unless the port is pending.
    fn unmask(&self, memory: &Memory, port: u32) {
        let word = memory.word(port);
        let mut was = word.load();
        loop {
            if was & MASKED == 0 {
                return;
            }
            if was & PENDING != 0 {
                return memory.unmask(port);
            }
            let old = was & !BUSY;
            match word.compare_exchange(old, old & !MASKED) {
                Ok(()) => return,
                Err(found) => was = found,
            }
            thread::yield_now();
        }
    }

    /// After everybody is done: one more look, if it was told, leaves nothing.
    fn settle(&mut self, memory: &Memory) {
        self.handle(memory);
        for port in [1, 2] {
            let word = memory.word(port).load();
            assert!(word & (PENDING | MASKED) != PENDING, "an event was lost");
            assert_eq!(word & BUSY, 0, "a word stayed busy");
        }
    }
}

/// Runs `f` beside others.
fn beside(memory: &Arc<Memory>, f: impl FnOnce(&Memory) + 'static) -> thread::JoinHandle<()> {
    let memory = Arc::clone(memory);
    thread::spawn(move || f(&memory))
}

#[test]
fn no_event_is_lost_while_the_guest_drains() {
    check(3, || {
        let memory = Arc::new(Memory::new([0; 3]));
        let a = beside(&memory, |m| m.send(1));
        let b = beside(&memory, |m| m.send(2));
        let mut guest = Guest::default();
        guest.handle(&memory);
        a.join().unwrap();
        b.join().unwrap();
        guest.settle(&memory);
        assert_eq!(guest.handled, 6);
    });
}

#[test]
fn no_event_is_lost_behind_a_tail_that_goes() {
    check(5, || {
        let memory = Arc::new(Memory::new([0; 3]));
        // The queue is 1; while 2 is appended to it, the guest takes 1 out.
        memory.send(1);
        let sender = beside(&memory, |m| {
            m.send(2);
            m.send(1);
        });
        let mut guest = Guest::default();
        guest.handle(&memory);
        sender.join().unwrap();
        guest.settle(&memory);
        assert_eq!(guest.handled, 6);
    });
}

#[test]
fn no_event_is_lost_that_comes_twice() {
    check(5, || {
        let memory = Arc::new(Memory::new([0; 3]));
        let sender = beside(&memory, |m| {
            m.send(1);
            m.send(1);
        });
        let mut guest = Guest::default();
        guest.handle(&memory);
        sender.join().unwrap();
        guest.settle(&memory);
        assert_eq!(guest.handled, 2);
    });
}

#[test]
fn no_event_is_lost_while_the_hypervisor_unmasks_its_port() {
    check(5, || {
        let memory = Arc::new(Memory::new([0, MASKED, 0]));
        let sender = beside(&memory, |m| m.send(1));
        memory.unmask(1);
        sender.join().unwrap();
        let mut guest = Guest::default();
        guest.settle(&memory);
        assert_eq!(guest.handled, 2);
    });
}

#[test]
fn no_event_is_lost_while_its_port_is_unmasked() {
    check(5, || {
        let memory = Arc::new(Memory::new([0, MASKED, 0]));
        let sender = beside(&memory, |m| m.send(1));
        let mut guest = Guest::default();
        guest.unmask(&memory, 1);
        sender.join().unwrap();
        guest.settle(&memory);
        assert_eq!(guest.handled, 2);
    });
}

#[test]
fn a_tail_is_linked_while_it_is_masked_and_unmasked() {
    check(5, || {
        let memory = Arc::new(Memory::new([0; 3]));
        memory.send(1);
        let sender = beside(&memory, |m| m.send(2));
        let mut guest = Guest::default();
        memory.word(1).fetch_or(MASKED);
        memory.word(1).fetch_and(!PENDING);
        guest.unmask(&memory, 1);
        sender.join().unwrap();
        guest.settle(&memory);
        assert_eq!(guest.handled, 4);
    });
}

#[test]
#[should_panic(expected = "an event was lost")]
fn the_model_can_tell_that_a_link_and_its_flag_change_at_once() {
    check(5, || {
        let memory = Arc::new(Memory::new([0; 3]));
        memory.send(1);
        let sender = beside(&memory, |m| {
            // As if looking and linking were two steps.
            m.word(2).fetch_or(PENDING | LINKED);
            if m.word(1).load() & LINKED != 0 {
                m.word(1).fetch_or(2);
            } else {
                m.head.store(2);
                m.ready.fetch_or(1);
                m.upcall.fetch_or(1);
            }
        });
        let mut guest = Guest::default();
        guest.handle(&memory);
        sender.join().unwrap();
        guest.settle(&memory);
    });
}
