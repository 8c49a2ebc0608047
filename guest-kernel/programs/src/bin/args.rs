//! Prints its arguments and its environment.
//!
//! Expected: a line for each, in order; status: the number of arguments behind the name.
#![no_std]
#![no_main]

use guest_programs::{Args, println};

guest_programs::entry!(main);

fn main(args: Args) -> u8 {
    for index in 0..args.count() {
        println!("argument {index}: {}", args.get(index).unwrap_or(""));
    }
    for variable in args.environment() {
        println!("environment: {variable}");
    }
    args.rest().count() as u8
}
