//! Says where it runs.
//!
//! Expected: one line with ring 3 and the process's number; status 0.
#![no_std]
#![no_main]

use guest_programs::{Args, cpu, println, sys};

guest_programs::entry!(main);

fn main(_args: Args) -> u8 {
    let cs = cpu::code_segment();
    println!("Hello from Ring {} (cs {cs:#06x}), process {}.", cs & 3, sys::getpid());
    0
}
