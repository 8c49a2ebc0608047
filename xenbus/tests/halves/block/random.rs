//! Against a model of a disk, with back ends that die at any time: what was acknowledged is there, and
//! what was flushed outlives a power cut.

use proptest::prelude::*;
use xenbus::block::front::Options;
use xenbus::block::{Ask, Layout, Outcome, Refusal, Ticket, X86_32, X86_64};

use super::disk::Drive;
use super::{Rig, pattern};

const SECTORS: u64 = 512;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, usize),
    Read(u64, usize),
    Flush,
    Discard(u64, u64),
    Pump,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let range = || (0..SECTORS, 1usize..140);
    prop_oneof![
        6 => range().prop_map(|(sector, count)| Op::Write(sector, count)),
        4 => range().prop_map(|(sector, count)| Op::Read(sector, count)),
        1 => Just(Op::Flush),
        1 => (0..SECTORS, 1u64..64).prop_map(|(sector, count)| Op::Discard(sector, count)),
        3 => Just(Op::Pump),
        1 => Just(Op::Restart),
    ]
}

/// A write or a read that is under way.
struct Pending {
    ticket: Ticket,
    sector: u64,
    /// What is written, or what shall be read.
    data: Vec<u8>,
    write: bool,
}

impl Pending {
    fn ask(&self) -> Ask<'_> {
        if self.write {
            Ask::Write(self.sector, &self.data)
        } else {
            Ask::Read(self.sector, self.data.len())
        }
    }
}

struct Model<L: Layout> {
    rig: Rig<L>,
    contents: Vec<u8>,
    pending: Vec<Pending>,
    time: u8,
}

impl<L: Layout> Model<L> {
    fn begin(&mut self, ask: Ask<'_>) -> Ticket {
        loop {
            match self.rig.begin(ask) {
                Ok(ticket) => return ticket,
                Err(Refusal::Busy) => self.finish_all(),
                Err(refusal) => panic!("{refusal:?}"),
            }
        }
    }

    /// Finishes what can be; begins again what was lost.
    fn pump(&mut self) {
        self.rig.pump();
        for mut one in std::mem::take(&mut self.pending) {
            let mut into = vec![0; if one.write { 0 } else { one.data.len() }];
            match self.rig.front.driver.finish(&one.ticket, &mut into) {
                None => self.pending.push(one),
                Some(Outcome::Lost) => {
                    one.ticket = self.rig.begin(one.ask()).expect("as many as before");
                    self.pending.push(one);
                }
                Some(Outcome::Done(result)) => {
                    assert_eq!(result, Ok(()));
                    assert!(one.write || into == one.data, "sector {} is another", one.sector);
                }
            }
        }
    }

    fn finish_all(&mut self) {
        for _ in 0..20 {
            if self.pending.is_empty() {
                return;
            }
            self.pump();
        }
        panic!("{} never end", self.pending.len());
    }

    /// Nothing that is under way may touch the same sectors.
    fn part_from(&mut self, sector: u64, bytes: usize) {
        let overlaps = |one: &Pending| {
            one.sector < sector + (bytes / 512) as u64
                && sector < one.sector + (one.data.len() / 512) as u64
        };
        if self.pending.iter().any(overlaps) {
            self.finish_all();
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Write(sector, count) | Op::Read(sector, count) => {
                let most = self.rig.front.driver.most_bytes();
                let bytes = (count * 512).min(most).min((SECTORS - sector) as usize * 512);
                self.part_from(sector, bytes);
                let write = matches!(op, Op::Write(..));
                let range = sector as usize * 512..sector as usize * 512 + bytes;
                let data = if write {
                    self.time = self.time.wrapping_add(1);
                    let data = pattern(sector, bytes, self.time);
                    self.contents[range].copy_from_slice(&data);
                    data
                } else {
                    self.contents[range].to_vec()
                };
                let ask = if write { Ask::Write(sector, &data) } else { Ask::Read(sector, bytes) };
                let ticket = self.begin(ask);
                self.pending.push(Pending { ticket, sector, data, write });
            }
            Op::Flush => {
                self.finish_all();
                assert_eq!(self.rig.done(Ask::Flush, &mut []), Ok(()));
                assert!(self.rig.drive.state().durable == self.contents, "something was lost");
            }
            Op::Discard(sector, count) => {
                self.finish_all();
                let count = count.min(SECTORS - sector);
                assert_eq!(self.rig.done(Ask::Discard(sector, count), &mut []), Ok(()));
                self.contents[sector as usize * 512..][..count as usize * 512].fill(0);
            }
            Op::Pump => self.pump(),
            Op::Restart => self.rig.restart_back(),
        }
    }
}

fn play<L: Layout>(options: Options, memory: usize, seed: u64, ops: &[Op]) {
    let drive = Drive::new(SECTORS, 512);
    drive.state().seed = seed;
    drive.state().memory = memory;
    let rig = Rig::<L>::new(drive, options);
    let contents = vec![0; SECTORS as usize * 512];
    let mut model = Model { rig, contents, pending: Vec::new(), time: 0 };
    for op in ops {
        model.apply(op);
    }
    model.apply(&Op::Flush);
    assert!(model.rig.drive.state().cache == model.contents);
    assert_eq!((model.rig.drive.pages_in_use(), model.rig.back.driver.under_way()), (0, 0));
    let (ports, grants, mapped) = model.rig.machine.in_use();
    let queues = model.rig.front.driver.ports().count();
    assert_eq!(ports, 2 * queues);
    assert_eq!(grants, options.pool + mapped as usize, "no ring of a connection before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn acknowledged_writes_are_there(
        seed in any::<u64>(),
        memory in 80usize..300,
        (queues, ring_order, segments) in (1u32..4, 0u32..3, 1u16..70),
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let options = Options { queues, ring_order, pool: 160, segments };
        play::<X86_32>(options, memory, seed, &ops);
        play::<X86_64>(options, memory, seed, &ops);
    }
}
