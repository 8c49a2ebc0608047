//! The outcomes of what a guest asked for.
//!
//! A request ends in one of four ways: a value, an errno, "not finished: ask
//! again" (a continuation), or the end of the guilty domain. They are types
//! here, so that exactly one place (`hypercall::enter`) turns them into
//! registers, and nothing a guest can reach has to panic.
//!
//! The policy, in order of preference: return an errno; else crash the domain
//! that is to blame; else panic. A panic means a bug of the hypervisor.

use pv_abi::errno::Errno;

/// Why a hypercall, or a step of one, did not produce a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Refused; the guest gets this errno.
    Errno(Errno),
    /// The work budget is used up. Everything done so far stands; running the
    /// same request again goes on from there.
    Preempted,
    /// The calling domain cannot go on.
    Crash(Crash),
}

/// Why a domain is ended by the hypervisor rather than by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// A trap or upcall could not be delivered: the frame's stack is not writable.
    BadKernelStack {
        /// Address of the first word that could not be written.
        address: u64,
    },
    /// A trap arrived for which the guest has no handler.
    NoHandler {
        /// The vector.
        vector: u8,
    },
    /// The `iret` hypercall found no readable frame, or one that leads to Ring 0.
    BadIret,
    /// Something that has its own words.
    Because(&'static str),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

impl core::fmt::Display for Crash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Crash::BadKernelStack { address } => {
                write!(f, "its kernel stack is not writable at {address:#x}")
            }
            Crash::NoHandler { vector } => write!(f, "no handler for trap {vector}"),
            Crash::BadIret => write!(f, "its iret frame is unreadable or leads to Ring 0"),
            Crash::Because(words) => f.write_str(words),
        }
    }
}

/// What a hypercall handler returns: the value for the result register, or why there is none.
pub type HypercallResult = Result<u64, Stop>;
