//! System calls about what processes use, and may use.

use super::errno::{EAGAIN, EINVAL, ENOSYS, EPERM, ESRCH, ETIMEDOUT};
use super::time::{read_timespec, sleep_for};
use super::{Call, Result, microseconds, signed};
use crate::fs::descriptors::FILES;
use crate::mm::frames::{self, Use};
use crate::task::process::STACK_LIMIT;
use crate::task::{State, scheduler};
use crate::time as clock;
use core::sync::atomic::Ordering;
use ring1::uaccess::{read_user, write_user};

/// Ticks in a second, as `times` counts them (`AT_CLKTCK`).
const TICK_NS: u64 = 10_000_000;
const INFINITE: u64 = u64::MAX;

/// Nanoseconds that the running process and its children had the CPU.
pub(super) fn cpu_times() -> (u64, u64) {
    let me = scheduler::current();
    let (_, _, _, running) = scheduler::statistics();
    (me.cpu_ns.load(Ordering::Relaxed) + running, me.children_cpu_ns.load(Ordering::Relaxed))
}

/// `times(*tms)`. All time counts as the user's: the kernel's is not told apart.
pub fn times(call: &mut Call<'_>) -> Result {
    if call.a() != 0 {
        let (own, children) = cpu_times();
        let ticks = |ns: u64| (ns / TICK_NS) as u32;
        write_user(call.a(), &[ticks(own), 0, ticks(children), 0])?;
    }
    Ok((clock::uptime() / TICK_NS) as u32 & 0x7fff_ffff)
}

/// A `struct rusage` of i386 with this time on the CPU and nothing else.
pub(super) fn usage(cpu_ns: u64) -> [u32; 18] {
    let mut usage = [0; 18];
    usage[..2].copy_from_slice(&microseconds(cpu_ns));
    usage
}

/// `getrusage(who, *usage)`.
pub fn getrusage(call: &mut Call<'_>) -> Result {
    let (own, children) = cpu_times();
    let time = match signed(call.a()) {
        0 | 1 => own,
        -1 => children,
        _ => return Err(EINVAL),
    };
    write_user(call.b(), &usage(time))?;
    Ok(0)
}

/// A resource's limit, which is the kernel's own and cannot be changed.
fn limit(resource: u32) -> Result<u64> {
    match resource {
        3 => Ok(u64::from(STACK_LIMIT)), // RLIMIT_STACK
        4 => Ok(0),                      // RLIMIT_CORE
        7 => Ok(FILES as u64),           // RLIMIT_NOFILE
        0..16 => Ok(INFINITE),
        _ => Err(EINVAL),
    }
}

/// `ugetrlimit(resource, *limit)`, 32 bits.
pub fn ugetrlimit(call: &mut Call<'_>) -> Result {
    let limit = u32::try_from(limit(call.a())?).unwrap_or(u32::MAX);
    write_user(call.b(), &[limit, limit])?;
    Ok(0)
}

/// `setrlimit(resource, *limit)`: only to what it is.
pub fn setrlimit(call: &mut Call<'_>) -> Result {
    let limit = u32::try_from(limit(call.a())?).unwrap_or(u32::MAX);
    let wanted: [u32; 2] = read_user(call.b())?;
    if wanted == [limit, limit] { Ok(0) } else { Err(EPERM) }
}

/// `prlimit64(pid, resource, *new, *old)`: of the running process; to what it is.
pub fn prlimit64(call: &mut Call<'_>) -> Result {
    if call.a() != 0 && call.a() != scheduler::current().pid {
        return Err(ESRCH);
    }
    let limit = limit(call.b())?;
    let words = [limit as u32, (limit >> 32) as u32, limit as u32, (limit >> 32) as u32];
    if call.c() != 0 && read_user::<[u32; 4]>(call.c())? != words {
        return Err(EPERM);
    }
    if call.d() != 0 {
        write_user(call.d(), &words)?;
    }
    Ok(0)
}

/// `sysinfo(*info)`: `struct sysinfo` of i386, 64 bytes.
pub fn sysinfo(call: &mut Call<'_>) -> Result {
    let counts = frames::counts();
    let mut tasks = 0u32;
    scheduler::for_each(|task| tasks += u32::from(task.state() != State::Zombie));
    let mut info = [0u32; 16];
    info[0] = (clock::uptime() / 1_000_000_000) as u32;
    // Loads are not kept. Memory is counted in pages.
    info[4] = counts.total() - counts.of(Use::Ballooned);
    info[5] = counts.of(Use::Free);
    info[10] = tasks & 0xffff;
    info[13] = crate::mm::PAGE;
    write_user(call.a(), &info)?;
    Ok(0)
}

/// `getpriority(which, who)`: nobody is preferred. As Linux returns it: 20 less the nice value.
pub fn getpriority(_: &mut Call<'_>) -> Result {
    Ok(20)
}

/// `setpriority(which, who, nice)`, `nice(by)`: accepted, without effect.
pub fn setpriority(_: &mut Call<'_>) -> Result {
    Ok(0)
}

/// `sched_getaffinity(pid, bytes, *mask)`: the one CPU.
pub fn sched_getaffinity(call: &mut Call<'_>) -> Result {
    if call.b() < 4 || !call.b().is_multiple_of(4) {
        return Err(EINVAL);
    }
    write_user(call.c(), &1u32)?;
    Ok(4)
}

/// `futex(*word, operation, value, *timespec)`: there are no threads and no shared memory, so that
/// waking finds nobody, and waiting ends by time or by a signal.
pub fn futex(call: &mut Call<'_>) -> Result {
    const WAIT: u32 = 0;
    const WAKE: u32 = 1;
    match call.b() & 0x7f {
        WAIT => {
            if read_user::<u32>(call.a())? != call.c() {
                return Err(EAGAIN);
            }
            let Some(ns) = read_timespec(call.d())? else { return super::signal::pause(call) };
            sleep_for(call, ns)?;
            Err(ETIMEDOUT)
        }
        WAKE if call.a().is_multiple_of(4) => Ok(0),
        WAKE => Err(EINVAL),
        _ => Err(ENOSYS),
    }
}
