//! What a refusal means to the person who typed the command.
//!
//! The server answers with an error's name. What it means depends on the request and the path, and most
//! often the path is mistyped: so this looks how much of it exists, and for a name there that is almost
//! the one that was typed.

use pv_abi::errno::Errno;
use xenstore::client::Store;
use xenstore::wire::limits::{XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX};

use crate::failure::Failure;
use crate::session::{Error, Lost};

/// The failure of a request about a path. `doing`: "read", as in "cannot read /a".
pub fn refusal(
    store: &mut impl Store<Failure = Lost>,
    doing: &str,
    path: &str,
    error: &Error,
) -> Failure {
    let why = match error {
        Error::Refused(Errno::ENOENT) => return absent(store, doing, path),
        Error::Refused(Errno::EINVAL) => {
            invalid(path).unwrap_or_else(|| "the server takes it for invalid (EINVAL)".into())
        }
        Error::Refused(Errno::EACCES) => "permission denied (EACCES)".into(),
        Error::Refused(Errno::EPERM) => "only domain 0 may (EPERM)".into(),
        Error::Refused(Errno::ENOSPC) => {
            "a quota is reached: of nodes, or of the size or the permissions of one (ENOSPC)".into()
        }
        Error::Refused(Errno::E2BIG) => {
            "a quota or the size of a message is exceeded (E2BIG)".into()
        }
        Error::Refused(Errno::EROFS) => "the store cannot be written to (EROFS)".into(),
        Error::Refused(Errno::ENOSYS) => "this server cannot do that (ENOSYS)".into(),
        Error::Refused(errno) => format!("the server refuses it ({errno})"),
        error => error.to_string(),
    };
    Failure::new(format!("cannot {doing} {path}: {why}"))
}

/// The failure of a request about a node that does not exist: how far its path leads, and where it may
/// have been meant to.
pub fn absent(store: &mut impl Store<Failure = Lost>, doing: &str, path: &str) -> Failure {
    let mut why = String::from("there is no such node (ENOENT)");
    let mut missing = path;
    while let Some((parent, name)) = split(missing) {
        // What cannot be listed leads no further, for whatever reason.
        if let Ok(Some(names)) = store.directory(parent) {
            if missing != path {
                why += &format!(", nor is there {missing}");
            }
            if let Some(near) = nearest(name, &names) {
                why += &format!("; did you mean {}?", join(parent, near));
            }
            break;
        }
        missing = parent;
    }
    Failure::new(format!("cannot {doing} {path}: {why}"))
}

/// The path that leads to a child.
pub fn join(parent: &str, name: &str) -> String {
    let slash = if parent.ends_with('/') { "" } else { "/" };
    format!("{parent}{slash}{name}")
}

/// A node's parent. None for the root, for its children, and for a name in the connection's home.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

/// A node's parent, the root included, and its name there.
fn split(path: &str) -> Option<(&str, &str)> {
    let (above, name) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty())?;
    Some((if above.is_empty() { "/" } else { above }, name))
}

/// The name that is most like the one that was typed, if any is like it.
fn nearest<'a>(typed: &str, names: &'a [String]) -> Option<&'a str> {
    let rated = names.iter().map(|name| (strsim::jaro_winkler(typed, name), name.as_str()));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

/// What is wrong with a path, if something is.
pub fn invalid(path: &str) -> Option<String> {
    let wrong = |letter: char| !letter.is_ascii_alphanumeric() && !"-/_@".contains(letter);
    let most = if path.starts_with('/') { XENSTORE_ABS_PATH_MAX } else { XENSTORE_REL_PATH_MAX };
    if path.is_empty() {
        Some("an empty path names no node".into())
    } else if let Some(letter) = path.chars().find(|letter| wrong(*letter)) {
        let tip = match letter {
            '=' => "; a value follows its path as a word of its own",
            '.' | '*' | '?' => "; there are no patterns here, nor `.` and `..`",
            _ => "",
        };
        let letter = letter.escape_debug();
        Some(format!("`{letter}` cannot be in a path, only letters, digits and - / _ @{tip}"))
    } else if path != "/" && path.ends_with('/') {
        Some("a path does not end in `/`".into())
    } else if path.contains("//") {
        Some("there is a name missing between `//`".into())
    } else if path.len() > most {
        Some(format!("a path of {} bytes is too long: {most} are the most", path.len()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        assert_eq!(split("/a/bc"), Some(("/a", "bc")));
        assert_eq!(split("/a"), Some(("/", "a")));
        assert_eq!(split("a/b"), Some(("a", "b")));
        for path in ["/", "a", "", "/a/"] {
            assert_eq!(split(path), None, "{path}");
        }
        assert_eq!(parent("/a/bc"), Some("/a"));
        assert_eq!(parent("a/b"), Some("a"));
        for path in ["/", "/a", "a", ""] {
            assert_eq!(parent(path), None, "{path}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_recognized() {
        let names = ["memory", "device", "name"].map(String::from);
        assert_eq!(nearest("memroy", &names), Some("memory"));
        assert_eq!(nearest("nmae", &names), Some("name"));
        assert_eq!(nearest("xyz", &names), None);
        assert_eq!(nearest("xyz", &[]), None);
    }

    #[test]
    fn wrong_paths_are_explained() {
        let long = "a".repeat(XENSTORE_REL_PATH_MAX + 1);
        for (path, word) in [
            ("", "empty"),
            ("/a/", "end in"),
            ("/a//b", "missing"),
            ("/a=b", "word of its own"),
            ("../a", "no patterns"),
            ("/a b", "` `"),
            ("/\u{e4}\u{7}", "only letters"),
            (&long, "too long"),
        ] {
            let sentence = invalid(path).unwrap();
            assert!(sentence.contains(word), "{sentence}");
        }
        for path in ["/", "/a", "a-b/c_d@1", "@introduceDomain"] {
            assert_eq!(invalid(path), None);
        }
    }
}
