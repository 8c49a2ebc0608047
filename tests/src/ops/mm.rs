//! What a guest can do to its page tables, as data.
//!
//! An [`Op`] is one thing that a guest does: a hypercall, or a store to its own memory. Random
//! tests, saved sequences and any fuzzer share it. Frames are named by small numbers
//! ([`FrameName`]) so that sequences can be shrunk, saved and replayed on any machine.
//!
//! Most random page tables are nonsense and refused at the first entry. [`Op::Build`] is what
//! makes sequences go deep: a table with sensible children, pinned at its level.

use pv_abi::hypercall as nr;
use pv_abi::mmu::{self, MmuUpdate};
use pv_abi::types::Mfn;
use pv_abi::x86_32::{MemoryReservation, MmuextOp, MulticallEntry};
use pv_abi::{memory, types::DomId};
use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::guest::{Guest, SCRATCH_PAGES};

/// Bits of an entry that matter: present, writable, for Ring 3.
const P: u64 = 1;
const RW: u64 = 2;
const US: u64 = 4;

/// How often a hypercall may be interrupted.
const ENDLESS: u32 = 200_000;

/// A frame as a guest may name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameName {
    /// The guest's frame that had this pseudo-physical number at the start.
    Own(u16),
    /// One of the page tables it started with.
    FirstTable(u8),
    /// Its shared info page.
    SharedInfo,
    /// A frame of the hypervisor's.
    Hypervisor,
    /// A frame of the machine-to-physical table.
    M2p,
    /// A frame of the other guest's.
    Other(u16),
    /// A number past the last frame.
    Nowhere,
}

/// One thing that a guest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// `mmu_update` of one entry of `table`.
    Update {
        /// The table.
        table: FrameName,
        /// Which of its entries.
        index: u16,
        /// What the entry names.
        to: FrameName,
        /// Its other bits.
        flags: u64,
        /// The command in the pointer's low bits.
        command: u8,
    },
    /// The same, several at once.
    Updates(Vec<(FrameName, u16, FrameName, u64)>),
    /// `update_va_mapping` of the page at `page * 4096` from the guest's base.
    UpdateVa {
        /// Which page.
        page: u16,
        /// What the entry names.
        to: FrameName,
        /// Its other bits.
        flags: u64,
        /// `UVMF_*`.
        flush: u8,
    },
    /// `update_va_mapping` of any address.
    UpdateAt {
        /// The address.
        va: u32,
        /// What the entry names.
        to: FrameName,
        /// Its other bits.
        flags: u64,
    },
    /// Pins a frame at a level. `steps` > 0: gives up after so many continuations.
    Pin {
        /// The frame.
        frame: FrameName,
        /// 1 to 4.
        level: u8,
        /// How often the call is made again.
        steps: u8,
    },
    /// Ends a pin, with `steps` as in `Pin`.
    Unpin {
        /// The frame.
        frame: FrameName,
        /// How often the call is made again.
        steps: u8,
    },
    /// Loads a root.
    NewBaseptr(FrameName),
    /// Makes a table of a level out of a frame, as a kernel does: fills it, makes it read-only,
    /// and pins it.
    Build {
        /// The frame.
        frame: u16,
        /// 1 to 3.
        level: u8,
        /// Entries: index, what it names, other bits than "present".
        entries: Vec<(u16, FrameName, u64)>,
        /// Whether it is pinned in the end; then how often the call is made again, or 0.
        pin: Option<u8>,
        /// `UVMF_*`, when it is made read-only: the hypervisor must not rely on the guest.
        flush: u8,
    },
    /// The guest stores an entry into a page of its own, if it is mapped writable there.
    Store {
        /// Which page, from the guest's base.
        page: u16,
        /// Which entry.
        index: u16,
        /// What it names.
        to: FrameName,
        /// Its other bits.
        flags: u64,
    },
    /// The guest writes to a page, unmaps it without a flush, and gives its frame back.
    GiveAway(u16),
    /// The guest reads a page, so that the TLB knows it.
    Load(u16),
    /// `MMUEXT_CLEAR_PAGE`.
    Clear(FrameName),
    /// `MMUEXT_COPY_PAGE`.
    Copy(FrameName, FrameName),
    /// `set_gdt` with one frame.
    SetGdt(Option<FrameName>),
    /// Gives a frame back.
    Decrease(FrameName),
    /// Asks for a frame.
    Increase,
    /// Flushes the TLB.
    Flush,
    /// Several of the above in one `multicall`: those that are single hypercalls.
    Multi(Vec<Op>),
}

