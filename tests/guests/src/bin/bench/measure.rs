//! Timing a row, and its two lines.
//!
//! A row is nine batches of `n` operations each, timed with the TSC: instructions under QEMU's
//! `-icount shift=0`, host ticks otherwise. Printed are minimum, median and maximum per operation
//! with two decimals. The loop's own instructions (`loop_empty`) are not subtracted.

use ring1::hypercall::rdtsc;
use ring1::println;

/// Batches of a row.
pub const BATCHES: usize = 9;

/// Prints a row, given the ticks of each batch of `n` operations.
pub fn report(name: &str, mut ticks: [u32; BATCHES], n: u32) {
    ticks.sort_unstable();
    let [min, .., max] = ticks;
    let (min, median, max) = (PerOp(min, n), PerOp(ticks[BATCHES / 2], n), PerOp(max, n));
    println!("BENCH {name} {min}");
    println!("STAT {name} {min} {median} {max} n={n}");
}

/// Ticks per operation, with two decimals.
struct PerOp(u32, u32);

impl core::fmt::Display for PerOp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self(ticks, n) = self;
        write!(f, "{}.{:02}", ticks / n, ticks % n * 100 / n)
    }
}

/// Measures `body`; a negative result of any call makes it a FAIL line.
#[inline(always)]
pub fn row(name: &str, n: u32, mut body: impl FnMut() -> i32) {
    let mut ticks = [0; BATCHES];
    let mut outcome = 0;
    for batch in &mut ticks {
        let start = rdtsc();
        for _ in 0..n {
            outcome |= body();
        }
        *batch = rdtsc().wrapping_sub(start) as u32;
    }
    if outcome < 0 {
        println!("FAIL {name} {outcome}");
    } else {
        report(name, ticks, n);
    }
}

/// Prints a failure of what a row needs.
pub fn fail(name: &str, result: i32) {
    println!("FAIL {name} {result}");
}
