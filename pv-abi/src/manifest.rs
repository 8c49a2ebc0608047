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

/// One row of [`TABLES`]: `"module" width, constants, layouts`; absent parts are
/// written as `-`.
macro_rules! table {
    ($module:literal $width:ident, $($constants:ident)::+, -) => {
        table!(@ $module, $width, $($constants)::+::CONSTANTS, &[])
    };
    ($module:literal $width:ident, -, $($layouts:ident)::+) => {
        table!(@ $module, $width, &[], $($layouts)::+::LAYOUTS)
    };
    ($module:literal $width:ident, $($constants:ident)::+, $($layouts:ident)::+) => {
        table!(@ $module, $width, $($constants)::+::CONSTANTS, $($layouts)::+::LAYOUTS)
    };
    (@ $module:literal, $width:ident, $constants:expr, $layouts:expr) => {
        Table { module: $module, width: Width::$width, constants: $constants, layouts: $layouts }
    };
}

/// Everything stated.
pub const TABLES: &[Table] = &[
    table!("types" Both, types, -),
    table!("errno" Both, errno, -),
    table!("hypercall" Both, hypercall, -),
    table!("mmu" Both, mmu, mmu),
    table!("memory" Both, -, memory),
    table!("memory::numbers" Both, memory::numbers, -),
    table!("event_channel" Both, event_channel, event_channel),
    table!("grant_table" Both, -, grant_table),
    table!("grant_table::numbers" Both, grant_table::numbers, -),
    table!("sched" Both, sched, sched),
    table!("vcpu" Both, vcpu, vcpu),
    table!("version" Both, version, version),
    table!("features" Both, features, -),
    table!("physdev" Both, -, physdev),
    table!("physdev::numbers" Both, physdev::numbers, -),
    table!("domctl" Both, -, domctl),
    table!("domctl::numbers" Both, domctl::numbers, -),
    table!("sysctl" Both, -, sysctl),
    table!("sysctl::numbers" Both, sysctl::numbers, -),
    table!("platform" Both, platform, platform),
    table!("callback" Both, callback, callback),
    table!("console" Both, console, console),
    table!("nmi" Both, nmi, -),
    table!("virq" Both, virq, -),
    table!("vm_assist" Both, vm_assist, -),
    table!("start_info" Both, start_info, start_info),
    table!("time" Both, time, time),
    table!("traps" Both, traps, -),
    table!("elfnote" Both, elfnote, -),
    table!("cpuid" Both, cpuid, cpuid),
    table!("io::blkif" Both, io::blkif, io::blkif),
    table!("io::netif" Both, io::netif, io::netif),
    table!("io::ring" Both, -, io::ring),
    table!("io::xenbus" Both, io::xenbus, -),
    table!("io::xs_wire" Both, io::xs_wire, io::xs_wire),
    table!("x86_32::segments" X86_32, x86_32::segments, -),
    table!("x86_32::address_space" X86_32, x86_32::address_space, -),
    table!("x86_32::registers" X86_32, -, x86_32::registers),
    table!("x86_32::shared_info" X86_32, x86_32::shared_info, x86_32::shared_info),
    table!("x86_32::start_info" X86_32, -, x86_32::start_info),
    table!("x86_32::memory" X86_32, -, x86_32::memory),
    table!("x86_32::blkif" X86_32, -, x86_32::blkif),
    table!("x86_32::grant_table" X86_32, -, x86_32::grant_table),
    table!("x86_32::physdev" X86_32, -, x86_32::physdev),
    table!("x86_32::hypercall_args" X86_32, -, x86_32::hypercall_args),
    table!("x86_32::vcpu" X86_32, -, x86_32::vcpu),
    table!("x86_64::segments" X86_64, x86_64::segments, -),
    table!("x86_64::address_space" X86_64, x86_64::address_space, -),
    table!("x86_64::registers" X86_64, -, x86_64::registers),
    table!("x86_64::shared_info" X86_64, x86_64::shared_info, x86_64::shared_info),
    table!("x86_64::start_info" X86_64, -, x86_64::start_info),
    table!("x86_64::memory" X86_64, -, x86_64::memory),
    table!("x86_64::blkif" X86_64, -, x86_64::blkif),
    table!("x86_64::grant_table" X86_64, -, x86_64::grant_table),
    table!("x86_64::physdev" X86_64, -, x86_64::physdev),
    table!("x86_64::hypercall_args" X86_64, -, x86_64::hypercall_args),
    table!("x86_64::vcpu" X86_64, -, x86_64::vcpu),
];
