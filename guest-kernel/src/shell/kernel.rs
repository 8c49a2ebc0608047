//! What the shell needs of the kernel and of the terminal, as two traits.
//!
//! The shell is plain logic: it never touches a page table, a process or a hypercall itself. The
//! kernel implements [`Kernel`] and [`Terminal`] over the real thing; the host tests implement them
//! over a few vectors and strings. Lists come through callbacks instead of returned collections, so
//! neither side needs a heap, and the kernel may hold a lock while it lists (a callback only
//! formats into the terminal or compares names: it never calls back into the kernel).

use crate::block::registry::Shared;
use crate::net::traffic::Order;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

/// A Linux error number (positive: 2 is `ENOENT`), as the system calls return it, with a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(i32);

impl Errno {
    /// No such file or directory.
    pub const ENOENT: Self = Self(2);
    /// No such process.
    pub const ESRCH: Self = Self(3);
    /// Not a program that this kernel can run.
    pub const ENOEXEC: Self = Self(8);
    /// No child process to wait for.
    pub const ECHILD: Self = Self(10);
    /// Out of memory, or out of process slots.
    pub const ENOMEM: Self = Self(12);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Not a directory.
    pub const ENOTDIR: Self = Self(20);
    /// Is a directory.
    pub const EISDIR: Self = Self(21);
    /// No such device.
    pub const ENODEV: Self = Self(19);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);

    /// The error with this (positive) Linux number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The positive Linux number.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1 => "operation not permitted",
            2 => "no such file or directory",
            3 => "no such process",
            4 => "interrupted",
            5 => "input/output error",
            7 => "argument list too long",
            8 => "not a program that this kernel can run",
            9 => "bad file descriptor",
            10 => "no such child",
            11 => "try again",
            12 => "out of memory",
            13 => "permission denied",
            14 => "bad address",
            16 => "busy",
            17 => "file exists",
            20 => "not a directory",
            21 => "is a directory",
            22 => "invalid argument",
            18 => "on another file system",
            19 => "no such device",
            24 => "too many open files",
            28 => "no space left",
            30 => "read-only file system",
            36 => "file name too long",
            38 => "function not implemented",
            39 => "directory not empty",
            40 => "too many symbolic links",
            117 => "the file system is damaged",
            number => return write!(f, "error {number}"),
        };
        f.write_str(text)
    }
}

/// A process number, as `getpid` returns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose the terminal is when a process starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ground {
    /// The process's.
    Fore,
    /// The shell's.
    Back,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// It called `exit` with this status (0 to 255).
    Exited(u8),
    /// It was killed by this Linux signal number (9 `SIGKILL`, 11 `SIGSEGV`, 4 `SIGILL`, …).
    Killed(u8),
    /// It has not ended: this signal stopped it.
    Stopped(u8),
}

impl ExitStatus {
    /// The status as shells count it: the exit status, or 128 + the signal.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) | Self::Stopped(signal) => signal.saturating_add(128),
        }
    }
}

/// What a directory entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, …: the letter that `ls -l` has for it.
    Other(char),
}

/// One entry of a directory, or what a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileInfo<'a> {
    /// The last component of the path.
    pub name: &'a str,
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// The Unix permission bits (0o755).
    pub mode: u32,
}

/// What a process does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessState {
    /// On the CPU.
    Running,
    /// Could run.
    Ready,
    /// Waits for time, a child or input.
    Sleeping,
    /// Stopped by a signal.
    Stopped,
    /// Ended; its parent has not asked for its status yet.
    Zombie,
}

/// One line of `ps`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessInfo<'a> {
    /// Its number.
    pub pid: Pid,
    /// Its parent's number (0: the kernel started it).
    pub parent: Pid,
    /// The ring its own code runs in: 1 for a kernel task, 3 for a process.
    pub ring: u8,
    /// What it does.
    pub state: ProcessState,
    /// CPU time so far, nanoseconds.
    pub cpu_ns: u64,
    /// Frames that its address space maps, shared ones included.
    pub frames: u32,
    /// Its name: the file's name and the arguments as far as the kernel keeps them.
    pub name: &'a str,
}

