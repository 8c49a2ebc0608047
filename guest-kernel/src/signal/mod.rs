//! Signals as Linux has them on i386, apart from the machine.
//!
//! [`state`] is what a process has of signals: actions, what is blocked, what is pending, and which
//! comes next. [`frame`] is what a handler finds on its stack, and how it goes back. Neither knows of
//! tasks or page tables: `task::signal` posts, delivers, stops and ends.
//!
//! A signal is pending once, however often it was sent, the ones from 32 on included: nothing is
//! queued.

pub mod frame;
pub mod state;

/// Highest signal number.
pub const LAST: u32 = 64;

macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        $($(#[$doc])* pub const $name: u32 = $number;)*
    };
}

signals! {
    /// The terminal is gone, or the session's leader.
    SIGHUP = 1;
    /// Interrupted from the terminal.
    SIGINT = 2;
    /// The same, less polite.
    SIGQUIT = 3;
    /// Illegal instruction.
    SIGILL = 4;
    /// Breakpoint, single step.
    SIGTRAP = 5;
    /// Misaligned access.
    SIGBUS = 7;
    /// Arithmetic error.
    SIGFPE = 8;
    /// Killed; cannot be caught.
    SIGKILL = 9;
    /// Memory that is not there.
    SIGSEGV = 11;
    /// Wrote to a pipe that nobody reads.
    SIGPIPE = 13;
    /// The alarm clock.
    SIGALRM = 14;
    /// Asked to end.
    SIGTERM = 15;
    /// A child ended, stopped or continued.
    SIGCHLD = 17;
    /// Continue.
    SIGCONT = 18;
    /// Stop; cannot be caught.
    SIGSTOP = 19;
    /// Stop, typed at the terminal.
    SIGTSTP = 20;
    /// Reads from the terminal in the background.
    SIGTTIN = 21;
    /// Writes to the terminal in the background.
    SIGTTOU = 22;
    /// Urgent data at a socket.
    SIGURG = 23;
    /// The terminal has another size.
    SIGWINCH = 28;
    /// No such system call.
    SIGSYS = 31;
}

/// A set of signals: bit n - 1 for signal n, as `sigset_t` has it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Set(u64);

impl Set {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// What cannot be blocked, caught or ignored.
    pub const UNSTOPPABLE: Self = Self::of(&[SIGKILL, SIGSTOP]);
    /// What stops a process by default.
    pub const STOPPING: Self = Self::of(&[SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);
    /// What an instruction of the process itself raises: delivered before others.
    const SYNCHRONOUS: Self = Self::of(&[SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS]);

    /// Of these signals, 1 to [`LAST`].
    pub const fn of(signals: &[u32]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << ((signals[index] - 1) % LAST);
            index += 1;
        }
        Self(bits)
    }

    /// As two words of memory have it.
    pub fn from_words([low, high]: [u32; 2]) -> Self {
        Self(u64::from(high) << 32 | u64::from(low))
    }

    /// As two words of memory.
    pub fn words(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has this one.
    pub fn contains(self, signal: u32) -> bool {
        self.intersects(Self::of(&[signal]))
    }

    /// Whether they have one in common.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The one to deliver first.
    fn first(self) -> Option<u32> {
        let kill = self.0 & Self::of(&[SIGKILL]).0;
        let synchronous = self.0 & Self::SYNCHRONOUS.0;
        let candidates = [kill, synchronous, self.0].into_iter().find(|bits| *bits != 0)?;
        Some(candidates.trailing_zeros() + 1)
    }
}

/// What a signal does to a process that has not asked for anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The process ends.
    End,
    /// Nothing.
    Nothing,
    /// The process stops.
    Stop,
}

/// A signal's effect by default. `SIGCONT` continues when it is sent; on delivery it does nothing.
pub fn default_effect(signal: u32) -> Effect {
    match signal {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => Effect::Nothing,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Effect::Stop,
        _ => Effect::End,
    }
}

/// What comes with a signal: `siginfo_t`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Info {
    /// Which.
    pub signal: u32,
    /// `si_code`: where it comes from.
    pub code: i32,
    /// What the code calls for: sender and user, or child, user and status, or an address.
    pub fields: [u32; 3],
}

impl Info {
    /// Bytes of a `siginfo_t`.
    pub const BYTES: usize = 128;

    /// From the kernel itself (`SI_KERNEL`).
    pub fn kernel(signal: u32) -> Self {
        Self { signal, code: 0x80, fields: [0; 3] }
    }

    /// From a process, by `kill` (`SI_USER`).
    pub fn sent(signal: u32, from: u32) -> Self {
        Self { signal, code: 0, fields: [from, 0, 0] }
    }

    /// From a process, by `tkill` (`SI_TKILL`).
    pub fn sent_to_thread(signal: u32, from: u32) -> Self {
        Self { signal, code: -6, fields: [from, 0, 0] }
    }

    /// An instruction's doing, at this address or reaching for it.
    pub fn fault(signal: u32, code: i32, address: u32) -> Self {
        Self { signal, code, fields: [address, 0, 0] }
    }

    /// A child's news: its number and wait status.
    pub fn child(pid: u32, status: u32) -> Self {
        // CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_CONTINUED.
        let (code, value) = match status {
            0xffff => (6, SIGCONT),
            status if status & 0xff == 0x7f => (5, status >> 8),
            status if status & 0x7f != 0 => (2, status & 0x7f),
            status => (1, status >> 8 & 0xff),
        };
        Self { signal: SIGCHLD, code, fields: [pid, 0, value] }
    }

    /// As memory has it.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.signal, 0, self.code.cast_unsigned()];
        let words = words.into_iter().chain(self.fields);
        for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadly_and_the_synchronous_come_first() {
        assert_eq!(Set::EMPTY.first(), None);
        assert_eq!(Set::of(&[SIGHUP, SIGTERM, SIGSEGV]).first(), Some(SIGSEGV));
        assert_eq!(Set::of(&[SIGHUP, SIGKILL, SIGSEGV]).first(), Some(SIGKILL));
        assert_eq!(Set::of(&[LAST, 34]).first(), Some(34));
    }

    #[test]
    fn sets_are_two_words_of_memory() {
        let set = Set::of(&[1, 33, 64]);
        assert_eq!(set.words(), [1, 0x8000_0001]);
        assert_eq!(Set::from_words(set.words()), set);
        assert!(set.contains(33) && !set.contains(32));
    }

    #[test]
    fn a_childs_news_are_told_as_wait_tells_them() {
        let told = |status| {
            let info = Info::child(7, status);
            (info.code, info.fields[2])
        };
        assert_eq!(told(3 << 8), (1, 3));
        assert_eq!(told(SIGKILL), (2, SIGKILL));
        assert_eq!(told(SIGTSTP << 8 | 0x7f), (5, SIGTSTP));
        assert_eq!(told(0xffff), (6, SIGCONT));
        let bytes = Info::child(7, SIGKILL).bytes();
        assert_eq!(bytes[..4], [17, 0, 0, 0]);
        assert_eq!(bytes[8..24], [2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
    }
}
