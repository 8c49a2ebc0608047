//! The 8254 timer's channel 2: a counter of known frequency, to measure others against.

// UNSAFETY: drives the timer's ports.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use super::clock;

/// Ticks a second.
pub const HZ: u64 = 1_193_182;

const COMMAND: u16 = 0x43;
const CHANNEL_2: u16 = 0x42;
const GATE: u16 = 0x61;

/// The counter starts again after so many ticks: 55 ms.
pub const ROUND: u64 = 1 << 16;

/// A reading of the counter and the TSC at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The TSC.
    pub tsc: u64,
    /// The counter, which counts down, round and round.
    count: u16,
}

impl Sample {
    /// Timer ticks from `self` to `later`, whole rounds left out.
    pub fn ticks_until(&self, later: &Self) -> u64 {
        u64::from(self.count.wrapping_sub(later.count))
    }
}

/// Lets channel 2 count round and round, with the speaker off.
pub fn start() {
    // SAFETY: channel 2 and its gate drive the speaker only; there is no guest yet.
    unsafe {
        let mut gate = Port::<u8>::new(GATE);
        let value = gate.read();
        gate.write(value & !0x02 | 0x01);
        // Channel 2, low byte then high byte, mode 2 (rate generator), binary.
        Port::<u8>::new(COMMAND).write(0xb4);
        Port::<u8>::new(CHANNEL_2).write(0);
        Port::<u8>::new(CHANNEL_2).write(0);
    }
}

/// The narrowest pair of TSC readings around a latch so far: how quick one is undisturbed.
static QUIETEST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Reads counter and TSC. Of several tries the one counts that was least disturbed; if all
/// were disturbed more than ever before, as on a busy host, more tries are made.
pub fn sample() -> Sample {
    const TRIES: u32 = 4;
    const MOST_TRIES: u32 = 24;
    let (mut best, mut best_width) = (Sample { tsc: 0, count: 0 }, u64::MAX);
    for tries in 1..=MOST_TRIES {
        let before = clock::tsc();
        // SAFETY: latches channel 2's count: it is held until both bytes are read.
        unsafe { Port::<u8>::new(COMMAND).write(0x80) };
        let width = clock::tsc().wrapping_sub(before);
        // SAFETY: reads the latched count.
        let count = unsafe {
            let mut data = Port::<u8>::new(CHANNEL_2);
            u16::from_le_bytes([data.read(), data.read()])
        };
        if width < best_width {
            (best, best_width) = (Sample { tsc: before + width / 2, count }, width);
        }
        let quietest = QUIETEST.fetch_min(width, Ordering::Relaxed).min(width);
        if tries >= TRIES && best_width <= quietest + quietest / 4 {
            break;
        }
    }
    best
}
