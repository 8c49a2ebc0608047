#![doc = include_str!("../README.md")]
#![no_std]
#![cfg(all(target_os = "none", target_arch = "x86"))]

pub mod calls;
pub mod console;
pub mod entry;
pub mod events;
pub mod grants;
pub mod hypercall;
pub mod io;
mod memory;
pub mod page;
pub mod panic;
pub mod physdev;
pub mod probe;
pub mod sensitive;
pub mod shared;
pub mod stubs;
pub mod trap;
pub mod uaccess;

/// The ABI's layouts of this width.
pub use pv_abi::x86_32 as abi;

/// First thing after `_start`: maps the shared info page and registers the trap stubs. For
/// [`entry!`] alone.
#[doc(hidden)]
pub fn init() -> &'static abi::StartInfo {
    let start_info = entry::start_info();
    shared::map(start_info.shared_info);
    if let Err(errno) = stubs::install() {
        panic!("cannot register the trap table: {errno:?}");
    }
    start_info
}
