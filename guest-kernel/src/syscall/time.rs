//! System calls about time.

use super::errno::{EFAULT, EINTR, EINVAL, EPERM};
use super::{Call, Result, duration, signed};
use crate::task::{scheduler, signal};
use crate::time as clock;
use core::sync::atomic::Ordering;
use ring1::events::Masked;
use ring1::uaccess::{read_user, write_user};

/// `time(*seconds)`.
pub fn time(call: &mut Call<'_>) -> Result {
    let (seconds, _) = clock::time_of_day();
    if call.a() != 0 {
        write_user(call.a(), &(seconds as u32))?;
    }
    Ok(seconds as u32)
}

/// `gettimeofday(*time, *zone)`.
pub fn gettimeofday(call: &mut Call<'_>) -> Result {
    let (seconds, nanoseconds) = clock::time_of_day();
    if call.a() != 0 {
        write_user(call.a(), &[seconds as u32, nanoseconds / 1000])?;
    }
    if call.b() != 0 {
        write_user(call.b(), &[0u32; 2])?;
    }
    Ok(0)
}

/// Seconds and nanoseconds of a Linux clock.
fn read(id: u32) -> Result<(u64, u32)> {
    let split = |ns: u64| (ns / 1_000_000_000, (ns % 1_000_000_000) as u32);
    match id {
        // CLOCK_REALTIME, _REALTIME_COARSE.
        0 | 5 => Ok(clock::time_of_day()),
        // CLOCK_MONOTONIC, _MONOTONIC_RAW, _MONOTONIC_COARSE, _BOOTTIME.
        1 | 4 | 6 | 7 => Ok(split(clock::uptime())),
        // CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID.
        2 | 3 => Ok(split(super::resource::cpu_times().0)),
        _ => Err(EINVAL),
    }
}

/// `clock_gettime(clock, *timespec)`, 32 bits.
pub fn clock_gettime(call: &mut Call<'_>) -> Result {
    let (seconds, nanoseconds) = read(call.a())?;
    write_user(call.b(), &[seconds as u32, nanoseconds])?;
    Ok(0)
}

/// `clock_gettime64(clock, *timespec)`.
pub fn clock_gettime64(call: &mut Call<'_>) -> Result {
    let (seconds, nanoseconds) = read(call.a())?;
    write_user(call.b(), &[seconds as u32, (seconds >> 32) as u32, nanoseconds, 0])?;
    Ok(0)
}

/// Nanoseconds of a `timespec` of 32 bits in memory. None: the address is 0.
pub(super) fn read_timespec(address: u32) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    let [seconds, nanoseconds]: [u32; 2] = read_user(address)?;
    duration(seconds, nanoseconds).map(Some)
}

/// Nanoseconds of a `timespec` of 64 bits in memory. None: the address is 0.
pub(super) fn read_timespec64(address: u32) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    let [seconds, high, nanoseconds, _]: [u32; 4] = read_user(address)?;
    // More than 68 years are without end.
    let seconds = match signed(high) {
        ..0 => return Err(EINVAL),
        0 if signed(seconds) >= 0 => seconds,
        _ => i32::MAX.unsigned_abs(),
    };
    duration(seconds, nanoseconds).map(Some)
}

/// Sleeps for so many nanoseconds. A signal ends it; if the call begins again after that, it ends when it
/// would have.
pub(super) fn sleep_for(call: &Call<'_>, ns: u64) -> Result {
    sleep_until(call, clock::now().saturating_add(ns)).map_err(|_| EINTR)
}

/// Sleeps until then, or fails with the nanoseconds that are left when a signal comes.
fn sleep_until(call: &Call<'_>, deadline: u64) -> core::result::Result<u32, u64> {
    let kept = &call.process.deadline;
    let deadline = match kept.swap(0, Ordering::Relaxed) {
        0 => deadline,
        before => before,
    };
    let _masked = Masked::new();
    loop {
        let now = clock::now();
        if now >= deadline {
            return Ok(0);
        }
        if signal::is_pending() {
            kept.store(deadline, Ordering::Relaxed);
            return Err(deadline - now);
        }
        scheduler::sleep(0, deadline);
    }
}

/// A sleep by a clock: its number, whether `TIMER_ABSTIME` is set, and the time.
struct Sleep {
    clock: u32,
    flags: u32,
    ns: u64,
}

impl Sleep {
    /// Sleeps for a while, or until the clock shows a time. What is left of the first kind when a signal
    /// ends it is told by `tell`.
    fn run(&self, call: &Call<'_>, tell: impl FnOnce(u64) -> Result) -> Result {
        let (seconds, nanoseconds) = read(self.clock)?;
        let is_absolute = match self.flags {
            0 => false,
            1 => true,
            _ => return Err(EINVAL),
        };
        let shown = seconds.saturating_mul(1_000_000_000) + u64::from(nanoseconds);
        let wait = if is_absolute { self.ns.saturating_sub(shown) } else { self.ns };
        match sleep_until(call, clock::now().saturating_add(wait)) {
            Ok(value) => Ok(value),
            Err(_) if is_absolute => Err(EINTR),
            Err(left) => {
                tell(left)?;
                Err(EINTR)
            }
        }
    }
}

/// Writes what is left of a sleep as a `timespec` of 32 bits.
fn tell(address: u32, ns: u64) -> Result {
    if address != 0 {
        write_user(address, &[(ns / 1_000_000_000) as u32, (ns % 1_000_000_000) as u32])?;
    }
    Ok(0)
}

/// `nanosleep(*timespec, *rest)`, 32 bits.
pub fn nanosleep(call: &mut Call<'_>) -> Result {
    let ns = read_timespec(call.a())?.ok_or(EFAULT)?;
    Sleep { clock: 1, flags: 0, ns }.run(call, |left| tell(call.b(), left))
}

/// `clock_nanosleep(clock, flags, *timespec, *rest)`, 32 bits.
pub fn clock_nanosleep(call: &mut Call<'_>) -> Result {
    let ns = read_timespec(call.c())?.ok_or(EFAULT)?;
    Sleep { clock: call.a(), flags: call.b(), ns }.run(call, |left| tell(call.d(), left))
}

/// `clock_nanosleep_time64(clock, flags, *timespec, *rest)`.
pub fn clock_nanosleep_time64(call: &mut Call<'_>) -> Result {
    let ns = read_timespec64(call.c())?.ok_or(EFAULT)?;
    Sleep { clock: call.a(), flags: call.b(), ns }.run(call, |left| {
        if call.d() != 0 {
            let (seconds, nanoseconds) = (left / 1_000_000_000, (left % 1_000_000_000) as u32);
            write_user(call.d(), &[seconds as u32, (seconds >> 32) as u32, nanoseconds, 0])?;
        }
        Ok(0)
    })
}

/// `clock_getres(clock, *timespec)`, 32 bits: a nanosecond.
pub fn clock_getres(call: &mut Call<'_>) -> Result {
    read(call.a())?;
    tell(call.b(), 1)
}

/// `clock_getres_time64(clock, *timespec)`.
pub fn clock_getres_time64(call: &mut Call<'_>) -> Result {
    read(call.a())?;
    if call.b() != 0 {
        write_user(call.b(), &[0u32, 0, 1, 0])?;
    }
    Ok(0)
}

/// `clock_settime(…)`, `settimeofday(…)`: the hypervisor's clock is not for processes to set.
pub fn clock_settime(_: &mut Call<'_>) -> Result {
    Err(EPERM)
}
