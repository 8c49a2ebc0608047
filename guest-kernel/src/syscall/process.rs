//! System calls about processes.

use super::errno::{E2BIG, ECHILD, EFAULT, EINTR, EINVAL, ENOENT, EPERM, ERANGE, ESRCH};
use super::{Call, RELEASE, Result, enough_memory, path, read_string, resource, signed};
use crate::fs;
use crate::hostname;
use crate::program::STACK_MAX;
use crate::signal::SIGCHLD;
use crate::task::children::{self, News, Reaped, Wanted};
use crate::task::context::{TLS_COUNT, TLS_FIRST};
use crate::task::scheduler::{self, CHILDREN};
use crate::task::{Task, process, signal};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::sched::{SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use ring1::calls;
use ring1::events::Masked;
use ring1::trap::TrapFrame;
use ring1::uaccess::{copy_from_user, copy_to_user, read_user, write_user};

/// `exit(status)`, `exit_group(status)`.
pub fn exit(call: &mut Call<'_>) -> Result {
    process::exit((call.a() & 0xff) << 8)
}

/// `fork()`.
pub fn fork(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    process::fork(call.frame, 0)
}

/// `vfork()`.
pub fn vfork(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    process::vfork(call.frame, 0)
}

const CLONE_VM: u32 = 0x100;
const CLONE_VFORK: u32 = 0x4000;
const CLONE_SETTLS: u32 = 0x8_0000;
const CLONE_PARENT_SETTID: u32 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u32 = 0x20_0000;
const CLONE_CHILD_SETTID: u32 = 0x100_0000;

/// `clone(flags, stack, *parent tid, tls, *child tid)`, where it is a fork or a `vfork`: no
/// threads.
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
    let fork = if flags & CLONE_VM != 0 { process::vfork } else { process::fork };
    let pid = fork(&registers, tid_at)?;
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

/// `setuid32(id)` and its like: root stays root.
pub fn set_root_id(call: &mut Call<'_>) -> Result {
    if call.a() == 0 { Ok(0) } else { Err(EPERM) }
}

/// `setreuid32(real, effective)` and its like; -1 leaves an identity as it is.
pub fn set_root_ids(call: &mut Call<'_>) -> Result {
    let is_root = |id: u32| id == 0 || id == u32::MAX;
    if is_root(call.a()) && is_root(call.b()) { Ok(0) } else { Err(EPERM) }
}

/// `getgroups32(count, *groups)`: none beside root's own.
pub fn getgroups32(_: &mut Call<'_>) -> Result {
    Ok(0)
}

/// `set_robust_list(*head, bytes)`: accepted; without threads there is nobody to tell.
pub fn set_robust_list(_: &mut Call<'_>) -> Result {
    Ok(0)
}

/// `personality(which)`: Linux's own, or (-1) to ask.
pub fn personality(call: &mut Call<'_>) -> Result {
    if matches!(call.a(), 0 | u32::MAX) { Ok(0) } else { Err(EINVAL) }
}

/// Most bytes that are read of a name that is then cut.
const NAME_READ: usize = 4096;
/// Bytes of a thread's name with its NUL.
const NAME_BYTES: usize = 16;

/// `prctl(operation, argument)`: `PR_SET_NAME`, `PR_GET_NAME`.
pub fn prctl(call: &mut Call<'_>) -> Result {
    let task = scheduler::current();
    match call.a() {
        15 => {
            let mut bytes = read_string(call.b(), NAME_READ, ERANGE)?;
            bytes.truncate(NAME_BYTES - 1);
            let name = crate::task::short(core::str::from_utf8(&bytes).unwrap_or("?"));
            task.name.with(|kept| *kept = name);
            Ok(0)
        }
        16 => {
            let name = task.name();
            let word = name.split(' ').next().unwrap_or_default().as_bytes();
            let count = word.len().min(NAME_BYTES - 1);
            let mut bytes = [0; NAME_BYTES];
            bytes[..count].copy_from_slice(&word[..count]);
            copy_to_user(call.b(), &bytes)?;
            Ok(0)
        }
        _ => Err(EINVAL),
    }
}

/// `reboot(magic, magic, command, argument)`: root may stop the machine, or start it again.
pub fn reboot(call: &mut Call<'_>) -> Result {
    // Linux, `uapi/linux/reboot.h`: the second one is somebody's birthday.
    const MAGIC: u32 = 0xfee1_dead;
    const MAGIC2: [u32; 4] = [0x2812_1969, 0x0512_1996, 0x1604_1998, 0x2011_2000];
    if call.a() != MAGIC || !MAGIC2.contains(&call.b()) {
        return Err(EINVAL);
    }
    let reason = match call.c() {
        0x4321_fedc | 0xcdef_0123 => SHUTDOWN_POWEROFF,
        0x0123_4567 => SHUTDOWN_REBOOT,
        // Whether Ctrl-Alt-Del does so; there is no such key.
        0 | 0x89ab_cdef => return Ok(0),
        _ => return Err(EINVAL),
    };
    fs::root::stop();
    ring1::console::flush();
    calls::shutdown(reason)
}

/// `sched_yield()`.
pub fn sched_yield(_: &mut Call<'_>) -> Result {
    scheduler::give_way();
    Ok(0)
}

const WNOHANG: u32 = 1;
const WUNTRACED: u32 = 2;
const WCONTINUED: u32 = 8;
/// `__WNOTHREAD`, `__WALL`, `__WCLONE`.
const W_THREADS: u32 = 0xe000_0000;

/// `waitpid(pid, *status, options)`.
pub fn waitpid(call: &mut Call<'_>) -> Result {
    wait(call.a(), call.b(), call.c(), 0)
}

/// `wait4(pid, *status, options, *rusage)`. Of the usage only the time is told.
pub fn wait4(call: &mut Call<'_>) -> Result {
    wait(call.a(), call.b(), call.c(), call.d())
}

fn wait(pid: u32, status_at: u32, options: u32, usage_at: u32) -> Result {
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | W_THREADS) != 0 {
        return Err(EINVAL);
    }
    let task = scheduler::current();
    let wanted = match signed(pid) {
        -1 => Wanted::Any,
        0 => Wanted::Group(task.group.load(Ordering::Relaxed)),
        1.. => Wanted::Pid(pid),
        group => Wanted::Group(group.unsigned_abs()),
    };
    let news = News { stops: options & WUNTRACED != 0, continues: options & WCONTINUED != 0 };
    let (pid, status, cpu_ns) = loop {
        let _masked = Masked::new();
        match children::reap(task.pid, wanted, news) {
            Reaped::Ended(pid, status, cpu_ns) => break (pid, status, cpu_ns),
            Reaped::Changed(pid, status) => break (pid, status, 0),
            Reaped::NoChild => return Err(ECHILD),
            Reaped::Running if options & WNOHANG != 0 => return Ok(0),
            Reaped::Running if signal::is_pending() => return Err(EINTR),
            Reaped::Running => scheduler::sleep(CHILDREN + task.pid, 0),
        }
    };
    task.children_cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
    if status_at != 0 {
        write_user(status_at, &status)?;
    }
    if usage_at != 0 {
        write_user(usage_at, &resource::usage(cpu_ns))?;
    }
    Ok(pid)
}

