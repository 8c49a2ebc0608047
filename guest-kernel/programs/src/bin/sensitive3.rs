//! The sensitive instructions, executed in Ring 3 where they do something else than in Ring 1.
//!
//! The shell's `sensitive` runs it after its own table. Expected: every row as expected; status 0.
#![no_std]
#![no_main]

use guest_programs::print::Stdout;
use guest_programs::sys::{self, Ended};
use guest_programs::{Args, println};
use sensitive::{Catch, Ring, Seen};

guest_programs::entry!(main);

/// Lets a child go first: what kills it is what was seen.
struct Children;

impl Catch for Children {
    fn catch(&mut self, act: fn() -> Seen) -> Seen {
        let ended = match sys::fork() {
            Ok(0) => {
                act();
                sys::exit(0)
            }
            Ok(pid) => sys::wait(pid),
            Err(errno) => Err(errno),
        };
        match ended {
            Ok(Ended::Exited(_)) => act(),
            Ok(Ended::Killed(signal)) => Seen::Signal(signal),
            Err(errno) => {
                println!("no child: {errno:?}");
                Seen::Signal(0)
            }
        }
    }
}

fn main(_args: Args) -> u8 {
    let run = &mut |act| sensitive::execute(&mut Children, act);
    match sensitive::report(Ring::Three, &mut Stdout, run) {
        Ok(0) => 0,
        _ => 1,
    }
}
