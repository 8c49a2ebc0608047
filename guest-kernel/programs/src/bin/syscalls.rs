//! What each system call answers, wrong and hostile arguments included.
//!
//! Pointers into the kernel, to nothing, and areas that wrap round 4 GiB must give `EFAULT`, whatever
//! lies there. The same answers are Linux's. Expected: only `ok` lines; status 0.
//! (`mmap2`, `munmap`, `brk`: see `mmaptest`; `kill`: see `killtest`; `execve`: see `execer`.)
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls with wild arguments.

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::memory::{self, PAGE};
use guest_programs::sys::{self, Ended, Errno, Result, nr};

guest_programs::entry!(main);

const KERNEL: usize = 0x8010_0000;
const HYPERVISOR: usize = 0xf580_0000;
const NOWHERE: usize = 0x3000_0000;
const LAST: usize = 0xffff_f000;
/// Areas (address, length) of which no byte is the program's.
const HOSTILE: [(usize, usize); 7] = [
    (0, 16),
    (NOWHERE, 16),
    (KERNEL, 16),
    (HYPERVISOR, 16),
    (LAST, 0x2000),
    (0xffff_ffff, 2),
    (KERNEL, 0x7fff_f000),
];

fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. Where a call here may write is either a buffer that the caller lends, or must be
    // refused by the kernel.
    unsafe { sys::call(nr, arguments) }
}

fn place<T: ?Sized>(value: &T) -> usize {
    core::ptr::from_ref(value).expose_provenance()
}

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    unknown(&mut checks);
    files(&mut checks);
    paths(&mut checks);
    processes(&mut checks);
    times_and_names(&mut checks);
    checks.same(changed_registers(), 0, "a call changes no register but eax");
    checks.status()
}

fn unknown(checks: &mut Checks) {
    for nr in [17, 9999, 0x8000_0000, 0xffff_ffff] {
        checks.same(call(nr, &[]), Err(Errno::ENOSYS), "an unknown number");
    }
}

fn files(checks: &mut Checks) {
    for (address, length) in HOSTILE {
        checks.same(call(nr::WRITE, &[1, address, length]), Err(Errno::EFAULT), "write from there");
        let Ok(fd) = sys::open(c"/etc/motd") else { continue };
        checks.same(call(nr::READ, &[fd, address, length]), Err(Errno::EFAULT), "read to there");
        let _ = sys::close(fd);
    }
    for fd in [77, 4096, 0xffff_ffff] {
        checks.same(call(nr::WRITE, &[fd, 0, 0]), Err(Errno::EBADF), "write to no file");
        checks.same(call(nr::READ, &[fd, 0, 0]), Err(Errno::EBADF), "read from no file");
        checks.same(call(nr::CLOSE, &[fd]), Err(Errno::EBADF), "close of no file");
    }
    checks.same(sys::write(1, b""), Ok(0), "write of nothing");

    let mut buffer = [0; 600];
    let fd = sys::open(c"/etc/motd").unwrap_or(99);
    checks.same(
        call(nr::READ, &[fd, main as *const () as usize, 16]),
        Err(Errno::EFAULT),
        "read onto code",
    );
    checks.same(sys::read(fd, &mut []), Ok(0), "read of nothing");
    let first = sys::read(fd, &mut buffer[..4]);
    checks.same(first, Ok(4), "read of four bytes");
    let rest = sys::read(fd, &mut buffer[4..]);
    checks.that(matches!(rest, Ok(1..)), format_args!("read goes on where it stopped"));
    while let Ok(1..) = sys::read(fd, &mut buffer) {}
    checks.same(sys::read(fd, &mut buffer), Ok(0), "read at the end");
    let second = sys::open(c"/etc/motd").unwrap_or(99);
    checks.that(second == fd + 1, format_args!("open gives the next number"));
    checks.same(sys::close(fd), Ok(0), "close");
    checks.same(sys::read(fd, &mut buffer), Err(Errno::EBADF), "read after close");
    checks.same(sys::open(c"/etc/motd"), Ok(fd), "open gives the lowest free number");
    let mut opened = 0;
    let error = loop {
        match sys::open(c"/etc/motd") {
            Ok(_) => opened += 1,
            Err(errno) => break errno,
        }
    };
    checks.same(error, Errno::EMFILE, "open until there are too many");
    let _ = sys::close(second);
    checks.same(sys::pipe(), Err(Errno::EMFILE), "a pipe where one number is free");
    checks.same(sys::open(c"/etc/motd"), Ok(second), "which it has not taken");
    for fd in fd..=second + opened {
        let _ = sys::close(fd);
    }
    checks.same(sys::close(second), Err(Errno::EBADF), "all are closed again");
}

