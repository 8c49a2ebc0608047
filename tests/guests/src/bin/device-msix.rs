//! A device of domain 0's that interrupts by MSI-X and writes to memory: QEMU's virtio-rng.
//!
//! `xen/include/public/physdev.h` (MAP_PIRQ_TYPE_MSI with a table), Xen 4.17 `arch/x86/msi.c`;
//! Virtual I/O Device 1.2, sections 4.1.4 and 5.4. Expected: the hypervisor writes the entry
//! of the table, which the kernel can map read-only alone (Xen drops its stores instead of
//! faulting); a used buffer is an event, and holds random bytes.
#![no_std]
#![no_main]
use pv_guests::clock::comes_within;
use pv_guests::pages::{Page, read32, write32};
use pv_guests::pci::{self, Function, Registers};
use pv_guests::{Outcome, StartInfo, Stop, check, check_eq, expect, guest, must};
use ring1::{calls, events};

guest!(run);

const RNG: u32 = 0x1044_1af4;
/// Capabilities, and kinds of virtio's.
const MSIX: u32 = 0x11;
const VIRTIO: u32 = 0x09;
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;
/// MSI-X: messages are on, in the capability's first word.
const ENABLE: u32 = 1 << 31;
/// The command register: registers in memory answer, the device may write to memory.
const COMMAND: u32 = 6;

/// The registers of a kind of virtio's, and what follows its capability.
fn registers(rng: Function, kind: u32) -> Outcome<(Registers, u32)> {
    let mut all = rng.capabilities(VIRTIO);
    let at = all.find(|at| rng.config(*at) >> 24 == kind);
    let at = at.ok_or(Stop::Error("virtio's registers are missing"))?;
    let mfn = rng.bar(rng.config(at + 4) & 0xff) + (rng.config(at + 8) >> 12);
    Ok((Registers::map(mfn)?, rng.config(at + 16)))
}

fn run(_: &'static StartInfo) -> Outcome {
    events::mask();
    must(calls::set_iopl(1), "set_iopl")?;
    let rng = Function::find(RNG).ok_or(Stop::Error("the machine has no virtio-rng"))?;
    rng.change(4, COMMAND, 0xffff_0000);
    let at = rng.capabilities(MSIX).next().ok_or(Stop::Error("the device has no MSI-X"))?;
    let table = rng.bar(rng.config(at + 4) & 7);
    let pirq = must(pci::map_message(rng, 0, u64::from(table) << 12), "map_pirq")?;
    let port = must(pci::bind_pirq(pirq), "bind_pirq")?;
    let entry = Registers::map(table)?;
    check_eq!(entry.read(0) & 0xfff0_0000, 0xfee0_0000, "the message's address");
    check_eq!(entry.read(12) & 1, 0, "the mask of a bound message");
    expect::fault("writing to the table", expect::PF, 3, || entry.write(0, 0));
    rng.change(at, ENABLE, 0);

    let (common, _) = registers(rng, COMMON)?;
    let (notify, multiplier) = registers(rng, NOTIFY)?;
    // Reset; acknowledge, driver; VIRTIO_F_VERSION_1 alone; features are fine.
    common.write8(0x14, 0);
    common.write8(0x14, 3);
    common.write(0x08, 1);
    common.write(0x0c, 1);
    common.write8(0x14, 11);
    check_eq!(common.read8(0x14), 11, "features");
    // Queue 0: eight entries, message 0.
    let (ring, buffer) = (Page::take(), Page::take());
    common.write16(0x16, 0);
    common.write16(0x18, 8);
    common.write16(0x1a, 0);
    check_eq!(common.read16(0x1a), 0, "the queue's message");
    for (register, offset) in [(0x20, 0), (0x28, 0x100), (0x30, 0x200)] {
        common.write(register, ring.machine() as u32 + offset);
        common.write(register + 4, (ring.machine() >> 32) as u32);
    }
    let doorbell = common.read16(0x1e) * multiplier;
    common.write16(0x1c, 1);
    common.write8(0x14, 15);
    // A buffer of 64 bytes that the device may write; available.
    ring.write(0, buffer.machine());
    write32(ring.va + 8, 64);
    write32(ring.va + 12, 2);
    check!(!comes_within(port, 5), "a message that nobody sent");
    for round in 1..=3 {
        write32(ring.va + 0x100, round << 16);
        notify.write16(doorbell, 0);
        check!(comes_within(port, 5000), "no message in round {round}");
        check_eq!(read32(ring.va + 0x200) >> 16, round, "used buffers");
        check_eq!(read32(ring.va + 0x208), 64, "bytes in the first");
    }
    let zeros = (0..16).filter(|i| read32(buffer.va + i * 4) == 0).count();
    check!(zeros < 4, "{zeros} of 16 random words are zero");
    common.write8(0x14, 0);
    must(calls::evtchn_close(port), "close")?;
    must(pci::unmap_pirq(pirq), "unmap_pirq")?;
    check_eq!(entry.read(12) & 1, 1, "the mask of a message that nobody has");
    Ok(())
}
