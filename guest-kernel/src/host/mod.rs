//! The way to the host: channels that its programs open to domain 0's services.
//!
//! A task of its own moves bytes between the [console](crate::virtio::console) and domain 0's end
//! of the link (crate `link`, which has the protocol and its bounds). A service says by [`serve`]
//! under which name it is reached, and [`accept`]s channels; from then on everything that happens
//! to a channel calls the [`Waker`] that the service named for it, and the service looks what it
//! was.
//!
//! All calls return at once, and may be made with upcalls masked; [`stream`] has the ones that wait.

pub mod stream;
pub mod verbs;

use crate::sync::Guarded;
use crate::task::scheduler::{self, LINK};
use crate::time;
use crate::virtio::console::Console;
use crate::virtio::pair::Error;
use crate::virtio::wire;
use crate::waker::Waker;
use alloc::collections::{BTreeMap, VecDeque};
use link::{ChannelId, End, Event, Side};
use ring1::events::Masked;
use ring1::println;

/// Services at most.
const SERVICES: usize = 4;

struct Service {
    name: &'static str,
    waker: Waker,
    opened: VecDeque<ChannelId>,
}

/// A channel that a service has.
struct Open {
    waker: Waker,
    peer_closed: bool,
}

struct Host {
    console: Console,
    end: End,
    services: heapless::Vec<Service, SERVICES>,
    channels: BTreeMap<ChannelId, Open>,
}

static HOST: Guarded<Option<Host>> = Guarded::new(None);

/// Finds the console; whether there is one. Without, nothing ever happens here. Next, services say
/// that they [`serve`], and [`open`] lets the host's programs in.
///
/// Not a part of the caller, under whose frame the shell runs for ever: the device and its channels
/// are put together on the stack.
#[inline(never)]
pub fn init() -> bool {
    // The device may interrupt as soon as it is there.
    let _masked = Masked::new();
    let console = match Console::new() {
        Ok(console) => console,
        Err(Error::None) => return false,
        Err(error) => {
            println!("no way to the host: {error:?}");
            return false;
        }
    };
    let irq = console.irq();
    // Any number that the last start did not have.
    let epoch = (time::time_of_day().0 << 8 ^ time::now()) as u32;
    let end = End::new(Side::Domain0, epoch);
    let (services, channels) = (heapless::Vec::new(), BTreeMap::new());
    HOST.with(|host| *host = Some(Host { console, end, services, channels }));
    if let Err(errno) = wire::listen(irq, acknowledge) {
        println!("no way to the host: its interrupt: {errno:?}");
        HOST.with(|host| *host = None);
        return false;
    }
    acknowledge();
    true
}

/// Starts the task: whoever opens a channel to a service that nobody has is turned away.
pub fn open() {
    if scheduler::start_kernel("link", task, 0).is_none() {
        println!("no way to the host: no memory for its task");
    }
}

/// The console's interrupt, upcalls masked.
fn acknowledge() {
    HOST.with(|host| {
        if let Some(host) = host {
            host.console.acknowledge();
        }
    });
    scheduler::wake(LINK);
}

extern "C" fn task(_: u32) -> ! {
    loop {
        let _masked = Masked::new();
        let moved = HOST.with(|host| host.as_mut().map(Host::pump));
        match moved {
            Some(Ok(true)) => {}
            Some(Ok(false)) | None => scheduler::sleep(LINK, 0),
            Some(Err(error)) => {
                println!("the way to the host is lost: {error:?}");
                HOST.with(|host| {
                    if let Some(host) = host.take() {
                        host.wake_all();
                    }
                });
            }
        }
    }
}

impl Host {
    /// Moves what can be moved; whether anything was received.
    fn pump(&mut self) -> Result<bool, Error> {
        let end = &mut self.end;
        let any = self.console.receive(|bytes| end.input(bytes))?;
        while let Some(event) = self.end.next_event() {
            self.see(event);
        }
        if self.transmit()? || any {
            // Credit or room has come, perhaps: whoever waits for it looks again.
            self.wake_all();
        }
        Ok(any)
    }

    /// Sends what waits; whether anything did.
    fn transmit(&mut self) -> Result<bool, Error> {
        let mut any = false;
        loop {
            let taken = self.console.transmit(self.end.output())?;
            if taken == 0 {
                return Ok(any);
            }
            self.end.sent(taken);
            any = true;
        }
    }

