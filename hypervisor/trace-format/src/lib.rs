//! The hypervisor's trace as it lies in memory: who writes it and who reads it agree here.
//!
//! Everything is 64-bit words, little-endian, in frames of 4096 bytes. One frame, the
//! [`header`], says where each CPU's ring is. A ring is consecutive frames: the first has the
//! number of records ever written in its first word, the others are the records, four words
//! each; record n is in place n modulo the ring's capacity.
//!
//! Events are those of Xen's `trace.h` where it has them; names in brackets are its.
#![no_std]

#[cfg(test)]
extern crate std;

/// The frame that describes the others, by word.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// How many CPUs have a ring.
    pub const CPUS: usize = 1;
    /// Frames of each ring, the first included.
    pub const FRAMES: usize = 2;
    /// A time stamp, and system time in nanoseconds then.
    pub const TIMESTAMP: usize = 3;
    /// See [`TIMESTAMP`].
    pub const SYSTEM_TIME: usize = 4;
    /// 32-bit fixed-point nanoseconds a tick, after the shift.
    pub const MUL_FRAC: usize = 5;
    /// How far ticks are shifted first, to the left if positive.
    pub const SHIFT: usize = 6;
    /// The first frame of each CPU's ring.
    pub const RINGS: usize = 16;
}

/// What a header begins with: "FRTRACE1".
pub const MAGIC: u64 = u64::from_le_bytes(*b"FRTRACE1");
/// Words of a frame.
pub const FRAME_WORDS: usize = 512;
/// Words of a record.
pub const RECORD_WORDS: usize = 4;
/// Records in a frame.
pub const RECORDS_IN_FRAME: u64 = (FRAME_WORDS / RECORD_WORDS) as u64;
/// In place of a domain: none.
pub const NO_DOMAIN: u16 = 0x7fff;

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The time stamp counter then.
    pub tsc: u64,
    /// The domain it happened to, or [`NO_DOMAIN`].
    pub domain: u16,
    /// Its vCPU.
    pub vcpu: u16,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A hypercall begins (`TRC_PV_HYPERCALL_V2`).
    Hypercall {
        /// Its number.
        number: u8,
        /// Its command, or its first argument.
        command: u32,
        /// A port, a count, or its second argument.
        detail: u64,
    },
    /// It ends.
    HypercallDone {
        /// Its number.
        number: u8,
        /// What the guest finds in its result register.
        result: u64,
        /// Whether it is made again instead, to go on.
        continued: bool,
    },
    /// A multicall gets to an entry (`TRC_PV_HYPERCALL_SUBCALL`).
    Subcall {
        /// The hypercall's number.
        number: u8,
        /// Its first argument.
        command: u32,
    },
    /// The vCPU begins to run (`TRC_SCHED_SWITCH_INFNEXT`).
    Run,
    /// It stops (`TRC_SCHED_SWITCH_INFPREV`).
    Stop,
    /// An exception of the guest's, or its `int $0x80`, begins (`TRC_PV_TRAP`,
    /// `TRC_PV_PAGE_FAULT`).
    Trap {
        /// The vector.
        vector: u8,
        /// The error code.
        code: u16,
        /// The address of a page fault.
        address: u64,
        /// The guest's instruction.
        ip: u64,
    },
    /// It was dealt with: the guest goes on at `ip`.
    TrapDone {
        /// The vector.
        vector: u8,
        /// Where.
        ip: u64,
    },
    /// The guest's event callback is entered.
    Upcall,
    /// A virtual interrupt is raised for the vCPU.
    Virq {
        /// Its number.
        virq: u8,
    },
    /// A physical interrupt arrived (`TRC_HW_IRQ_ENTRY`).
    Interrupt {
        /// The vector.
        vector: u8,
    },
}

const HYPERCALL: u64 = 1;
const HYPERCALL_DONE: u64 = 2;
const SUBCALL: u64 = 3;
const RUN: u64 = 4;
const STOP: u64 = 5;
const TRAP: u64 = 6;
const TRAP_DONE: u64 = 7;
const UPCALL: u64 = 8;
const VIRQ: u64 = 9;
const INTERRUPT: u64 = 10;

