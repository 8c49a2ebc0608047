//! The strings in a payload, each ended by NUL.

use alloc::vec::Vec;

/// The only string of a payload that is one string with its NUL and nothing after it.
#[must_use]
pub fn one(payload: &[u8]) -> Option<&[u8]> {
    match split(payload)? {
        (string, []) => Some(string),
        _ => None,
    }
}

/// The first string, and what follows its NUL. None if there is no NUL.
#[must_use]
pub fn split(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = payload.iter().position(|byte| *byte == 0)?;
    Some((&payload[..end], &payload[end + 1..]))
}

/// All strings. What follows the last NUL is none.
pub fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    core::iter::from_fn(move || {
        let (string, after) = split(rest)?;
        rest = after;
        Some(string)
    })
}

/// A payload of these strings.
#[must_use]
pub fn join(strings: &[&[u8]]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(strings.iter().map(|string| string.len() + 1).sum());
    for string in strings {
        payload.extend_from_slice(string);
        payload.push(0);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_string_and_nothing_more() {
        assert_eq!(one(b"/a\0"), Some(&b"/a"[..]));
        assert_eq!(one(b"\0"), Some(&b""[..]));
        for wrong in [&b""[..], b"/a", b"/a\0b", b"/a\0\0"] {
            assert_eq!(one(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn strings_end_in_nul() {
        let all: Vec<&[u8]> = strings(b"a\0\0bc\0tail").collect();
        assert_eq!(all, [&b"a"[..], b"", b"bc"]);
        assert_eq!(join(&all), b"a\0\0bc\0");
    }
}
