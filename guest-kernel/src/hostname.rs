//! The host's name, as programs are told it: in a domU the domain's.

use crate::sync::Guarded;
use heapless::String;

/// Longest name (`__NEW_UTS_LEN`).
pub const LONGEST: usize = 64;

static NAME: Guarded<String<LONGEST>> = Guarded::new(String::new());

/// The name: until another is set, the project's.
pub fn get() -> String<LONGEST> {
    let mut name = NAME.with(|name| name.clone());
    if name.is_empty() {
        // There is room for it.
        let _ = name.push_str("ferrule");
    }
    name
}

/// Sets the name. False: it is too long.
pub fn set(name: &str) -> bool {
    let mut new = String::new();
    let fits = new.push_str(name).is_ok();
    if fits {
        NAME.with(|name| *name = new);
    }
    fits
}
