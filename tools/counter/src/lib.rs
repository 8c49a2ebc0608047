//! A plugin of QEMU's (TCG, its interface in version 1) that counts the instructions which each side of
//! a machine with Ferrule on it executes: the hypervisor, domain 0's kernel, other domains' kernels, and
//! programs.
//!
//! ```text
//! qemu-system-x86_64 … -plugin libcounter.so,socket=/tmp/counts
//! ```
//!
//! Whoever connects to the socket gets one line, and the connection is closed:
//! `hypervisor N domain0 N domains N programs N`, instructions since the start. Two of them, taken while
//! the machine has nothing to do, are what the machine did between. Unlike `-icount` this leaves time
//! alone, so it works beside disks and networks of the host's.
//!
//! **How exact.** Code is counted a block at a time, as it is entered: of a block that a fault ends early
//! the rest is counted, too. An instruction that repeats (`rep movs`) counts once for each time. With
//! several CPUs counts of the same block may be lost: use one.
//!
//! | module | what |
//! |---|---|
//! | [`sides`] | whose an instruction is |
//! | [`counts`] | the numbers, and the socket at which they are told |
//! | `plugin` | QEMU's interface |

mod counts;
#[cfg(not(test))]
mod plugin;
mod sides;
