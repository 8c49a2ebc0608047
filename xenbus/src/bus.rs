//! Which devices there are, and which came or went: hot-plug.
//!
//! A domain watches `device` (or `backend`) as a whole; when an event of that watch comes, it lists
//! the devices of the types that it has drivers for and has a [`Roster`] say what is new. Events
//! that mean nothing (somebody wrote a key) find nothing new.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use pv_abi::errno::Errno;

use crate::access::Store;

/// The paths of the front ends of one type that this domain has (`device/<type>/<id>`).
///
/// # Errors
/// The store's.
pub fn front_ends(store: &mut dyn Store, kind: &str) -> Result<Vec<String>, Errno> {
    let parent = format!("device/{kind}");
    Ok(children(store, &parent)?.iter().map(|id| format!("{parent}/{id}")).collect())
}

/// The paths of the back ends of one type that this domain has (`backend/<type>/<domain>/<id>`).
///
/// # Errors
/// The store's.
pub fn back_ends(store: &mut dyn Store, kind: &str) -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for domain in children(store, &format!("backend/{kind}"))? {
        let parent = format!("backend/{kind}/{domain}");
        found.extend(children(store, &parent)?.iter().map(|id| format!("{parent}/{id}")));
    }
    Ok(found)
}

fn children(store: &mut dyn Store, path: &str) -> Result<Vec<String>, Errno> {
    Ok(store.directory(path)?.unwrap_or_default())
}

/// The devices that are known.
#[derive(Clone, Debug, Default)]
pub struct Roster(BTreeSet<String>);

/// What changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths of devices that are new: to be opened.
    pub appeared: Vec<String>,
    /// Paths of devices that are gone: to be abandoned.
    pub vanished: Vec<String>,
}

impl Roster {
    /// Compares what there is with what there was.
    pub fn update(&mut self, now: impl IntoIterator<Item = String>) -> Changes {
        let now: BTreeSet<String> = now.into_iter().collect();
        let appeared = now.difference(&self.0).cloned().collect();
        let vanished = self.0.difference(&now).cloned().collect();
        self.0 = now;
        Changes { appeared, vanished }
    }

    /// Whether a change of the node at `path` may mean that a device came or went: what happens below
    /// a known one does not. Paths are as [`front_ends`] and [`back_ends`] have them.
    #[must_use]
    pub fn concerns(&self, path: &str) -> bool {
        let below = |known: &String| {
            path.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        // Nothing that names a device stands between it and what is below it.
        let before = (Bound::Unbounded, Bound::Included(path));
        !self.0.range::<str, _>(before).next_back().is_some_and(below)
    }

    /// Forgets a device that could not be opened, so that it counts as new next time.
    pub fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }
}
