//! System calls about processes.

use super::errno::{E2BIG, ECHILD, EFAULT, EINTR, EINVAL, ENOENT, ESRCH};
use super::{Call, Result, enough_memory, path, read_string, signed};
use crate::arch::events::Masked;
use crate::arch::trap::TrapFrame;
use crate::arch::uaccess::{copy_from_user, copy_to_user, read_user, write_user};
use crate::hostname;
use crate::program::STACK_MAX;
use crate::task::children::{self, Reaped};
use crate::task::context::{TLS_COUNT, TLS_FIRST};
use crate::task::scheduler::{self, CHILDREN};
use crate::task::{process, signal};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// `exit(status)`, `exit_group(status)`.
pub fn exit(call: &mut Call<'_>) -> Result {
    process::exit((call.a() & 0xff) << 8)
}

/// `fork()`, `vfork()`.
pub fn fork(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    process::fork(call.frame, 0)
}

const CLONE_VM: u32 = 0x100;
const CLONE_VFORK: u32 = 0x4000;
const CLONE_SETTLS: u32 = 0x8_0000;
const CLONE_PARENT_SETTID: u32 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u32 = 0x20_0000;
const CLONE_CHILD_SETTID: u32 = 0x100_0000;
const SIGCHLD: u32 = 17;

/// `clone(flags, stack, *parent tid, tls, *child tid)`, where it is a fork: no threads. A `vfork`
/// shares no memory here, which its child must not rely on.
pub fn clone(call: &mut Call<'_>) -> Result {
    const KNOWN: u32 = CLONE_VM
        | CLONE_VFORK
        | CLONE_PARENT_SETTID
        | CLONE_CHILD_CLEARTID
        | CLONE_CHILD_SETTID
        | SIGCHLD;
    let flags = call.a();
    let vfork = flags & (CLONE_VM | CLONE_VFORK);
    if flags & (!KNOWN | CLONE_SETTLS) != 0 || (vfork != 0 && vfork & CLONE_VFORK == 0) {
        return Err(EINVAL);
    }
    let esp = if call.b() != 0 { call.b() } else { call.frame.esp };
    let registers = TrapFrame { esp, ..*call.frame };
    let tid_at = if flags & CLONE_CHILD_SETTID != 0 { call.e() } else { 0 };
    enough_memory()?;
    let pid = process::fork(&registers, tid_at)?;
    if flags & CLONE_PARENT_SETTID != 0 {
        write_user(call.c(), &pid)?;
    }
    Ok(pid)
}

/// `getrandom(buffer, length, flags)`: enough to tell runs apart, no secret.
pub fn getrandom(call: &mut Call<'_>) -> Result {
    let length = call.b().min(256);
    for at in (0..length).step_by(16) {
        let bytes = process::random();
        let count = (length - at).min(16) as usize;
        copy_to_user(call.a().checked_add(at).ok_or(EFAULT)?, &bytes[..count])?;
    }
    Ok(length)
}

/// `getpid()`, `gettid()`, `set_tid_address(address)`: a process has one thread.
pub fn getpid(_: &mut Call<'_>) -> Result {
    Ok(scheduler::current().pid)
}

/// `getppid()`.
pub fn getppid(_: &mut Call<'_>) -> Result {
    Ok(scheduler::current().parent.load(Ordering::Relaxed))
}

/// `getuid32()` and its like: there is one user, root.
pub fn root_id(_: &mut Call<'_>) -> Result {
    Ok(0)
}

/// `sched_yield()`.
pub fn sched_yield(_: &mut Call<'_>) -> Result {
    scheduler::give_way();
    Ok(0)
}

/// `rt_sigprocmask(…)`: accepted; signals that end a process cannot be blocked here.
pub fn rt_sigprocmask(call: &mut Call<'_>) -> Result {
    if call.c() != 0 {
        write_user(call.c(), &[0u32; 2])?;
    }
    Ok(0)
}

/// `kill(pid, signal)`. Process groups do not exist: a pid of 0 or below names none.
pub fn kill(call: &mut Call<'_>) -> Result {
    if call.b() > 64 {
        return Err(EINVAL);
    }
    if signed(call.a()) <= 0 {
        return Err(ESRCH);
    }
    signal::send(call.a(), call.b())?;
    Ok(0)
}

const WNOHANG: u32 = 1;
const WUNTRACED: u32 = 2;
const WCONTINUED: u32 = 8;
/// `__WNOTHREAD`, `__WALL`, `__WCLONE`.
const W_THREADS: u32 = 0xe000_0000;

/// `waitpid(pid, *status, options)`.
pub fn waitpid(call: &mut Call<'_>) -> Result {
    wait(call.a(), call.b(), call.c())
}

/// `wait4(pid, *status, options, *rusage)`. The usage is zero.
pub fn wait4(call: &mut Call<'_>) -> Result {
    let pid = wait(call.a(), call.b(), call.c())?;
    if call.d() != 0 && pid != 0 {
        write_user(call.d(), &[0u32; 18])?;
    }
    Ok(pid)
}

