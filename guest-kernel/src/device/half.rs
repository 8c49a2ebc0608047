//! The task of one device: handshake and data in turn, whenever the bell was rung or XenStore has
//! something to say.

use super::kinds::{Device, End};
use super::manager::{self, Order};
use super::{Domain, abandoned};
use crate::store::local::Connection;
use crate::task::scheduler;
use crate::time;
use pv_abi::errno::Errno;
use ring1::events::Masked;
use ring1::println;
use xenbus::back::{Back, BackDriver};
use xenbus::device::{Fault, Life};
use xenbus::front::{Front, FrontDriver};
use xenstore::client::Client;

type Store = Client<Connection>;

/// What a driver does between the steps of the handshake.
pub trait Serve {
    /// Does what there is to be done with the rings. Comes whenever the bell was rung, and after
    /// each look at XenStore; finds nothing to do where the device is not in use.
    ///
    /// # Errors
    /// The peer broke a ring, or what stands behind the device is gone: the device is closed, and
    /// the fault told in XenStore.
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault>;
}

/// Whether a driver is done for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// There is more to do: it comes again at once, after others that wait for the CPU.
    More,
    /// As for [`Served::Idle`], and there is more to do at this system time.
    Until(u64),
    /// All is done, and the peer was asked to ring (`final_check`).
    Idle,
}

/// Either half, as its task sees it.
trait Half {
    fn look(&mut self, store: &mut Store, domain: &mut Domain) -> Result<Life, Errno>;
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault>;
    fn fail(
        &mut self,
        store: &mut Store,
        domain: &mut Domain,
        fault: &Fault,
    ) -> Result<Life, Errno>;
    fn abandon(self, store: &mut Store, domain: &mut Domain);
    /// Lets go of everything in this domain, and says nothing to anybody.
    fn crash(self, domain: &mut Domain);
}

impl<R: FrontDriver<Domain> + Serve> Half for Front<Domain, R> {
    fn look(&mut self, store: &mut Store, domain: &mut Domain) -> Result<Life, Errno> {
        Front::look(self, store, domain)
    }

    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        self.driver.serve(domain)
    }

    fn fail(
        &mut self,
        store: &mut Store,
        domain: &mut Domain,
        fault: &Fault,
    ) -> Result<Life, Errno> {
        Front::fail(self, store, domain, fault)
    }

    fn abandon(self, store: &mut Store, domain: &mut Domain) {
        abandoned::take(Front::abandon(self, store, domain));
    }

    fn crash(mut self, domain: &mut Domain) {
        abandoned::take(self.driver.disconnect(domain));
    }
}

impl<R: BackDriver<Domain> + Serve> Half for Back<Domain, R> {
    fn look(&mut self, store: &mut Store, domain: &mut Domain) -> Result<Life, Errno> {
        Back::look(self, store, domain)
    }

    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        self.driver.serve(domain)
    }

    fn fail(
        &mut self,
        store: &mut Store,
        domain: &mut Domain,
        fault: &Fault,
    ) -> Result<Life, Errno> {
        Back::fail(self, store, domain, fault)
    }

    fn abandon(self, store: &mut Store, domain: &mut Domain) {
        Back::abandon(self, store, domain);
    }

    fn crash(mut self, domain: &mut Domain) {
        self.driver.disconnect(domain);
    }
}

/// A front end's task.
pub(super) fn run_front<R>(device: &Device, driver: R) -> End
where
    R: FrontDriver<Domain> + Serve,
{
    run(device, |store| Front::open(store, &device.path, driver))
}

/// A back end's task.
pub(super) fn run_back<R>(device: &Device, driver: R) -> End
where
    R: BackDriver<Domain> + Serve,
{
    run(device, |store| Back::open(store, &device.path, driver))
}

fn run<H: Half>(device: &Device, open: impl FnOnce(&mut Store) -> Result<H, Fault>) -> End {
    let mut store = Client::new(Connection::waking(device.bell.channel()));
    let mut domain = Domain::new(device.bell);
    let half = match open(&mut store) {
        Ok(half) => half,
        Err(fault) => {
            println!("{}: {fault}", device.path);
            return End::Failed;
        }
    };
    work(device, half, &mut store, &mut domain)
}

/// What a device's task does next.
enum Next {
    /// Sees whether there is anything, at the latest at this system time; 0: when there is.
    Wait(u64),
    /// Sees whether there is more.
    Again,
    /// Ends.
    End(End),
}

fn work(device: &Device, mut half: impl Half, store: &mut Store, domain: &mut Domain) -> End {
    let mut look = Ok(true);
    loop {
        let next = match manager::order(device.bell) {
            Some(Order::LetGo) => Next::End(End::Gone),
            Some(Order::Restart) => {
                half.crash(domain);
                return End::Restarted;
            }
            None => step(device, &mut half, store, domain, look),
        };
        match next {
            Next::End(end) => {
                half.abandon(store, domain);
                return end;
            }
            Next::Again => scheduler::give_way(),
            Next::Wait(deadline) => wait(device, store, deadline),
        }
        look = take_events(store);
    }
}

/// Looks at the handshake, if `look` says so, and serves.
fn step(
    device: &Device,
    half: &mut impl Half,
    store: &mut Store,
    domain: &mut Domain,
    look: Result<bool, Errno>,
) -> Next {
    let life = look.and_then(|look| match look {
        true => half.look(store, domain),
        false => Ok(Life::Present),
    });
    let (life, served) = match life {
        Ok(Life::Present) => match half.serve(domain) {
            Ok(served) => (Ok(Life::Present), served),
            Err(fault) => {
                println!("{}: {fault}", device.path);
                (half.fail(store, domain, &fault), Served::Idle)
            }
        },
        other => (other, Served::Idle),
    };
    match (life, served) {
        (Ok(Life::Gone), _) => Next::End(End::Gone),
        (Ok(Life::Present), Served::More) => Next::Again,
        (Ok(Life::Present), Served::Until(deadline)) => Next::Wait(deadline),
        (Ok(Life::Present), Served::Idle) => Next::Wait(0),
        // The connection is gone: without XenStore there is no way to part.
        (Err(Errno::EIO), _) => Next::End(End::Failed),
        (Err(errno), _) => {
            // The next change of a node has it looked at again.
            println!("{}: XenStore says {errno}", device.path);
            Next::Wait(0)
        }
    }
}

/// Takes the events that have come; whether there were any.
fn take_events(store: &mut Store) -> Result<bool, Errno> {
    let mut any = false;
    while has_events(store) {
        store.next_event().map_err(|_| Errno::EIO)?;
        any = true;
    }
    Ok(any)
}

fn has_events(store: &Store) -> bool {
    store.has_event() || store.transport().has_received()
}

/// Sleeps until the bell is rung or XenStore says something, or until a deadline that is not 0.
fn wait(device: &Device, store: &Store, deadline: u64) {
    let _masked = Masked::new();
    while !device.bell.take() && !has_events(store) && (deadline == 0 || time::now() < deadline) {
        scheduler::sleep(device.bell.channel(), deadline);
    }
}
