//! The Ring 1 kernel's image.
#![no_std]
#![no_main]

use guest_kernel::arch::{calls, probe};
use guest_kernel::{arch::abi::StartInfo, entry, println};

entry!(main);

fn main(start_info: &'static StartInfo) -> ! {
    println!("{} pages", start_info.nr_pages);
    println!("{:?}", probe::probe(|| probe::read_u32(0x1000)));
    println!("Test result: SUCCESS");
    calls::poweroff()
}
