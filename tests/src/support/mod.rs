//! The support table: every hypercall and every command of the ABI, what there is of it, and
//! which tests are about it.
//!
//! Nothing of it is kept by hand. The numbers are `pv-abi`'s (`pv_abi::commands`), what there is of
//! each is found out by asking the real dispatch ([`probe`]) and from the constants that say
//! what asking cannot find out (`hypervisor::support`), and the tests are found in their
//! sources ([`cover`]). [`table`] writes it down; `cargo xtask support` puts it into
//! ARCHITECTURE.md.

pub mod cover;
pub mod probe;
pub mod table;

use hypervisor::hypercall::limits::LIMITS;
use hypervisor::support::Support;
use pv_abi::errno::Errno;

/// What there is of a command, or of a hypercall without commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// All of it.
    Full,
    /// What these words do not exclude.
    Partial(&'static str),
    /// Nothing but an errno, with a reason where there is one.
    Refused(Errno, &'static str),
}

/// What the sources say of a command, if they say something.
pub fn limit(hypercall: u32, command: u32) -> Option<Support> {
    let of = LIMITS.iter().filter(|(number, _)| *number == hypercall);
    let mut limits = of.flat_map(|(_, limits)| limits.iter());
    limits.find(|limit| limit.command == command).map(|limit| limit.support)
}

/// What there is, given the answer to a call.
///
/// An answer that the sources deny is an error: the words are out of date.
pub fn status(hypercall: u32, command: u32, answer: i64) -> Result<Status, String> {
    const ENOSYS: i64 = Errno::ENOSYS.to_ret();
    match limit(hypercall, command) {
        None if answer == ENOSYS => Ok(Status::Refused(Errno::ENOSYS, "")),
        None => Ok(Status::Full),
        Some(Support::Refused(errno, why)) if answer == errno.to_ret() => {
            Ok(Status::Refused(errno, why))
        }
        Some(Support::Partial(lacks)) if answer != ENOSYS => Ok(Status::Partial(lacks)),
        Some(said) => Err(format!("its LIMITS say {said:?}, but the answer is {answer}")),
    }
}
