//! PCI functions of domain 0: configuration space by ports, registers in memory, interrupts.
//!
//! Ring 1 needs IOPL 1 for the ports (`calls::set_iopl`).
#![allow(unsafe_code)] // UNSAFETY: naked functions in assembly.

use crate::code;
use crate::pages::{KRW, Page, entry, map};
use crate::verdict::{Outcome, must};
use ring1::{calls, physdev};

pub use ring1::physdev::{bind_pirq, end, map_wire, unmap_pirq};

code! {
    in32(port: u32) -> u32: "mov edx, [esp + 4]", "in eax, dx", "ret";
    out32(port: u32, value: u32): "mov edx, [esp + 4]", "mov eax, [esp + 8]", "out dx, eax", "ret";
    load32(at: u32) -> u32: "mov eax, [esp + 4]", "mov eax, [eax]", "ret";
    load16(at: u32) -> u32: "mov eax, [esp + 4]", "movzx eax, word ptr [eax]", "ret";
    load8(at: u32) -> u32: "mov eax, [esp + 4]", "movzx eax, byte ptr [eax]", "ret";
    store32(at: u32, value: u32): "mov eax, [esp + 4]", "mov ecx, [esp + 8]", "mov [eax], ecx", "ret";
    store16(at: u32, value: u32): "mov eax, [esp + 4]", "mov ecx, [esp + 8]", "mov [eax], cx", "ret";
    store8(at: u32, value: u32): "mov eax, [esp + 4]", "mov ecx, [esp + 8]", "mov [eax], cl", "ret";
}

/// QEMU's device for those who teach and test, for [`Function::find`], and its registers that
/// begin and end an interrupt.
pub mod edu {
    /// Vendor and device.
    pub const ID: u32 = 0x11e8_1234;
    /// Written: the interrupt is raised.
    pub const RAISE: u32 = 0x60;
    /// Written: it is lowered.
    pub const ACKNOWLEDGE: u32 = 0x64;
}

/// Entry bits: not cached.
const UNCACHED: u64 = 0x18;

/// A function on bus 0.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    devfn: u32,
}

impl Function {
    /// The first function with this vendor (low half) and device (high half).
    pub fn find(id: u32) -> Option<Function> {
        (0..256).map(|devfn| Function { devfn }).find(|function| function.config(0) == id)
    }

    fn select(self, register: u32) {
        out32(0xcf8, 1 << 31 | self.devfn << 8 | register);
    }

    /// A word of configuration space.
    pub fn config(self, register: u32) -> u32 {
        self.select(register);
        in32(0xcfc)
    }

    /// Writes one.
    pub fn set_config(self, register: u32, value: u32) {
        self.select(register);
        out32(0xcfc, value);
    }

    /// Sets and clears bits of one.
    pub fn change(self, register: u32, set: u32, clear: u32) {
        self.set_config(register, self.config(register) & !clear | set);
    }

    /// The capabilities with this id, by where they are.
    pub fn capabilities(self, id: u32) -> impl Iterator<Item = u32> {
        let mut next = self.config(0x34) & 0xfc;
        core::iter::from_fn(move || {
            let at = Some(next).filter(|at| *at != 0)?;
            next = self.config(at) >> 8 & 0xfc;
            Some(at)
        })
        .filter(move |at| self.config(*at) & 0xff == id)
    }

    /// The frame that BAR `index` begins at. Bits 31..0 of the address are enough here.
    pub fn bar(self, index: u32) -> u32 {
        self.config(0x10 + 4 * index) >> 12
    }

    /// The wire's irq, as the firmware left it.
    pub fn irq(self) -> u32 {
        self.config(0x3c) & 0xff
    }
}

/// A frame of device registers, mapped.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    va: u32,
}

impl Registers {
    /// Maps frame `mfn`, uncached, where a spare page was.
    pub fn map(mfn: u32) -> Outcome<Registers> {
        let va = Page::take().va;
        must(map(va, entry(mfn, KRW | UNCACHED)), "mapping device registers")?;
        Ok(Registers { va })
    }

    /// Reads four bytes.
    pub fn read(self, at: u32) -> u32 {
        load32(self.va + at)
    }

    /// Writes four bytes.
    pub fn write(self, at: u32, value: u32) {
        store32(self.va + at, value);
    }

    /// Reads two bytes.
    pub fn read16(self, at: u32) -> u32 {
        load16(self.va + at)
    }

    /// Writes two bytes.
    pub fn write16(self, at: u32, value: u32) {
        store16(self.va + at, value);
    }

    /// Reads a byte.
    pub fn read8(self, at: u32) -> u32 {
        load8(self.va + at)
    }

    /// Writes a byte.
    pub fn write8(self, at: u32, value: u32) {
        store8(self.va + at, value);
    }
}

/// Maps a message of a function: MSI, or with the table's address an entry of MSI-X.
pub fn map_message(function: Function, entry: u32, table: u64) -> calls::Result<u32> {
    physdev::map_message(function.devfn, entry, table)
}
