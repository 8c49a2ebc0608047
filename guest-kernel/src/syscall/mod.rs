//! System calls: Linux's for i386.
//!
//! `int 0x80` with the number in eax and up to six arguments in ebx, ecx, edx, esi, edi, ebp; the
//! result, or a negated errno, in eax; every other register is kept. One table below says which
//! numbers exist; the rest return `ENOSYS`. User memory is reached through
//! [`uaccess`](crate::arch::uaccess) alone, which fails with `EFAULT` and nothing else.

mod directory;
mod file;
mod memory;
mod mounts;
mod names;
mod path;
mod process;
mod socket;
mod status;
mod time;

pub use crate::errno;

use crate::arch::trap::TrapFrame;
use crate::arch::uaccess::{BadAddress, copy_from_user};
use crate::fs::file::Open;
use crate::shell::kernel::Errno;
use crate::task::process::Process;
use crate::task::scheduler;
use alloc::sync::Arc;
use alloc::vec::Vec;
use errno::{EFAULT, EINVAL, ENOSYS};

/// What a system call returns in eax, or the error.
pub type Result<T = u32> = core::result::Result<T, Errno>;

impl From<BadAddress> for Errno {
    fn from(_: BadAddress) -> Self {
        EFAULT
    }
}

/// A system call's arguments, and the process that makes it.
struct Call<'a> {
    frame: &'a mut TrapFrame,
    process: &'static Process,
}

impl Call<'_> {
    fn a(&self) -> u32 {
        self.frame.ebx
    }

    fn b(&self) -> u32 {
        self.frame.ecx
    }

    fn c(&self) -> u32 {
        self.frame.edx
    }

    fn d(&self) -> u32 {
        self.frame.esi
    }

    fn e(&self) -> u32 {
        self.frame.edi
    }

    fn f(&self) -> u32 {
        self.frame.ebp
    }

    fn open_file(&self, number: u32) -> Result<Arc<Open>> {
        self.process.files.borrow().get(number)
    }
}

/// The table: number, Linux's name (for readers), function.
macro_rules! table {
    ($($number:literal $name:ident => $function:path,)*) => {
        /// The function of a system call.
        fn function(number: u32) -> Option<fn(&mut Call<'_>) -> Result> {
            match number {
                $($number => Some($function),)*
                _ => None,
            }
        }

        /// Numbers and names of the system calls that there are.
        pub const NAMES: &[(u32, &str)] = &[$(($number, stringify!($name)),)*];
    };
}

