//! blkfront: disks that another domain has, as disks of this kernel's.
//!
//! The half itself is `xenbus`'s [`FrontEnd`]. It is shared by its device's task, which does the
//! handshake and takes responses, and by the threads that read and write: each begins what it wants,
//! and sleeps until it is done.
//!
//! **A back end that goes away** for a while is waited for: what it had not answered is asked of its
//! successor. So nobody sees that it was restarted, but by the time it took. A device that goes for
//! good has everybody's calls fail with ENODEV.

use super::{Disk, SECTOR, check, names, registry};
use crate::device::{self, Bell, Device, Domain, Serve, Served};
use crate::grant::Own;
use crate::mm::PAGE;
use crate::store::local::Connection;
use crate::sync::Guarded;
use crate::task::scheduler;
use crate::time;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use pv_abi::errno::Errno;
use pv_abi::io::blkif::BLKIF_MAX_SEGMENTS_PER_REQUEST;
use pv_abi::types::DomId;
use ring1::events::Masked;
use ring1::println;
use xenbus::access::Shared;
use xenbus::block::front::Options;
use xenbus::block::{Ask, FrontEnd, Outcome, Properties, Refusal, Ticket, X86_32};
use xenbus::bus;
use xenbus::device::{Fault, Keys, Node};
use xenbus::front::FrontDriver;
use xenstore::client::Client;

/// How long a disk may take to come, nanoseconds.
const PATIENCE_NS: u64 = 10_000_000_000;

type Half = FrontEnd<X86_32, Own>;

/// From now on this domain uses the disks that it is given.
pub fn start() {
    device::front("vbd", open);
}

/// Waits until this domain's disks can be used, as far as they come within a while: a program that
/// is started next finds what the domain was given.
pub fn wait_for_all() {
    let mut store = Client::new(Connection::new());
    // Without XenStore there are no disks.
    let paths = bus::front_ends(&mut store, "vbd").unwrap_or_default();
    let deadline = time::now() + PATIENCE_NS;
    for path in paths {
        if registry::wait_for(&name(&path), deadline).is_none() {
            println!("{path} does not come");
        }
    }
}

/// The name of the disk at a path.
fn name(path: &str) -> String {
    let number = path.rsplit('/').next().and_then(|id| id.parse().ok());
    names::vbd(number.unwrap_or_default())
}

fn open(device: &Device) -> Blkfront {
    let disk = Arc::new(Vbd {
        half: Guarded::new(Some(FrontEnd::new(Options::default()))),
        properties: Guarded::new(None),
        gone: AtomicBool::new(false),
        bell: device.bell,
    });
    Blkfront { disk, name: name(&device.path), registered: false }
}

/// The disk, as those have it who use it.
struct Vbd {
    /// None: its task has it.
    half: Guarded<Option<Half>>,
    /// What it is like; None: never connected yet.
    properties: Guarded<Option<Properties>>,
    /// There will never be a back end again.
    gone: AtomicBool,
    bell: Bell,
}

/// The device's task's part.
struct Blkfront {
    disk: Arc<Vbd>,
    name: String,
    registered: bool,
}

impl FrontDriver<Domain> for Blkfront {
    fn publish(
        &mut self,
        domain: &mut Domain,
        back: DomId,
        peer: &mut Node<'_>,
    ) -> Result<Keys, Fault> {
        self.disk.lend(|half| half.publish(domain, back, peer))
    }

    fn connect(&mut self, domain: &mut Domain, peer: &mut Node<'_>) -> Result<(), Fault> {
        let properties = self.disk.lend(|half| {
            half.connect(domain, peer)?;
            Ok(half.properties())
        })?;
        self.disk.properties.with(|own| *own = properties);
        if !self.registered {
            let disk: Arc<dyn Disk> = self.disk.clone();
            self.registered = registry::register(&self.name, disk);
            if !self.registered {
                println!("{}: there is one already", self.name);
            }
        }
        Ok(())
    }

    fn suspend(&mut self) {
        self.disk.with(FrontDriver::<Domain>::suspend);
    }

    fn disconnect(&mut self, domain: &mut Domain) -> Vec<Shared<Own>> {
        let shared = self.disk.with(|half| half.disconnect(domain));
        scheduler::wake(self.disk.channel());
        shared.unwrap_or_default()
    }
}

impl Serve for Blkfront {
    fn serve(&mut self, _: &mut Domain) -> Result<Served, Fault> {
        let polled = self.disk.with(FrontEnd::poll).unwrap_or(Ok(0));
        let count = polled.map_err(|broken| Fault {
            errno: Errno::EINVAL,
            what: format!("the back end broke its ring: {broken:?}"),
        })?;
        if count > 0 {
            scheduler::wake(self.disk.channel());
        }
        Ok(Served::Idle)
    }
}

