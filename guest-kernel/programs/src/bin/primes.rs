//! Counts the primes below a limit with a sieve: CPU work and demand-zero memory.
//!
//! `primes [LIMIT]`, 1000000 by default. Expected: 78498 primes below 1000000; status 0.
#![no_std]
#![no_main]

use guest_programs::memory::{self, PAGE};
use guest_programs::{Args, println, sys};

guest_programs::entry!(main);

fn main(args: Args) -> u8 {
    let limit = args.number(1).unwrap_or(1_000_000) as usize;
    let began = sys::now_ms();
    // One byte for each number; a zero byte is "may be prime".
    let sieve = match memory::map(limit.div_ceil(PAGE).max(1)) {
        Ok(memory) => memory,
        Err(errno) => {
            println!("no memory for {limit} bytes: {errno:?}");
            return 1;
        }
    };
    let mut count = 0;
    for number in 2..limit {
        if sieve[number] == 0 {
            count += 1;
            sieve[..limit].iter_mut().skip(number * 2).step_by(number).for_each(|byte| *byte = 1);
        }
    }
    println!("{count} primes below {limit}, {} ms", sys::now_ms() - began);
    0
}
