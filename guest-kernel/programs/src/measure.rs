//! Measuring: TSC ticks per operation, in the lines that `cargo xtask bench` reads.
//!
//! Where instructions are counted (QEMU's `-icount shift=0`), a tick is an instruction; elsewhere it is
//! a cycle of the CPU's clock. Several batches are measured, since what else runs (a timer of the
//! hypervisor's) disturbs some of them: the smallest tells what the operation costs by itself.
#![allow(unsafe_code)] // UNSAFETY: reads the time-stamp counter.

use crate::println;

/// Batches of a row.
const BATCHES: usize = 5;

/// Ticks so far.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: 1. It touches no memory.
    unsafe { core::arch::x86::_rdtsc() }
}

/// Ticks that `operation` takes when it is done `rounds` times, without those of the loop.
pub fn repeat(rounds: u32, mut operation: impl FnMut()) -> u64 {
    let start = ticks();
    for _ in 0..rounds {
        core::hint::black_box(());
    }
    let middle = ticks();
    for _ in 0..rounds {
        operation();
        core::hint::black_box(());
    }
    let end = ticks();
    (end - middle).saturating_sub(middle - start)
}

/// Prints a row: `batch` tells the ticks of `operations` operations, and does them once more before, so
/// that what is prepared once is not counted.
pub fn row(name: &str, operations: u32, mut batch: impl FnMut() -> u64) {
    batch();
    let mut found = [0; BATCHES];
    for ticks in &mut found {
        *ticks = batch();
    }
    found.sort_unstable();
    // Hundredths, since there is no floating point here.
    let each = |ticks: u64| {
        let hundredths = ticks * 100 / u64::from(operations.max(1));
        (hundredths / 100, hundredths % 100)
    };
    let [min, median, max] = [found[0], found[BATCHES / 2], found[BATCHES - 1]].map(each);
    println!(
        "STAT {name} {}.{:02} {}.{:02} {}.{:02} n={operations}",
        min.0, min.1, median.0, median.1, max.0, max.1
    );
}

/// Prints that a row cannot be measured.
pub fn skip(name: &str, why: &str) {
    println!("SKIP {name} {why}");
}

/// Prints that all rows were measured.
pub fn done() {
    println!("BENCH-DONE");
}
