//! Error numbers: Linux's for x86, under Xen's name.
//!
//! A failing hypercall returns `-errno`, sign-extended to the width of the
//! register. `XEN_EINTR` and `XEN_ERESTART` are left out: the header keeps
//! them for the hypervisor's inside, and a guest must never see them.

use core::fmt;
use core::num::NonZeroU16;

/// An error number; never zero, so `Result<T, Errno>` cannot carry "success".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Errno(NonZeroU16);

impl Errno {
    /// The positive number, `XEN_Exx`.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0.get()
    }

    /// The value of a failing hypercall: the number, negative.
    #[must_use]
    pub const fn to_ret(self) -> i64 {
        -(self.0.get() as i64)
    }

    /// What a hypercall's return value says: the error for -4095 to -1, else
    /// none.
    ///
    /// The range is Linux's `IS_ERR_VALUE`; the headers state none.
    #[must_use]
    pub const fn from_ret(ret: i64) -> Option<Self> {
        if ret < 0 && ret >= -4095 {
            // In range by the line above.
            match NonZeroU16::new((-ret) as u16) {
                Some(number) => Some(Self(number)),
                None => None,
            }
        } else {
            None
        }
    }

    /// The name without `XEN_`, for numbers that have one. Of aliases
    /// (`EAGAIN`, `EWOULDBLOCK`) the first.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        CONSTANTS.iter().find(|c| c.value == i128::from(self.raw())).map(|c| c.rust)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.raw()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Declares the numbers as associated constants: `NAME = number "meaning";`.
macro_rules! errnos {
    ($($name:ident = $value:literal $meaning:literal;)*) => {
        impl Errno {$(
            #[doc = $meaning]
            #[doc = ""]
            #[doc = concat!("C: `XEN_", stringify!($name), "` in `xen/errno.h`.")]
            pub const $name: Self = match NonZeroU16::new($value) {
                Some(number) => Self(number),
                None => panic!("an error number is not zero"),
            };
        )*}
        /// What this module states, for [`crate::manifest`].
        pub(crate) const CONSTANTS: &[crate::manifest::Constant] = &[$(
            crate::manifest::Constant {
                rust: stringify!($name),
                c: concat!("XEN_", stringify!($name)),
                value: $value,
            },
        )*];
    };
}

errnos! {
    EPERM = 1 "Operation not permitted.";
    ENOENT = 2 "No such file or directory.";
    ESRCH = 3 "No such process.";
    EIO = 5 "I/O error.";
    ENXIO = 6 "No such device or address.";
    E2BIG = 7 "Arg list too long.";
    ENOEXEC = 8 "Exec format error.";
    EBADF = 9 "Bad file number.";
    ECHILD = 10 "No child processes.";
    EAGAIN = 11 "Try again.";
    EWOULDBLOCK = 11 "Operation would block.  Aliases EAGAIN.";
    ENOMEM = 12 "Out of memory.";
    EACCES = 13 "Permission denied.";
    EFAULT = 14 "Bad address.";
    EBUSY = 16 "Device or resource busy.";
    EEXIST = 17 "File exists.";
    EXDEV = 18 "Cross-device link.";
    ENODEV = 19 "No such device.";
    ENOTDIR = 20 "Not a directory.";
    EISDIR = 21 "Is a directory.";
    EINVAL = 22 "Invalid argument.";
    ENFILE = 23 "File table overflow.";
    EMFILE = 24 "Too many open files.";
    ENOSPC = 28 "No space left on device.";
    EROFS = 30 "Read-only file system.";
    EMLINK = 31 "Too many links.";
    EDOM = 33 "Math argument out of domain of func.";
    ERANGE = 34 "Math result not representable.";
    EDEADLK = 35 "Resource deadlock would occur.";
    EDEADLOCK = 35 "Resource deadlock would occur. Aliases EDEADLK.";
    ENAMETOOLONG = 36 "File name too long.";
    ENOLCK = 37 "No record locks available.";
    ENOSYS = 38 "Function not implemented.";
    ENOTEMPTY = 39 "Directory not empty.";
    ENODATA = 61 "No data available.";
    ETIME = 62 "Timer expired.";
    EBADMSG = 74 "Not a data message.";
    EOVERFLOW = 75 "Value too large for defined data type.";
    EILSEQ = 84 "Illegal byte sequence.";
    ENOTSOCK = 88 "Socket operation on non-socket.";
    EMSGSIZE = 90 "Message too large.";
    EOPNOTSUPP = 95 "Operation not supported on transport endpoint.";
    EADDRINUSE = 98 "Address already in use.";
    EADDRNOTAVAIL = 99 "Cannot assign requested address.";
    ENOBUFS = 105 "No buffer space available.";
    EISCONN = 106 "Transport endpoint is already connected.";
    ENOTCONN = 107 "Transport endpoint is not connected.";
    ETIMEDOUT = 110 "Connection timed out.";
    ECONNREFUSED = 111 "Connection refused.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn returns_are_negative_and_come_back() {
        assert_eq!(Errno::ENOSYS.to_ret(), -38);
        assert_eq!(Errno::from_ret(-38), Some(Errno::ENOSYS));
        assert_eq!(Errno::from_ret(0), None);
        assert_eq!(Errno::from_ret(38), None);
        assert_eq!(Errno::from_ret(-4096), None);
        assert_eq!(Errno::from_ret(i64::MIN), None);
    }

    #[test]
    fn names_are_printed() {
        assert_eq!(format!("{}", Errno::EWOULDBLOCK), "EAGAIN");
        assert_eq!(format!("{:?}", Errno::from_ret(-200).unwrap()), "errno 200");
    }
}
