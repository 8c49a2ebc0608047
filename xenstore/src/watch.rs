//! Watches: who is told when something changes.
//!
//! They are found by path: a change looks at the watches of the changed node and of each node above it,
//! and costs nothing for watches elsewhere. Events of one connection keep the order of the changes, and
//! for one change the order in which the watches were set.
//!
//! Told is who could read the node before the change, or can after it. Xen 4.17 also tells who may read
//! only its parent; its documentation promises that to nobody.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::path::{self, Resolved};
use crate::server::ConnectionId;
use crate::wire::limits::XENSTORE_REL_PATH_MAX;

/// The special events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// A domain was introduced.
    Introduce,
    /// A domain was shut down, crashed, or was released.
    Release,
}

impl Special {
    pub(crate) const ALL: [Self; 2] = [Self::Introduce, Self::Release];

    /// What a watch calls it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Introduce => "@introduceDomain",
            Self::Release => "@releaseDomain",
        }
    }

    pub(crate) fn from_path(path: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|special| special.path().as_bytes() == path)
    }
}

/// What a client calls its watch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Name {
    pub(crate) connection: ConnectionId,
    /// In full, or a special one.
    pub(crate) path: Arc<str>,
    pub(crate) token: Arc<[u8]>,
}

impl Name {
    /// The watch of `connection` that the client's words mean, and whether its path is relative.
    ///
    /// # Errors
    /// `EINVAL`: no valid path.
    pub(crate) fn resolve(
        connection: ConnectionId,
        domid: DomId,
        path: &[u8],
        token: &[u8],
    ) -> Result<(Self, bool), Errno> {
        let Resolved { path, relative } = if path.starts_with(b"@") {
            let path = core::str::from_utf8(path).map_err(|_| Errno::EINVAL)?;
            if path.len() > XENSTORE_REL_PATH_MAX {
                return Err(Errno::EINVAL);
            }
            Resolved { path: path.into(), relative: false }
        } else {
            path::resolve(path, domid)?
        };
        Ok((Self { connection, path, token: token.into() }, relative))
    }

    /// Bytes that count against its domain's memory.
    pub(crate) fn size(&self) -> usize {
        self.path.len() + self.token.len()
    }
}

/// A watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Watch {
    pub(crate) name: Name,
    /// Whether its client left out its home, and wants it left out in events.
    pub(crate) relative: bool,
    /// How many levels below its path changes count.
    pub(crate) depth: Option<u32>,
}

impl Watch {
    /// The payload of an event for something at `path`. `domid` is its client's.
    pub(crate) fn event(&self, path: &str, domid: DomId) -> Vec<u8> {
        let shown = if self.relative { path::without_home(path, domid) } else { path };
        crate::wire::payload::join(&[shown.as_bytes(), &self.name.token])
    }

    fn reaches(&self, path: &str) -> bool {
        self.depth.is_none_or(|depth| path::levels_below(&self.name.path, path) <= depth as usize)
    }
}

/// Numbers watches in the order in which they were set.
type Order = u64;

/// All watches of all connections.
#[derive(Default)]
pub(crate) struct Watches {
    by_path: BTreeMap<Arc<str>, BTreeMap<Order, Watch>>,
    by_name: BTreeMap<Name, Order>,
    next: Order,
}

impl Watches {
    pub(crate) fn contains(&self, name: &Name) -> bool {
        self.by_name.contains_key(name)
    }

    /// Sets a watch that there is not yet.
    pub(crate) fn add(&mut self, watch: Watch) {
        self.next += 1;
        self.by_name.insert(watch.name.clone(), self.next);
        self.by_path.entry(watch.name.path.clone()).or_default().insert(self.next, watch);
    }

    /// Takes a watch away; false: there is none.
    pub(crate) fn remove(&mut self, name: &Name) -> bool {
        let Some(order) = self.by_name.remove(name) else { return false };
        if let Some(there) = self.by_path.get_mut(&name.path) {
            there.remove(&order);
            if there.is_empty() {
                self.by_path.remove(&name.path);
            }
        }
        true
    }

    /// The names of a connection's watches.
    pub(crate) fn of(&self, connection: ConnectionId) -> Vec<Name> {
        let first = Name { connection, path: "".into(), token: [].into() };
        let from = self.by_name.range(first..).map(|(name, _)| name);
        from.take_while(|name| name.connection == connection).cloned().collect()
    }

