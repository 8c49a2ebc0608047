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
    /// The device failed.
    EIO = 5;
    /// No such device or address.
    ENXIO = 6;
    /// Not a program.
    ENOEXEC = 8;
    /// No such descriptor.
    EBADF = 9;
    /// No child.
    ECHILD = 10;
    /// Not now; without waiting, try again.
    EAGAIN = 11;
    /// Out of memory.
    ENOMEM = 12;
    /// Not allowed by the file's mode.
    EACCES = 13;
    /// An address that the process has not.
    EFAULT = 14;
    /// Something is mounted there, or it is in use.
    EBUSY = 16;
    /// It is there already.
    EEXIST = 17;
    /// On another file system.
    EXDEV = 18;
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
    /// Larger than files may be.
    EFBIG = 27;
    /// The file system is full.
    ENOSPC = 28;
    /// No positions in there.
    ESPIPE = 29;
    /// A read-only file system.
    EROFS = 30;
    /// Too many links.
    EMLINK = 31;
    /// Nobody reads.
    EPIPE = 32;
    /// Not a value that there can be.
    EDOM = 33;
    /// Result does not fit.
    ERANGE = 34;
    /// The path is too long.
    ENAMETOOLONG = 36;
    /// No such system call.
    ENOSYS = 38;
    /// The directory is not empty.
    ENOTEMPTY = 39;
    /// Too many symbolic links on the way.
    ELOOP = 40;
    /// Value does not fit its type.
    EOVERFLOW = 75;
    /// Not a socket.
    ENOTSOCK = 88;
    /// Nobody to send to.
    EDESTADDRREQ = 89;
    /// Longer than a message can be.
    EMSGSIZE = 90;
    /// No such option.
    ENOPROTOOPT = 92;
    /// No such protocol.
    EPROTONOSUPPORT = 93;
    /// No such kind of socket.
    ESOCKTNOSUPPORT = 94;
    /// This kind of file cannot do that.
    EOPNOTSUPP = 95;
    /// No such kind of address.
    EAFNOSUPPORT = 97;
    /// Another socket has the address.
    EADDRINUSE = 98;
    /// The host does not have the address.
    EADDRNOTAVAIL = 99;
    /// There is no network.
    ENETDOWN = 100;
    /// Nothing leads to that network.
    ENETUNREACH = 101;
    /// The peer has reset the connection.
    ECONNRESET = 104;
    /// No room for another connection or buffer.
    ENOBUFS = 105;
    /// Connected already.
    EISCONN = 106;
    /// Not connected.
    ENOTCONN = 107;
    /// No answer in time.
    ETIMEDOUT = 110;
    /// Nobody listens there.
    ECONNREFUSED = 111;
    /// The connection is on its way already.
    EALREADY = 114;
    /// The connection is on its way.
    EINPROGRESS = 115;
    /// What is stored is damaged (`EFSCORRUPTED`).
    EUCLEAN = 117;
}
