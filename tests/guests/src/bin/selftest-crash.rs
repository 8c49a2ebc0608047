//! The runner: a guest that dies of a trap that nothing expects, after a verdict. Expected: CRASH.
#![no_std]
#![no_main]
use pv_guests::{Outcome, StartInfo, code, guest};

guest!(run);

code! { undefined: "ud2"; }

fn run(_: &'static StartInfo) -> Outcome {
    undefined();
    Ok(())
}