    /// All watches in the order in which they were set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Watch> {
        let mut all: Vec<(Order, &Watch)> =
            self.by_path.values().flatten().map(|(order, watch)| (*order, watch)).collect();
        all.sort_unstable_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, watch)| watch)
    }

    /// The watches that a change at `path` fires; of an `exact` change only those of the path itself.
    pub(crate) fn matching(&self, path: &str, exact: bool) -> Vec<&Watch> {
        let paths = path::upwards(path).take(if exact { 1 } else { usize::MAX });
        let there = paths.filter_map(|path| self.by_path.get(path)).flatten();
        let mut found: Vec<(Order, &Watch)> =
            there.filter(|(_, watch)| watch.reaches(path)).map(|(o, watch)| (*o, watch)).collect();
        found.sort_unstable_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, watch)| watch).collect()
    }

    /// The watches that a special event fires, each with the path that it is told: a watch of depth 1,
    /// and one of a single domain (`@releaseDomain/5`), is told which domain it is about.
    pub(crate) fn matching_special(&self, what: Special, domid: DomId) -> Vec<(&Watch, String)> {
        let about = format!("{}/{}", what.path(), domid.raw());
        let mut found: Vec<(Order, &Watch)> = [what.path(), about.as_str()]
            .into_iter()
            .filter_map(|path| self.by_path.get(path))
            .flatten()
            .map(|(order, watch)| (*order, watch))
            .collect();
        found.sort_unstable_by_key(|(order, _)| *order);
        let told = |watch: &Watch| match watch.depth {
            Some(1..) => about.clone(),
            _ => watch.name.path.to_string(),
        };
        found.into_iter().map(|(_, watch)| (watch, told(watch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: DomId = DomId::new(0);

    fn add(watches: &mut Watches, path: &str, token: &str, depth: Option<u32>) {
        let connection = ConnectionId::new(1);
        let (name, relative) =
            Name::resolve(connection, ZERO, path.as_bytes(), token.as_bytes()).unwrap();
        watches.add(Watch { name, relative, depth });
    }

    fn fired(watches: &Watches, path: &str, exact: bool) -> Vec<String> {
        let found = watches.matching(path, exact);
        found.iter().map(|watch| String::from_utf8_lossy(&watch.name.token).into()).collect()
    }

    #[test]
    fn a_change_fires_what_lies_above_in_the_order_of_setting() {
        let mut watches = Watches::default();
        for (path, token) in
            [("/a/b", "1"), ("/", "2"), ("/a", "3"), ("/a/bc", "4"), ("/a/b/c", "5")]
        {
            add(&mut watches, path, token, None);
        }
        assert_eq!(fired(&watches, "/a/b", false), ["1", "2", "3"]);
        assert_eq!(fired(&watches, "/a/b", true), ["1"]);
        assert_eq!(fired(&watches, "/", false), ["2"]);
    }

    #[test]
    fn depth_limits_the_levels() {
        let mut watches = Watches::default();
        for (path, token, depth) in [("/a", "0", 0), ("/a", "1", 1), ("/", "2", 2)] {
            add(&mut watches, path, token, Some(depth));
        }
        assert_eq!(fired(&watches, "/a", false), ["0", "1", "2"]);
        assert_eq!(fired(&watches, "/a/b", false), ["1", "2"]);
        assert!(fired(&watches, "/a/b/c", false).is_empty());
    }

    #[test]
    fn relative_events_leave_the_home_out() {
        let mut watches = Watches::default();
        add(&mut watches, "device", "t", None);
        let found = watches.matching("/local/domain/0/device/vif", false);
        assert_eq!(found[0].event("/local/domain/0/device/vif", ZERO), b"device/vif\0t\0");
    }

    #[test]
    fn special_events() {
        let mut watches = Watches::default();
        add(&mut watches, "@releaseDomain", "a", None);
        add(&mut watches, "@releaseDomain", "b", Some(1));
        add(&mut watches, "@releaseDomain/5", "c", None);
        add(&mut watches, "@introduceDomain", "d", None);
        let told = |domid| -> Vec<String> {
            let found = watches.matching_special(Special::Release, DomId::new(domid));
            found.into_iter().map(|(_, path)| path).collect()
        };
        assert_eq!(told(5), ["@releaseDomain", "@releaseDomain/5", "@releaseDomain/5"]);
        assert_eq!(told(6), ["@releaseDomain", "@releaseDomain/6"]);
    }

    #[test]
    fn names_are_unique_and_belong_to_a_connection() {
        let mut watches = Watches::default();
        add(&mut watches, "/a", "t", None);
        add(&mut watches, "/a", "u", None);
        let names = watches.of(ConnectionId::new(1));
        assert_eq!(names.len(), 2);
        assert!(watches.of(ConnectionId::new(2)).is_empty());
        assert!(watches.remove(&names[0]));
        assert!(!watches.remove(&names[0]));
        assert_eq!(fired(&watches, "/a", false), ["u"]);
    }
}
