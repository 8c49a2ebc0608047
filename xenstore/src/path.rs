//! Paths: which are valid, and how they lie to each other.
//!
//! A path begins with `/` and consists of names of ASCII letters, digits, and `-_@`, with one `/`
//! between two names. A client may leave out its home, `/local/domain/<domid>/`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use crate::wire::limits::{XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX};

/// Of the paths, the one that is its own parent's.
pub(crate) const ROOT: &str = "/";

/// A path that a client named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolved {
    /// In full.
    pub(crate) path: Arc<str>,
    /// Whether the client left out its home.
    pub(crate) relative: bool,
}

/// What a client of this domain means by these bytes.
///
/// # Errors
/// `EINVAL`: no valid path.
pub(crate) fn resolve(named: &[u8], domid: DomId) -> Result<Resolved, Errno> {
    let named = core::str::from_utf8(named).map_err(|_| Errno::EINVAL)?;
    let relative = !named.starts_with('/');
    // What begins with `@` is no node, not even a relative one.
    if named.starts_with('@') || relative && named.len() > XENSTORE_REL_PATH_MAX {
        return Err(Errno::EINVAL);
    }
    let path: Arc<str> =
        if relative { format!("{}/{named}", home(domid)).into() } else { named.into() };
    if is_valid(&path) { Ok(Resolved { path, relative }) } else { Err(Errno::EINVAL) }
}

/// Whether this is a path in full.
pub(crate) fn is_valid(path: &str) -> bool {
    let Some(names) = path.strip_prefix('/') else { return false };
    let valid_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_@".contains(&byte))
    };
    path.len() <= XENSTORE_ABS_PATH_MAX && (names.is_empty() || names.split('/').all(valid_name))
}

/// A domain's home.
pub(crate) fn home(domid: DomId) -> String {
    format!("/local/domain/{}", domid.raw())
}

/// What a client that left out its home is told of a path below it.
pub(crate) fn without_home(path: &str, domid: DomId) -> &str {
    path.strip_prefix(home(domid).as_str()).map_or(path, |rest| rest.trim_start_matches('/'))
}

/// The text before the last `/`, which the children of one node have in common, and the name after
/// it. Of the root: two empty texts.
pub(crate) fn split(path: &str) -> (&str, &str) {
    // Names are short: `rsplit_once` prepares for more.
    let slash = path.bytes().rposition(|byte| byte == b'/');
    let cut = slash.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?)));
    cut.unwrap_or(("", path))
}

/// What [`split`] gives first for the children of `path`.
pub(crate) fn stem(path: &str) -> &str {
    if path == ROOT { "" } else { path }
}

/// The parent of all but the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    if path == ROOT {
        return None;
    }
    match split(path).0 {
        "" => Some(ROOT),
        parent => Some(parent),
    }
}

/// `path`, its parent, and so on to the root.
pub(crate) fn upwards(path: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(Some(path), |path| parent(path))
}

/// How many levels `path` lies below `above`, which is `path` or above it.
pub(crate) fn levels_below(above: &str, path: &str) -> usize {
    path.get(stem(above).len()..).map_or(0, |rest| {
        if rest == ROOT { 0 } else { rest.bytes().filter(|byte| *byte == b'/').count() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn only_valid_paths() {
        for path in ["/", "/a", "/a/b", "/local/domain/0/A-z_9@x"] {
            assert!(is_valid(path), "{path}");
        }
        for path in ["", "a", "//", "/a/", "/a//b", "/a b", "/a.b", "/\u{e4}", "@a"] {
            assert!(!is_valid(path), "{path}");
        }
        let longest = |len: usize| std::format!("/{}", "a".repeat(len - 1));
        assert!(is_valid(&longest(3072)));
        assert!(!is_valid(&longest(3073)));
    }

    #[test]
    fn homes_are_filled_in() {
        let domid = DomId::new(7);
        let resolved = resolve(b"device/vif", domid).unwrap();
        assert_eq!(&*resolved.path, "/local/domain/7/device/vif");
        assert!(resolved.relative);
        assert_eq!(without_home(&resolved.path, domid), "device/vif");
        assert!(!resolve(b"/a", domid).unwrap().relative);
        for wrong in [&b""[..], b"a/", b"\xff", b"a\0", b"@a"] {
            assert_eq!(resolve(wrong, domid), Err(Errno::EINVAL), "{wrong:?}");
        }
        assert!(resolve(&[b'a'; 2048], domid).is_ok());
        assert_eq!(resolve(&[b'a'; 2049], domid), Err(Errno::EINVAL));
    }

    #[test]
    fn relations() {
        assert_eq!(upwards("/a/b").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(split("/"), ("", ""));
        assert_eq!(split("/a"), (stem("/"), "a"));
        assert_eq!(split("/a/b"), (stem("/a"), "b"));
        let levels =
            [("/", "/", 0), ("/", "/a", 1), ("/", "/a/b", 2), ("/a", "/a", 0), ("/a", "/a/b", 1)];
        for (above, path, expected) in levels {
            assert_eq!(levels_below(above, path), expected, "{above} {path}");
        }
    }
}
