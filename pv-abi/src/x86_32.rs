//! Layouts of x86_32p guests: 32-bit, PAE, kernel in Ring 1.
//!
//! Readable from any target: numbers have fixed sizes, and 64-bit ones are
//! [`U64A4`], as C aligns them to 4 bytes there. Files under `layout/` are
//! compiled once here and once in [`crate::x86_64`], over the types of
//! `width`.

/// What the files of `layout/` build on, in this width.
mod width {
    /// C's `unsigned long`, `xen_ulong_t` and `xen_pfn_t`.
    pub type ULong = u32;
    /// A guest handle: an address in the guest.
    pub type Handle = u32;
    /// C's `uint64_t`, as it is aligned here.
    pub type U64 = crate::types::U64A4;
    /// Chooses by width.
    pub(crate) const fn by_width(x86_32: usize, _x86_64: usize) -> usize {
        x86_32
    }
    pub use super::registers::Callback;
}

pub mod address_space;
pub mod registers;
pub mod segments;
pub mod shared_info;

#[path = "layout/blkif.rs"]
pub mod blkif;
#[path = "layout/grant_table.rs"]
pub mod grant_table;
#[path = "layout/hypercall_args.rs"]
pub mod hypercall_args;
#[path = "layout/memory.rs"]
pub mod memory;
#[path = "layout/physdev.rs"]
pub mod physdev;
#[path = "layout/start_info.rs"]
pub mod start_info;
#[path = "layout/vcpu.rs"]
pub mod vcpu;

pub use crate::time::VcpuTimeInfo;
pub use crate::types::U64A4;
pub use address_space::*;
pub use blkif::*;
pub use grant_table::*;
pub use hypercall_args::*;
pub use memory::*;
pub use physdev::*;
pub use registers::*;
pub use segments::*;
pub use shared_info::*;
pub use start_info::*;
pub use vcpu::*;
pub use width::{Handle, U64, ULong};
