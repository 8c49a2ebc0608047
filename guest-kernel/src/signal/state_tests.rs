use super::*;
use crate::signal::{SIGINT, SIGKILL, SIGSEGV, SIGSTOP, SIGTSTP};
use proptest::prelude::*;

fn handled(handler: u32, flags: u32, mask: &[u32]) -> Action {
    Action { handler, flags, restorer: 0, mask: Set::of(mask) }
}

#[test]
fn by_default_signals_end_stop_or_do_nothing() {
    let mut signals = Signals::new();
    assert!(!signals.post(Info::kernel(SIGCHLD)));
    assert!(signals.post(Info::kernel(SIGTSTP)));
    assert!(signals.post(Info::kernel(SIGINT)));
    assert_eq!(signals.take_next(), Some(Delivery::End(SIGINT)));
    assert_eq!(signals.take_next(), Some(Delivery::Stop(SIGTSTP)));
    assert_eq!(signals.take_next(), None);
}

#[test]
fn what_is_blocked_waits_even_if_ignored() {
    let mut signals = Signals::new();
    signals.set_blocked(Set::of(&[SIGINT, SIGKILL, SIGSTOP]));
    assert_eq!(signals.blocked(), Set::of(&[SIGINT]));
    signals.set_action(SIGINT, handled(SIG_IGN, 0, &[]));
    assert!(!signals.post(Info::sent(SIGINT, 3)));
    assert!(signals.pending().contains(SIGINT));
    signals.set_action(SIGINT, handled(0x1000, 0, &[]));
    assert_eq!(signals.take_next(), None);
    signals.set_blocked(Set::EMPTY);
    assert!(signals.is_deliverable());
    let info = Info::sent(SIGINT, 3);
    assert_eq!(signals.take_next(), Some(Delivery::Handle(info, signals.action(SIGINT))));
}

#[test]
fn to_ignore_a_pending_signal_forgets_it() {
    let mut signals = Signals::new();
    signals.set_blocked(Set::of(&[SIGINT]));
    signals.post(Info::kernel(SIGINT));
    signals.set_action(SIGINT, handled(SIG_IGN, 0, &[]));
    assert!(signals.pending().is_empty());
}

#[test]
fn a_handler_blocks_its_own_signal_and_its_mask() {
    let mut signals = Signals::new();
    let action = handled(0x1000, 0, &[1, SIGKILL]);
    signals.set_action(SIGINT, action);
    signals.enter(SIGINT, &action);
    assert_eq!(signals.blocked(), Set::of(&[SIGINT, 1]));

    let mut signals = Signals::new();
    let action = handled(0x1000, SA_NODEFER | SA_RESETHAND, &[1]);
    signals.set_action(SIGINT, action);
    signals.enter(SIGINT, &action);
    assert_eq!(signals.blocked(), Set::of(&[1]));
    assert_eq!(signals.action(SIGINT).handler, SIG_DFL);
}

#[test]
fn suspending_ends_with_a_handler_or_without() {
    let mut signals = Signals::new();
    let action = handled(0x1000, 0, &[]);
    signals.set_action(SIGINT, action);
    signals.set_blocked(Set::of(&[SIGINT]));
    signals.suspend(Set::EMPTY);
    assert!(signals.post(Info::kernel(SIGINT)));
    // The frame keeps what was blocked before.
    assert_eq!(signals.mask_to_return_to(), Set::of(&[SIGINT]));
    signals.enter(SIGINT, &action);
    signals.resume();
    assert_eq!(signals.blocked(), Set::of(&[SIGINT]));

    signals.set_blocked(Set::of(&[1]));
    signals.suspend(Set::EMPTY);
    signals.resume();
    assert_eq!(signals.blocked(), Set::of(&[1]));
}

#[test]
fn stop_and_continue_undo_each_other() {
    let mut signals = Signals::new();
    signals.post(Info::kernel(SIGTSTP));
    signals.post(Info::kernel(SIGCONT));
    assert_eq!(signals.take_next(), None);
    signals.set_action(SIGCONT, handled(0x1000, 0, &[]));
    signals.post(Info::kernel(SIGCONT));
    signals.post(Info::kernel(SIGTSTP));
    assert_eq!(signals.take_next(), Some(Delivery::Stop(SIGTSTP)));
    assert_eq!(signals.take_next(), None);
}

#[test]
fn what_is_forced_is_neither_blocked_nor_ignored() {
    let mut signals = Signals::new();
    signals.set_blocked(Set::of(&[SIGSEGV]));
    signals.set_action(SIGSEGV, handled(0x1000, 0, &[]));
    signals.force(Info::fault(SIGSEGV, 1, 0));
    assert_eq!(signals.take_next(), Some(Delivery::End(SIGSEGV)));
    signals.set_action(SIGSEGV, handled(0x1000, 0, &[]));
    signals.force(Info::fault(SIGSEGV, 1, 0));
    assert!(matches!(signals.take_next(), Some(Delivery::Handle(..))));
}

#[test]
fn programs_begin_without_handlers_and_children_without_news() {
    let mut signals = Signals::new();
    signals.set_action(SIGINT, handled(0x1000, SA_ONSTACK, &[]));
    signals.set_action(SIGCHLD, handled(SIG_IGN, 0, &[]));
    signals.alt_stack = AltStack { base: 0x1000, length: 0x1000 };
    signals.set_blocked(Set::of(&[SIGINT]));
    signals.post(Info::kernel(SIGINT));
    let child = signals.fork();
    assert!(child.pending().is_empty() && child.action(SIGINT).handler == 0x1000);
    assert!(child.disowns_children());
    signals.exec();
    assert_eq!(signals.action(SIGINT), Action::default());
    assert_eq!(signals.action(SIGCHLD).handler, SIG_IGN);
    assert_eq!(signals.alt_stack, AltStack::default());
    assert!(signals.pending().contains(SIGINT) && signals.blocked().contains(SIGINT));
}

#[test]
fn an_alternative_stack_contains_its_top() {
    let stack = AltStack { base: 0x1000, length: 0x1000 };
    assert!(stack.contains(0x2000) && stack.contains(0x1001));
    assert!(!stack.contains(0x1000) && !stack.contains(0x2001));
    assert!(!AltStack::default().contains(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: what is taken was pending, not blocked and not ignored.
    #[test]
    fn only_what_may_be_delivered_is(
        steps in proptest::collection::vec((0u8..4, 1u32..=LAST, any::<u64>()), 1..60),
    ) {
        let mut signals = Signals::new();
        for (step, signal, bits) in steps {
            let set = Set::from_words([bits as u32, (bits >> 32) as u32]);
            match step {
                0 => { signals.post(Info::kernel(signal)); }
                1 => signals.set_blocked(set),
                2 if !Set::UNSTOPPABLE.contains(signal) => {
                    signals.set_action(signal, handled((bits % 3) as u32, 0, &[]));
                }
                _ => {
                    let (pending, blocked) = (signals.pending(), signals.blocked());
                    let deliverable = signals.is_deliverable();
                    let taken = signals.take_next();
                    let number = match taken {
                        Some(Delivery::End(signal) | Delivery::Stop(signal)) => signal,
                        Some(Delivery::Handle(info, _)) => info.signal,
                        None => continue,
                    };
                    prop_assert!(deliverable);
                    prop_assert!(pending.contains(number) && !blocked.contains(number));
                    prop_assert!(!signals.pending().contains(number));
                    prop_assert!(signals.action(number).handler != SIG_IGN);
                }
            }
            prop_assert!(!signals.blocked().intersects(Set::UNSTOPPABLE));
        }
    }
}
