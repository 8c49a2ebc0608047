//! The task that moves packets, and how the rest of the kernel gets at the stack.
//!
//! The stack is used with upcalls masked, by one at a time. Who changes something in it
//! ([`change`]) wakes the task, which polls. Who must wait sleeps on its socket's channel
//! ([`wait`]); the task wakes it.

use super::plan::Plan;
use super::stack::Result;
use super::{Id, Stack, resolver, stream};
use crate::errno::{EAGAIN, EINTR, ENETDOWN};
use crate::mm::PAGE;
use crate::mm::frames::{self, Use};
use crate::net::registry;
use crate::sync::Guarded;
use crate::task::scheduler::{self, NETWORK, SOCKETS};
use crate::task::{process, signal};
use crate::time;
use crate::waker::Waker;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};
use ring1::events::Masked;
use ring1::println;

/// The interface that the stack is on.
const INTERFACE: &str = "eth0";
/// The part of the domain's memory that connections' buffers may take: one in so many.
const SHARE: u32 = 4;
/// Most connections, however much memory there is.
const CONNECTIONS: u32 = 1024;

static STACK: Guarded<Option<Box<Stack>>> = Guarded::new(None);
/// The task runs.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);
/// The interface is another, or there is one for the first time.
static IS_OTHER: AtomicBool = AtomicBool::new(true);

/// Prepares the network, by the kernel's command line, or by `default` where that says nothing. The
/// task begins with the first interface or the first packet.
pub fn start(command_line: &str, default: Plan) {
    let plan = match Plan::of_command_line(command_line) {
        Ok(said) => said.unwrap_or(default),
        Err(wrong) => {
            println!("ip=: {wrong}; the network is off");
            Plan::Off
        }
    };
    let frames = frames::counts().of(Use::Free);
    let limit = (frames / SHARE).saturating_mul(PAGE) / (2 * stream::BUFFER as u32);
    let mut stack = Stack::new(limit.clamp(8, CONNECTIONS) as usize, seed());
    stack.set_plan(plan);
    STACK.with(|slot| *slot = Some(Box::new(stack)));
    registry::set_listener(Waker { call: other_interface, argument: 0 });
    if registry::find(INTERFACE).is_some() {
        other_interface(0);
    }
}

fn seed() -> u64 {
    let bytes = process::random();
    bytes.iter().fold(0, |seed, byte| seed << 8 ^ seed >> 56 ^ u64::from(*byte))
}

/// The registry of interfaces has changed.
fn other_interface(_: u32) {
    IS_OTHER.store(true, Ordering::Relaxed);
    wake();
}

/// Has the task see what has changed.
fn wake() {
    if IS_RUNNING.swap(true, Ordering::Relaxed) {
        scheduler::wake(NETWORK);
    } else if scheduler::start_kernel("network", run, 0).is_none() {
        // Another time there may be.
        IS_RUNNING.store(false, Ordering::Relaxed);
        println!("no memory for the network's task");
    }
}

/// A frame came, there is room again, or the link went up or down.
fn moved(_: u32) {
    scheduler::wake(NETWORK);
}

extern "C" fn run(_: u32) -> ! {
    let _masked = Masked::new();
    let mut told = resolver::Servers::new();
    loop {
        if IS_OTHER.swap(false, Ordering::Relaxed) {
            attach();
        }
        let next = with(|stack| stack.poll(time::now(), &mut |id| scheduler::wake(channel(id))));
        let servers = with(|stack| resolver::servers(stack.settings())).unwrap_or_default();
        if servers != told {
            // Programs that ask for names then go without.
            let _ = resolver::write(&servers);
            told = servers;
        }
        match next.flatten() {
            Some(at) if at <= time::now() => scheduler::give_way(),
            next => scheduler::sleep(NETWORK, next.unwrap_or(0)),
        }
    }
}

/// Puts the stack on the interface that there is now.
fn attach() {
    let interface = registry::find(INTERFACE);
    if let Some(interface) = &interface {
        interface.set_waker(Waker { call: moved, argument: 0 });
    }
    with(|stack| stack.attach(interface, seed()));
}

/// The channel of those who wait for a socket.
pub fn channel(id: Id) -> u32 {
    SOCKETS + id.number()
}

/// Looks at the stack, or uses it in a way that moves no packet. None: there is no network.
pub fn with<R>(f: impl FnOnce(&mut Stack) -> R) -> Option<R> {
    let is_short = frames::is_short();
    STACK.with(|slot| {
        let stack = slot.as_deref_mut()?;
        stack.set_short(is_short);
        Some(f(stack))
    })
}

/// Uses the stack, and has the task move what that has brought about. None: there is no network.
pub fn change<R>(f: impl FnOnce(&mut Stack) -> R) -> Option<R> {
    let result = with(f);
    wake();
    result
}

/// What to do when a socket cannot do something at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Fail.
    None,
    /// Wait until system time reaches this; 0: for ever.
    Until(u64),
}

impl Patience {
    /// Waits for so many nanoseconds, or for ever, unless it must not wait.
    pub fn of(is_nonblocking: bool, timeout_ns: Option<u64>) -> Self {
        match (is_nonblocking, timeout_ns) {
            (true, _) => Self::None,
            (false, None) => Self::Until(0),
            (false, Some(ns)) => Self::Until(time::now().saturating_add(ns)),
        }
    }
}

/// Does `f` again and again, each time that the socket can do more, until it does not fail for that
/// it could not yet.
///
/// # Errors
/// EAGAIN: patience is at its end; EINTR: a signal came; those of `f`.
pub fn wait<R>(
    id: Id,
    patience: Patience,
    mut f: impl FnMut(&mut Stack) -> Result<R>,
) -> Result<R> {
    let _masked = Masked::new();
    loop {
        let result = with(&mut f).unwrap_or(Err(ENETDOWN));
        if !result.as_ref().is_err_and(|errno| *errno == EAGAIN) {
            wake();
            return result;
        }
        let Patience::Until(deadline) = patience else { return result };
        if deadline != 0 && time::now() >= deadline {
            return Err(EAGAIN);
        }
        if signal::is_pending() {
            return Err(EINTR);
        }
        scheduler::sleep(channel(id), deadline);
    }
}
