//! Reads standard input line by line and says what it read.
//!
//! Expected: each line comes back with its length; an empty line (or the input's end) ends it,
//! status 0. Ctrl-C ends it at once, status 130.
#![no_std]
#![no_main]

use guest_programs::{Args, println, sys};

guest_programs::entry!(main);

fn main(_args: Args) -> u8 {
    println!("Type lines; an empty one ends this.");
    let mut buffer = [0; 256];
    loop {
        match sys::read(0, &mut buffer) {
            Ok(0) => return 0,
            Ok(count) => {
                let text = core::str::from_utf8(&buffer[..count]).unwrap_or("?").trim_end();
                if text.is_empty() {
                    return 0;
                }
                println!("{} bytes: {text}", text.len());
            }
            Err(errno) => {
                println!("read: {errno:?}");
                return 1;
            }
        }
    }
}
