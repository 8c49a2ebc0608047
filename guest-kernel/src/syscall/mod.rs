//! System calls: Linux's for i386.
//!
//! `int 0x80` with the number in eax and up to six arguments in ebx, ecx, edx, esi, edi, ebp; the
//! result, or a negated errno, in eax; every other register is kept. One table below says which
//! numbers exist; the rest return `ENOSYS`. User memory is reached through
//! [`uaccess`](ring1::uaccess) alone, which fails with `EFAULT` and nothing else.

mod directory;
mod file;
mod memory;
mod mounts;
mod names;
mod path;
mod poll;
mod process;
mod resource;
mod signal;
mod socket;
mod status;
mod time;

pub use crate::errno;

use crate::fs::file::Open;
use crate::shell::kernel::Errno;
use crate::sync::Guarded;
use crate::task::process::Process;
use crate::task::scheduler;
use alloc::sync::Arc;
use alloc::vec::Vec;
use errno::{EFAULT, EINTR, EINVAL, ENOSYS};
use ring1::println;
use ring1::trap::TrapFrame;
use ring1::uaccess::{BadAddress, copy_from_user};

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
    27 alarm => signal::alarm,
    29 pause => signal::pause,
    30 utime => status::utime,
    33 access => status::access,
    34 nice => resource::setpriority,
    36 sync => mounts::sync,
    37 kill => signal::kill,
    38 rename => names::rename,
    39 mkdir => names::mkdir,
    40 rmdir => names::rmdir,
    41 dup => file::dup,
    42 pipe => file::pipe,
    43 times => resource::times,
    45 brk => memory::brk,
    52 umount2 => mounts::umount,
    54 ioctl => status::ioctl,
    57 setpgid => process::setpgid,
    60 umask => directory::umask,
    63 dup2 => file::dup2,
    64 getppid => process::getppid,
    65 getpgrp => process::getpgrp,
    66 setsid => process::setsid,
    74 sethostname => process::sethostname,
    75 setrlimit => resource::setrlimit,
    77 getrusage => resource::getrusage,
    78 gettimeofday => time::gettimeofday,
    79 settimeofday => time::clock_settime,
    83 symlink => names::symlink,
    85 readlink => names::readlink,
    88 reboot => process::reboot,
    91 munmap => memory::munmap,
    92 truncate => file::truncate,
    93 ftruncate => file::ftruncate,
    94 fchmod => status::fchmod,
    96 getpriority => resource::getpriority,
    97 setpriority => resource::setpriority,
    99 statfs => mounts::statfs,
    100 fstatfs => mounts::fstatfs,
    102 socketcall => socket::socketcall,
    104 setitimer => signal::setitimer,
    105 getitimer => signal::getitimer,
    114 wait4 => process::wait4,
    116 sysinfo => resource::sysinfo,
    118 fsync => file::fsync,
    119 sigreturn => signal::sigreturn,
    120 clone => process::clone,
    122 uname => process::uname,
    125 mprotect => memory::mprotect,
    132 getpgid => process::getpgid,
    133 fchdir => directory::fchdir,
    136 personality => process::personality,
    140 _llseek => file::llseek,
    142 _newselect => poll::select,
    145 readv => file::readv,
    146 writev => file::writev,
    147 getsid => process::getsid,
    148 fdatasync => file::fsync,
    150 mlock => memory::mlock,
    151 munlock => memory::mlock,
    152 mlockall => memory::mlock,
    153 munlockall => memory::mlock,
    158 sched_yield => process::sched_yield,
    162 nanosleep => time::nanosleep,
    163 mremap => memory::mremap,
    168 poll => poll::poll,
    172 prctl => process::prctl,
    173 rt_sigreturn => signal::rt_sigreturn,
    174 rt_sigaction => signal::rt_sigaction,
    175 rt_sigprocmask => signal::rt_sigprocmask,
    176 rt_sigpending => signal::rt_sigpending,
    177 rt_sigtimedwait => signal::rt_sigtimedwait,
    179 rt_sigsuspend => signal::rt_sigsuspend,
    180 pread64 => file::pread64,
    181 pwrite64 => file::pwrite64,
    183 getcwd => directory::getcwd,
    186 sigaltstack => signal::sigaltstack,
    190 vfork => process::vfork,
    191 ugetrlimit => resource::ugetrlimit,
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
    203 setreuid32 => process::set_root_ids,
    204 setregid32 => process::set_root_ids,
    205 getgroups32 => process::getgroups32,
    206 setgroups32 => process::set_root_id,
    207 fchown32 => status::fchown32,
    208 setresuid32 => process::set_root_ids,
    210 setresgid32 => process::set_root_ids,
    212 chown32 => status::chown32,
    213 setuid32 => process::set_root_id,
    214 setgid32 => process::set_root_id,
    219 madvise => memory::madvise,
    220 getdents64 => directory::getdents64,
    221 fcntl64 => file::fcntl64,
    224 gettid => process::getpid,
    238 tkill => signal::tkill,
    240 futex => resource::futex,
    242 sched_getaffinity => resource::sched_getaffinity,
    243 set_thread_area => process::set_thread_area,
    252 exit_group => process::exit,
    258 set_tid_address => process::getpid,
    264 clock_settime => time::clock_settime,
    265 clock_gettime => time::clock_gettime,
    266 clock_getres => time::clock_getres,
    267 clock_nanosleep => time::clock_nanosleep,
    268 statfs64 => mounts::statfs64,
    269 fstatfs64 => mounts::fstatfs64,
    270 tgkill => signal::tgkill,
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
    308 pselect6 => poll::pselect6,
    309 ppoll => poll::ppoll,
    311 set_robust_list => process::set_robust_list,
    320 utimensat => status::utimensat,
    330 dup3 => file::dup3,
    331 pipe2 => file::pipe2,
    340 prlimit64 => resource::prlimit64,
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
    404 clock_settime64 => time::clock_settime,
    406 clock_getres_time64 => time::clock_getres_time64,
    407 clock_nanosleep_time64 => time::clock_nanosleep_time64,
    412 utimensat_time64 => status::utimensat_time64,
    413 pselect6_time64 => poll::pselect6_time64,
    414 ppoll_time64 => poll::ppoll_time64,
    421 rt_sigtimedwait_time64 => signal::rt_sigtimedwait_time64,
    439 faccessat2 => status::faccessat2,
}

