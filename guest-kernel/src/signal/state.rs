//! What a process has of signals: actions, the blocked, the pending, and a stack for handlers.
//!
//! Invariants: `SIGKILL` and `SIGSTOP` are never blocked and have no action but the default's; a
//! signal that its action ignores is not pending, unless it is blocked (the action may change before
//! it is not).

use super::{Effect, Info, LAST, SIGCHLD, SIGCONT, Set, default_effect};
use alloc::boxed::Box;

/// `sa_handler`: the default's effect.
pub const SIG_DFL: u32 = 0;
/// `sa_handler`: nothing.
pub const SIG_IGN: u32 = 1;

/// `sa_flags`: no `SIGCHLD` when a child stops.
pub const SA_NOCLDSTOP: u32 = 1;
/// `sa_flags`: children leave nothing to wait for.
pub const SA_NOCLDWAIT: u32 = 2;
/// `sa_flags`: the handler takes three arguments, and gets the long frame.
pub const SA_SIGINFO: u32 = 4;
/// `sa_flags`: `sa_restorer` is where the handler returns to.
pub const SA_RESTORER: u32 = 0x0400_0000;
/// `sa_flags`: the handler runs on the stack of `sigaltstack`.
pub const SA_ONSTACK: u32 = 0x0800_0000;
/// `sa_flags`: interrupted system calls begin again.
pub const SA_RESTART: u32 = 0x1000_0000;
/// `sa_flags`: the signal is not blocked in its own handler.
pub const SA_NODEFER: u32 = 0x4000_0000;
/// `sa_flags`: the default from then on.
pub const SA_RESETHAND: u32 = 0x8000_0000;

/// What a process wants of a signal: the kernel's `struct sigaction`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Action {
    /// Address of the handler, or [`SIG_DFL`], [`SIG_IGN`].
    pub handler: u32,
    /// `SA_*`.
    pub flags: u32,
    /// Where the handler returns to, with [`SA_RESTORER`].
    pub restorer: u32,
    /// What is blocked while it runs.
    pub mask: Set,
}

impl Action {
    fn ignores(&self, signal: u32) -> bool {
        match self.handler {
            SIG_IGN => true,
            SIG_DFL => default_effect(signal) == Effect::Nothing,
            _ => false,
        }
    }

    /// As memory has it: handler, flags, restorer, mask.
    pub fn words(&self) -> [u32; 5] {
        let [low, high] = self.mask.words();
        [self.handler, self.flags, self.restorer, low, high]
    }

    /// From memory.
    pub fn from_words([handler, flags, restorer, low, high]: [u32; 5]) -> Self {
        let mask = Set::from_words([low, high]).difference(Set::UNSTOPPABLE);
        Self { handler, flags, restorer, mask }
    }
}

/// Flags of `sigaltstack`: handlers run there now.
pub const SS_ONSTACK: u32 = 1;
/// There is no alternative stack.
pub const SS_DISABLE: u32 = 2;

/// The stack of `sigaltstack`; of length 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AltStack {
    /// Lowest address.
    pub base: u32,
    /// Bytes.
    pub length: u32,
}

impl AltStack {
    /// Whether a stack pointer is on it.
    pub fn contains(&self, pointer: u32) -> bool {
        pointer > self.base && pointer - self.base <= self.length
    }

    /// `SS_*`, as a program whose stack pointer this is sees it.
    pub fn flags(&self, pointer: u32) -> u32 {
        match self.length {
            0 => SS_DISABLE,
            _ if self.contains(pointer) => SS_ONSTACK,
            _ => 0,
        }
    }
}

/// What is to be done about a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The process ends of this signal.
    End(u32),
    /// It stops.
    Stop(u32),
    /// Its handler is called: what comes with the signal, and the action.
    Handle(Info, Action),
}

/// A process's signals.
#[derive(Clone, Debug)]
pub struct Signals {
    actions: Box<[Action; LAST as usize]>,
    blocked: Set,
    /// What was blocked before `sigsuspend` and its like, while they wait.
    suspended: Option<Set>,
    pending: Set,
    infos: Box<[Info; LAST as usize]>,
    /// The stack for handlers.
    pub alt_stack: AltStack,
}

impl Default for Signals {
    fn default() -> Self {
        Self::new()
    }
}

fn index(signal: u32) -> usize {
    (signal.wrapping_sub(1) % LAST) as usize
}

impl Signals {
    /// Of a process that begins: defaults, none blocked.
    pub fn new() -> Self {
        Self {
            actions: Box::new([Action::default(); LAST as usize]),
            blocked: Set::EMPTY,
            suspended: None,
            pending: Set::EMPTY,
            infos: Box::new([Info::default(); LAST as usize]),
            alt_stack: AltStack::default(),
        }
    }

