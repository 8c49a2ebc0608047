//! Asking another CPU to flush its TLB, and knowing when it has: a protocol of two counters.
//!
//! Who asks raises the first and takes the number as a ticket; the CPU answers by flushing, then
//! setting the second to what the first was before. Several who ask at once are answered by one
//! flush. Numbers wrap; at most as many requests are open as there are CPUs.
//!
//! Before it waits, a CPU may itself be asked; so it answers while it waits, wherever that is:
//! else two CPUs that ask each other would wait for ever.

use core::sync::atomic::AtomicU32;

use crate::cell::Cell;

/// What one CPU was asked and has answered.
#[derive(Default)]
pub struct Requests<C = AtomicU32> {
    asked: C,
    answered: C,
}

/// The number of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ticket(u32);

impl Requests {
    /// Nothing was asked yet.
    pub const fn new() -> Requests {
        Requests { asked: AtomicU32::new(0), answered: AtomicU32::new(0) }
    }
}

impl<C: Cell> Requests<C> {
    /// Nothing was asked yet: both words are zero.
    pub fn over(asked: C, answered: C) -> Requests<C> {
        Requests { asked, answered }
    }

    /// Asks. Whoever answers has seen every change that the caller made before.
    pub fn ask(&self) -> Ticket {
        let mut asked = self.asked.load();
        loop {
            let ticket = asked.wrapping_add(1);
            match self.asked.compare_exchange(asked, ticket) {
                Ok(()) => return Ticket(ticket),
                Err(found) => asked = found,
            }
        }
    }

    /// Whether the request has been answered.
    pub fn is_answered(&self, Ticket(ticket): Ticket) -> bool {
        self.answered.load().wrapping_sub(ticket).cast_signed() >= 0
    }

    /// Answers what was asked so far, if anything. By the CPU itself alone.
    pub fn answer(&self, flush: impl Fn()) {
        let asked = self.asked.load();
        if self.answered.load() != asked {
            flush();
            self.answered.store(asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn one_flush_answers_all_who_asked_before() {
        let requests = Requests::new();
        let flushes = Cell::new(0);
        let flush = || flushes.set(flushes.get() + 1);
        requests.answer(flush);
        assert_eq!(flushes.get(), 0, "nobody asked");
        let (a, b) = (requests.ask(), requests.ask());
        assert!(!requests.is_answered(a) && !requests.is_answered(b));
        requests.answer(flush);
        assert!(requests.is_answered(a) && requests.is_answered(b));
        assert_eq!(flushes.get(), 1);
        let c = requests.ask();
        assert!(!requests.is_answered(c) && requests.is_answered(b));
    }

    #[test]
    fn numbers_wrap() {
        let near = u32::MAX - 1;
        let requests = Requests::over(AtomicU32::new(near), AtomicU32::new(near));
        let tickets = [0; 4].map(|_| requests.ask());
        assert!(tickets.iter().all(|ticket| !requests.is_answered(*ticket)));
        requests.answer(|| {});
        assert!(tickets.iter().all(|ticket| requests.is_answered(*ticket)));
    }
}
