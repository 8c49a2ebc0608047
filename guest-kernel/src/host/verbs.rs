//! The service `xl`: verbs of the host, carried out here, a task for each.
//!
//! The protocol is `xl`'s ([`xl::remote`]), which needs a channel and the machine. So many run at a
//! time; who comes later waits in its channel, which domain 0 has not accepted yet.

use super::stream::Stream;
use super::{accept, serve};
use crate::mm::PAGE;
use crate::mm::frames::{self, Use};
use crate::sync::Guarded;
use crate::task::children;
use crate::task::scheduler::{self, VERBS};
use crate::toolstack::machine::Machine;
use crate::waker::Waker;
use core::sync::atomic::{AtomicU32, Ordering};
use heapless::Deque;
use link::ChannelId;
use link::service::XL;
use ring1::events::Masked;
use ring1::println;

/// Verbs at a time.
const LIMIT: usize = 8;

/// Verbs that run.
static RUNNING: AtomicU32 = AtomicU32::new(0);
/// Channels for tasks that were just started.
static HANDED: Guarded<Deque<ChannelId, LIMIT>> = Guarded::new(Deque::new());

/// Offers the service, if there is a way to the host.
pub fn start() {
    if serve(XL, Waker::channel(VERBS)) && scheduler::start_kernel("xl", listen, 0).is_none() {
        println!("no memory for the service xl");
    }
}

/// Starts a task for each channel.
extern "C" fn listen(_: u32) -> ! {
    let _masked = Masked::new();
    loop {
        children::bury();
        while RUNNING.load(Ordering::Relaxed) < LIMIT as u32
            && let Some(id) = accept(XL)
        {
            // There is room: each that runs has taken its own out.
            let handed = HANDED.with(|handed| handed.push_back(id).is_ok());
            if !handed || scheduler::start_kernel("xl verb", verb, 0).is_none() {
                HANDED.with(|handed| handed.pop_back());
                super::close(id);
                continue;
            }
            RUNNING.fetch_add(1, Ordering::Relaxed);
        }
        scheduler::sleep(VERBS, 0);
    }
}

/// One verb.
extern "C" fn verb(_: u32) -> ! {
    if let Some(id) = HANDED.with(Deque::pop_front) {
        let mut stream = Stream::new(id);
        let mut machine = Machine::new(stream.channel());
        xl::remote::serve(&mut stream, &mut machine, room());
    }
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    scheduler::wake(VERBS);
    children::end(0)
}

/// Bytes of files that a verb may bring along: half of what is free, since a domain's kernel is
/// unpacked as well.
fn room() -> u64 {
    u64::from(frames::counts().of(Use::Free)) * u64::from(PAGE) / 2
}
