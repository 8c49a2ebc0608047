//! System calls that wait for files: `poll`, `select` and theirs.
//!
//! A file says what it is ready for and names a channel that is woken when that changes
//! ([`File::ready`](crate::fs::file::File::ready)); a process sleeps on the channels of all files at
//! once and looks again.

use super::errno::{EBADF, EINTR, EINVAL};
use super::signal::read_set;
use super::time::{read_timespec, read_timespec64};
use super::{Call, Result, duration, enough_memory};
use crate::fs::file::{Open, Ready};
use crate::signal::Set;
use crate::task::process::Process;
use crate::task::{scheduler, signal};
use crate::time as clock;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use ring1::events::Masked;
use ring1::uaccess::{copy_from_user, copy_to_user, read_user};

/// Most descriptors of a call.
const MOST: u32 = 1024;
/// `POLLNVAL`: no such descriptor.
const NO_DESCRIPTOR: u32 = 0x20;
/// `POLLRDNORM` and `POLLWRNORM`, by which some ask for reading and writing.
const READ_NORMAL: u32 = 0x40;
const WRITE_NORMAL: u32 = 0x100;

/// A descriptor that is looked at.
struct Watched {
    /// Its file; None: no such descriptor.
    open: Option<Arc<Open>>,
    /// What is asked: bits of `poll`.
    wanted: u32,
    /// What was found, as far as it was asked for or is always told.
    found: u32,
}

impl Watched {
    fn look(&mut self) -> bool {
        self.found = match &self.open {
            None => NO_DESCRIPTOR,
            Some(open) => {
                let ready = open.file.ready();
                let normal = |bit, normal| if ready.contains(bit) { normal } else { 0 };
                let told = ready.bits()
                    | normal(Ready::READ, READ_NORMAL)
                    | normal(Ready::WRITE, WRITE_NORMAL);
                let always = (Ready::ERROR | Ready::HANGUP).bits();
                told & (self.wanted | always)
            }
        };
        self.found != 0
    }
}

/// Waits until one of the files is ready for what is asked, or so many nanoseconds have gone by
/// (`None`: without end); how many are.
fn wait(process: &Process, watched: &mut [Watched], patience: Option<u64>) -> Result {
    // A call that begins again after a stop waits no longer than it would have.
    let deadline = match (process.deadline.swap(0, Ordering::Relaxed), patience) {
        (_, None) => 0,
        (0, Some(ns)) => clock::now().saturating_add(ns).max(1),
        (deadline, _) => deadline,
    };
    let _masked = Masked::new();
    loop {
        let count = watched.iter_mut().map(Watched::look).filter(|ready| *ready).count();
        if count > 0 || deadline != 0 && clock::now() >= deadline {
            return Ok(count as u32);
        }
        if signal::is_pending() {
            process.deadline.store(deadline, Ordering::Relaxed);
            return Err(EINTR);
        }
        let channels = watched.iter().filter_map(|file| Some(file.open.as_ref()?.file.channel()));
        let channels: Vec<u32> = channels.filter(|channel| *channel != 0).collect();
        scheduler::sleep_on(channels, deadline);
    }
}

/// Waits with other signals blocked, where the call has a set of them.
fn wait_masked(
    process: &Process,
    watched: &mut [Watched],
    patience: Option<u64>,
    mask: Option<Set>,
) -> Result {
    if let Some(mask) = mask {
        process.signals.with(|signals| signals.suspend(mask));
    }
    let outcome = wait(process, watched, patience);
    if outcome != Err(EINTR) {
        // Otherwise what handles the signal does it.
        process.signals.with(|signals| signals.resume());
        signal::look_again();
    }
    outcome
}

fn poll_with(call: &Call<'_>, patience: Option<u64>, mask: Option<Set>) -> Result {
    enough_memory()?;
    let (at, count) = (call.a(), call.b());
    if count > MOST {
        return Err(EINVAL);
    }
    let mut entries = alloc::vec![0u8; count as usize * 8];
    copy_from_user(&mut entries, at)?;
    let mut watched = Vec::new();
    for entry in entries.as_chunks::<8>().0 {
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let wanted = u32::from(u16::from_le_bytes([entry[4], entry[5]]));
        // A negative one is left out: nothing is asked, nothing found.
        let Ok(fd) = u32::try_from(fd) else { continue };
        watched.push(Watched { open: call.open_file(fd).ok(), wanted, found: 0 });
    }
    let ready = wait_masked(call.process, &mut watched, patience, mask)?;
    let mut found = watched.iter();
    for entry in entries.as_chunks_mut::<8>().0 {
        let is_asked = entry[3] & 0x80 == 0;
        let bits = if is_asked { found.next().map_or(0, |file| file.found) } else { 0 };
        entry[6..].copy_from_slice(&(bits as u16).to_le_bytes());
    }
    copy_to_user(at, &entries)?;
    Ok(ready)
}

