//! What a Ring 3 program needs: a start, arguments, system calls, printing, and help for programs
//! that test the kernel they run on.
//!
//! A program is a file of `src/bin`:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use guest_programs::{Args, println};
//!
//! guest_programs::entry!(main);
//!
//! fn main(_args: Args) -> u8 {
//!     println!("hello");
//!     0
//! }
//! ```
//!
//! Programs are static ELF files for i386 and speak Linux's system calls (numbers and semantics of
//! `int 0x80`), so the same files run under a Linux that accepts 32-bit programs: what a program
//! expects of our kernel can be held against the original. They use no heap and no libc.
//!
#![doc = include_str!("../README.md")]
#![no_std]

pub mod args;
pub mod check;
pub mod cpu;
pub mod measure;
pub mod memory;
pub mod print;
pub mod signal;
mod start;
pub mod sys;

pub use args::Args;
