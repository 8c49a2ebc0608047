//! The hypervisor's program: the machine layer brings the machine up and describes it, the
//! portable library takes over. This file alone names both.

#![no_std]
#![no_main]
// UNSAFETY: the name that the boot code calls must not be mangled.
#![allow(unsafe_code)]

use hypervisor::arch::x86_64::{boot, clock, logger, serial};

/// Where the boot code arrives: long mode, boot page tables, boot stack, interrupts off.
///
/// `magic` and `information` are what the boot loader left in `eax` and `ebx`.
#[unsafe(no_mangle)]
extern "C" fn ferrule_main(magic: u32, information: u32) -> ! {
    clock::start();
    serial::init();
    logger::init();
    log::info!("Ferrule {}: a Ring 0 hypervisor for Xen PV guests", env!("CARGO_PKG_VERSION"));
    log::debug!("multiboot magic {magic:#x}, information at {information:#x}");
    boot::halt_forever()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log::error!("{info}");
    boot::halt_forever()
}
