//! Block devices: front against back, over pages that both reach.

mod disk;
mod hostile;
mod machine;
mod plain;
mod random;
mod threads;

use std::marker::PhantomData;

use pv_abi::errno::Errno;
use xenbus::back::Back;
use xenbus::block::front::Options;
use xenbus::block::{Ask, BackEnd, FrontEnd, Layout, Outcome, Protocol, Refusal, Ticket};
use xenbus::device::Life;
use xenbus::front::Front;
use xenbus::state::State;

use disk::{Drive, Shelf};
use machine::{Domain, GUEST, HOST, Machine, Mapping, Pages};

pub const FRONT: &str = "/local/domain/1/device/vbd/51712";
pub const BACK: &str = "/local/domain/0/backend/vbd/1/51712";

type FrontHalf<L> = Front<Domain, FrontEnd<L, Pages>>;
type BackHalf = Back<Domain, BackEnd<Mapping, Shelf>>;

/// A device, and both halves of it.
pub struct Rig<L: Layout> {
    pub machine: Machine,
    pub drive: Drive,
    pub front: FrontHalf<L>,
    pub back: BackHalf,
    layout: PhantomData<L>,
}

impl<L: Layout> Rig<L> {
    /// A device that is connected.
    pub fn new(drive: Drive, options: Options) -> Rig<L> {
        let machine = Machine::new();
        machine.make_device();
        let front = Front::open(&mut machine.domain(GUEST), FRONT, FrontEnd::new(options));
        let back = open_back(&machine, &drive);
        let front = front.expect("a device");
        let mut rig = Rig { machine, drive, front, back, layout: PhantomData };
        rig.settle();
        assert_eq!((rig.front.state(), rig.back.state()), (State::Connected, State::Connected));
        rig
    }

    /// Lets each half look until nothing changes.
    pub fn settle(&mut self) {
        let (mut guest, mut host) = (self.machine.domain(GUEST), self.machine.domain(HOST));
        for _ in 0..20 {
            let before = (self.front.state(), self.back.state());
            let looked = self.front.look(&mut guest.clone(), &mut guest);
            assert_eq!(looked, Ok(Life::Present));
            assert_eq!(self.back.look(&mut host.clone(), &mut host), Ok(Life::Present));
            if before == (self.front.state(), self.back.state()) {
                return;
            }
        }
        panic!("{:?} and {:?} go round", self.front.state(), self.back.state());
    }

    /// The back end dies, with all it has under way, and another is started.
    pub fn restart_back(&mut self) {
        self.machine.kill(HOST);
        self.drive.forget();
        self.back = open_back(&self.machine, &self.drive);
        self.settle();
        if self.front.state() == State::Closed {
            let mut guest = self.machine.domain(GUEST);
            assert_eq!(self.front.reopen(&mut guest.clone(), &mut guest), Ok(Life::Present));
            self.settle();
        }
        assert_eq!((self.front.state(), self.back.state()), (State::Connected, State::Connected));
    }

    pub fn begin(&mut self, ask: Ask<'_>) -> Result<Ticket, Refusal> {
        let ticket = self.front.driver.begin(ask);
        self.front.driver.kick(&mut self.machine.domain(GUEST));
        ticket
    }

    /// Both halves do what they can.
    pub fn pump(&mut self) {
        let mut host = self.machine.domain(HOST);
        loop {
            let served = self.back.driver.serve(&mut host).expect("an honest front end");
            if served.answered == 0 && !served.more && self.back.driver.under_way() == 0 {
                break;
            }
        }
        self.front.driver.poll().expect("an honest back end");
    }

    /// Does one thing to its end.
    pub fn done(&mut self, ask: Ask<'_>, into: &mut [u8]) -> Result<(), Errno> {
        let ticket = match self.begin(ask) {
            Ok(ticket) => ticket,
            Err(Refusal::Errno(errno)) => return Err(errno),
            Err(other) => panic!("{other:?} with nothing under way"),
        };
        for _ in 0..20 {
            self.pump();
            match self.front.driver.finish(&ticket, into) {
                Some(Outcome::Done(result)) => return result,
                Some(Outcome::Lost) => panic!("lost, of a live connection"),
                None => {}
            }
        }
        panic!("{ask:?} never ends");
    }

    pub fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), Errno> {
        self.done(Ask::Write(sector, from), &mut [])
    }

    pub fn read(&mut self, sector: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut into = vec![0xee; bytes];
        self.done(Ask::Read(sector, bytes), &mut into).map(|()| into)
    }
}

pub fn open_back(machine: &Machine, drive: &Drive) -> BackHalf {
    let driver = BackEnd::new(Shelf(drive.clone()), Protocol::X86_64);
    Back::open(&mut machine.domain(HOST), BACK, driver).expect("a device")
}

/// Bytes that tell where they belong, and which time they were written.
pub fn pattern(sector: u64, bytes: usize, time: u8) -> Vec<u8> {
    let first = sector * 512;
    let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9) >> 9) as u8 ^ time;
    (first..first + bytes as u64).map(byte).collect()
}
