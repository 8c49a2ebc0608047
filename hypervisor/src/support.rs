//! What a subsystem leaves out of the ABI's commands, said beside the match that leaves it out.
//!
//! The support table of ARCHITECTURE.md is made by asking: `pv-tests` makes a call with every
//! command that `pv-abi` has a number for, through the real dispatch. What comes back with
//! `ENOSYS` is refused, anything else is there. What asking cannot find out stands in a
//! constant `LIMITS` of the subsystem: a command of which a part is missing, and one that is
//! refused with another errno. A test asks whether those are true.

use pv_abi::errno::Errno;

/// How much of a command there is, if not all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// It works, but for what these words say.
    Partial(&'static str),
    /// It is there to say no, for the reason in these words.
    Refused(Errno, &'static str),
}

/// One command that is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Its number, or [`WHOLE`].
    pub command: u32,
    /// What there is of it.
    pub support: Support,
}

/// In place of a command: the hypercall itself, one that has no commands.
pub const WHOLE: u32 = u32::MAX;

/// `command` works, but for what `lacks` says.
pub const fn partial(command: u32, lacks: &'static str) -> Limit {
    Limit { command, support: Support::Partial(lacks) }
}

/// `command` always comes back with `errno`, because of `why`.
pub const fn refused(command: u32, errno: Errno, why: &'static str) -> Limit {
    Limit { command, support: Support::Refused(errno, why) }
}
