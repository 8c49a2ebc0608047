//! Many processes at once: they compute, fork, allocate, sleep and die.
//!
//! `stress [PROCESSES]`, 12 by default. Each computes a checksum that depends on nothing but itself;
//! a wrong one means that registers or memory got mixed up. Expected: all checksums right; status 0.
#![no_std]
#![no_main]

use guest_programs::memory::{self, PAGE};
use guest_programs::sys::{self, Ended};
use guest_programs::{Args, println};

guest_programs::entry!(main);

const MAX: usize = 64;

fn main(args: Args) -> u8 {
    let count = args.number(1).map_or(12, |number| number as usize).min(MAX);
    let began = sys::now_ms();
    let mut pids = [0; MAX];
    let mut failures = 0;
    for (index, pid) in pids.iter_mut().enumerate().take(count) {
        match sys::fork() {
            Ok(0) => sys::exit(worker(index as u8)),
            Ok(child) => *pid = child,
            Err(errno) => {
                println!("fork of worker {index}: {errno:?}");
                failures += 1;
            }
        }
    }
    for (index, &pid) in pids.iter().enumerate().filter(|&(_, &pid)| pid != 0) {
        let ended = sys::wait(pid);
        if ended != Ok(Ended::Exited(expected(index as u8))) {
            println!("worker {index}: {ended:?}, expected {}", expected(index as u8));
            failures += 1;
        }
    }
    println!("{count} workers, {failures} failures, {} ms", sys::now_ms() - began);
    u8::from(failures > 0)
}

/// What a worker is to end with: 7 rounds of a small generator.
fn expected(seed: u8) -> u8 {
    (0..7).fold(seed, step)
}

fn step(value: u8, round: u8) -> u8 {
    value.wrapping_mul(167).wrapping_add(13 + round)
}

fn worker(seed: u8) -> u8 {
    let mut value = seed;
    for round in 0..7 {
        let next = step(value, round);
        let good = match round % 4 {
            0 => compute(),
            1 => touch(next),
            2 => sys::sleep_ms(u32::from(seed % 5) * 3).is_ok(),
            // A child carries the value.
            _ => match sys::fork() {
                Ok(0) => sys::exit(step(value, round)),
                Ok(pid) => sys::wait(pid) == Ok(Ended::Exited(next)),
                Err(_) => false,
            },
        };
        if !good {
            println!("worker {seed}: round {round} failed");
            return !expected(seed);
        }
        value = next;
    }
    value
}

/// Long enough for the timer to interrupt it; true when the sum is right.
fn compute() -> bool {
    let sum = (0..2_000_000u64).fold(0u64, |sum, number| core::hint::black_box(sum + number));
    sum == 1_999_999 * 1_000_000
}

fn touch(value: u8) -> bool {
    let Ok(area) = memory::map(32) else { return false };
    area.iter_mut().step_by(PAGE).for_each(|byte| *byte = value);
    let _ = sys::sched_yield();
    area.iter().step_by(PAGE).all(|&byte| byte == value)
}
