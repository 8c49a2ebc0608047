//! The toolstack of domain 0: it makes all other domains, and cares for them until they are gone.
//!
//! | module | does |
//! |---|---|
//! | [`build`] | makes a paused domain of a kernel, a ramdisk and a few numbers |
//! | [`new_domain`] | the domain while it is made: gone again unless it is finished |
//! | [`contents`] | writes into its memory by the addresses that it will see |
//! | [`domains`] | what goes with a domain beside the domain: console, shares, records |
//! | [`records`] | what is remembered of each domain |
//! | [`store`] | what XenStore says of a domain |
//! | [`devices`] | disks and network interfaces, given and taken |
//! | [`given`] | which of them were |
//! | [`driver_domains`] | other domains that serve them |
//! | [`consoles`] | `consoled`: the other end of every domain's console |
//! | [`lifecycle`] | what becomes of a domain that shuts down |
//! | [`machine`] | all of it, as the verbs of `xl` see it |
//! | [`command`] | `xl` at the shell |
//! | [`churn`] | makes and ends many, for tests and figures |
//! | [`holdings`] | what is held, compared: whether anything is left |
//! | [`turn`], [`watchers`] | one at a time; who waits for something to happen |
//!
//! A domain is made as Xen's `libxenguest` makes it, through hypercalls that any toolstack could
//! use: `domctl` for the domain, `populate_physmap` for its memory, foreign mappings to fill it.
//! What a kernel's image means, and what lies where, is [`pv_image`]'s, which the hypervisor's
//! builder of domain 0 shares.

pub mod build;
pub mod churn;
pub mod command;
pub mod consoles;
pub mod contents;
pub mod devices;
pub mod domains;
pub mod driver_domains;
pub mod given;
pub mod holdings;
pub mod lifecycle;
pub mod machine;
pub mod new_domain;
pub mod records;
pub mod store;
pub mod turn;
pub mod watchers;

use core::sync::atomic::{AtomicBool, Ordering};

/// The tasks were started.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts the tasks that serve other domains, unless they run: a domain 0 that makes none does
/// without.
pub fn start() {
    if !STARTED.swap(true, Ordering::Relaxed) {
        crate::store::start();
        consoles::start();
        lifecycle::start();
        crate::net::serve_guests();
        crate::block::back::start();
    }
}