fn paths(checks: &mut Checks) {
    for (address, _) in HOSTILE {
        checks.same(call(nr::OPEN, &[address, 0, 0]), Err(Errno::EFAULT), "open of a path there");
        let exec = call(nr::EXECVE, &[address, 0, 0]);
        checks.same(exec, Err(Errno::EFAULT), "execve of a path there");
        if address != 0 {
            let exec = call(nr::EXECVE, &[place(c"/bin/hello"), address, 0]);
            checks.same(exec, Err(Errno::EFAULT), "execve with arguments there");
            let list = [address, 0];
            let exec = call(nr::EXECVE, &[place(c"/bin/hello"), place(&list), 0]);
            checks.same(exec, Err(Errno::EFAULT), "execve with one argument there");
        }
    }
    checks.same(sys::open(c""), Err(Errno::ENOENT), "open of an empty path");
    checks.same(sys::open(c"/etc/nothing"), Err(Errno::ENOENT), "open of nothing");
    checks.same(sys::open(c"/etc/motd/more"), Err(Errno::ENOTDIR), "open below a file");
    let writable = call(nr::OPEN, &[place(c"/etc"), 1, 0]);
    checks.same(writable, Err(Errno::EISDIR), "open of a directory for writing");

    // A path that is too long, and one that runs into an unmapped page.
    let Ok(area) = memory::map(3) else { return };
    area.fill(b'/');
    let start = area.as_ptr().expose_provenance();
    let long = call(nr::OPEN, &[start, 0, 0]);
    checks.same(long, Err(Errno::ENAMETOOLONG), "open of an endless path");
    // SAFETY: 1. The third page of `area` is not used any more.
    let _ = unsafe { memory::unmap(start + 2 * PAGE, PAGE) };
    let cut = call(nr::OPEN, &[start + 2 * PAGE - 10, 0, 0]);
    checks.same(cut, Err(Errno::EFAULT), "open of a path that runs into nothing");
    let beyond = call(nr::WRITE, &[1, start + 2 * PAGE, 1]);
    checks.same(beyond, Err(Errno::EFAULT), "write from behind the last page");
}

fn processes(checks: &mut Checks) {
    let wait = |pid: usize, options: usize| call(nr::WAITPID, &[pid, 0, options]);
    const ANY: usize = usize::MAX;
    checks.same(wait(ANY, 0), Err(Errno::ECHILD), "waitpid without children");
    checks.same(wait(ANY, 0x1000), Err(Errno::EINVAL), "waitpid with odd options");
    let child = match sys::fork() {
        Ok(0) => {
            let _ = sys::sleep_ms(50);
            sys::exit(0)
        }
        other => other.unwrap_or(0),
    };
    checks.same(wait(ANY, 1), Ok(0), "waitpid WNOHANG while the child runs");
    checks.same(wait(ANY, 0), Ok(child), "waitpid of any child");
    let child = match sys::fork() {
        Ok(0) => sys::exit(0),
        other => other.unwrap_or(0),
    };
    let bad = call(nr::WAITPID, &[child, KERNEL, 0]);
    checks.same(bad, Err(Errno::EFAULT), "waitpid with the status in the kernel");
    let parent = sys::getpid();
    let is_child = || u8::from(call(nr::GETPPID, &[]) != Ok(parent));
    checks.child(is_child, Ended::Exited(0), "getppid");
    let group = || {
        let _ = call(nr::EXIT_GROUP, &[0x107]);
        1
    };
    checks.child(group, Ended::Exited(7), "exit_group, the low byte of the status");
    checks.same(sys::sched_yield(), Ok(0), "sched_yield");
}

fn times_and_names(checks: &mut Checks) {
    let sleep = |seconds: usize, ns: usize| call(nr::NANOSLEEP, &[place(&[seconds, ns]), 0]);
    checks.same(sleep(0, 0), Ok(0), "nanosleep of nothing");
    checks.same(sleep(0, 1_000_000_000), Err(Errno::EINVAL), "nanosleep of too many ns");
    checks.same(sleep(usize::MAX, 0), Err(Errno::EINVAL), "nanosleep of negative time");
    for (address, _) in HOSTILE {
        checks.same(call(nr::NANOSLEEP, &[address, 0]), Err(Errno::EFAULT), "nanosleep from there");
        checks.same(call(nr::UNAME, &[address]), Err(Errno::EFAULT), "uname to there");
        let clock = call(nr::CLOCK_GETTIME, &[1, address]);
        checks.same(clock, Err(Errno::EFAULT), "clock_gettime to there");
    }
    let clock = call(nr::CLOCK_GETTIME, &[99, place(&[0, 0])]);
    checks.same(clock, Err(Errno::EINVAL), "clock_gettime of no clock");
    // Six names of 65 bytes each.
    let mut names = [0xffu8; 6 * 65];
    let uname = call(nr::UNAME, &[(&raw mut names).expose_provenance()]);
    checks.same(uname, Ok(0), "uname");
    let ended = names.chunks(65).all(|name| name.contains(&0));
    checks.that(ended && names[0] != 0, format_args!("it gives six names"));
}

/// Makes a system call with known values in all registers; how many of them it changed.
fn changed_registers() -> u32 {
    let changed: u32;
    // SAFETY: 1. getpid writes nothing. 2. The registers are put back.
    unsafe {
        core::arch::asm!(
            "push ebx", "push esi", "push edi", "push ebp",
            "mov eax, 20", "mov ebx, 0x11111111", "mov ecx, 0x22222222", "mov edx, 0x33333333",
            "mov esi, 0x44444444", "mov edi, 0x55555555", "mov ebp, 0x66666666",
            "int 0x80",
            "xor eax, eax",
            "cmp ebx, 0x11111111", "setne al", "mov ah, al",
            "cmp ecx, 0x22222222", "setne al", "add ah, al",
            "cmp edx, 0x33333333", "setne al", "add ah, al",
            "cmp esi, 0x44444444", "setne al", "add ah, al",
            "cmp edi, 0x55555555", "setne al", "add ah, al",
            "cmp ebp, 0x66666666", "setne al", "add ah, al",
            "movzx eax, ah",
            "pop ebp", "pop edi", "pop esi", "pop ebx",
            out("eax") changed, out("ecx") _, out("edx") _,
        );
    }
    changed
}
