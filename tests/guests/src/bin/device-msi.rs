//! A device of domain 0's that interrupts by MSI: QEMU's `edu`.
//!
//! `xen/include/public/physdev.h` (MAP_PIRQ_TYPE_MSI), Xen 4.17 `arch/x86/msi.c`; QEMU's
//! `docs/specs/edu.rst`. Expected: the hypervisor fills in the message, which the kernel
//! can then switch on, but not change; each message is an event, and needs no end.
#![no_std]
#![no_main]
use guest_kernel::arch::{calls, events};
use pv_abi::errno::Errno;
use pv_abi::types::Port;
use pv_guests::pci::{self, Function, Registers};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, clock, guest, must};

guest!(run);

const EDU: u32 = 0x11e8_1234;
const MS: u64 = 1_000_000;
const RAISE: u32 = 0x60;
const ACKNOWLEDGE: u32 = 0x64;
/// The capability, and in its first word the bit that switches messages on.
const MSI: u32 = 5;
const ENABLE: u32 = 1 << 16;
/// The command register: the device may write to memory.
const MASTER: u32 = 1 << 2;

/// Sleeps until the port is pending (clears it: true) or `ms` have passed.
fn comes(port: Port, ms: u64) -> bool {
    let deadline = clock::now() + ms * MS;
    while !events::is_pending(port) && clock::now() < deadline {
        let _ = calls::poll(&[port], deadline);
    }
    let came = events::is_pending(port);
    events::clear_port(port);
    came
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    must(calls::set_iopl(1), "set_iopl")?;
    let edu = Function::find(EDU).ok_or(Stop::Error("the machine has no edu device"))?;
    let registers = Registers::map(edu.bar(0))?;
    let at = edu.capabilities(MSI).next().ok_or(Stop::Error("the device has no MSI"))?;
    edu.change(4, MASTER, 0xffff_0000);
    let pirq = must(pci::map_message(edu, 0, 0), "map_pirq")?;
    check_eq!(pci::map_message(edu, 0, 0).err(), Some(Errno::EEXIST), "mapping it twice");
    let port = must(pci::bind_pirq(pirq), "bind_pirq")?;
    // It leads to the CPU that the vCPU lived on just now.
    let message = [edu.config(at + 4), edu.config(at + 12)];
    check_eq!(message[0] & 0xfff0_0000, 0xfee0_0000, "the message's address");
    // The kernel cannot change it.
    edu.set_config(at + 4, 0xdead_0000);
    edu.set_config(at + 12, 0x80);
    check_eq!([edu.config(at + 4), edu.config(at + 12)], message, "the message");
    edu.change(at, ENABLE, 0);
    for _ in 0..3 {
        registers.write(RAISE, 2);
        check!(comes(port, 1000), "no message");
        registers.write(ACKNOWLEDGE, 2);
        check!(!comes(port, 2), "a message that nobody sent");
    }
    must(calls::evtchn_close(port), "close")?;
    must(pci::unmap_pirq(pirq), "unmap_pirq")?;
    check_eq!(edu.config(at) & ENABLE, 0, "messages after unmapping");
    edu.set_config(at + 4, 0xdead_0000);
    check_eq!(edu.config(at + 4), 0xdead_0000, "the message is the kernel's again");
    Ok(())
}