/// `poll(*fds, count, milliseconds)`.
pub fn poll(call: &mut Call<'_>) -> Result {
    let milliseconds = i32::try_from(call.c()).ok();
    let patience = milliseconds.map(|ms| u64::from(ms.unsigned_abs()) * 1_000_000);
    poll_with(call, patience, None)
}

/// The set of signals of a call that has one, of this many bytes.
fn mask(address: u32, bytes: u32) -> Result<Option<Set>> {
    match address {
        0 => Ok(None),
        address => read_set(address, bytes).map(Some),
    }
}

/// `ppoll(*fds, count, *timespec, *set, bytes)`, 32 bits.
pub fn ppoll(call: &mut Call<'_>) -> Result {
    poll_with(call, read_timespec(call.c())?, mask(call.d(), call.e())?)
}

/// `ppoll_time64(*fds, count, *timespec, *set, bytes)`.
pub fn ppoll_time64(call: &mut Call<'_>) -> Result {
    poll_with(call, read_timespec64(call.c())?, mask(call.d(), call.e())?)
}

/// What each of `select`'s three sets asks for, and takes for an answer.
const SETS: [(Ready, Ready); 3] = [
    (Ready::READ, Ready::READ.union(Ready::HANGUP).union(Ready::ERROR)),
    (Ready::WRITE, Ready::WRITE.union(Ready::ERROR)),
    (Ready::URGENT, Ready::URGENT),
];

fn select_with(call: &Call<'_>, patience: Option<u64>, mask: Option<Set>) -> Result {
    enough_memory()?;
    let count = call.a();
    if count > MOST {
        return Err(EINVAL);
    }
    let words = count.div_ceil(32) as usize;
    let addresses = [call.b(), call.c(), call.d()];
    let mut sets = [(); 3].map(|()| alloc::vec![0u8; words * 4]);
    for (set, address) in sets.iter_mut().zip(addresses).filter(|(_, address)| *address != 0) {
        copy_from_user(set, address)?;
    }
    let has = |set: &[u8], fd: u32| set[fd as usize / 8] >> (fd % 8) & 1 != 0;
    let mut watched = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count {
        let asked = sets.iter().zip(SETS).filter(|(set, _)| has(set, fd));
        let wanted = asked.fold(0, |bits, (_, (asks, _))| bits | asks.bits());
        if wanted != 0 {
            let open = Some(call.open_file(fd).map_err(|_| EBADF)?);
            watched.push(Watched { open, wanted, found: 0 });
            numbers.push(fd);
        }
    }
    wait_masked(call.process, &mut watched, patience, mask)?;
    let mut total = 0;
    for ((set, (_, answers)), address) in sets.iter_mut().zip(SETS).zip(addresses) {
        let asked = core::mem::replace(set, alloc::vec![0; words * 4]);
        for (fd, file) in numbers.iter().zip(&watched) {
            if has(&asked, *fd) && file.found & answers.bits() != 0 {
                set[*fd as usize / 8] |= 1 << (fd % 8);
                total += 1;
            }
        }
        if address != 0 {
            copy_to_user(address, set)?;
        }
    }
    Ok(total)
}

/// `_newselect(count, *read, *write, *except, *timeval)`. The time that is left is not told.
pub fn select(call: &mut Call<'_>) -> Result {
    let patience = match call.e() {
        0 => None,
        address => {
            let [seconds, microseconds]: [u32; 2] = read_user(address)?;
            let nanoseconds = microseconds.checked_mul(1000).ok_or(EINVAL)?;
            Some(duration(seconds, nanoseconds)?)
        }
    };
    select_with(call, patience, None)
}

/// The set of signals of `pselect6`, whose last argument points to address and length.
fn packed_mask(address: u32) -> Result<Option<Set>> {
    if address == 0 {
        return Ok(None);
    }
    let [address, bytes]: [u32; 2] = read_user(address)?;
    mask(address, bytes)
}

/// `pselect6(count, *read, *write, *except, *timespec, *(set, bytes))`, 32 bits.
pub fn pselect6(call: &mut Call<'_>) -> Result {
    select_with(call, read_timespec(call.e())?, packed_mask(call.f())?)
}

/// `pselect6_time64(count, *read, *write, *except, *timespec, *(set, bytes))`.
pub fn pselect6_time64(call: &mut Call<'_>) -> Result {
    select_with(call, read_timespec64(call.e())?, packed_mask(call.f())?)
}
