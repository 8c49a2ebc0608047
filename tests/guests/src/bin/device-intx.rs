//! A device of domain 0's that interrupts by its wire: QEMU's `edu`.
//!
//! `xen/include/public/physdev.h`, Xen 4.17 `arch/x86/irq.c` (ACKTYPE_UNMASK); QEMU's
//! `docs/specs/edu.rst`. Expected: its registers can be mapped, uncached; an interrupt arrives
//! as an event; as long as it is not ended there is no other, though the device still says
//! so; ended with the device still saying so it comes again; ended when the device is quiet
//! it does not. RAM cannot be mapped uncached, nor the local APIC at all.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_guests::clock::comes_within;
use pv_guests::pages::{KRW, Page, entry, map};
use pv_guests::pci::{self, Function, Registers, edu};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, guest, must};
use ring1::{calls, events};

guest!(run);

/// Registers of the device.
const IDENTITY: u32 = 0x00;
const INVERTER: u32 = 0x04;
const STATUS: u32 = 0x24;

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    must(calls::set_iopl(1), "set_iopl")?;
    let edu = Function::find(edu::ID).ok_or(Stop::Error("the machine has no edu device"))?;
    let registers = Registers::map(edu.bar(0))?;
    check_eq!(registers.read(IDENTITY) & 0xff, 0xed, "the device's identity");
    registers.write(INVERTER, 0x1234_5678);
    check_eq!(registers.read(INVERTER), !0x1234_5678, "its inverter");
    check!(map(Page::take().va, entry(0xfee00, KRW)).is_err(), "the local APIC was mapped");
    let page = Page::take();
    check!(page.set(KRW | 0x10).is_err(), "RAM was mapped uncached");

    let irq = edu.irq();
    check_eq!(pci::bind_pirq(irq).err(), Some(Errno::EPERM), "binding an unmapped pirq");
    let pirq = must(pci::map_wire(irq), "map_pirq")?;
    let port = must(pci::bind_pirq(pirq), "bind_pirq")?;
    check!(!comes_within(port, 5), "an interrupt that nobody raised");
    for _ in 0..3 {
        registers.write(edu::RAISE, 5);
        check!(comes_within(port, 1000), "no interrupt");
        check_eq!(registers.read(STATUS), 5, "the device's status");
        check!(!comes_within(port, 5), "an interrupt that was not ended came again");
        must(pci::end(pirq), "eoi")?;
        check!(comes_within(port, 1000), "the level is still there, but does not interrupt");
        registers.write(edu::ACKNOWLEDGE, 5);
        must(pci::end(pirq), "eoi")?;
        check!(!comes_within(port, 5), "the level is gone, but interrupts");
    }
    // Closed: silence. Bound again: the level that is there interrupts.
    must(calls::evtchn_close(port), "close")?;
    registers.write(edu::RAISE, 1);
    let port = must(pci::bind_pirq(pirq), "bind_pirq again")?;
    check!(comes_within(port, 1000), "a level that was there before");
    registers.write(edu::ACKNOWLEDGE, 1);
    must(pci::end(pirq), "eoi")?;
    must(pci::unmap_pirq(pirq), "unmap_pirq")?;
    registers.write(edu::RAISE, 1);
    check!(!comes_within(port, 5), "an unmapped pirq rang");
    registers.write(edu::ACKNOWLEDGE, 1);
    Ok(())
}
