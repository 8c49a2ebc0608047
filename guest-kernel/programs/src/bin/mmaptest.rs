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

    file(&mut checks);
    errors(&mut checks);
    checks.status()
}

/// Maps a page of a file that the kernel has in memory anyway: nobody sees what is written to it.
fn file(checks: &mut Checks) {
    const PRIVATE: usize = 2;
    let Ok(fd) = sys::open(c"/bin/mmaptest") else {
        println!("FAIL no file");
        return;
    };
    let map = |protection| {
        // SAFETY: 1. Without `MAP_FIXED` the kernel picks addresses that are not in use.
        unsafe { sys::call(nr::MMAP2, &[0, PAGE, protection, PRIVATE, fd, 0]) }.unwrap_or(0)
    };
    let (mine, other, fixed) = (map(READ | WRITE), map(READ), map(READ));
    let first = |address| memory::peek(address);
    checks.same([first(mine), first(other)], [0x7f; 2], "a file's first byte in two mappings");
    // SAFETY: 1. Nothing of this program lies there; elsewhere the process dies of it.
    let write = |address| unsafe { memory::poke(address, 9) };
    let child = || {
        write(mine);
        u8::from(first(mine) != 9 || first(other) != 0x7f)
    };
    checks.child(child, Ended::Exited(0), "a child writes to its own");
    checks.same(first(mine), 0x7f, "its parent does not see that");
    write(mine);
    checks.same([first(mine), first(other)], [9, 0x7f], "nor one mapping what another has");
    let mut byte = [0];
    checks.same((sys::read(fd, &mut byte), byte[0]), (Ok(1), 0x7f), "nor the file");
    let deadly = || {
        write(fixed);
        0
    };
    checks.child(deadly, SEGV, "one that is only to be read cannot be written");
    let [seen, fresh] = [map(READ | WRITE), map(READ | WRITE)];
    checks.same(first(seen), 0x7f, "a new mapping has what the file has");
    write(seen);
    checks.same([first(seen), first(other)], [9, 0x7f], "written after it was read");
    write(fresh);
    checks.same([first(fresh), first(other)], [9, 0x7f], "written before it was read");
    checks.same(memory::peek(fresh + 1), b'E', "the rest of that page is the file's");
    // SAFETY: 1. The mappings are this function's.
    let gone = [mine, other, fixed, seen, fresh].map(|at| unsafe { memory::unmap(at, PAGE) });
    checks.same(gone, [Ok(0); 5], "munmap of each");
    let _ = sys::close(fd);
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
