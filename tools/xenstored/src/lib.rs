//! A XenStore daemon for Linux.
//!
//! The store is the crate [`xenstore`], which does no I/O; here is what turns it into a daemon:
//!
//! * [`options`]: the command line.
//! * [`endpoint`]: a socket that exactly one daemon owns, taken over from one that died.
//! * [`daemon`]: the loop; one thread, any number of clients, none of which can hold up another.
//! * [`state`]: the file through which a store survives its daemon; `control live-update` goes the same way
//!   within the process, and its clients notice nothing.
//! * [`wakeup`]: what interrupts the loop: signals in the program, a stream in tests.
//!
//! Clients of the main socket are domain 0, as with Xen's daemon. Where there is no Xen there are no
//! rings of other domains; `--domain-socket` gives tests a client that the server takes for an
//! unprivileged domain all the same.
#![forbid(unsafe_code)]

pub mod daemon;
pub mod endpoint;
pub mod logging;
pub mod options;
mod peer;
pub mod state;
pub mod wakeup;
