//! System calls about time.

use super::errno::{EINTR, EINVAL};
use super::{Call, Result, duration};
use crate::arch::events::Masked;
use crate::arch::uaccess::{read_user, write_user};
use crate::task::{scheduler, signal};
use crate::time as clock;

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
        2 | 3 => {
            let (_, _, _, running) = scheduler::statistics();
            let before = &scheduler::current().cpu_ns;
            Ok(split(before.load(core::sync::atomic::Ordering::Relaxed) + running))
        }
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

/// `nanosleep(*timespec, *rest)`. Nothing interrupts it but death, so there is never a rest.
pub fn nanosleep(call: &mut Call<'_>) -> Result {
    let [seconds, nanoseconds]: [u32; 2] = read_user(call.a())?;
    sleep_until(clock::now().saturating_add(duration(seconds, nanoseconds)?))
}

fn sleep_until(deadline: u64) -> Result {
    let _masked = Masked::new();
    while clock::now() < deadline {
        if signal::is_pending() {
            return Err(EINTR);
        }
        scheduler::sleep(0, deadline);
    }
    Ok(0)
}

/// Sleeps by a clock: for a while, or (`TIMER_ABSTIME`) until it shows a time.
fn clock_sleep(id: u32, flags: u32, seconds: u32, nanoseconds: u32) -> Result {
    let (now_s, now_ns) = read(id)?;
    let time = duration(seconds, nanoseconds)?;
    let wait = match flags {
        0 => time,
        1 => time.saturating_sub(now_s.saturating_mul(1_000_000_000) + u64::from(now_ns)),
        _ => return Err(EINVAL),
    };
    sleep_until(clock::now().saturating_add(wait))
}

/// `clock_nanosleep(clock, flags, *timespec, *rest)`, 32 bits.
pub fn clock_nanosleep(call: &mut Call<'_>) -> Result {
    let [seconds, nanoseconds]: [u32; 2] = read_user(call.c())?;
    clock_sleep(call.a(), call.b(), seconds, nanoseconds)
}

/// `clock_nanosleep_time64(clock, flags, *timespec, *rest)`. More than 68 years are too many.
pub fn clock_nanosleep_time64(call: &mut Call<'_>) -> Result {
    let [seconds, high, nanoseconds, _]: [u32; 4] = read_user(call.c())?;
    if high != 0 {
        return Err(EINVAL);
    }
    clock_sleep(call.a(), call.b(), seconds, nanoseconds)
}

/// `pause()`: nothing but death ends it.
pub fn pause(_: &mut Call<'_>) -> Result {
    let _masked = Masked::new();
    while !signal::is_pending() {
        scheduler::sleep(0, 0);
    }
    Err(EINTR)
}
