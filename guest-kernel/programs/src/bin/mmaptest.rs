//! `brk`, `mmap2`, `munmap`: memory comes, is zero, and goes.
//!
//! Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: maps, unmaps and touches addresses of its own.

use guest_programs::check::Checks;
use guest_programs::memory::{self, FIXED, PAGE, READ, WRITE};
use guest_programs::sys::{self, Ended, Errno, nr};
use guest_programs::{Args, println};

guest_programs::entry!(main);

/// A place where neither our kernel nor Linux puts anything.
const PLACE: usize = 0x3000_0000;
const SEGV: Ended = Ended::Killed(11);

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    brk(&mut checks);

    let Ok(area) = memory::map(256) else {
        println!("FAIL no memory");
        return 1;
    };
    checks.that(area.iter().all(|&byte| byte == 0), format_args!("1 MiB of zeroes on demand"));
    area.iter_mut().step_by(PAGE).for_each(|byte| *byte = 7);
    let sum: usize = area.iter().map(|&byte| usize::from(byte)).sum();
    checks.same(sum, 256 * 7, "it keeps what is written");

    // SAFETY: 1. Nothing of this program lies at PLACE. (So for all calls below.)
    let mapped = unsafe { memory::map_at(PLACE, 4 * PAGE, READ | WRITE) };
    checks.same(mapped, Ok(PLACE), "MAP_FIXED");
    let write = |address: usize| {
        // SAFETY: 1. As above; elsewhere the process dies of it.
        unsafe { memory::poke(address, 9) };
        memory::peek(address) - 9
    };
    checks.same(write(PLACE + 2 * PAGE), 0, "it can be written");

    // A hole in the middle.
    // SAFETY: 1. As above.
    checks.same(unsafe { memory::unmap(PLACE + PAGE, PAGE) }, Ok(0), "munmap of the second page");
    checks.same(memory::peek(PLACE + 2 * PAGE), 9, "the third page is still there");
    checks.child(|| memory::peek(PLACE + PAGE), SEGV, "the hole is deadly");
    // SAFETY: 1. As above.
    let again = unsafe { memory::map_at(PLACE, 4 * PAGE, READ | WRITE) };
    checks.same(again, Ok(PLACE), "MAP_FIXED over an old mapping");
    checks.same(memory::peek(PLACE + 2 * PAGE), 0, "gives new zeroes");

    // SAFETY: 1. As above.
    let read_only = unsafe { memory::map_at(PLACE, PAGE, READ) };
    checks.same(read_only, Ok(PLACE), "a read-only mapping");
    checks.same(memory::peek(PLACE), 0, "can be read");
    checks.child(|| write(PLACE), SEGV, "but not written");
    // SAFETY: 1. As above.
    checks.same(unsafe { memory::unmap(PLACE, 4 * PAGE) }, Ok(0), "munmap of all");
    // SAFETY: 1. As above.
    checks.same(unsafe { memory::unmap(PLACE, 4 * PAGE) }, Ok(0), "munmap of nothing is fine");
    checks.child(|| memory::peek(PLACE), SEGV, "it is gone");

    errors(&mut checks);
    checks.status()
}

fn brk(checks: &mut Checks) {
    // SAFETY: 1. The break only grows, past everything of this program, and comes back.
    let brk = |address: usize| unsafe { sys::call(nr::BRK, &[address]) }.unwrap_or(0);
    let start = brk(0);
    checks.that(start >= 0x0804_8000, format_args!("brk(0) is the end of the program"));
    checks.same(brk(start + 5 * PAGE), start + 5 * PAGE, "brk grows");
    let last = start + 5 * PAGE - 1;
    checks.same(memory::peek(last), 0, "new memory is zero");
    // SAFETY: 1. Between the old break and the new one nothing else lies.
    unsafe { memory::poke(last, 1) };
    checks.same(memory::peek(last), 1, "and keeps what is written");
    checks.same(brk(start), start, "brk shrinks");
    checks.child(|| memory::peek(last), SEGV, "what was given back is gone");
    checks.same(brk(0xffff_f000), start, "brk refuses what cannot be, by changing nothing");
}

fn errors(checks: &mut Checks) {
    // SAFETY: 1. None of these calls maps or unmaps anything of this program.
    let mmap = |arguments: [usize; 4]| unsafe {
        sys::call(
            nr::MMAP2,
            &[arguments[0], arguments[1], arguments[2], arguments[3], usize::MAX, 0],
        )
    };
    let private = memory::ANONYMOUS;
    checks.same(mmap([0, 0, READ, private]), Err(Errno::EINVAL), "mmap2 of nothing");
    checks.same(
        mmap([0, PAGE, READ, 0x20]),
        Err(Errno::EINVAL),
        "mmap2 neither private nor shared",
    );
    let odd = mmap([PLACE + 1, PAGE, READ, private | FIXED]);
    checks.same(odd, Err(Errno::EINVAL), "MAP_FIXED in the middle of a page");
    checks.same(mmap([0, 0xf000_0000, READ, private]), Err(Errno::ENOMEM), "mmap2 of everything");
    let kernel = mmap([0xffff_f000, PAGE, READ, private | FIXED]);
    checks.that(kernel.is_err(), format_args!("MAP_FIXED onto the kernel"));
    // SAFETY: 1. As above: they are refused.
    let unmap = |address, length| unsafe { memory::unmap(address, length) };
    checks.same(unmap(PLACE + 1, PAGE), Err(Errno::EINVAL), "munmap in the middle of a page");
    checks.same(unmap(PLACE, 0), Err(Errno::EINVAL), "munmap of no length");
    checks.same(unmap(0xffff_f000, PAGE), Err(Errno::EINVAL), "munmap of the kernel");
}
