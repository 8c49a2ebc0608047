//! Copy-on-write: after `fork` both sides see the old values and only their own new ones.
//!
//! The pages have the same address in parent and child but must be distinct memory once written, by
//! the program or by the kernel (`read` into them). Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]

use guest_programs::check::Checks;
use guest_programs::memory::{self, PAGE};
use guest_programs::sys::{self, Ended};
use guest_programs::{Args, println};

guest_programs::entry!(main);

const PAGES: usize = 64;

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let Ok(area) = memory::map(PAGES) else {
        println!("FAIL no memory");
        return 1;
    };
    fill(area, 1);

    let child = || {
        let inherited = holds(area, 1);
        fill(area, 2);
        u8::from(!(inherited && holds(area, 2)))
    };
    checks.child(child, Ended::Exited(0), "a child inherits, writes, and sees what it wrote");
    checks.that(holds(area, 1), format_args!("the parent does not see the child's writes"));

    // The parent writes while the child sleeps on the old values.
    let pid = match sys::fork() {
        Ok(0) => {
            let _ = sys::sleep_ms(50);
            sys::exit(u8::from(!holds(area, 1)))
        }
        other => other.unwrap_or(0),
    };
    fill(area, 3);
    checks.same(sys::wait(pid), Ok(Ended::Exited(0)), "a child does not see the parent's writes");

    // A page that is shared three times over: parent, child, grandchild.
    let family = || {
        let grandchild = match sys::fork() {
            Ok(0) => {
                fill(area, 5);
                sys::exit(u8::from(!holds(area, 5)))
            }
            other => other.unwrap_or(0),
        };
        let good = sys::wait(grandchild) == Ok(Ended::Exited(0)) && holds(area, 3);
        fill(area, 4);
        u8::from(!(good && holds(area, 4)))
    };
    checks.child(family, Ended::Exited(0), "three generations, three values");
    checks.that(holds(area, 3), format_args!("the parent still has its own"));

    // The kernel writes into a shared page: it must copy first, too.
    let reader = || {
        let Ok(file) = sys::open(c"/etc/motd") else { return 1 };
        match sys::read(file, &mut area[..16]) {
            Ok(1..) if area[0] != 3 => 0,
            _ => 2,
        }
    };
    checks.child(reader, Ended::Exited(0), "`read` into a shared page");
    checks.that(holds(area, 3), format_args!("`read` in the child left the parent's page alone"));

    // The last owner of a page writes it in place.
    fill(area, 6);
    checks.that(holds(area, 6), format_args!("the last owner writes"));
    checks.status()
}

/// Writes one byte of each page, which depends on page and `round`.
fn fill(area: &mut [u8], round: u8) {
    for (index, page) in area.chunks_mut(PAGE).enumerate() {
        page[0] = round;
        page[PAGE - 1] = round ^ index as u8;
    }
}

fn holds(area: &[u8], round: u8) -> bool {
    // Through the CPU, not through what the compiler remembers.
    let at = |offset: usize| memory::peek(area.as_ptr().addr() + offset);
    (0..PAGES).all(|index| {
        at(index * PAGE) == round && at(index * PAGE + PAGE - 1) == round ^ index as u8
    })
}
