//! A device of domain 0's that interrupts by MSI: QEMU's `edu`.
//!
//! `xen/include/public/physdev.h` (MAP_PIRQ_TYPE_MSI), Xen 4.17 `arch/x86/msi.c`; QEMU's
//! `docs/specs/edu.rst`. Expected: the hypervisor fills in the message, which the kernel
//! can then switch on, but not change; each message is an event, and needs no end.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_guests::clock::comes_within;
use pv_guests::pci::{self, Function, Registers, edu};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, guest, must};
use ring1::{calls, events};

guest!(run);

/// The capability, and in its first word the bit that switches messages on.
const MSI: u32 = 5;
const ENABLE: u32 = 1 << 16;
/// The command register: the device may write to memory.
const MASTER: u32 = 1 << 2;

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    must(calls::set_iopl(1), "set_iopl")?;
    let edu = Function::find(edu::ID).ok_or(Stop::Error("the machine has no edu device"))?;
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
        registers.write(edu::RAISE, 2);
        check!(comes_within(port, 1000), "no message");
        registers.write(edu::ACKNOWLEDGE, 2);
        check!(!comes_within(port, 2), "a message that nobody sent");
    }
    must(calls::evtchn_close(port), "close")?;
    must(pci::unmap_pirq(pirq), "unmap_pirq")?;
    check_eq!(edu.config(at) & ENABLE, 0, "messages after unmapping");
    edu.set_config(at + 4, 0xdead_0000);
    check_eq!(edu.config(at + 4), 0xdead_0000, "the message is the kernel's again");
    Ok(())
}
