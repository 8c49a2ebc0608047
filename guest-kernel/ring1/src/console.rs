//! Text out: [`print!`](crate::print) and [`println!`](crate::println), over the hypervisor's console
//! until [`set_output`] names another.
//!
//! Text is gathered until a line has ended before it goes out, so that a line (or several that come
//! at once) costs one hypercall and two programs' lines do not mix; [`flush`] sends an unfinished one (a prompt). The hypervisor's console
//! makes `\r\n` of `\n`.
#![allow(unsafe_code)] // UNSAFETY: the line buffer is a static that code with upcalls masked owns.

use crate::{calls, events::Masked};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};

/// Bytes that are sent at once at most.
const LINE: usize = 1024;

struct Line {
    bytes: [u8; LINE],
    used: usize,
    /// The last byte written.
    last: u8,
    /// Where it goes.
    output: fn(&[u8]),
}

struct Buffer(UnsafeCell<Line>);
// SAFETY: 1. One vCPU, and `with_line` masks upcalls while it uses the buffer, so that there is one
// user at a time. 2. A trap inside would be a bug that ends in a panic, which resets the line.
unsafe impl Sync for Buffer {}

static BUFFER: Buffer =
    Buffer(UnsafeCell::new(Line { bytes: [0; LINE], used: 0, last: b'\n', output: hypervisor }));

fn with_line(f: impl FnOnce(&mut Line)) {
    let _masked = Masked::new();
    // SAFETY: 1. See `Buffer`: upcalls are masked, and no function called by `f` comes here.
    f(unsafe { &mut *BUFFER.0.get() });
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.last = byte;
            self.bytes[self.used] = byte;
            self.used += 1;
            if self.used == LINE {
                self.send();
            }
        }
        if bytes.contains(&b'\n') {
            self.send();
        }
    }

    fn send(&mut self) {
        if self.used > 0 {
            (self.output)(&self.bytes[..self.used]);
            self.used = 0;
        }
    }
}

/// The hypervisor's console, which domain 0 may use.
fn hypervisor(bytes: &[u8]) {
    // Nobody is left to be told that it was refused.
    let _ = calls::console_write(bytes);
}

/// Names the function that takes text from now on. It is called with upcalls masked, and must not
/// print.
pub fn set_output(output: fn(&[u8])) {
    with_line(|line| line.output = output);
}

/// Writes bytes.
pub fn write_bytes(bytes: &[u8]) {
    with_line(|line| line.push(bytes));
}

/// Sends what is gathered of a line.
pub fn flush() {
    with_line(Line::send);
}

/// Whether the last byte written, by anyone, ended a line.
pub fn at_line_start() -> bool {
    let mut ended = false;
    with_line(|line| ended = line.last == b'\n');
    ended
}

/// The console as a formatter's target.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_bytes(text.as_bytes());
        Ok(())
    }
}

/// What the macros call.
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = Console.write_fmt(arguments);
}

/// Writes text to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}

/// Writes a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::console::print(format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