impl Drop for Blkfront {
    fn drop(&mut self) {
        self.disk.gone.store(true, Ordering::Relaxed);
        if self.registered {
            registry::remove(&self.name);
        }
        scheduler::wake(self.disk.channel());
    }
}

impl Vbd {
    /// Where those sleep who wait for something. Others may sleep there, too: all look again.
    fn channel(&self) -> u32 {
        scheduler::DISK_REQUESTS + self.bell.channel() % scheduler::DISK_REQUESTS_COUNT
    }

    /// Does something with the half, unless its task has it.
    fn with<R>(&self, f: impl FnOnce(&mut Half) -> R) -> Option<R> {
        self.half.with(|half| half.as_mut().map(f))
    }

    /// Has the task do something that may wait for XenStore, as nothing under a guard may: others
    /// wait until it is done.
    fn lend<R>(&self, f: impl FnOnce(&mut Half) -> Result<R, Fault>) -> Result<R, Fault> {
        // It is there: only this task takes it, and not twice.
        let half = self.half.with(Option::take);
        let mut half = half.ok_or_else(|| Fault::while_doing("connecting")(Errno::EBUSY))?;
        let done = f(&mut half);
        self.half.with(|place| *place = Some(half));
        scheduler::wake(self.channel());
        done
    }

    /// Begins something; waits until that is possible.
    fn begin(&self, ask: Ask<'_>) -> Result<Ticket, Errno> {
        let _masked = Masked::new();
        loop {
            if self.gone.load(Ordering::Relaxed) {
                return Err(Errno::ENODEV);
            }
            let begun = self.with(|half| {
                let begun = half.begin(ask);
                half.kick(&mut Domain::new(self.bell));
                begun
            });
            match begun {
                Some(Ok(ticket)) => return Ok(ticket),
                Some(Err(Refusal::Errno(errno))) => return Err(errno),
                None | Some(Err(Refusal::Unconnected | Refusal::Busy)) => {
                    scheduler::sleep(self.channel(), 0);
                }
            }
        }
    }

    /// Waits until something is done.
    fn finish(&self, ticket: &Ticket, into: &mut [u8]) -> Outcome {
        let _masked = Masked::new();
        loop {
            if let Some(outcome) = self.with(|half| half.finish(ticket, into)).flatten() {
                // There is room for somebody else's.
                scheduler::wake(self.channel());
                return outcome;
            }
            if self.gone.load(Ordering::Relaxed) {
                return Outcome::Done(Err(Errno::ENODEV));
            }
            scheduler::sleep(self.channel(), 0);
        }
    }

    /// Has something done, by as many back ends as it takes.
    fn done(&self, ask: Ask<'_>, into: &mut [u8]) -> Result<(), Errno> {
        loop {
            let ticket = self.begin(ask)?;
            match self.finish(&ticket, into) {
                Outcome::Done(result) => return result,
                Outcome::Lost => {}
            }
        }
    }

    /// Bytes that one request moves, or fewer.
    fn part(&self) -> usize {
        // While there is no back end: what any takes.
        let direct = BLKIF_MAX_SEGMENTS_PER_REQUEST * PAGE as usize;
        self.with(|half| half.most_bytes()).filter(|most| *most > 0).unwrap_or(direct)
    }

    fn like(&self) -> Properties {
        let nothing = Properties { sectors: 0, sector_size: 512, read_only: true, discard: false };
        self.properties.with(|properties| properties.unwrap_or(nothing))
    }
}

impl Disk for Vbd {
    fn sector_size(&self) -> u32 {
        self.like().sector_size
    }

    fn sectors(&self) -> u64 {
        self.like().sectors
    }

    fn read_only(&self) -> bool {
        self.like().read_only
    }

    fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Errno> {
        check(self, sector, into.len() as u64)?;
        let (mut sector, mut rest) = (sector, into);
        while !rest.is_empty() {
            let (part, later) = rest.split_at_mut(self.part().min(rest.len()));
            self.done(Ask::Read(sector, part.len()), part)?;
            sector += (part.len() / SECTOR) as u64;
            rest = later;
        }
        Ok(())
    }

    fn write(&self, sector: u64, from: &[u8]) -> Result<(), Errno> {
        check(self, sector, from.len() as u64)?;
        let (mut sector, mut rest) = (sector, from);
        while !rest.is_empty() {
            let (part, later) = rest.split_at(self.part().min(rest.len()));
            self.done(Ask::Write(sector, part), &mut [])?;
            sector += (part.len() / SECTOR) as u64;
            rest = later;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Errno> {
        match self.done(Ask::Flush, &mut []) {
            // What is written lasts, or nobody can say.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            result => result,
        }
    }

    fn discard(&self, sector: u64, count: u64) -> Result<(), Errno> {
        check(self, sector, count.checked_mul(SECTOR as u64).ok_or(Errno::EIO)?)?;
        self.done(Ask::Discard(sector, count), &mut [])
    }
}
