//! Sleeps, and says how long it really was.
//!
//! `sleeper [MILLISECONDS]...`, 100 by default. Expected: each sleep takes at least as long as was
//! asked for; status 0.
#![no_std]
#![no_main]

use guest_programs::{Args, println, sys};

guest_programs::entry!(main);

fn main(args: Args) -> u8 {
    if args.count() < 2 {
        return sleep(100);
    }
    args.rest().map(|word| word.parse().map_or(2, sleep)).max().unwrap_or(0)
}

fn sleep(milliseconds: u32) -> u8 {
    let began = sys::now_ms();
    let result = sys::sleep_ms(milliseconds);
    let took = sys::now_ms() - began;
    println!("slept {took} ms of {milliseconds} ms");
    u8::from(result.is_err() || took < milliseconds.into())
}
