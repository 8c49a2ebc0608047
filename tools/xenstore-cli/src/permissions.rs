//! Permissions as a person types them.

use xenstore::perms::Permission;

/// Reads one: a letter and a domain's number, `r5`.
///
/// # Errors
/// It is none; a sentence that says why.
pub fn parse(text: &str) -> Result<Permission, String> {
    let permission = Permission::parse(text.as_bytes()).filter(|all| all.domid.is_ordinary());
    permission.ok_or_else(|| {
        let letter = text.get(..1).filter(|letter| "nrwb".contains(letter));
        match letter {
            Some(letter) => {
                format!("the number of a domain must follow the letter, as in {letter}5")
            }
            None => {
                "it begins with n (none), r (read), w (write) or b (both), and the number of a \
                     domain follows, as in r5"
                    .into()
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_is_explained() {
        for text in ["n0", "r5", "w65", "b32751"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for (text, word) in [
            ("", "begins with"),
            ("0", "begins with"),
            ("x5", "begins with"),
            ("r", "as in r5"),
            ("b-1", "as in b5"),
            ("w1x", "as in w5"),
            ("n32752", "as in n5"),
            ("\u{e4}", "begins with"),
        ] {
            let sentence = parse(text).unwrap_err();
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}
