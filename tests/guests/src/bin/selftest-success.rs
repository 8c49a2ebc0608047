//! The runner: a guest that finds nothing wrong. Expected: SUCCESS.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, check, guest};

guest!(run);

fn run(start: &'static StartInfo) -> Outcome {
    check!(start.nr_pages > 0, "the domain has no memory");
    Ok(())
}