    /// A child's: the same, with nothing pending.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { pending: Set::EMPTY, suspended: None, ..self.clone() }
    }

    /// For a program that begins: no handlers and no stack for them; what is ignored stays so.
    pub fn exec(&mut self) {
        for action in self.actions.iter_mut() {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = Action { handler, ..Action::default() };
        }
        self.alt_stack = AltStack::default();
    }

    /// What the process wants of a signal, 1 to [`LAST`].
    pub fn action(&self, signal: u32) -> Action {
        self.actions[index(signal)]
    }

    /// Changes that. Not for what cannot be caught.
    pub fn set_action(&mut self, signal: u32, action: Action) {
        self.actions[index(signal)] = action;
        if action.ignores(signal) {
            self.pending = self.pending.difference(Set::of(&[signal]));
        }
    }

    /// Whether children end without leaving anything to wait for.
    pub fn disowns_children(&self) -> bool {
        let action = self.action(SIGCHLD);
        action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0
    }

    /// What is blocked.
    pub fn blocked(&self) -> Set {
        self.blocked
    }

    /// Blocks this and nothing else.
    pub fn set_blocked(&mut self, blocked: Set) {
        self.blocked = blocked.difference(Set::UNSTOPPABLE);
    }

    /// Blocks something else until the next signal has been delivered.
    pub fn suspend(&mut self, blocked: Set) {
        self.suspended.get_or_insert(self.blocked);
        self.set_blocked(blocked);
    }

    /// Undoes [`suspend`](Self::suspend), when no handler was called that will.
    pub fn resume(&mut self) {
        if let Some(blocked) = self.suspended.take() {
            self.blocked = blocked;
        }
    }

    /// What is pending.
    pub fn pending(&self) -> Set {
        self.pending
    }

    /// Whether a pending signal is not blocked.
    pub fn is_deliverable(&self) -> bool {
        !self.pending.difference(self.blocked).is_empty()
    }

    /// Whether a signal would do nothing if it came now: it is ignored, or waits.
    pub fn withstands(&self, signal: u32) -> bool {
        self.blocked.contains(signal) || self.action(signal).handler == SIG_IGN
    }

    /// A signal arrives. True: the process must look at it.
    pub fn post(&mut self, info: Info) -> bool {
        let signal = info.signal;
        let set = Set::of(&[signal]);
        // To stop and to continue undo each other.
        if signal == SIGCONT {
            self.pending = self.pending.difference(Set::STOPPING);
        } else if Set::STOPPING.contains(signal) {
            self.pending = self.pending.difference(Set::of(&[SIGCONT]));
        }
        let blocked = self.blocked.union(self.suspended.unwrap_or_default());
        if self.action(signal).ignores(signal) && !blocked.contains(signal) {
            return false;
        }
        if !self.pending.contains(signal) {
            self.pending = self.pending.union(set);
            self.infos[index(signal)] = info;
        }
        !self.blocked.contains(signal)
    }

    /// A signal arrives that cannot be put off, the process's own doing: blocked or ignored, it ends
    /// the process.
    pub fn force(&mut self, info: Info) {
        let signal = info.signal;
        if self.withstands(signal) {
            self.actions[index(signal)] = Action::default();
            self.blocked = self.blocked.difference(Set::of(&[signal]));
        }
        self.pending = self.pending.union(Set::of(&[signal]));
        self.infos[index(signal)] = info;
    }

    /// Takes the first signal that is one of `wanted`, blocked or not, as `sigtimedwait` does.
    pub fn take_from(&mut self, wanted: Set) -> Option<Info> {
        let both = self.pending.difference(self.pending.difference(wanted));
        let signal = both.first()?;
        self.pending = self.pending.difference(Set::of(&[signal]));
        Some(self.infos[index(signal)])
    }

    /// Takes the next signal that does something.
    pub fn take_next(&mut self) -> Option<Delivery> {
        while let Some(signal) = self.pending.difference(self.blocked).first() {
            self.pending = self.pending.difference(Set::of(&[signal]));
            let action = self.action(signal);
            match (action.handler, default_effect(signal)) {
                (SIG_IGN, _) | (SIG_DFL, Effect::Nothing) => {}
                (SIG_DFL, Effect::End) => return Some(Delivery::End(signal)),
                (SIG_DFL, Effect::Stop) => return Some(Delivery::Stop(signal)),
                _ => return Some(Delivery::Handle(self.infos[index(signal)], action)),
            }
        }
        None
    }

    /// What will be blocked again when the handler that is about to be called returns.
    pub fn mask_to_return_to(&self) -> Set {
        self.suspended.unwrap_or(self.blocked)
    }

    /// The handler of a signal is called: blocks what it wants blocked.
    pub fn enter(&mut self, signal: u32, action: &Action) {
        self.suspended = None;
        let own = if action.flags & SA_NODEFER != 0 { Set::EMPTY } else { Set::of(&[signal]) };
        self.set_blocked(self.blocked.union(action.mask).union(own));
        if action.flags & SA_RESETHAND != 0 {
            self.actions[index(signal)].handler = SIG_DFL;
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
