//! Programs that test the kernel: lines of `ok` and `FAIL`, and an exit status.

use core::fmt;

use crate::sys::{self, Ended};
use crate::{Args, println};

/// Counts what went wrong.
#[derive(Debug, Default)]
pub struct Checks {
    failures: u32,
}

impl Checks {
    /// Nothing checked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `what` is as it should be, or not.
    pub fn that(&mut self, good: bool, what: fmt::Arguments<'_>) {
        println!("{} {what}", if good { "ok  " } else { "FAIL" });
        self.failures += u32::from(!good);
    }

    /// Notes whether `found` is what is expected.
    pub fn same<T: PartialEq + fmt::Debug>(&mut self, found: T, expected: T, what: &str) {
        if found == expected {
            self.that(true, format_args!("{what}"));
        } else {
            self.that(false, format_args!("{what}: {found:x?}, expected {expected:x?}"));
        }
    }

    /// Runs `f` in a child, which ends with its result, and notes whether it ended as expected.
    pub fn child(&mut self, f: impl FnOnce() -> u8, expected: Ended, what: &str) {
        let ended = match sys::fork() {
            Ok(0) => sys::exit(f()),
            Ok(pid) => sys::wait(pid),
            Err(errno) => Err(errno),
        };
        self.same(ended, Ok(expected), what);
    }

    /// The exit status: 0 when all was well.
    pub fn status(self) -> u8 {
        u8::from(self.failures > 0)
    }
}

/// Something that a program must not survive.
#[derive(Clone, Copy)]
pub struct Deadly {
    /// The argument that selects it.
    pub name: &'static str,
    /// The signal that it dies of.
    pub signal: u8,
    /// Does it.
    pub act: fn(),
}

/// A program of deadly acts: with a name as its argument it does that one; without, it does each in
/// a child and checks that the child died of it.
pub fn deadly(args: Args, acts: &[Deadly]) -> u8 {
    let Some(name) = args.get(1) else {
        let mut checks = Checks::new();
        for act in acts {
            let child = || {
                (act.act)();
                0
            };
            checks.child(child, Ended::Killed(act.signal), act.name);
        }
        return checks.status();
    };
    let Some(act) = acts.iter().find(|act| act.name == name) else {
        println!("no case {name}; there are:");
        acts.iter().for_each(|act| println!("  {}", act.name));
        return 2;
    };
    (act.act)();
    println!("still alive");
    0
}
