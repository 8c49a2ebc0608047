//! Devices that domains share: which ones there are, and a task for each.
//!
//! In a domU there are front ends (`device/<kind>/<id>` in XenStore), in domain 0 and in driver
//! domains back ends (`backend/<kind>/<domain>/<id>`); nothing here knows which it is in. A driver
//! registers its kind once, by [`front`] or [`back`]. From then on every device of that kind, be it
//! there already or plugged in later, gets a task:
//!
//! ```text
//!   XenStore --- watch "device", "backend" ---> manager: who came, who went (xenbus::bus::Roster)
//!                                                  | starts, tells to let go
//!   XenStore --- the device's own watches ---> task of a device
//!   its event channels ----------- rings --->    handshake: xenbus::Front or xenbus::Back
//!   disks, wires, other threads -- ring  --->    data: Serve::serve
//! ```
//!
//! **One task per device**, with a connection to XenStore of its own, does handshake and data in
//! turn. What a hostile or a slow peer has it do, or wait for, is at the cost of that device alone:
//! the manager never waits for a device, nor one device for another.
//!
//! **A [`Bell`] per device.** Whatever may be work for the task rings it: an event at a port that the
//! device made or bound (its [`Domain`] sees to that), a disk that has read, a thread that wants
//! something sent. Rung from anywhere, event handlers included, however often: the task looks at everything
//! once more.
//!
//! **Ends.** A device whose directory goes, goes: its task lets go of everything and ends. Pages that
//! the peer has mapped still are kept until it has not ([`abandoned`]). A device whose task cannot
//! begin is left alone until it is plugged in anew. [`restart`] ends a back end as if it had
//! crashed, with nothing said in XenStore, and begins another: what its front ends see is what they
//! see of a crashed driver.

mod abandoned;
mod bell;
mod domain;
mod half;
mod kinds;
mod manager;

pub use abandoned::pages as abandoned_pages;
pub use bell::Bell;
pub use domain::Domain;
pub use half::{Serve, Served};
pub use kinds::{Device, back, front};
pub use manager::{paths, restart};
