//! Linux's error numbers, as system calls return them (negated).

use crate::shell::kernel::Errno;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        $($(#[$doc])* pub const $name: Errno = Errno::new($number);)*
    };
}

errnos! {
    /// Not permitted.
    EPERM = 1;
    /// No such file or directory.
    ENOENT = 2;
    /// No such process.
    ESRCH = 3;
    /// Interrupted by a signal.
    EINTR = 4;
    /// Too many arguments.
    E2BIG = 7;
    /// Not a program.
    ENOEXEC = 8;
    /// No such descriptor.
    EBADF = 9;
    /// No child.
    ECHILD = 10;
    /// Out of memory.
    ENOMEM = 12;
    /// Not allowed by the file's mode.
    EACCES = 13;
    /// An address that the process has not.
    EFAULT = 14;
    /// No such device, or it cannot do that.
    ENODEV = 19;
    /// Part of the path is not a directory.
    ENOTDIR = 20;
    /// Is a directory.
    EISDIR = 21;
    /// Invalid argument.
    EINVAL = 22;
    /// Too many open files.
    EMFILE = 24;
    /// Not a terminal.
    ENOTTY = 25;
    /// No positions in there.
    ESPIPE = 29;
    /// A read-only file system.
    EROFS = 30;
    /// Nobody reads.
    EPIPE = 32;
    /// Result does not fit.
    ERANGE = 34;
    /// The path is too long.
    ENAMETOOLONG = 36;
    /// No such system call.
    ENOSYS = 38;
    /// Value does not fit its type.
    EOVERFLOW = 75;
}
