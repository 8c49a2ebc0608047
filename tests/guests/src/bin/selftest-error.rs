//! The runner: a guest that cannot do its work. Expected: ERROR.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, Stop, guest};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    Err(Stop::Error("wrong on purpose"))
}
