//! `fork`, `waitpid` and exit statuses.
//!
//! Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]

use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended, Errno};
use guest_programs::{Args, println};

guest_programs::entry!(main);

const CHILDREN: usize = 8;

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let parent = sys::getpid();
    for status in [0, 1, 42, 255] {
        checks.child(|| status, Ended::Exited(status), "a child's status arrives");
    }
    checks.child(|| u8::from(sys::getpid() == parent), Ended::Exited(0), "a child has its own pid");

    // All at once, waited for in reverse order.
    let mut pids = [0; CHILDREN];
    for (index, pid) in pids.iter_mut().enumerate() {
        match sys::fork() {
            Ok(0) => sys::exit(100 + index as u8),
            Ok(child) => *pid = child,
            Err(errno) => println!("fork: {errno:?}"),
        }
    }
    for (index, &pid) in pids.iter().enumerate().rev() {
        checks.same(
            sys::wait(pid),
            Ok(Ended::Exited(100 + index as u8)),
            "waitpid of one of eight",
        );
        checks.same(sys::wait(pid), Err(Errno::ECHILD), "a child is waited for once");
    }

    // Generations: each child forks the next and passes its status up, plus one.
    checks.child(|| generation(5), Ended::Exited(5), "five generations");
    checks.same(sys::wait(sys::getpid()), Err(Errno::ECHILD), "nobody is his own child");
    checks.same(sys::getpid(), parent, "the parent kept its pid");
    checks.status()
}

fn generation(left: u8) -> u8 {
    if left == 0 {
        return 0;
    }
    match sys::fork() {
        Ok(0) => sys::exit(generation(left - 1)),
        Ok(pid) => match sys::wait(pid) {
            Ok(Ended::Exited(status)) => status + 1,
            _ => 200,
        },
        Err(_) => 201,
    }
}