impl Record {
    /// As words: time; event in bits 0-7, number in 8-15, code in 16-31, domain in 32-47, vCPU
    /// in 48-63; two words of the event's own.
    pub const fn to_words(self) -> [u64; RECORD_WORDS] {
        let (event, number, code, first, second) = match self.what {
            What::Hypercall { number, command, detail } => {
                (HYPERCALL, number, 0, command as u64, detail)
            }
            What::HypercallDone { number, result, continued } => {
                (HYPERCALL_DONE, number, continued as u16, result, 0)
            }
            What::Subcall { number, command } => (SUBCALL, number, 0, command as u64, 0),
            What::Run => (RUN, 0, 0, 0, 0),
            What::Stop => (STOP, 0, 0, 0, 0),
            What::Trap { vector, code, address, ip } => (TRAP, vector, code, address, ip),
            What::TrapDone { vector, ip } => (TRAP_DONE, vector, 0, ip, 0),
            What::Upcall => (UPCALL, 0, 0, 0, 0),
            What::Virq { virq } => (VIRQ, virq, 0, 0, 0),
            What::Interrupt { vector } => (INTERRUPT, vector, 0, 0, 0),
        };
        let word = event
            | (number as u64) << 8
            | (code as u64) << 16
            | (self.domain as u64) << 32
            | (self.vcpu as u64) << 48;
        [self.tsc, word, first, second]
    }

    /// What [`Record::to_words`] made; `None` for words that are no record.
    pub const fn from_words([tsc, word, first, second]: [u64; RECORD_WORDS]) -> Option<Record> {
        let (number, code) = ((word >> 8) as u8, (word >> 16) as u16);
        let what = match word & 0xff {
            HYPERCALL => What::Hypercall { number, command: first as u32, detail: second },
            HYPERCALL_DONE => What::HypercallDone { number, result: first, continued: code != 0 },
            SUBCALL => What::Subcall { number, command: first as u32 },
            RUN => What::Run,
            STOP => What::Stop,
            TRAP => What::Trap { vector: number, code, address: first, ip: second },
            TRAP_DONE => What::TrapDone { vector: number, ip: first },
            UPCALL => What::Upcall,
            VIRQ => What::Virq { virq: number },
            INTERRUPT => What::Interrupt { vector: number },
            _ => return None,
        };
        Some(Record { tsc, domain: (word >> 32) as u16, vcpu: (word >> 48) as u16, what })
    }
}

/// Records that a ring of so many frames holds.
pub const fn capacity(frames: u64) -> u64 {
    frames.saturating_sub(1) * RECORDS_IN_FRAME
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_keep_everything() {
        let all = [
            What::Hypercall { number: 32, command: 4, detail: u64::MAX },
            What::HypercallDone { number: 255, result: -38i64 as u64, continued: true },
            What::Subcall { number: 17, command: u32::MAX },
            What::Run,
            What::Stop,
            What::Trap { vector: 14, code: 0xffff, address: 0xf57f_ffff, ip: 1 << 63 },
            What::TrapDone { vector: 128, ip: 0x8010_0000 },
            What::Upcall,
            What::Virq { virq: 23 },
            What::Interrupt { vector: 0xf8 },
        ];
        let mut kinds = BTreeSet::new();
        for what in all {
            let record = Record { tsc: 1 << 40, domain: NO_DOMAIN, vcpu: 31, what };
            assert_eq!(Record::from_words(record.to_words()), Some(record));
            kinds.insert(record.to_words()[1] & 0xff);
        }
        assert_eq!(kinds.len(), all.len());
        assert_eq!(Record::from_words([0; 4]), None);
    }

    #[test]
    fn the_first_frame_has_no_records() {
        assert_eq!(capacity(0), 0);
        assert_eq!(capacity(1), 0);
        assert_eq!(capacity(3), 256);
    }
}
