//! What hostile guests do, as data.
//!
//! A [`Step`] is one thing that happens on one CPU: whichever vCPU runs there makes a
//! hypercall, stores to its memory, executes an instruction that traps, or time passes.
//! Random tests, the soak run, the fuzz target and saved sequences share it.
//!
//! | file | has |
//! |---|---|
//! | [`source`] | bytes as decisions: where all random steps come from |
//! | [`mm`] | page tables |
//! | [`mod@call`] | any hypercall, with what its arguments point to |
//! | [`events`], [`grants`], [`vcpu`], [`domains`], [`raw`] | random hypercalls of each subsystem |
//! | [`world`] | three domains on a machine, and the loop that each of its CPUs goes round |
//! | [`run`] | a sequence of steps, what must hold after them, and the shortest that fails |

pub mod call;
pub mod domains;
pub mod events;
pub mod grants;
pub mod mm;
pub mod raw;
pub mod run;
pub mod source;
pub mod vcpu;
pub mod world;

use serde::{Deserialize, Serialize};

use call::Call;
use source::Source;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Something with page tables.
    Mm(mm::Op),
    /// A hypercall.
    Call(Call),
    /// Several as one.
    Multi(Vec<Call>),
    /// A good state for a second vCPU, or one that is bad in one byte.
    Initialise {
        /// Which vCPU.
        vcpu: u8,
        /// Which byte is something else.
        spoiled: Option<(u16, u8)>,
    },
    /// An entry of the grant table.
    Grant(grants::Entry),
    /// A store to the shared info page.
    Shared {
        /// Which 4 bytes.
        word: u16,
        /// What they become.
        value: u32,
    },
    /// The guest handles its events and unmasks them.
    HandleEvents,
    /// An instruction that traps.
    Instruction {
        /// Its bytes.
        bytes: [u8; 8],
        /// The exception it causes.
        vector: u8,
        /// Its error code.
        code: u16,
        /// The address, of a page fault.
        address: u32,
        /// Whether it was in user mode.
        user: bool,
        /// What is in the registers.
        registers: u32,
    },
    /// The guest goes on after faults: its code runs again from a good place.
    Recover,
    /// Time passes, in ns.
    Wait(u32),
    /// A toolstack's doing: a domain that has ended is destroyed, in steps, and made anew.
    Replace(u8),
}

/// What happens on one CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The CPU.
    pub cpu: u8,
    /// What whoever runs there does.
    pub op: Op,
}

impl Step {
    /// A random step.
    pub fn decode(from: &mut Source<'_>) -> Step {
        Step { cpu: from.below(3) as u8, op: Op::decode(from) }
    }
}

fn call(from: &mut Source<'_>) -> Call {
    match from.below(16) {
        0..4 => events::decode(from),
        4..8 => grants::decode(from),
        8..11 => vcpu::decode(from),
        11..15 => domains::decode(from),
        _ => raw::decode(from),
    }
}

impl Op {
    fn decode(from: &mut Source<'_>) -> Op {
        match from.below(64) {
            0..16 => Op::Mm(mm::Op::decode(from, true)),
            16..42 => Op::Call(call(from)),
            42..45 => Op::Multi((0..from.below(5)).map(|_| call(from)).collect()),
            45 | 46 => Op::Initialise {
                vcpu: from.below(3) as u8,
                spoiled: (from.below(3) == 0).then(|| (from.half(), from.byte())),
            },
            47..53 => Op::Grant(grants::Entry::decode(from)),
            53 => Op::Shared { word: from.half() % 1024, value: from.number() },
            54 | 55 => Op::HandleEvents,
            56..59 => {
                let vector = from.one_of(&[13, 13, 13, 14, 14, 6, 7, 1, 3, 0x80, 0, 10, 17]);
                let mut bytes = [0; 8];
                bytes.fill_with(|| from.byte());
                let privileged = [0x0f, 0xe4, 0xec, 0x6c, 0x6e, 0xfa, 0xfb, 0xcf, 0x9a, 0xf4, 0x66];
                if from.below(3) != 0 {
                    bytes[0] = from.one_of(&privileged);
                }
                let pages = [0xc000_0000_u32, 0x8000_0000];
                let address = from.one_of(&pages) + (from.below(48) as u32) * 4096;
                Op::Instruction {
                    bytes,
                    vector,
                    code: from.below(8) as u16,
                    address: if from.below(4) == 0 { from.number() } else { address },
                    user: from.below(4) == 0,
                    registers: from.number(),
                }
            }
            59 | 60 => Op::Wait(from.word() >> from.below(24)),
            61 => Op::Recover,
            _ => Op::Replace(from.below(3) as u8),
        }
    }
}
