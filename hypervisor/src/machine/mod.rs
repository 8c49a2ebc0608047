//! What a machine says about itself, as data: pure parsing and arithmetic, tested on the host.
//!
//! The machine layer (`arch`) reads registers and firmware memory; what the bytes mean is
//! decided here.

pub mod acpi;
pub mod frequency;
pub mod indexed_ports;
pub mod io_memory;
pub mod multiboot;
pub mod multiboot2;
pub mod range_set;
pub mod ranges;
pub mod rtc;
pub mod symbols;
pub mod time_scale;
