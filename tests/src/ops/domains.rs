//! Random operations on domains, their memory, and the machine: what privileged domains do.

use pv_abi::hypercall as nr;
use pv_abi::memory::*;
use pv_abi::sysctl::XEN_SYSCTL_INTERFACE_VERSION;

use super::call::{Call, Field};
use super::mm::FrameName;
use super::source::Source;

/// `XEN_DOMCTL_INTERFACE_VERSION` of Xen 4.17.
const DOMCTL_VERSION: u32 = 0x15;

fn memory_op(from: &mut Source<'_>) -> Call {
    let frames = |from: &mut Source<'_>, count: u64| {
        Field::array(count, || vec![Field::Mfn4(FrameName::data(from))])
    };
    let order = |from: &mut Source<'_>| match from.below(8) {
        0 => from.number(),
        1 | 2 => from.below(3) as u32,
        _ => 0,
    };
    let count = |from: &mut Source<'_>| match from.below(8) {
        0 => from.number(),
        _ => from.below(5) as u32,
    };
    // struct xen_memory_reservation
    let reservation = |from: &mut Source<'_>| {
        let (count, flags) = (count(from), if from.below(6) == 0 { from.word() } else { 0 });
        let list = frames(from, count.min(8).into());
        let rest = [Field::B4(order(from)), Field::B4(flags), Field::domain(from), Field::B2(0)];
        [list, Field::B4(count)].into_iter().chain(rest).collect::<Vec<_>>()
    };
    let cmd = match from.below(16) {
        0..3 => XENMEM_INCREASE_RESERVATION,
        3..6 => XENMEM_DECREASE_RESERVATION,
        6..9 => XENMEM_POPULATE_PHYSMAP,
        9 | 10 => XENMEM_EXCHANGE,
        11 => XENMEM_ADD_TO_PHYSMAP,
        _ => from.below(30) as u32,
    };
    let arg = match cmd {
        XENMEM_INCREASE_RESERVATION | XENMEM_DECREASE_RESERVATION | XENMEM_POPULATE_PHYSMAP => {
            reservation(from)
        }
        XENMEM_EXCHANGE => {
            let (given, taken) = (reservation(from), reservation(from));
            let exchanged = if from.below(8) == 0 { from.number() } else { 0 };
            given.into_iter().chain(taken).chain([Field::B4(exchanged)]).collect()
        }
        XENMEM_ADD_TO_PHYSMAP => {
            let space = Field::B4(from.below(6) as u32);
            let (index, gpfn) = (Field::B4(from.number()), Field::B4(from.number()));
            vec![Field::domain(from), Field::B2(0), space, index, gpfn]
        }
        XENMEM_MEMORY_MAP
        | XENMEM_MACHINE_MEMORY_MAP
        | XENMEM_MACHPHYS_MFN_LIST
        | XENMEM_MACHPHYS_COMPAT_MFN_LIST => {
            vec![Field::B4(count(from)), frames(from, 16)]
        }
        XENMEM_ACQUIRE_RESOURCE => {
            let (frame, count) = (Field::B8(from.number().into()), Field::B4(count(from)));
            let (kind, id) = (Field::B2(from.below(3) as u16), Field::B4(from.below(3) as u32));
            vec![Field::domain(from), kind, id, count, Field::B4(0), frame, frames(from, 8)]
        }
        _ => vec![Field::domain(from), Field::B2(0), Field::Zeros(60)],
    };
    Call::of(nr::MEMORY_OP, cmd, arg)
}

/// Page-table operations on behalf of, or with frames of, another domain.
fn foreign(from: &mut Source<'_>) -> Call {
    let dom = Field::domain(from);
    if from.below(2) == 0 {
        let page = Field::Va4(8 + from.below(40) as u16, 0);
        let to = Field::Entry8(FrameName::decode(from), 0, from.one_of(&[1, 3, 5, 7]));
        let args = vec![page, to, Field::B4(0), Field::B4(from.below(8) as u32), dom];
        return Call { number: nr::UPDATE_VA_MAPPING_OTHERDOMAIN, args };
    }
    let table =
        Field::Entry8(FrameName::FirstTable(from.below(6) as u8), from.half(), from.byte() % 4);
    let value = Field::Entry8(FrameName::decode(from), 0, from.one_of(&[1, 3, 5, 7, 0]));
    let updates = Field::Pointer(vec![table, value]);
    let whom = if from.below(2) == 0 { dom } else { Field::B4(from.below(4) as u32 * 0x1_0001) };
    let number = from.one_of(&[nr::MMU_UPDATE, nr::MMU_UPDATE, nr::MMUEXT_OP]);
    Call { number, args: vec![updates, Field::B4(1), Field::B4(0), whom] }
}

fn domctl(from: &mut Source<'_>) -> Call {
    let common = [1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 44, 54, 20, 39];
    let cmd = if from.below(4) == 0 { from.below(90) as u32 } else { from.one_of(&common) };
    let version = if from.below(16) == 0 { from.word() } else { DOMCTL_VERSION };
    // Destruction of 1 and 2 is often; 0 asks for its own in vain.
    let who =
        Field::B2(if from.below(4) == 0 { from.half() % 8 } else { 1 + from.below(2) as u16 });
    let mut arg = vec![Field::B4(cmd), Field::B4(version), who, Field::Zeros(6)];
    for _ in 0..8 {
        arg.push(match from.below(4) {
            0 => Field::B8(from.number().into()),
            1 => Field::Pointer(vec![Field::Zeros(256)]),
            _ => Field::Zeros(8),
        });
    }
    arg.push(Field::Zeros(64));
    Call { number: nr::DOMCTL, args: vec![Field::Pointer(arg)] }
}

fn sysctl(from: &mut Source<'_>) -> Call {
    let version = if from.below(16) == 0 { from.word() } else { XEN_SYSCTL_INTERFACE_VERSION };
    let mut arg = vec![Field::B4(from.below(31) as u32), Field::B4(version)];
    for _ in 0..6 {
        arg.push(match from.below(4) {
            0 => Field::B8(from.number().into()),
            1 => Field::B4(from.below(9) as u32),
            2 => Field::Pointer(vec![Field::Zeros(512)]),
            _ => Field::Zeros(8),
        });
    }
    arg.push(Field::Zeros(96));
    Call { number: nr::SYSCTL, args: vec![Field::Pointer(arg)] }
}

/// One hypercall.
pub fn decode(from: &mut Source<'_>) -> Call {
    match from.below(16) {
        0..6 => memory_op(from),
        6..9 => foreign(from),
        9..12 => domctl(from),
        12 => {
            let arg = vec![Field::B4(from.number()), Field::B4(from.number()), Field::Zeros(48)];
            Call::of(nr::PHYSDEV_OP, from.below(34) as u32, arg)
        }
        13 => {
            let arg = vec![
                Field::B4(from.below(66) as u32),
                Field::B4(pv_abi::platform::XENPF_INTERFACE_VERSION),
                Field::B8(from.long()),
                Field::Zeros(112),
            ];
            Call { number: nr::PLATFORM_OP, args: vec![Field::Pointer(arg)] }
        }
        14 => {
            let (cmd, count) = (from.below(3) as u32, from.number() % 512);
            let text = Field::Pointer(vec![Field::B8(from.long())]);
            Call { number: nr::CONSOLE_IO, args: vec![Field::B4(cmd), Field::B4(count), text] }
        }
        15 if from.below(2) == 0 => sysctl(from),
        _ => Call::of(nr::XEN_VERSION, from.below(12) as u32, vec![Field::Zeros(64)]),
    }
}
