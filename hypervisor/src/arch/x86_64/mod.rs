//! The x86-64 machine layer: from reset to a described machine, and every privileged
//! instruction after that.
//!
//! `bring_up` tells the story from the boot loader to the library; `layout` is the address
//! space on one page; `entry` and `switch` are the ways into guests and out of them.

pub mod address_space;
pub mod apic;
pub mod backtrace;
pub mod boot;
pub mod bring_up;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod cpu_area;
pub mod cpus;
pub mod device_window;
pub mod early;
pub mod end;
pub mod entry;
pub mod exceptions;
pub mod extable;
mod extended_state;
pub mod firmware;
pub mod gdt;
pub mod guest_entry;
pub mod idt;
pub mod image;
pub mod interrupts;
pub mod io_apic;
pub mod layout;
pub mod logger;
pub mod m2p;
pub mod machine;
pub mod machine_keys;
pub mod paging;
pub mod panic;
pub mod percpu;
pub mod pic;
pub mod pit;
pub mod rtc;
pub mod serial;
pub mod shootdown;
pub mod smp;
pub mod switch;
pub mod tables;
pub mod timer;
pub mod tss;
pub mod uaccess;
pub mod window;