/// A guest, and what it knows of its neighbour.
pub struct World {
    /// The guest that acts.
    pub guest: Guest,
    /// Frames of another one's.
    pub other: Vec<Mfn>,
}

impl World {
    /// The machine frame behind a name.
    pub fn mfn(&self, name: FrameName) -> Mfn {
        let sys = &self.guest.sys;
        let pick = |frames: &[Mfn], n: usize| frames[n % frames.len()];
        match name {
            FrameName::Own(n) => pick(&self.guest.frames, n.into()),
            FrameName::FirstTable(n) => pick(&self.guest.tables, n.into()),
            FrameName::SharedInfo => self.guest.domain().shared_info,
            FrameName::Hypervisor => self.guest.vcpu().state.lock().l4,
            FrameName::M2p => Mfn::new(1),
            FrameName::Other(n) => pick(&self.other, n.into()),
            FrameName::Nowhere => Mfn::new(sys.memory.frame_count()),
        }
    }

    /// An entry that names a frame.
    pub fn entry(&self, to: FrameName, flags: u64) -> u64 {
        self.mfn(to).raw() << 12 | flags
    }

    /// Where the guest has its page `page`, at first.
    pub fn page_va(&self, page: u16) -> u64 {
        self.guest.base + u64::from(page) % self.guest.frames.len() as u64 * 4096
    }

