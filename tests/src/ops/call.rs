//! One hypercall as data: its number, its arguments, and the memory that they point to.

use pv_abi::types::DomId;
use pv_abi::x86_32::MulticallEntry;
use serde::{Deserialize, Serialize};

use super::mm::{self, FrameName};
use super::source::Source;

/// A hypercall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// What goes into the registers.
    pub args: Vec<Field>,
}

/// A piece of a structure in memory, or a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// One byte.
    B1(u8),
    /// Two bytes.
    B2(u16),
    /// Four bytes.
    B4(u32),
    /// Eight bytes.
    B8(u64),
    /// A frame's number in four bytes.
    Mfn4(FrameName),
    /// A frame's number in eight bytes.
    Mfn8(FrameName),
    /// The machine address of an entry of a table: frame, index, low bits.
    Entry8(FrameName, u16, u8),
    /// The guest's address of a page and a byte in it, in eight bytes.
    Va8(u16, u16),
    /// The same in four.
    Va4(u16, u16),
    /// Zeros.
    Zeros(u16),
    /// The address, in four bytes, of what follows.
    Pointer(Vec<Field>),
}

impl Field {
    /// A domain as hypercalls name it: mostly one that exists, or the caller.
    pub fn domain(from: &mut Source<'_>) -> Field {
        Field::B2(domain(from))
    }

    /// A pointer to an array of as many as `count` says.
    pub fn array(count: u64, mut one: impl FnMut() -> Vec<Field>) -> Field {
        Field::Pointer((0..count).flat_map(|_| one()).collect())
    }
}

/// The number of a domain that exists, or of one that never runs.
pub fn domain(from: &mut Source<'_>) -> u16 {
    let special = [DomId::SELF.raw(), DomId::IO.raw(), DomId::XEN.raw(), 0x7ff3, 0x7ff4, 3, 0xffff];
    match from.below(10) {
        0..3 => DomId::SELF.raw(),
        3..9 => from.below(3) as u16,
        _ => from.one_of(&special),
    }
}

impl Call {
    /// A hypercall of a command and a structure.
    pub fn of(number: u32, cmd: u32, arg: Vec<Field>) -> Call {
        Call { number, args: vec![Field::B4(cmd), Field::Pointer(arg)] }
    }

    /// Puts what is pointed to into the guest's memory; the registers, or `None` if the guest
    /// has no place for it.
    pub fn prepare(&self, world: &mut mm::World) -> Option<Vec<u64>> {
        self.args.iter().map(|field| Some(as_word(&bytes(world, field)?))).collect()
    }
}

/// Several in one `multicall`.
pub fn multicall(world: &mut mm::World, calls: &[Call]) -> Option<Vec<u64>> {
    let mut list = Vec::new();
    for call in calls {
        let mut args = [0_u32; 6];
        for (arg, word) in args.iter_mut().zip(call.prepare(world)?) {
            *arg = word as u32;
        }
        list.push(MulticallEntry { op: call.number, result: 0, args });
    }
    let at = world.guest.try_arg(list.as_slice())?;
    Some(vec![at, list.len() as u64])
}

fn as_word(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn bytes(world: &mut mm::World, field: &Field) -> Option<Vec<u8>> {
    Some(match field {
        Field::B1(n) => n.to_le_bytes().to_vec(),
        Field::B2(n) => n.to_le_bytes().to_vec(),
        Field::B4(n) => n.to_le_bytes().to_vec(),
        Field::B8(n) => n.to_le_bytes().to_vec(),
        Field::Mfn4(name) => (world.mfn(*name).raw() as u32).to_le_bytes().to_vec(),
        Field::Mfn8(name) => world.mfn(*name).raw().to_le_bytes().to_vec(),
        Field::Entry8(name, index, low) => {
            let at = (world.mfn(*name).raw() << 12) + u64::from(index % 512) * 8;
            (at | u64::from(low % 8)).to_le_bytes().to_vec()
        }
        Field::Va8(page, byte) => va(world, *page, *byte).to_le_bytes().to_vec(),
        Field::Va4(page, byte) => (va(world, *page, *byte) as u32).to_le_bytes().to_vec(),
        Field::Zeros(count) => vec![0; usize::from(*count % 4096)],
        Field::Pointer(fields) => {
            let mut all = Vec::new();
            for field in fields {
                all.extend(bytes(world, field)?);
            }
            // Eight bytes at least, so that an argument of a wrong size is memory, too.
            all.resize(all.len().clamp(8, 8192), 0);
            (world.guest.try_arg(all.as_slice())? as u32).to_le_bytes().to_vec()
        }
    })
}

fn va(world: &mm::World, page: u16, byte: u16) -> u64 {
    world.page_va(page) + u64::from(byte % 4096)
}
