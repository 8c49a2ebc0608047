//! Values as text: the escapes that Xen's tools print and read.
//!
//! Printable ASCII stands for itself, but `\` is `\\`. Tab, newline and carriage return are `\t`, `\n`
//! and `\r`; other bytes are three octal digits below 8 (`\000`), two hexadecimal ones from there on
//! (`\x1b`).

/// A value as the tools print it.
pub fn escape(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'\\' => text.extend(b"\\\\"),
            b' '..=b'~' => text.push(*byte),
            b'\t' => text.extend(b"\\t"),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            0..=7 => text.extend(format!("\\{byte:03o}").into_bytes()),
            _ => text.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    text
}

/// A value that ends in the middle of an escape.
#[derive(PartialEq, Eq, Debug)]
pub struct LoneBackslash;

/// The value that a person typed. One or two hexadecimal digits after `\x`, one to three octal ones
/// after `\`; `\` before any other character is that character.
///
/// # Errors
/// The last character is a `\` alone. (Xen's tools make a NUL of it.)
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, LoneBackslash> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            value.push(*first);
            continue;
        }
        let [escape, after @ ..] = rest else { return Err(LoneBackslash) };
        let (byte, digits) = match escape {
            b't' => (b'\t', 0),
            b'n' => (b'\n', 0),
            b'r' => (b'\r', 0),
            b'x' => number(after, 16, 2).unwrap_or((b'x', 0)),
            b'0'..=b'7' => {
                let (byte, digits) = number(rest, 8, 3).unwrap_or((*escape, 1));
                (byte, digits - 1)
            }
            other => (*other, 0),
        };
        value.push(byte);
        rest = after.get(digits..).unwrap_or_default();
    }
    Ok(value)
}

/// The number at the start of `text`, modulo 256, and how many digits it has: `most` at most. None if
/// there is no digit.
fn number(text: &[u8], radix: u32, most: usize) -> Option<(u8, usize)> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let digits: Vec<u32> = text.iter().take(most).map_while(digit).collect();
    let value = digits.iter().fold(0, |value, digit| value * radix + digit);
    (!digits.is_empty()).then_some(((value & 0xff) as u8, digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_byte_has_its_escape() {
        let value = b"a ~\\\t\n\r\x00\x07\x08\x1b\x7f\x80\xff\"";
        let text = b"a ~\\\\\\t\\n\\r\\000\\007\\x08\\x1b\\x7f\\x80\\xff\"";
        assert_eq!(escape(value).escape_ascii().to_string(), text.escape_ascii().to_string());
        assert_eq!(unescape(text).unwrap(), value);
    }

    #[test]
    fn short_numbers_and_unknown_escapes_are_taken() {
        for (text, value) in [
            (&br"\1"[..], &b"\x01"[..]),
            (br"\18", b"\x018"),
            (br"\0011", b"\x011"),
            (br"\xg", b"xg"),
            (br"\xa", b"\x0a"),
            (br"\xabc", b"\xabc"),
            (br"\777", b"\xff"),
            (br"\q\\", b"q\\"),
            (b"", b""),
        ] {
            assert_eq!(unescape(text).unwrap(), value, "{}", text.escape_ascii());
        }
        assert_eq!(unescape(br"a\"), Err(LoneBackslash));
    }

    proptest! {
        #[test]
        fn every_value_survives(value in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = escape(&value);
            prop_assert!(text.iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(unescape(&text).unwrap(), value);
        }
    }
}
