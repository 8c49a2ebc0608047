//! A device of domain 0's that interrupts by its wire: QEMU's `edu`.
//!
//! `xen/include/public/physdev.h`, Xen 4.17 `arch/x86/irq.c` (ACKTYPE_UNMASK); QEMU's
//! `docs/specs/edu.rst`. Expected: its registers can be mapped, uncached; an interrupt arrives
//! as an event; as long as it is not ended there is no other, though the device still says
//! so; ended with the device still saying so it comes again; ended when the device is quiet
//! it does not. RAM cannot be mapped uncached, nor the local APIC at all.
#![no_std]
#![no_main]
use guest_kernel::arch::{calls, events};
use pv_abi::errno::Errno;
use pv_abi::types::Port;
use pv_guests::pages::{KRW, Page, entry, map};
use pv_guests::pci::{self, Function, Registers};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, clock, guest, must};

guest!(run);

const EDU: u32 = 0x11e8_1234;
const MS: u64 = 1_000_000;
/// Registers of the device.
const IDENTITY: u32 = 0x00;
const INVERTER: u32 = 0x04;
const STATUS: u32 = 0x24;
const RAISE: u32 = 0x60;
const ACKNOWLEDGE: u32 = 0x64;

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
    check!(!comes(port, 5), "an interrupt that nobody raised");
    for _ in 0..3 {
        registers.write(RAISE, 5);
        check!(comes(port, 1000), "no interrupt");
        check_eq!(registers.read(STATUS), 5, "the device's status");
        check!(!comes(port, 5), "an interrupt that was not ended came again");
        must(pci::end(pirq), "eoi")?;
        check!(comes(port, 1000), "the level is still there, but does not interrupt");
        registers.write(ACKNOWLEDGE, 5);
        must(pci::end(pirq), "eoi")?;
        check!(!comes(port, 5), "the level is gone, but interrupts");
    }
    // Closed: silence. Bound again: the level that is there interrupts.
    must(calls::evtchn_close(port), "close")?;
    registers.write(RAISE, 1);
    let port = must(pci::bind_pirq(pirq), "bind_pirq again")?;
    check!(comes(port, 1000), "a level that was there before");
    registers.write(ACKNOWLEDGE, 1);
    must(pci::end(pirq), "eoi")?;
    must(pci::unmap_pirq(pirq), "unmap_pirq")?;
    registers.write(RAISE, 1);
    check!(!comes(port, 5), "an unmapped pirq rang");
    registers.write(ACKNOWLEDGE, 1);
    Ok(())
}