/// The domain's memory, counted in frames of 4 KiB; the parts add up to `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryInfo {
    /// Frames that the domain has (`start_info.nr_pages`, less what was given back).
    pub total: u32,
    /// Not in use.
    pub free: u32,
    /// The kernel's code, data and stacks.
    pub kernel: u32,
    /// What the domain builder laid out and the kernel keeps: p2m list, start info, initrd.
    pub boot: u32,
    /// The kernel's heap.
    pub heap: u32,
    /// Pages of processes.
    pub user: u32,
    /// Page tables: L1, L2, L3. Read-only for the kernel itself: each change is a hypercall.
    pub page_tables: [u32; 3],
    /// Among `user`: frames shared by several address spaces until one of them writes.
    pub copy_on_write: u32,
    /// Address spaces (pinned L3 tables), the kernel's included.
    pub address_spaces: u32,
    /// Page faults resolved with a zeroed frame since boot.
    pub demand_zero_faults: u64,
    /// Page faults resolved with a copy since boot.
    pub copy_faults: u64,
}

/// Clocks and counters since boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uptime {
    /// Time since the kernel started, nanoseconds.
    pub up_ns: u64,
    /// The part of it in which the vCPU was blocked, nanoseconds.
    pub idle_ns: u64,
    /// Timer upcalls.
    pub timer_events: u64,
    /// Switches from one task to another.
    pub context_switches: u64,
}

/// What one hypercall has cost so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HypercallStat<'a> {
    /// Its number (`__HYPERVISOR_*`).
    pub number: u32,
    /// Its name, as the hypervisor's table spells it (`mmu_update`).
    pub name: &'a str,
    /// How often it was called.
    pub calls: u64,
    /// Time between call and return, in total, nanoseconds.
    pub total_ns: u64,
}

/// How the machine is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// `SHUTDOWN_poweroff`.
    Poweroff,
    /// `SHUTDOWN_reboot`.
    Reboot,
    /// The kernel panics on purpose, which ends in `SHUTDOWN_crash`.
    Panic,
    /// The kernel reads an unmapped address on purpose; its fault handler panics.
    Fault,
    /// The kernel loads an unmapped stack pointer and faults: no trap can be delivered, so the
    /// hypervisor crashes the domain.
    LoseStack,
}

