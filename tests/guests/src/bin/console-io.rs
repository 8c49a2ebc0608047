//! console_io: writing and reading the hypervisor's console as domain 0.
//!
//! `xen/include/public/xen.h` (CONSOLEIO_*); Xen 4.17 `drivers/char/console.c`. Expected: writes
//! return 0, also of no bytes and of many; a read without input returns 0; others are -ENOSYS.
#![no_std]
#![no_main]
use pv_abi::console::{CONSOLEIO_READ, CONSOLEIO_WRITE};
use pv_abi::hypercall::CONSOLE_IO;
use pv_guests::pages::{PAGE, Page, write32};
use pv_guests::{Outcome, StartInfo, check_eq, guest, hypercall};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    for offset in (0..PAGE).step_by(4) {
        let end = (offset / 4) % 16 == 15;
        write32(page.va + offset, u32::from_le_bytes(if end { *b"io.\n" } else { *b"cons" }));
    }
    check_eq!(hypercall(CONSOLE_IO, &[CONSOLEIO_WRITE, PAGE, page.va]), 0, "4096 bytes");
    check_eq!(hypercall(CONSOLE_IO, &[CONSOLEIO_WRITE, 0, page.va]), 0, "no bytes");
    check_eq!(hypercall(CONSOLE_IO, &[CONSOLEIO_READ, 16, page.va]), 0, "a read without input");
    for command in [2, 3, u32::MAX] {
        check_eq!(hypercall(CONSOLE_IO, &[command, 1, page.va]), -38, "command {command}");
    }
    Ok(())
}
