//! Everything that this crate states, as data: what the layout test compares
//! with the C headers.
//!
//! Rows come from the declaring macros themselves; a module is added to
//! [`TABLES`] by hand. Forgetting that leaves its rows unused, which the
//! compiler reports, and the layout test finds the names missing.

use crate::*;

/// For which guests a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Both widths, with the same values, offsets and sizes.
    Both,
    /// x86_32p guests only.
    X86_32,
    /// x86_64 guests only.
    X86_64,
}

/// What one module states.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Path of the module within the crate.
    pub module: &'static str,
    /// For which guests.
    pub width: Width,
    /// Its numbers.
    pub constants: &'static [Constant],
    /// Its structures.
    pub layouts: &'static [Layout],
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// Name in Rust.
    pub rust: &'static str,
    /// Constant expression in C.
    pub c: &'static str,
    /// Value; signed numbers are negative.
    pub value: i128,
}

/// A structure.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name in Rust.
    pub rust: &'static str,
    /// Type in C.
    pub c: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Fields in order; together they cover every byte.
    pub fields: &'static [Field],
}

/// A field of a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in Rust.
    pub rust: &'static str,
    /// Paths in C: the first has exactly this offset and size, further ones are
    /// smaller members of the same union. None: padding without a name.
    pub c: &'static [&'static str],
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// One row of [`TABLES`].
macro_rules! table {
    ($width:ident: $($module:ident)::+ [$constants:expr, $layouts:expr]) => {
        Table {
            module: stringify!($($module)::+),
            width: Width::$width,
            constants: $constants,
            layouts: $layouts,
        }
    };
    ($width:ident: $($module:ident)::+ constants) => {
        table!($width: $($module)::+ [$($module)::+::CONSTANTS, &[]])
    };
    ($width:ident: $($module:ident)::+ layouts) => {
        table!($width: $($module)::+ [&[], $($module)::+::LAYOUTS])
    };
    ($width:ident: $($module:ident)::+ both) => {
        table!($width: $($module)::+ [$($module)::+::CONSTANTS, $($module)::+::LAYOUTS])
    };
}

/// Everything stated.
pub const TABLES: &[Table] = &[
    table!(Both: types constants),
    table!(Both: errno constants),
    table!(Both: hypercall constants),
    table!(Both: mmu both),
    table!(Both: memory both),
    table!(Both: event_channel both),
    table!(Both: sched both),
    table!(Both: vcpu both),
    table!(Both: version both),
    table!(Both: features constants),
    table!(Both: physdev both),
    table!(Both: callback both),
    table!(Both: console both),
    table!(Both: virq constants),
    table!(Both: vm_assist constants),
    table!(Both: start_info both),
    table!(Both: traps constants),
    table!(Both: elfnote constants),
    table!(Both: time both),
    table!(X86_32: x86_32::segments constants),
    table!(X86_32: x86_32::address_space constants),
    table!(X86_32: x86_32::registers layouts),
    table!(X86_32: x86_32::shared_info both),
    table!(X86_32: x86_32::start_info layouts),
    table!(X86_32: x86_32::memory layouts),
    table!(X86_32: x86_32::hypercall_args layouts),
    table!(X86_32: x86_32::vcpu layouts),
    table!(X86_64: x86_64::segments constants),
    table!(X86_64: x86_64::address_space constants),
    table!(X86_64: x86_64::registers layouts),
    table!(X86_64: x86_64::shared_info both),
    table!(X86_64: x86_64::start_info layouts),
    table!(X86_64: x86_64::memory layouts),
    table!(X86_64: x86_64::hypercall_args layouts),
    table!(X86_64: x86_64::vcpu layouts),
];
