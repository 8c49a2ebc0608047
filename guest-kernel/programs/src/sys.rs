//! Linux's system calls for i386, as many as our programs use.
//!
//! [`call`] makes any call with any arguments, for tests of the kernel; the functions below it are
//! the same calls with types. Numbers: Linux `arch/x86/entry/syscalls/syscall_32.tbl`.
#![allow(unsafe_code)] // UNSAFETY: the one system call instruction is assembly.

/// Numbers of system calls.
pub mod nr {
    #![allow(missing_docs)] // The names are the documentation: each has a manual page.
    pub const EXIT: usize = 1;
    pub const FORK: usize = 2;
    pub const READ: usize = 3;
    pub const WRITE: usize = 4;
    pub const OPEN: usize = 5;
    pub const CLOSE: usize = 6;
    pub const WAITPID: usize = 7;
    pub const EXECVE: usize = 11;
    pub const LSEEK: usize = 19;
    pub const GETPID: usize = 20;
    pub const ALARM: usize = 27;
    pub const PAUSE: usize = 29;
    pub const ACCESS: usize = 33;
    pub const KILL: usize = 37;
    pub const DUP: usize = 41;
    pub const PIPE: usize = 42;
    pub const BRK: usize = 45;
    pub const SETPGID: usize = 57;
    pub const DUP2: usize = 63;
    pub const GETPPID: usize = 64;
    pub const SETSID: usize = 66;
    pub const MUNMAP: usize = 91;
    pub const SETITIMER: usize = 104;
    pub const WAIT4: usize = 114;
    pub const SIGRETURN: usize = 119;
    pub const UNAME: usize = 122;
    pub const MPROTECT: usize = 125;
    pub const SELECT: usize = 142;
    pub const SCHED_YIELD: usize = 158;
    pub const NANOSLEEP: usize = 162;
    pub const POLL: usize = 168;
    pub const RT_SIGRETURN: usize = 173;
    pub const RT_SIGACTION: usize = 174;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const RT_SIGPENDING: usize = 176;
    pub const RT_SIGSUSPEND: usize = 179;
    pub const PREAD64: usize = 180;
    pub const GETCWD: usize = 183;
    pub const SIGALTSTACK: usize = 186;
    pub const MMAP2: usize = 192;
    pub const STAT64: usize = 195;
    pub const FSTAT64: usize = 197;
    pub const GETDENTS64: usize = 220;
    pub const EXIT_GROUP: usize = 252;
    pub const CLOCK_GETTIME: usize = 265;
}

/// A Linux error number (positive).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    #![allow(missing_docs)] // Linux's names, `include/uapi/asm-generic/errno-base.h`.
    pub const EPERM: Self = Self(1);
    pub const ENOENT: Self = Self(2);
    pub const ESRCH: Self = Self(3);
    pub const EINTR: Self = Self(4);
    pub const ENOEXEC: Self = Self(8);
    pub const EBADF: Self = Self(9);
    pub const ECHILD: Self = Self(10);
    pub const EAGAIN: Self = Self(11);
    pub const ENOMEM: Self = Self(12);
    pub const EACCES: Self = Self(13);
    pub const EFAULT: Self = Self(14);
    pub const ENOTDIR: Self = Self(20);
    pub const EISDIR: Self = Self(21);
    pub const EINVAL: Self = Self(22);
    pub const EMFILE: Self = Self(24);
    pub const ESPIPE: Self = Self(29);
    pub const EROFS: Self = Self(30);
    pub const EPIPE: Self = Self(32);
    pub const ERANGE: Self = Self(34);
    pub const ENAMETOOLONG: Self = Self(36);
    pub const ENOSYS: Self = Self(38);
}

/// What a system call gives.
pub type Result<T = usize> = core::result::Result<T, Errno>;

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .type system_call, @function
    /* u32 system_call(nr, const u32 (*arguments)[6]): cdecl. */
system_call:
    pushl %ebp
    pushl %edi
    pushl %esi
    pushl %ebx
    movl 20(%esp), %eax
    movl 24(%esp), %ebp
    movl (%ebp), %ebx
    movl 4(%ebp), %ecx
    movl 8(%ebp), %edx
    movl 12(%ebp), %esi
    movl 16(%ebp), %edi
    movl 20(%ebp), %ebp
    int $0x80
    popl %ebx
    popl %esi
    popl %edi
    popl %ebp
    ret
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn system_call(nr: usize, arguments: *const [usize; 6]) -> usize;
}

