//! Errors travel as names: C's `xsd_errors`.

use pv_abi::errno::Errno;

/// The errors that the wire has a name for, in the header's order. A name is [`Errno::name`].
pub const ALL: &[Errno] = &[
    Errno::EINVAL,
    Errno::EACCES,
    Errno::EEXIST,
    Errno::EISDIR,
    Errno::ENOENT,
    Errno::ENOMEM,
    Errno::ENOSPC,
    Errno::EIO,
    Errno::ENOTEMPTY,
    Errno::ENOSYS,
    Errno::EROFS,
    Errno::EBUSY,
    Errno::EAGAIN,
    Errno::EISCONN,
    Errno::E2BIG,
    Errno::EPERM,
];

/// The name of an error; `EINVAL` for one that the wire has no name for, as Xen does.
#[must_use]
pub fn name(error: Errno) -> &'static str {
    let known = if ALL.contains(&error) { error } else { Errno::EINVAL };
    known.name().unwrap_or("EINVAL")
}

/// The error of a name, if the wire has it.
#[must_use]
pub fn from_name(name: &[u8]) -> Option<Errno> {
    ALL.iter().copied().find(|error| error.name().is_some_and(|own| own.as_bytes() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for error in ALL {
            assert_eq!(from_name(name(*error).as_bytes()), Some(*error));
        }
        assert_eq!(name(Errno::EXDEV), "EINVAL");
        assert_eq!(from_name(b"EXDEV"), None);
        assert_eq!(from_name(b"ENOENT\0"), None);
    }
}