fn wait(pid: u32, status_at: u32, options: u32) -> Result {
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | W_THREADS) != 0 {
        return Err(EINVAL);
    }
    // 0 and -1: any child, as all are of one group; other negative numbers: a group of none.
    let wanted = match signed(pid) {
        0 | -1 => None,
        1.. => Some(pid),
        _ => return Err(ECHILD),
    };
    let me = scheduler::current().pid;
    let ended = loop {
        let _masked = Masked::new();
        match children::reap(me, wanted) {
            Reaped::Ended(pid, status) => break Some((pid, status)),
            Reaped::NoChild => return Err(ECHILD),
            Reaped::Running if options & WNOHANG != 0 => break None,
            Reaped::Running if signal::is_pending() => return Err(EINTR),
            Reaped::Running => scheduler::sleep(CHILDREN + me, 0),
        }
    };
    let Some((pid, status)) = ended else { return Ok(0) };
    if status_at != 0 {
        write_user(status_at, &status)?;
    }
    Ok(pid)
}

/// What a string counts besides its bytes: its pointer, and the kernel's bookkeeping.
const STRING_COST: usize = 40;

/// Reads an array of pointers to strings that ends with a null pointer.
fn read_strings(address: u32, room: &mut usize) -> Result<Vec<Vec<u8>>> {
    let mut list = Vec::new();
    if address == 0 {
        return Ok(list);
    }
    for index in 0.. {
        let at = address.checked_add(index * 4).ok_or(EFAULT)?;
        let pointer: u32 = read_user(at)?;
        if pointer == 0 {
            break;
        }
        let text = read_string(pointer, *room, E2BIG)?;
        // Each string costs the kernel more than its bytes while it holds it.
        *room = room.checked_sub(text.len() + STRING_COST).ok_or(E2BIG)?;
        list.push(text);
    }
    Ok(list)
}

/// `execve(path, argv, envp)`.
pub fn execve(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    let path = String::from_utf8(path::read(call.a())?).map_err(|_| ENOENT)?;
    let mut room = STACK_MAX;
    let mut arguments = read_strings(call.b(), &mut room)?;
    let environment = read_strings(call.c(), &mut room)?;
    if arguments.is_empty() {
        // As Linux since 5.18: a program always has a name.
        arguments.push(Vec::new());
    }
    process::execute(call.frame, &path, &arguments, &environment)?;
    Ok(0)
}

/// `uname(*names)`: six fields of 65 bytes.
pub fn uname(call: &mut Call<'_>) -> Result {
    let host = hostname::get();
    let fields: [&[u8]; 6] = [
        b"Linux",
        host.as_bytes(),
        b"4.19.0-ferrule",
        concat!("Ferrule guest kernel ", env!("CARGO_PKG_VERSION")).as_bytes(),
        b"i686",
        b"(none)",
    ];
    let mut names = [[0u8; 65]; 6];
    for (name, field) in names.iter_mut().zip(fields) {
        name[..field.len()].copy_from_slice(field);
    }
    write_user(call.a(), &names)?;
    Ok(0)
}

/// `sethostname(*name, length)`.
pub fn sethostname(call: &mut Call<'_>) -> Result {
    let mut bytes = [0; hostname::LONGEST];
    let bytes = bytes.get_mut(..call.b() as usize).ok_or(EINVAL)?;
    copy_from_user(bytes, call.a())?;
    hostname::set(core::str::from_utf8(bytes).map_err(|_| EINVAL)?);
    Ok(0)
}

/// `set_thread_area(*user_desc)`: a segment for TLS, in GDT entry 6, 7 or 8.
///
/// `struct user_desc` (Linux, `asm/ldt.h`): entry number, base, limit, and flags: bit 0 32-bit, bits
/// 1 and 2 contents, bit 3 read-only, bit 4 limit in pages, bit 5 not present, bit 6 useable.
pub fn set_thread_area(call: &mut Call<'_>) -> Result {
    let [mut entry, base, limit, flags]: [u32; 4] = read_user(call.a())?;
    let context = &call.process.context;
    if entry == u32::MAX {
        let free = context.tls().iter().position(|descriptor| *descriptor == 0);
        entry = TLS_FIRST + free.ok_or(ESRCH)? as u32;
        write_user(call.a(), &entry)?;
    }
    let index = entry.wrapping_sub(TLS_FIRST) as usize;
    if index >= TLS_COUNT {
        return Err(EINVAL);
    }
    context.set_tls(index, descriptor(base, limit, flags)?);
    Ok(0)
}

fn descriptor(base: u32, limit: u32, flags: u32) -> Result<u64> {
    let bit = |index: u32| u64::from(flags >> index & 1);
    let empty = base == 0 && limit == 0 && matches!(flags & 0x7f, 0 | 0x28);
    if empty {
        return Ok(0);
    }
    // Only data segments of 32 bits, as Linux has it for TLS.
    let contents = flags >> 1 & 3;
    if contents > 1 || bit(0) == 0 || bit(5) != 0 {
        return Err(EINVAL);
    }
    let (base, limit) = (u64::from(base), u64::from(limit & 0xf_ffff));
    let low = (base & 0xffff) << 16 | limit & 0xffff;
    let high = base & 0xff00_0000
        | base >> 16 & 0xff
        | limit & 0xf_0000
        | (bit(3) ^ 1) << 9
        | u64::from(contents) << 10
        | 1 << 15 // present
        | 1 << 22 // 32 bits
        | bit(4) << 23
        | bit(6) << 20
        | 0x7100; // for Ring 3, code or data, accessed
    Ok(high << 32 | low)
}
