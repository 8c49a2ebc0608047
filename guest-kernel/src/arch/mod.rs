//! The machine layer of a Ring 1 program on the 32-bit PV ABI.
//!
//! Usable without the rest of the kernel: a test guest is
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use guest_kernel::{arch, entry, println};
//!
//! entry!(main);
//!
//! fn main(start_info: &'static arch::abi::StartInfo) -> ! {
//!     println!("{} pages", start_info.nr_pages);
//!     // A fault that is expected is a value:
//!     let fault = arch::probe::probe(|| arch::probe::read_u32(0x1000)).unwrap_err();
//!     println!("vector {} at {:#x}", fault.vector, fault.address);
//!     println!("Test result: SUCCESS");
//!     arch::calls::poweroff()
//! }
//! ```
//!
//! with `features`, target and linker as the kernel's own build, and in its build script
//! `cargo:rustc-link-arg-bins=-T<path of guest-kernel/link.ld>`. The library brings the panic handler
//! (message, registers, shutdown "crash") and the global allocator (empty until the kernel
//! fills it).
//!
//! | module | gives |
//! |---|---|
//! | [`entry`] | ELF notes, `_start`, addresses of the image |
//! | [`hypercall`] | the one call site, counters |
//! | [`calls`] | the hypercalls as typed functions |
//! | [`domctl`], [`sysctl`] | what domain 0 does to others, and asks of the machine |
//! | [`grants`] | grant tables: one's own, and the uses of others' |
//! | [`physdev`] | interrupts of devices |
//! | [`io`] | I/O ports |
//! | `memory` | copying, filling and comparing bytes |
//! | [`shared`] | the shared info page: pending and mask bits, clocks |
//! | [`events`] | masking upcalls, running port handlers |
//! | [`trap`] | frames, and who handles them |
//! | [`stubs`] | entries, and the way back to Ring 3 |
//! | [`probe`] | faults that are expected, and stays in Ring 3, as values |
//! | [`uaccess`] | copies from and to memory that may fault |

pub mod calls;
pub mod domctl;
pub mod entry;
pub mod events;
pub mod grants;
pub mod hypercall;
pub mod io;
mod memory;
pub mod physdev;
pub mod probe;
pub mod shared;
pub mod stubs;
pub mod sysctl;
pub mod trap;
pub mod uaccess;

/// The ABI's layouts of this width.
pub use pv_abi::x86_32 as abi;

/// First thing after `_start`: maps the shared info page and registers the trap stubs. For
/// [`entry!`](crate::entry) alone.
#[doc(hidden)]
pub fn init() -> &'static abi::StartInfo {
    let start_info = entry::start_info();
    shared::map(start_info.shared_info);
    if let Err(errno) = stubs::install() {
        panic!("cannot register the trap table: {errno:?}");
    }
    start_info
}
