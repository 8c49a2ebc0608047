//! The sensitive but unprivileged instructions in Ring 1: each does what `ring1::sensitive`'s
//! table says.
//!
//! Popek and Goldberg 1974; Robin and Irvine 2000 (see the crate `sensitive`). Expected: every row
//! holds. On Xen under QEMU 7.2 the row of `int 0x20` differs: QEMU's error code is wrong, and Xen
//! passes it on.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, check, guest};
use ring1::print;

guest!(run);

struct Console;

impl core::fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        print!("{text}");
        Ok(())
    }
}

fn run(_: &'static StartInfo) -> Outcome {
    check!(ring1::sensitive::report(&mut Console), "a row of the table differs");
    Ok(())
}