/// The release of Linux that this is like, as `uname` tells it.
pub const RELEASE: &str = "4.19.0-ferrule";
/// Bytes of the instruction that makes a system call.
pub const INSTRUCTION_BYTES: u32 = 2;

/// What becomes of a system call that a signal interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// It begins again, unless a handler without `SA_RESTART` was called.
    Always,
    /// It begins again if no handler was called.
    WithoutHandler,
    /// It returns `EINTR`.
    Never,
}

/// What becomes of this one.
pub fn restart(number: u32) -> Restart {
    match number {
        // pause, select, nanosleep, poll, sigsuspend, futex and their variants.
        29 | 142 | 162 | 168 | 179 | 240 | 267 | 308 | 309 | 407 | 413 | 414 => {
            Restart::WithoutHandler
        }
        // sigtimedwait.
        177 | 421 => Restart::Never,
        _ => Restart::Always,
    }
}

/// `sendfile64` and `rseq`: C libraries and programs try them, and do well without.
const OPTIONAL: [u32; 2] = [239, 386];
/// Numbers that are told about.
const NUMBERS: u32 = 512;

/// Says once of each number that a program asked for a system call that is not there.
fn report_missing(number: u32) {
    static TOLD: Guarded<[u32; NUMBERS as usize / 32]> = Guarded::new([0; NUMBERS as usize / 32]);
    let is_new = TOLD.with(|told| {
        let word = told.get_mut(number as usize / 32)?;
        let before = *word;
        *word |= 1 << (number % 32);
        Some(before != *word)
    });
    if is_new == Some(true) && !OPTIONAL.contains(&number) {
        let task = scheduler::current();
        println!("{}[{}]: there is no system call {number}", task.name(), task.pid);
    }
}

/// Serves the system call that `frame` asks for.
pub fn dispatch(frame: &mut TrapFrame) {
    let Some(process) = &scheduler::current().process else { return };
    let number = frame.eax;
    let result = match function(number) {
        Some(function) => {
            let mut call = Call { frame, process };
            function(&mut call)
        }
        None => {
            report_missing(number);
            Err(ENOSYS)
        }
    };
    match result {
        // A program that begins, or goes on after a handler, has its own eax; the calls return it.
        Ok(value) => frame.eax = value,
        Err(errno) => {
            frame.eax = errno.raw().wrapping_neg() as u32;
            if errno == EINTR {
                process.interrupted.with(|interrupted| *interrupted = Some(number));
                crate::task::signal::look_again();
            }
        }
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

/// Nanoseconds as a `timeval`: seconds and microseconds.
fn microseconds(ns: u64) -> [u32; 2] {
    [(ns / 1_000_000_000) as u32, (ns % 1_000_000_000 / 1000) as u32]
}

/// Seconds and nanoseconds of a process as nanoseconds.
fn duration(seconds: u32, nanoseconds: u32) -> Result<u64> {
    if signed(seconds) < 0 || nanoseconds >= 1_000_000_000 {
        return Err(EINVAL);
    }
    Ok(u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds))
}
