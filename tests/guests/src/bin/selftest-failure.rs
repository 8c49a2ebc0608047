//! The runner: a guest whose check fails. Expected: FAILURE.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, check, guest};

guest!(run);

fn run(start: &'static StartInfo) -> Outcome {
    check!(start.nr_pages == 0, "this check fails on purpose");
    Ok(())
}