/// Makes a system call with these arguments, the missing ones 0.
///
/// # Safety
/// The call changes no memory that Rust relies on, beyond what the caller lent it.
pub unsafe fn call(nr: usize, arguments: &[usize]) -> Result {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(arguments) {
        *to = *from;
    }
    // SAFETY: 1. `system_call` follows cdecl. 2. The caller's promise.
    let result = unsafe { system_call(nr, &raw const all) };
    // Linux returns -4095 to -1 for an error.
    match result.wrapping_neg() {
        number @ 1..=4095 => Err(Errno(number as i32)),
        _ => Ok(result),
    }
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: 1. It changes no memory.
        let _ = unsafe { call(nr::EXIT, &[status.into()]) };
    }
}

/// Makes a copy of the process: 0 in the copy, the copy's number in the original.
pub fn fork() -> Result {
    // SAFETY: 1. It changes no memory; the copy has a memory of its own.
    unsafe { call(nr::FORK, &[]) }
}

/// Reads from a file; 0 at its end.
pub fn read(fd: usize, buffer: &mut [u8]) -> Result {
    let address = buffer.as_mut_ptr().expose_provenance();
    // SAFETY: 1. It writes to `buffer` alone.
    unsafe { call(nr::READ, &[fd, address, buffer.len()]) }
}

/// Writes to a file.
pub fn write(fd: usize, bytes: &[u8]) -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::WRITE, &[fd, bytes.as_ptr().expose_provenance(), bytes.len()]) }
}

/// Opens a file for reading.
pub fn open(path: &core::ffi::CStr) -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::OPEN, &[path.as_ptr().expose_provenance(), 0, 0]) }
}

/// Closes a file.
pub fn close(fd: usize) -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::CLOSE, &[fd]) }
}

/// Makes a pipe: the end to read, the end to write.
pub fn pipe() -> Result<(usize, usize)> {
    let mut ends = [0u32; 2];
    // SAFETY: 1. It writes to `ends` alone.
    unsafe { call(nr::PIPE, &[(&raw mut ends).expose_provenance()]) }?;
    Ok((ends[0] as usize, ends[1] as usize))
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It called `exit` with this.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
}

/// Waits for the child `pid`.
pub fn wait(pid: usize) -> Result<Ended> {
    let mut status = 0u32;
    let address = (&raw mut status).expose_provenance();
    // SAFETY: 1. It writes to `status` alone.
    unsafe { call(nr::WAITPID, &[pid, address, 0]) }?;
    let signal = (status & 0x7f) as u8;
    Ok(if signal == 0 { Ended::Exited((status >> 8) as u8) } else { Ended::Killed(signal) })
}

/// Replaces the program. `arguments` and `environment` are lists of pointers to C strings, each
/// ended by a null pointer. Returns only when that failed.
pub fn execve(
    path: &core::ffi::CStr,
    arguments: &[*const core::ffi::c_char],
    environment: &[*const core::ffi::c_char],
) -> Errno {
    for list in [arguments, environment] {
        assert!(list.last().is_some_and(|pointer| pointer.is_null()), "the list has no end");
    }
    let lists = [
        path.as_ptr().expose_provenance(),
        arguments.as_ptr().expose_provenance(),
        environment.as_ptr().expose_provenance(),
    ];
    // SAFETY: 1. It changes no memory, or all of it for another program.
    match unsafe { call(nr::EXECVE, &lists) } {
        Err(errno) => errno,
        Ok(_) => unreachable!("execve returned"),
    }
}

/// The process's number.
pub fn getpid() -> usize {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::GETPID, &[]) }.unwrap_or(0)
}

/// The parent's number: the least that a system call can be, made as a C library makes it.
#[inline]
pub fn getppid() -> usize {
    let pid;
    // SAFETY: 1. It changes no memory, and no register but eax.
    unsafe {
        core::arch::asm!("int 0x80", inlateout("eax") nr::GETPPID => pid, options(nostack, nomem));
    }
    pid
}

/// Sends a signal.
pub fn kill(pid: usize, signal: u8) -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::KILL, &[pid, signal.into()]) }
}

/// Lets others run.
pub fn sched_yield() -> Result {
    // SAFETY: 1. It changes no memory.
    unsafe { call(nr::SCHED_YIELD, &[]) }
}

/// Sleeps for this many milliseconds.
pub fn sleep_ms(milliseconds: u32) -> Result {
    let time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
    // SAFETY: 1. It changes no memory: no remaining time is asked for.
    unsafe { call(nr::NANOSLEEP, &[(&raw const time).expose_provenance(), 0]) }
}

/// Milliseconds of the clock that only goes forward (`CLOCK_MONOTONIC`).
pub fn now_ms() -> u64 {
    let mut time = [0u32; 2];
    let address = (&raw mut time).expose_provenance();
    // SAFETY: 1. It writes to `time` alone.
    if unsafe { call(nr::CLOCK_GETTIME, &[1, address]) }.is_err() {
        return 0;
    }
    u64::from(time[0]) * 1000 + u64::from(time[1]) / 1_000_000
}
