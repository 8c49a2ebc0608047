//! The sensitive instructions, executed in Ring 3 where they do something else than in Ring 1.
//!
//! The shell's `sensitive` runs it after its own table. Expected: every row as expected; status 0.
#![no_std]
#![no_main]

use guest_programs::print::Stdout;
use guest_programs::sys::{self, Ended};
use guest_programs::{Args, println};
use sensitive::{Catch, ROWS, Ring, Seen};

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
    // All of them first: the kernel reports each child that dies, and not in the middle of a table.
    let mut seen = ROWS.iter().map(|row| {
        let wanted = row.expected(Ring::Three).is_some();
        wanted.then(|| (row.act, sensitive::execute(&mut Children, row.act)))
    });
    let seen: [_; ROWS.len()] = core::array::from_fn(|_| seen.next().flatten());
    let run = &mut |act| {
        let known = seen.iter().flatten().find(|(other, _)| *other == act);
        known.map_or(Seen::Signal(0), |&(_, seen)| seen)
    };
    match sensitive::report(Ring::Three, &mut Stdout, run) {
        Ok(0) => 0,
        _ => 1,
    }
}