/// A process's own number where it is 0.
fn or_own(pid: u32) -> u32 {
    if pid == 0 { scheduler::current().pid } else { pid }
}

/// Something of a task.
fn of_task(pid: u32, what: fn(&Task) -> &AtomicU32) -> Result {
    scheduler::with_task(or_own(pid), |task| what(task).load(Ordering::Relaxed)).ok_or(ESRCH)
}

/// `setpgid(pid, group)`.
pub fn setpgid(call: &mut Call<'_>) -> Result {
    if signed(call.b()) < 0 {
        return Err(EINVAL);
    }
    let pid = or_own(call.a());
    let group = if call.b() == 0 { pid } else { call.b() };
    children::set_group(pid, group)?;
    Ok(0)
}

/// `getpgid(pid)`.
pub fn getpgid(call: &mut Call<'_>) -> Result {
    of_task(call.a(), |task| &task.group)
}

/// `getpgrp()`.
pub fn getpgrp(_: &mut Call<'_>) -> Result {
    of_task(0, |task| &task.group)
}

/// `getsid(pid)`.
pub fn getsid(call: &mut Call<'_>) -> Result {
    of_task(call.a(), |task| &task.session)
}

/// `setsid()`.
pub fn setsid(_: &mut Call<'_>) -> Result {
    children::set_session()
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
        RELEASE.as_bytes(),
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