    /// Does `op`. What the hypervisor answers does not matter.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Build { frame, level, entries, pin, flush } => {
                self.build(*frame, *level, entries, *flush);
                if let Some(steps) = *pin {
                    let frame = FrameName::Own(*frame);
                    self.apply(&Op::Pin { frame, level: *level, steps });
                }
            }
            Op::GiveAway(page) => {
                let _ = self.guest.try_write(self.page_va(*page), &[1]);
                let to = FrameName::Own(*page);
                self.apply(&Op::UpdateVa { page: *page, to, flags: 0, flush: 0 });
                self.apply(&Op::Decrease(to));
            }
            Op::Store { page, index, to, flags } => {
                let va = self.page_va(*page) + u64::from(*index) % 512 * 8;
                let entry = self.entry(*to, *flags);
                let _ = self.guest.try_write(va, &entry.to_le_bytes());
            }
            Op::Load(page) => {
                let _ = self.guest.try_read(self.page_va(*page), &mut [0]);
            }
            Op::Multi(ops) => self.multi(ops),
            single => {
                let steps = match single {
                    Op::Pin { steps, .. } | Op::Unpin { steps, .. } => *steps,
                    _ => 0,
                };
                let Some((number, args)) = self.hypercall(single) else { return };
                self.run(number, &args, steps);
            }
        }
    }

    /// Makes a hypercall, to its end or `steps` times.
    fn run(&mut self, number: u32, args: &[u64], steps: u8) {
        self.guest.set_call(number, args);
        let most = if steps == 0 { ENDLESS } else { steps.into() };
        for _ in 0..most {
            if self.guest.step_alone().is_some() {
                return;
            }
        }
        assert!(most < ENDLESS, "hypercall {number} does not come to an end");
    }

    /// The hypercall that a simple operation is, its arguments in place.
    fn hypercall(&mut self, op: &Op) -> Option<(u32, Vec<u64>)> {
        let own = u64::from(DomId::SELF.raw());
        let ext = |w: &mut World, cmd: u32, arg1: u64, arg2: u64| {
            let op = MmuextOp { cmd, _pad: [], arg1: arg1 as u32, arg2: arg2 as u32 };
            let at = w.guest.try_arg(&op)?;
            Some((nr::MMUEXT_OP, vec![at, 1, 0, own]))
        };
        match op {
            Op::Update { table, index, to, flags, command } => {
                let ptr = (self.mfn(*table).raw() << 12) + u64::from(index % 512) * 8;
                let val = self.entry(*to, *flags);
                let update = MmuUpdate { ptr: ptr | u64::from(command % 8), val };
                Some((nr::MMU_UPDATE, vec![self.guest.try_arg(&update)?, 1, 0, own]))
            }
            Op::Updates(list) => {
                let mut updates = Vec::new();
                for (table, index, to, flags) in list {
                    let ptr = (self.mfn(*table).raw() << 12) + u64::from(index % 512) * 8;
                    updates.push(MmuUpdate { ptr, val: self.entry(*to, *flags) });
                }
                let count = updates.len() as u64;
                let done = self.guest.try_arg(&0_u64)?;
                let at = self.guest.try_arg(updates.as_slice())?;
                Some((nr::MMU_UPDATE, vec![at, count, done, own]))
            }
            Op::UpdateVa { page, to, flags, flush } => {
                let entry = self.entry(*to, *flags);
                let (va, flush) = (self.page_va(*page), u64::from(*flush % 8));
                Some((nr::UPDATE_VA_MAPPING, vec![va, entry & 0xffff_ffff, entry >> 32, flush]))
            }
            Op::UpdateAt { va, to, flags } => {
                let (va, entry) = (u64::from(*va), self.entry(*to, *flags));
                Some((nr::UPDATE_VA_MAPPING, vec![va, entry & 0xffff_ffff, entry >> 32, 2]))
            }
            Op::Pin { frame, level, .. } => {
                let cmd = mmu::MMUEXT_PIN_L1_TABLE + u32::from(level.saturating_sub(1) % 4);
                ext(self, cmd, self.mfn(*frame).raw(), 0)
            }
            Op::Unpin { frame, .. } => {
                ext(self, mmu::MMUEXT_UNPIN_TABLE, self.mfn(*frame).raw(), 0)
            }
            Op::NewBaseptr(frame) => ext(self, mmu::MMUEXT_NEW_BASEPTR, self.mfn(*frame).raw(), 0),
            Op::Clear(frame) => ext(self, mmu::MMUEXT_CLEAR_PAGE, self.mfn(*frame).raw(), 0),
            Op::Copy(to, from) => {
                let (to, from) = (self.mfn(*to).raw(), self.mfn(*from).raw());
                ext(self, mmu::MMUEXT_COPY_PAGE, to, from)
            }
            Op::Flush => ext(self, mmu::MMUEXT_TLB_FLUSH_LOCAL, 0, 0),
            Op::SetGdt(frame) => {
                let list = frame.map_or(0, |frame| self.mfn(frame).raw() as u32);
                let at = self.guest.try_arg(&list)?;
                Some((nr::SET_GDT, vec![at, if frame.is_some() { 512 } else { 0 }]))
            }
            Op::Decrease(frame) => {
                let mfn = self.mfn(*frame).raw() as u32;
                self.reservation(memory::XENMEM_DECREASE_RESERVATION, mfn)
            }
            Op::Increase => self.reservation(memory::XENMEM_INCREASE_RESERVATION, 0),
            Op::Build { .. } | Op::Store { .. } | Op::GiveAway(_) | Op::Load(_) | Op::Multi(_) => {
                None
            }
        }
    }

    fn reservation(&mut self, command: u32, mfn: u32) -> Option<(u32, Vec<u64>)> {
        let list = self.guest.try_arg(&mfn)?;
        let reservation = MemoryReservation {
            extent_start: list as u32,
            nr_extents: 1,
            extent_order: 0,
            mem_flags: 0,
            domid: DomId::SELF,
            _pad: [0; 2],
        };
        let at = self.guest.try_arg(&reservation)?;
        Some((nr::MEMORY_OP, vec![command.into(), at]))
    }

    fn multi(&mut self, ops: &[Op]) {
        let mut list = Vec::new();
        for op in ops {
            let Some((number, words)) = self.hypercall(op) else { continue };
            let mut args = [0_u32; 6];
            for (arg, word) in args.iter_mut().zip(words) {
                *arg = word as u32;
            }
            list.push(MulticallEntry { op: number, result: 0, args });
        }
        let Some(at) = self.guest.try_arg(list.as_slice()) else { return };
        self.run(nr::MULTICALL, &[at, list.len() as u64], 0);
    }

    /// What a kernel does to make a page table: fills it, and maps it read-only. Each step may
    /// be refused: then so be it.
    fn build(&mut self, frame: u16, level: u8, entries: &[(u16, FrameName, u64)], flush: u8) {
        let to = FrameName::Own(frame);
        if u64::from(frame) % (self.guest.frames.len() as u64) < SCRATCH_PAGES {
            return;
        }
        self.apply(&Op::UpdateVa { page: frame, to, flags: P | RW, flush: 2 });
        let mut table = [0_u64; 512];
        for (index, to, flags) in entries {
            let present = if level == 3 { P } else { P | *flags };
            table[usize::from(*index) % 512] = self.entry(*to, present);
        }
        let bytes: Vec<u8> = table.iter().flat_map(|e| e.to_le_bytes()).collect();
        let _ = self.guest.try_write(self.page_va(frame), &bytes);
        self.apply(&Op::UpdateVa { page: frame, to, flags: P | US, flush });
    }
}