table! {
    1 exit => process::exit,
    2 fork => process::fork,
    3 read => file::read,
    4 write => file::write,
    5 open => file::open,
    6 close => file::close,
    7 waitpid => process::waitpid,
    8 creat => file::creat,
    9 link => names::link,
    10 unlink => names::unlink,
    11 execve => process::execve,
    12 chdir => directory::chdir,
    13 time => time::time,
    14 mknod => names::mknod,
    15 chmod => status::chmod,
    19 lseek => file::lseek,
    20 getpid => process::getpid,
    21 mount => mounts::mount,
    29 pause => time::pause,
    30 utime => status::utime,
    33 access => status::access,
    36 sync => mounts::sync,
    37 kill => process::kill,
    38 rename => names::rename,
    39 mkdir => names::mkdir,
    40 rmdir => names::rmdir,
    41 dup => file::dup,
    42 pipe => file::pipe,
    45 brk => memory::brk,
    52 umount2 => mounts::umount,
    54 ioctl => status::ioctl,
    60 umask => directory::umask,
    63 dup2 => file::dup2,
    64 getppid => process::getppid,
    74 sethostname => process::sethostname,
    78 gettimeofday => time::gettimeofday,
    83 symlink => names::symlink,
    85 readlink => names::readlink,
    91 munmap => memory::munmap,
    92 truncate => file::truncate,
    93 ftruncate => file::ftruncate,
    94 fchmod => status::fchmod,
    99 statfs => mounts::statfs,
    100 fstatfs => mounts::fstatfs,
    102 socketcall => socket::socketcall,
    114 wait4 => process::wait4,
    118 fsync => file::fsync,
    120 clone => process::clone,
    122 uname => process::uname,
    125 mprotect => memory::mprotect,
    133 fchdir => directory::fchdir,
    140 _llseek => file::llseek,
    145 readv => file::readv,
    146 writev => file::writev,
    148 fdatasync => file::fsync,
    158 sched_yield => process::sched_yield,
    162 nanosleep => time::nanosleep,
    175 rt_sigprocmask => process::rt_sigprocmask,
    180 pread64 => file::pread64,
    181 pwrite64 => file::pwrite64,
    183 getcwd => directory::getcwd,
    190 vfork => process::fork,
    192 mmap2 => memory::mmap2,
    193 truncate64 => file::truncate64,
    194 ftruncate64 => file::ftruncate64,
    195 stat64 => status::stat64,
    196 lstat64 => status::lstat64,
    197 fstat64 => status::fstat64,
    198 lchown32 => status::lchown32,
    199 getuid32 => process::root_id,
    200 getgid32 => process::root_id,
    201 geteuid32 => process::root_id,
    202 getegid32 => process::root_id,
    207 fchown32 => status::fchown32,
    212 chown32 => status::chown32,
    220 getdents64 => directory::getdents64,
    221 fcntl64 => file::fcntl64,
    224 gettid => process::getpid,
    243 set_thread_area => process::set_thread_area,
    252 exit_group => process::exit,
    258 set_tid_address => process::getpid,
    265 clock_gettime => time::clock_gettime,
    267 clock_nanosleep => time::clock_nanosleep,
    268 statfs64 => mounts::statfs64,
    269 fstatfs64 => mounts::fstatfs64,
    271 utimes => status::utimes,
    295 openat => file::openat,
    296 mkdirat => names::mkdirat,
    297 mknodat => names::mknodat,
    298 fchownat => status::fchownat,
    300 fstatat64 => status::fstatat64,
    301 unlinkat => names::unlinkat,
    302 renameat => names::renameat,
    303 linkat => names::linkat,
    304 symlinkat => names::symlinkat,
    305 readlinkat => names::readlinkat,
    306 fchmodat => status::fchmodat,
    307 faccessat => status::faccessat,
    320 utimensat => status::utimensat,
    330 dup3 => file::dup3,
    331 pipe2 => file::pipe2,
    344 syncfs => mounts::syncfs,
    353 renameat2 => names::renameat2,
    355 getrandom => process::getrandom,
    359 socket => socket::socket,
    361 bind => socket::bind,
    362 connect => socket::connect,
    363 listen => socket::listen,
    364 accept4 => socket::accept4,
    365 getsockopt => socket::getsockopt,
    366 setsockopt => socket::setsockopt,
    367 getsockname => socket::getsockname,
    368 getpeername => socket::getpeername,
    369 sendto => socket::sendto,
    370 sendmsg => socket::sendmsg,
    371 recvfrom => socket::recvfrom,
    372 recvmsg => socket::recvmsg,
    373 shutdown => socket::shutdown,
    383 statx => status::statx,
    403 clock_gettime64 => time::clock_gettime64,
    407 clock_nanosleep_time64 => time::clock_nanosleep_time64,
    412 utimensat_time64 => status::utimensat_time64,
    439 faccessat2 => status::faccessat2,
}

/// Serves the system call that `frame` asks for.
pub fn dispatch(frame: &mut TrapFrame) {
    let Some(process) = &scheduler::current().process else { return };
    let result = match function(frame.eax) {
        Some(function) => {
            let mut call = Call { frame, process };
            function(&mut call)
        }
        None => Err(ENOSYS),
    };
    match result {
        // A program that begins has its own eax; `execve` returns it.
        Ok(value) => frame.eax = value,
        Err(errno) => frame.eax = errno.raw().wrapping_neg() as u32,
    }
}

/// `ENOMEM` when only the kernel's reserve is left. First thing in the calls that make the kernel keep
/// something on its heap: an allocation there that fails is the kernel's end.
fn enough_memory() -> Result<()> {
    if crate::mm::frames::is_short() { Err(errno::ENOMEM) } else { Ok(()) }
}

/// Reads a string that ends with NUL from a process: at most `limit` bytes with it.
fn read_string(address: u32, limit: usize, too_long: Errno) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = address;
    loop {
        // Up to the end of the page, so that a string before an unmapped page can be read.
        let room = (4096 - at % 4096) as usize;
        let mut chunk = [0u8; 64];
        let chunk = &mut chunk[..room.min(64)];
        copy_from_user(chunk, at)?;
        if let Some(end) = chunk.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&chunk[..end]);
            return if text.len() < limit { Ok(text) } else { Err(too_long) };
        }
        text.extend_from_slice(chunk);
        if text.len() >= limit {
            return Err(too_long);
        }
        at = at.checked_add(chunk.len() as u32).ok_or(EFAULT)?;
    }
}

/// A word of a process's memory as a signed number.
fn signed(value: u32) -> i32 {
    value.cast_signed()
}

/// Seconds and nanoseconds of a process as nanoseconds.
fn duration(seconds: u32, nanoseconds: u32) -> Result<u64> {
    if signed(seconds) < 0 || nanoseconds >= 1_000_000_000 {
        return Err(EINVAL);
    }
    Ok(u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds))
}
