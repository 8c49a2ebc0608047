//! Tries to read another process's memory.
//!
//! The parent maps a page after `fork` and writes a secret there. At that address the child finds
//! nothing, then a page of its own, of zeroes; never the secret. Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: maps and touches an address of its own choice.

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::memory::{self, PAGE, READ, WRITE};
use guest_programs::sys::{self, Ended};

guest_programs::entry!(main);

const PLACE: usize = 0x5000_0000;
const SECRET: u8 = 0x5a;

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    // Two children, born before there is a secret: one reads, one maps and reads.
    let reader = child(|| memory::peek(PLACE));
    let mapper = child(|| {
        map();
        memory::peek(PLACE)
    });
    map();
    // SAFETY: 1. The page was just mapped, for this.
    unsafe { memory::poke(PLACE, SECRET) };
    checks.same(sys::wait(reader), Ok(Ended::Killed(11)), "the page is not there for the child");
    checks.same(sys::wait(mapper), Ok(Ended::Exited(0)), "a page of its own is zero");
    checks.same(memory::peek(PLACE), SECRET, "the secret is still there");

    // Frames of a dead process come back as zeroes.
    checks.child(hoard, Ended::Exited(0), "a child fills 4 MiB with secrets and dies");
    checks.child(search, Ended::Exited(0), "the next one finds none of them");
    checks.status()
}

/// Forks a child that waits until the parent had time to write its secret.
fn child(f: fn() -> u8) -> usize {
    match sys::fork() {
        Ok(0) => {
            let _ = sys::sleep_ms(100);
            sys::exit(f())
        }
        other => other.unwrap_or(0),
    }
}

fn map() {
    // SAFETY: 1. Nothing of this program is there.
    let _ = unsafe { memory::map_at(PLACE, PAGE, READ | WRITE) };
}

fn hoard() -> u8 {
    let Ok(area) = memory::map(1024) else { return 1 };
    area.fill(SECRET);
    area.iter().step_by(PAGE).filter(|&&byte| byte != SECRET).count() as u8
}

fn search() -> u8 {
    let Ok(area) = memory::map(1024) else { return 2 };
    u8::from(area.iter().any(|&byte| byte != 0))
}
