//! Falling asleep and being woken: nobody sleeps through his event, and nobody is queued twice.
//!
//! The word is the hypervisor's ([`hypervisor::sched::word`]); what goes around it is here as
//! `sched::ops::block`, `sched::poll`, `sched::wake` and the way out of the hypervisor have it.

use std::sync::Arc;

use hypervisor::cell::Cell;
use hypervisor::sched::word;
use hypervisor::sched::word::{Bar, State};
use loom::thread;
use pv_loom::{Word, check};

/// A vCPU on a CPU, and what it sleeps for.
struct Vcpu {
    word: word::Word<Word>,
    /// An upcall, or a port, is pending.
    pending: Word,
    /// It says that it polls.
    polls: Word,
    /// In how many queues it is.
    queues: Word,
}

impl Vcpu {
    fn new() -> Arc<Vcpu> {
        let [pending, polls, queues] = [0, 0, 0].map(Word::new);
        Arc::new(Vcpu { word: word::Word::on_cpu(Word::new), pending, polls, queues })
    }

    fn queue(&self) {
        assert_eq!(self.queues.fetch_or(1), 0, "it is queued twice");
    }

    /// `SCHEDOP_block`, and the way out.
    fn block(&self) {
        self.word.block();
        if self.pending.load() != 0 {
            self.word.cancel_block();
        }
        self.leave();
    }

    /// `SCHEDOP_poll`, and the way out.
    fn poll(&self) {
        self.polls.fetch_or(1);
        self.word.block();
        if self.pending.load() != 0 {
            self.word.cancel_block();
        }
        self.leave();
    }

    /// Back to the guest, or off the CPU.
    fn leave(&self) {
        if !self.word.may_run_on() && self.word.stopped() {
            self.queue();
        }
    }

    /// An upcall becomes pending.
    fn ring(&self) {
        if self.pending.fetch_or(1) == 0 && !self.word.is_running() {
            self.wake();
        }
    }

    /// A port becomes pending.
    fn send(&self) {
        if self.pending.fetch_or(1) == 0 && self.polls.load() != 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.word.unblock() {
            self.queue();
        }
    }

    /// Whether it runs or waits for a CPU, rather than sleep.
    fn is_awake(&self) -> bool {
        let (state, queued) = (self.word.state(), self.queues.load() != 0);
        assert_eq!(queued, self.word.is_queued(), "{state:?}");
        assert!(queued || state != State::Runnable, "it is forgotten");
        matches!(state, State::Running | State::Runnable)
    }
}

#[test]
fn an_upcall_is_seen_or_wakes() {
    check(3, || {
        let vcpu = Vcpu::new();
        let ringer = Arc::clone(&vcpu);
        let other = thread::spawn(move || ringer.ring());
        vcpu.block();
        other.join().unwrap();
        assert!(vcpu.is_awake());
    });
}

#[test]
fn a_port_is_seen_or_ends_the_poll() {
    check(3, || {
        let vcpu = Vcpu::new();
        let sender = Arc::clone(&vcpu);
        let other = thread::spawn(move || sender.send());
        vcpu.poll();
        other.join().unwrap();
        assert!(vcpu.is_awake());
    });
}

#[test]
fn two_who_wake_it_queue_it_once() {
    check(2, || {
        let vcpu = Vcpu::new();
        let wakers = [Arc::clone(&vcpu), Arc::clone(&vcpu)];
        let wakers = wakers.map(|waker| thread::spawn(move || waker.wake()));
        vcpu.word.block();
        vcpu.leave();
        for waker in wakers {
            waker.join().unwrap();
        }
        // They may have come too early; then it sleeps.
        vcpu.is_awake();
    });
}

#[test]
fn who_holds_it_and_who_wakes_it_agree_on_who_queues_it() {
    check(3, || {
        let vcpu = Vcpu::new();
        let (holder, ringer) = (Arc::clone(&vcpu), Arc::clone(&vcpu));
        let holding = thread::spawn(move || {
            holder.word.set(Bar::Held);
            if holder.word.clear(Bar::Held) {
                holder.queue();
            }
        });
        let ringing = thread::spawn(move || ringer.ring());
        vcpu.block();
        holding.join().unwrap();
        ringing.join().unwrap();
        // While it was held its CPU may have been asked to stop running it, and has not been back
        // yet: that is as good as running.
        assert!(vcpu.is_awake());
    });
}

#[test]
fn one_that_is_taken_down_while_it_waits_is_dropped_or_picked() {
    check(3, || {
        let vcpu = Vcpu::new();
        assert!(vcpu.word.stopped());
        vcpu.queue();
        let other = Arc::clone(&vcpu);
        let changing = thread::spawn(move || {
            other.word.set(Bar::Down);
            if other.word.clear(Bar::Down) {
                other.queue();
            }
        });
        // Its CPU takes it out of the queue first.
        vcpu.queues.fetch_and(0);
        let picked = vcpu.word.pick();
        changing.join().unwrap();
        assert_eq!(picked, vcpu.word.is_on_cpu());
        assert!(picked != (vcpu.queues.load() != 0), "it is at one place");
    });
}

/// The model can tell: who looks first and sleeps then may miss the bell.
#[test]
#[should_panic(expected = "it sleeps through its event")]
fn to_look_before_sleeping_is_a_mistake() {
    check(2, || {
        let vcpu = Vcpu::new();
        let ringer = Arc::clone(&vcpu);
        let other = thread::spawn(move || ringer.ring());
        if vcpu.pending.load() == 0 {
            vcpu.word.block();
        }
        vcpu.leave();
        other.join().unwrap();
        assert!(vcpu.is_awake(), "it sleeps through its event");
    });
}