    fn see(&mut self, event: Event) {
        match event {
            Event::Up => {}
            Event::Down => {
                self.wake_all();
                self.channels.clear();
                self.services.iter_mut().for_each(|service| service.opened.clear());
            }
            Event::Opened(id, name) => {
                let service = self.services.iter_mut().find(|service| service.name == name);
                let Some(service) = service else { return self.end.close(id) };
                service.opened.push_back(id);
                let waker = service.waker;
                self.channels.insert(id, Open { waker, peer_closed: false });
                waker.wake();
            }
            Event::Readable(id) => self.wake(id),
            Event::Closed(id) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.peer_closed = true;
                }
                self.wake(id);
            }
        }
    }

    fn wake(&self, id: ChannelId) {
        if let Some(channel) = self.channels.get(&id) {
            channel.waker.wake();
        }
    }

    fn wake_all(&self) {
        let mut last: Option<Waker> = None;
        for channel in self.channels.values() {
            // Many channels of one service follow each other.
            if !last.is_some_and(|last| last.is(channel.waker)) {
                channel.waker.wake();
                last = Some(channel.waker);
            }
        }
    }
}

/// Offers a service: channels to `name` can be [accepted](accept), and `waker` is called for them.
/// False: there is no way to the host.
pub fn serve(name: &'static str, waker: Waker) -> bool {
    HOST.with(|host| {
        let Some(host) = host else { return false };
        host.services.push(Service { name, waker, opened: VecDeque::new() }).is_ok()
    })
}

/// The next channel that was opened to a service.
pub fn accept(name: &str) -> Option<ChannelId> {
    HOST.with(|host| {
        let mut services = host.as_mut()?.services.iter_mut();
        services.find(|service| service.name == name)?.opened.pop_front()
    })
}

/// From now on `waker` is called for what happens to this channel.
pub fn set_waker(id: ChannelId, waker: Waker) {
    HOST.with(|host| {
        if let Some(channel) = host.as_mut().and_then(|host| host.channels.get_mut(&id)) {
            channel.waker = waker;
        }
    });
}

/// Lends received bytes of a channel to `f`, which says how many of them it has dealt with. Zero when
/// there are none.
pub fn receive(id: ChannelId, f: impl FnOnce(&[u8]) -> usize) -> usize {
    let taken = HOST.with(|host| {
        let Some(host) = host else { return 0 };
        let bytes = host.end.received(id);
        let taken = if bytes.is_empty() { 0 } else { f(bytes).min(bytes.len()) };
        host.end.consume(id, taken);
        taken
    });
    if taken > 0 {
        // There may be credit to give back.
        send_on();
    }
    taken
}

/// Whether bytes of a channel wait to be received.
pub fn has_received(id: ChannelId) -> bool {
    HOST.with(|host| host.as_ref().is_some_and(|host| !host.end.received(id).is_empty()))
}

/// Sends bytes in a channel: as many as it takes now. None: the channel is closed.
pub fn send(id: ChannelId, bytes: &[u8]) -> Option<usize> {
    let sent = HOST.with(|host| host.as_mut()?.end.send(id, bytes).ok())?;
    let made_room = send_on();
    if sent > 0 || !made_room {
        return Some(sent);
    }
    // What was in the way has gone out, and nobody would tell.
    let sent = HOST.with(|host| host.as_mut()?.end.send(id, bytes).ok());
    send_on();
    sent
}

/// Whether the other side has closed the channel, or it is gone.
pub fn is_closed(id: ChannelId) -> bool {
    HOST.with(|host| {
        host.as_ref().and_then(|host| host.channels.get(&id)).is_none_or(|open| open.peer_closed)
    })
}

/// Closes a channel; what was sent still arrives.
pub fn close(id: ChannelId) {
    HOST.with(|host| {
        if let Some(host) = host {
            host.end.close(id);
            host.channels.remove(&id);
        }
    });
    send_on();
}

/// Gives the console what waits; whether any of it went. That it fails is the task's to see.
fn send_on() -> bool {
    match HOST.with(|host| host.as_mut().map(Host::transmit)) {
        Some(Ok(any)) => any,
        Some(Err(_)) => {
            scheduler::wake(LINK);
            false
        }
        None => false,
    }
}
