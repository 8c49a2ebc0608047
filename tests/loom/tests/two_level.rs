//! The two-level ABI: whatever is set while the guest clears, nothing waits unannounced.

use std::sync::Arc;

use hypervisor::cell::{Bit, Cell};
use hypervisor::evtchn::bits::{self, Places};
use loom::thread;
use pv_loom::{Word, check};

/// What the two sides share. The two ports lie in one word of each array.
struct Memory {
    pending: Word,
    mask: Word,
    selector: Word,
    upcall: Word,
}

impl Memory {
    fn new(mask: u32) -> Arc<Memory> {
        let word = Word::new;
        let (pending, mask, selector, upcall) = (word(0), word(mask), word(0), word(0));
        Arc::new(Memory { pending, mask, selector, upcall })
    }

    /// The guest's handler; the events that it handled, as bits.
    fn handle(&self) -> u32 {
        if self.upcall.load() == 0 {
            return 0;
        }
        self.upcall.store(0);
        if self.selector.take() == 0 {
            return 0;
        }
        let found = self.pending.load() & !self.mask.load();
        self.pending.fetch_and(!found);
        found
    }

    /// After everybody is done: one more look, if the guest was told, leaves nothing.
    fn settle(&self) -> u32 {
        let handled = self.handle();
        assert_eq!(self.pending.load() & !self.mask.load(), 0, "an event was lost");
        handled
    }
}

struct Port<'a>(&'a Memory, u32);

impl Places for Port<'_> {
    type Word = Word;
    type Vcpu = ();
    fn pending(&self) -> Option<Bit<'_, Word>> {
        Some(Bit::new(&self.0.pending, self.1))
    }
    fn mask(&self) -> Option<Bit<'_, Word>> {
        Some(Bit::new(&self.0.mask, self.1))
    }
    fn vcpu(&self) -> Option<()> {
        Some(())
    }
    fn selector(&self, (): ()) -> Option<Bit<'_, Word>> {
        Some(Bit::new(&self.0.selector, 0))
    }
    fn mark_upcall(&self, (): ()) {
        self.0.upcall.fetch_or(1);
    }
}

/// Runs `f` beside others.
fn beside(memory: &Arc<Memory>, f: impl FnOnce(&Memory) + 'static) -> thread::JoinHandle<()> {
    let memory = Arc::clone(memory);
    thread::spawn(move || f(&memory))
}

#[test]
fn no_event_is_lost_while_the_guest_clears() {
    check(4, || {
        let memory = Memory::new(0);
        let a = beside(&memory, |m| {
            bits::set_pending(&Port(m, 0));
        });
        let b = beside(&memory, |m| {
            bits::set_pending(&Port(m, 1));
        });
        let mut handled = memory.handle();
        a.join().unwrap();
        handled |= memory.handle();
        b.join().unwrap();
        assert_eq!(handled | memory.settle(), 3);
    });
}

#[test]
fn no_event_is_lost_that_comes_twice() {
    check(4, || {
        let memory = Memory::new(0);
        let sender = beside(&memory, |m| {
            bits::set_pending(&Port(m, 0));
            bits::set_pending(&Port(m, 0));
        });
        let handled = memory.handle();
        sender.join().unwrap();
        assert_eq!(handled | memory.settle(), 1);
    });
}

#[test]
fn no_event_is_lost_while_its_port_is_unmasked() {
    check(4, || {
        let memory = Memory::new(1);
        let sender = beside(&memory, |m| {
            bits::set_pending(&Port(m, 0));
        });
        // EVTCHNOP_unmask, by a vCPU of the guest's on another CPU.
        let unmasker = beside(&memory, |m| bits::unmask(&Port(m, 0)));
        let handled = memory.handle();
        sender.join().unwrap();
        unmasker.join().unwrap();
        assert_eq!(handled | memory.settle(), 1);
    });
}

#[test]
#[should_panic(expected = "an event was lost")]
fn the_model_can_tell_that_the_order_matters() {
    check(4, || {
        let memory = Memory::new(0);
        let sender = beside(&memory, |m| {
            // (C), (D), (A).
            if m.selector.fetch_or(1) & 1 == 0 {
                m.upcall.fetch_or(1);
            }
            m.pending.fetch_or(1);
        });
        memory.handle();
        sender.join().unwrap();
        memory.settle();
    });
}