/// Pages of each guest of a random run: enough for tables of all levels, few enough to meet again.
pub const PAGES: u16 = 48;

/// Frames that become tables of each level more often than others: levels 1 to 3, tables for
/// slot 3, and frames that stay data.
pub const POOLS: [std::ops::Range<u16>; 5] = [8..15, 15..18, 18..21, 21..24, 24..42];
/// The pool of tables for slot 3.
pub const TOP: u8 = 4;
/// The pool of data.
pub const DATA: u8 = 5;
/// Bits of entries as kernels set them.
pub const FLAGS: [u64; 11] = [0, 1, 3, 5, 7, 0x21, 0x23, 0x63, 0x67, 0x61, 0x27];
/// Bits that are not every kernel's.
pub const STRANGE: [u64; 12] =
    [0x8, 0x10, 0x80, 0x100, 0x200, 0xe00, 1 << 52, 1 << 62, 1 << 63, 1 << 51, 1 << 40, 0x1ff];
/// Entries that tests of the hypervisor's own area and of the guest's end meet.
pub const INDICES: [u16; 8] = [3, 425, 426, 427, 428, 504, 508, 511];

impl FrameName {
    /// Any frame.
    pub fn decode(from: &mut Source<'_>) -> FrameName {
        match from.below(22) {
            0..12 => FrameName::Own(from.below(PAGES.into()) as u16),
            12..15 => FrameName::FirstTable(from.below(6) as u8),
            15 => FrameName::SharedInfo,
            16 => FrameName::Hypervisor,
            17 => FrameName::M2p,
            18..21 => FrameName::Other(from.below(PAGES.into()) as u16),
            _ => FrameName::Nowhere,
        }
    }

    /// A frame of a pool, seldom any.
    pub fn from_pool(from: &mut Source<'_>, pool: u8) -> FrameName {
        if from.below(10) == 0 {
            return FrameName::decode(from);
        }
        let pool = &POOLS[usize::from(pool - 1) % POOLS.len()];
        FrameName::Own(pool.start + from.below(pool.len() as u64) as u16)
    }

    /// A frame that is data as a rule.
    pub fn data(from: &mut Source<'_>) -> FrameName {
        FrameName::from_pool(from, DATA)
    }
}

fn index(from: &mut Source<'_>) -> u16 {
    match from.below(9) {
        0..6 => from.below(8) as u16,
        6 | 7 => from.one_of(&INDICES),
        _ => from.below(512) as u16,
    }
}

fn flags(from: &mut Source<'_>) -> u64 {
    let common = from.one_of(&FLAGS);
    if from.below(9) == 0 { common | from.one_of(&STRANGE) } else { common }
}

