//! Reads the CMOS clock: what time it is outside.

// UNSAFETY: drives the CMOS ports.
#![allow(unsafe_code)]

use x86_64::instructions::port::Port;

use super::clock;
use crate::machine::rtc::RtcRegisters;

const UPDATING: u8 = 1 << 7;

fn read(register: u8) -> u8 {
    // SAFETY: 0x70 selects a CMOS register (bit 7 clear: NMIs stay enabled), 0x71 reads it;
    // no guest runs yet that could, too.
    unsafe {
        Port::<u8>::new(0x70).write(register);
        Port::<u8>::new(0x71).read()
    }
}

fn registers() -> RtcRegisters {
    RtcRegisters {
        second: read(0x00),
        minute: read(0x02),
        hour: read(0x04),
        day: read(0x07),
        month: read(0x08),
        year: read(0x09),
        mode: read(0x0b),
    }
}

/// Nanoseconds from 1970 to the clock's time zero, to the second; zero if the CMOS clock
/// shows no date.
pub fn wallclock_base_ns() -> u64 {
    // An update in between shows as two different readings. A dead clock must not hang us.
    for _ in 0..10_000 {
        if read(0x0a) & UPDATING != 0 {
            continue;
        }
        let (first, second) = (registers(), registers());
        if first == second {
            let Some(seconds) = first.unix_seconds() else { break };
            return (seconds * 1_000_000_000).saturating_sub(clock::now_ns());
        }
    }
    log::warn!("the CMOS clock shows no date");
    0
}