/// The kernel as the shell sees it.
pub trait Kernel {
    /// Calls `entry` for each entry of the directory `path`, in any order, without `.` and `..`.
    fn list(&mut self, path: &str, entry: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno>;

    /// Calls `found` once with what `path` leads to.
    fn stat(&mut self, path: &str, found: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno>;

    /// Reads from byte `offset` of the file `path` into `buffer`; 0 at its end.
    fn read(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Starts the program in the file `path` as a new process; `args[0]` is its name. In the foreground
    /// the terminal is its, until [`Kernel::wait`] returns.
    fn spawn(&mut self, path: &str, args: &[&str], ground: Ground) -> Result<Pid, Errno>;

    /// Waits until a process that [`Kernel::spawn`] made stops, or ends, and forgets it then. Meanwhile
    /// the terminal is its, and Ctrl-C and Ctrl-Z there are signals to it. If it was stopped, it
    /// continues.
    fn wait(&mut self, pid: Pid) -> Result<ExitStatus, Errno>;

    /// A process of [`Kernel::spawn`] that has ended, and is forgotten, or stopped, if there is one.
    fn reap(&mut self) -> Option<(Pid, ExitStatus)>;

    /// Sends a Linux signal to a process. `EINVAL` for a signal that the kernel does not have.
    fn kill(&mut self, pid: Pid, signal: u8) -> Result<(), Errno>;

    /// Calls `process` for each task and process, in order of their numbers.
    fn processes(&mut self, process: &mut dyn FnMut(&ProcessInfo<'_>));

    /// The memory counts of now.
    fn memory(&mut self) -> MemoryInfo;

    /// Calls `fact` with pairs such as `"vendor"`, `AuthenticAMD`: CPU, rings, hypervisor version
    /// and capabilities, vCPUs, TSC rate.
    fn cpu(&mut self, fact: &mut dyn FnMut(&str, fmt::Arguments<'_>));

    /// Clocks and counters of now.
    fn uptime(&mut self) -> Uptime;

    /// Calls `stat` for each hypercall that was made at least once, in order of numbers.
    fn hypercalls(&mut self, stat: &mut dyn FnMut(&HypercallStat<'_>));

    /// Runs the sensitive instructions in Ring 1 and prints the table (`ring1::sensitive`).
    /// False when a row differs from what is expected.
    fn sensitive(&mut self, out: &mut dyn fmt::Write) -> bool;

    /// Carries out what was typed behind `xl`; its exit status.
    fn xl(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8;

    /// The disks that there are, with their names.
    fn disks(&mut self) -> Vec<(String, Shared)>;

    /// Carries out what was typed behind `xenstore`; its exit status.
    fn xenstore(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8;

    /// Calls `device` with the directory of each half of a device that has a task here.
    fn devices(&mut self, device: &mut dyn FnMut(&str));

    /// Ends the task of such a half as if its driver had crashed, and starts another; `ENOENT`: it
    /// has none.
    fn restart_device(&mut self, path: &str) -> Result<(), Errno>;

    /// Shows the host's network, or (`words`) gets it an address in another way; the exit status.
    fn ifconfig(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8;

    /// Sends frames from an interface; how many found no room on a bridge of this domain's. `ENODEV`:
    /// there is no such interface; `EINVAL`: no such frames.
    fn send_frames(&mut self, interface: &str, order: &Order) -> Result<u64, Errno>;

    /// Sends `count` echo requests to a host, and tells of the replies; the exit status.
    fn ping(&mut self, to: Ipv4Addr, count: u16, terminal: &mut dyn Terminal) -> u8;

    /// Calls `mounted` with the source, the path and the kind of each mounted file system, and whether it
    /// is read-only.
    fn mounts(&mut self, mounted: &mut dyn FnMut(&str, &str, &str, bool));

    /// Mounts the file system of a kind (`auto`: whichever it is) that is on a source.
    fn mount(&mut self, source: &str, path: &str, kind: &str, read_only: bool)
    -> Result<(), Errno>;

    /// Unmounts what is mounted on a path, or from a source.
    fn unmount(&mut self, what: &str) -> Result<(), Errno>;

    /// Makes changes of all files last.
    fn sync(&mut self) -> Result<(), Errno>;

    /// Makes and ends `rounds` domains beside `alive` others, and tells what that costs; the status is
    /// 1 when anything is left of them.
    fn churn(&mut self, rounds: u32, alive: u32, terminal: &mut dyn Terminal) -> u8;

    /// Tells what this domain and the machine hold, keeps it, or compares it with what was kept; the
    /// status is 1 when it differs.
    fn account(&mut self, account: Account, terminal: &mut dyn Terminal) -> u8;

    /// Has the other domains shut down, where this is domain 0, and waits for them.
    fn halt_domains(&mut self, terminal: &mut dyn Terminal);

    /// Stops the machine. Returns only where there is no machine (in tests).
    fn shutdown(&mut self, how: Shutdown);
}

/// What to do with the counts of what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Account {
    /// Print them.
    Tell,
    /// Keep them for later.
    Keep,
    /// Print whether they are as they were kept.
    Compare,
}

/// The serial terminal.
///
/// Output is bytes, mostly text in which `\n` ends a line; the console makes `\r\n` of it. A bare
/// `\r` and VT100 sequences go through as they are.
pub trait Terminal: fmt::Write {
    /// Waits for the next byte of input; `None` when there will never be one.
    fn read_byte(&mut self) -> Option<u8>;

    /// Whether a byte of input waits already (what is redrawn meanwhile may be skipped).
    fn has_input(&mut self) -> bool {
        false
    }

    /// Writes bytes that need not be UTF-8 (file contents).
    fn write_bytes(&mut self, bytes: &[u8]);

    /// Whether the last byte written to the console, by anyone (processes write, too), ended a
    /// line: a prompt or a marker then needs no line break before it.
    fn at_line_start(&self) -> bool;
}