fn table(from: &mut Source<'_>) -> FrameName {
    if from.below(2) == 0 {
        return FrameName::FirstTable(from.below(6) as u8);
    }
    let pool = 1 + from.below(4) as u8;
    FrameName::from_pool(from, pool)
}

fn steps(from: &mut Source<'_>) -> u8 {
    if from.below(3) == 0 { 1 + from.below(3) as u8 } else { 0 }
}

fn any_page(from: &mut Source<'_>) -> u16 {
    from.below(PAGES.into()) as u16
}

/// Entries of a table with sensible children.
fn children(from: &mut Source<'_>, level: u8, top: bool) -> Vec<(u16, FrameName, u64)> {
    let below = if level == 1 { DATA } else { level - 1 };
    let mut entries = Vec::new();
    for _ in 0..from.below(5) {
        entries.push((index(from), FrameName::from_pool(from, below), flags(from)));
    }
    if top {
        entries.push((3, FrameName::from_pool(from, TOP), 1));
    }
    entries
}

impl Op {
    /// An operation on page tables. With `deep`, one that is several hypercalls, too.
    pub fn decode(from: &mut Source<'_>, deep: bool) -> Op {
        if deep {
            match from.below(24) {
                0..4 => return Op::build(from, 1, false),
                4..6 => return Op::build(from, 2, false),
                6..9 => return Op::build(from, 3, true),
                9 => return Op::GiveAway(8 + from.below(u64::from(PAGES) - 8) as u16),
                10..12 => {
                    let (page, index) = (any_page(from), index(from));
                    let to = FrameName::decode(from);
                    return Op::Store { page, index, to, flags: flags(from) };
                }
                12 => return Op::Load(any_page(from)),
                _ => {}
            }
        }
        match from.below(36) {
            0..7 => {
                let (table, index, to) = (table(from), index(from), FrameName::decode(from));
                let command = if from.below(9) == 0 { from.byte() % 8 } else { 0 };
                Op::Update { table, index, to, flags: flags(from), command }
            }
            7..9 => {
                let count = from.below(5);
                let one = |from: &mut Source<'_>| {
                    (table(from), index(from), FrameName::decode(from), flags(from))
                };
                Op::Updates((0..count).map(|_| one(from)).collect())
            }
            9..15 => {
                let page = 8 + from.below(u64::from(PAGES) - 8) as u16;
                let (to, flush) = (FrameName::decode(from), from.byte() % 8);
                Op::UpdateVa { page, to, flags: flags(from), flush }
            }
            15 => {
                let places = [0_u32, 0x1000, 0xc000_0000, 0xf57f_f000, 0xf580_0000, 0xffff_f000];
                let (va, to) = (from.one_of(&places), FrameName::decode(from));
                Op::UpdateAt { va, to, flags: flags(from) }
            }
            16..21 => {
                let level = 1 + from.below(4) as u8;
                let frame = FrameName::from_pool(from, level);
                Op::Pin { frame, level, steps: steps(from) }
            }
            21..26 => {
                let pool = 1 + from.below(4) as u8;
                Op::Unpin { frame: FrameName::from_pool(from, pool), steps: steps(from) }
            }
            26 | 27 => Op::NewBaseptr(FrameName::from_pool(from, 3)),
            28 => Op::NewBaseptr(FrameName::FirstTable(0)),
            29 => Op::Clear(FrameName::decode(from)),
            30 => Op::Copy(FrameName::decode(from), FrameName::decode(from)),
            31 => Op::SetGdt((from.below(3) != 0).then(|| FrameName::decode(from))),
            32 => Op::Decrease(FrameName::decode(from)),
            33 | 34 => Op::Increase,
            _ => Op::Flush,
        }
    }

    fn build(from: &mut Source<'_>, level: u8, top: bool) -> Op {
        let pool = if level == 2 && from.below(3) == 0 { TOP } else { level };
        let FrameName::Own(frame) = FrameName::from_pool(from, pool) else { return Op::Flush };
        let entries = children(from, level, top);
        let pin = (from.below(3) != 0).then(|| steps(from));
        Op::Build { frame, level, entries, pin, flush: from.byte() % 8 }
    }
}
