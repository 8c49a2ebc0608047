//! Printing to standard output, a line at a time where possible: one system call per `println!`.

use core::fmt::{self, Write};

use crate::sys;

/// Bytes gathered before they are written.
const GATHER: usize = 256;

struct Out {
    bytes: [u8; GATHER],
    used: usize,
}

impl Out {
    fn flush(&mut self) {
        let mut rest = self.bytes.get(..self.used).unwrap_or(&[]);
        while let Ok(count @ 1..) = sys::write(1, rest) {
            rest = rest.get(count..).unwrap_or(&[]);
            if rest.is_empty() {
                break;
            }
        }
        self.used = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == GATHER {
                self.flush();
            }
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
        Ok(())
    }
}

/// Standard output as a writer.
#[derive(Clone, Copy, Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        print(format_args!("{text}"));
        Ok(())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        print(text);
        Ok(())
    }
}

/// Prints, for [`print!`](crate::print) and [`println!`](crate::println).
pub fn print(text: fmt::Arguments<'_>) {
    let mut out = Out { bytes: [0; GATHER], used: 0 };
    // `Out` refuses nothing.
    let _ = out.write_fmt(text);
    out.flush();
}

/// Prints to standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print::print(format_args!($($text)*)) };
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::print(format_args!("{}\n", format_args!($($text)*))) };
}
