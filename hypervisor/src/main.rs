//! The hypervisor's program: the machine layer brings the machine up and describes it, the
//! portable library takes over. This file alone names both.

#![no_std]
#![no_main]
// UNSAFETY: the name that the boot code calls must not be mangled.
#![allow(unsafe_code)]

use hypervisor::arch::x86_64::bring_up::{self, Hardware};
use hypervisor::arch::x86_64::{end, panic};

/// Where the boot code arrives: long mode, boot page tables, boot stack, interrupts off.
///
/// `magic` and `information` are what the boot loader left in `eax` and `ebx`.
#[unsafe(no_mangle)]
extern "C" fn ferrule_main(magic: u32, information: u32) -> ! {
    bring_up::start(magic, information, run)
}

/// The machine stands; the hypervisor begins.
fn run(hardware: &'static Hardware) -> ! {
    log::info!("{} MiB are free", hardware.free.total() >> 20);
    end::stop()
}

#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    panic::rust_panic(info)
}
