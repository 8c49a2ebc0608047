//! Uses the CPU without ever asking the kernel for anything: only preemption lets others run.
//!
//! `spin [MILLISECONDS]`: for this long (then it does look at the clock now and then), or for ever.
//! Expected: the shell stays usable beside `spin &`; `kill` ends it, status 143.
#![no_std]
#![no_main]

use guest_programs::{Args, sys};

guest_programs::entry!(main);

fn main(args: Args) -> u8 {
    let Some(milliseconds) = args.number(1) else {
        loop {
            core::hint::spin_loop();
        }
    };
    let end = sys::now_ms() + u64::from(milliseconds);
    while sys::now_ms() < end {
        for _ in 0..100_000 {
            core::hint::spin_loop();
        }
    }
    0
}
