//! The runner: a guest that needs what no machine has. Expected: SKIP.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, Stop, guest};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    Err(Stop::Skip("skipped on purpose"))
}
