//! Who waits for something to happen to a domain: a line on its console, its end.
//!
//! Everything that happens wakes everybody, and they look again. There are few of them: people who
//! look at a console or wait for a shutdown.

use crate::sync::Guarded;
use crate::task::scheduler;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use ring1::events::Masked;

/// Channels of the scheduler that are woken.
static CHANNELS: Guarded<Vec<u32>> = Guarded::new(Vec::new());
/// How often something has happened.
static HAPPENED: AtomicU32 = AtomicU32::new(0);

/// Something has happened.
pub fn wake() {
    let _masked = Masked::new();
    HAPPENED.fetch_add(1, Ordering::Relaxed);
    CHANNELS.with(|channels| channels.iter().for_each(|channel| scheduler::wake(*channel)));
}

/// How often something has happened: to be asked before looking, and told to [`wait`].
pub fn count() -> u32 {
    HAPPENED.load(Ordering::Relaxed)
}

/// Sleeps on `channel` until something has happened that is not in `seen`, until somebody wakes the
/// channel, or until `deadline` of system time; not at all if `ready`, asked with upcalls masked.
pub fn wait(channel: u32, seen: u32, deadline: u64, ready: impl FnOnce() -> bool) {
    let _masked = Masked::new();
    if count() != seen || ready() {
        return;
    }
    CHANNELS.with(|channels| channels.push(channel));
    scheduler::sleep(channel, deadline);
    CHANNELS.with(|channels| {
        if let Some(at) = channels.iter().position(|entry| *entry == channel) {
            channels.swap_remove(at);
        }
    });
}
