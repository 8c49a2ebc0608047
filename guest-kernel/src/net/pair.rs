//! Two interfaces joined by a cable, for tests of what uses interfaces.

use super::{Busy, Interface, Mac};
use crate::waker::Waker;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Frames that are under way in one direction at most.
pub const ROOM: usize = 16;

/// What has been sent to one end and not been received.
#[derive(Default)]
struct Side {
    frames: VecDeque<Vec<u8>>,
    /// Of the end that receives, and of the one that sends and found no room.
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// One end of a cable.
pub struct End {
    mac: Mac,
    incoming: Arc<Mutex<Side>>,
    outgoing: Arc<Mutex<Side>>,
    is_up: Arc<AtomicBool>,
}

impl End {
    /// What says whether this end is up, to be changed.
    pub fn switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_up)
    }
}

/// A cable with two ends, which have these addresses.
pub fn pair(macs: [Mac; 2]) -> [End; 2] {
    let (a, b): (Arc<Mutex<Side>>, Arc<Mutex<Side>>) = Default::default();
    let [first, second] = macs;
    let is_up = || Arc::new(AtomicBool::new(true));
    [
        End { mac: first, incoming: Arc::clone(&a), outgoing: Arc::clone(&b), is_up: is_up() },
        End { mac: second, incoming: b, outgoing: a, is_up: is_up() },
    ]
}

fn lock(side: &Mutex<Side>) -> MutexGuard<'_, Side> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Interface for End {
    fn mac(&self) -> Mac {
        self.mac
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    fn send(&self, frame: &[u8]) -> Result<(), Busy> {
        let mut side = lock(&self.outgoing);
        if side.frames.len() == ROOM {
            return Err(Busy);
        }
        side.frames.push_back(frame.to_vec());
        let waker = side.receiver;
        drop(side);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn receive(&self, into: &mut Vec<u8>) -> bool {
        let mut side = lock(&self.incoming);
        let was_full = side.frames.len() == ROOM;
        let Some(frame) = side.frames.pop_front() else { return false };
        *into = frame;
        let waker = side.sender.filter(|_| was_full);
        drop(side);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    fn set_waker(&self, waker: Waker) {
        lock(&self.incoming).receiver = Some(waker);
        lock(&self.outgoing).sender = Some(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::vec;

    static WOKEN: AtomicU32 = AtomicU32::new(0);

    #[test]
    fn frames_go_from_end_to_end_in_order() {
        let [a, b] = pair([[2; 6], [4; 6]]);
        fn note(bit: u32) {
            WOKEN.fetch_or(bit, Ordering::Relaxed);
        }
        let waker = Waker { call: note, argument: 1 };
        let woken = || WOKEN.swap(0, Ordering::Relaxed);
        a.set_waker(waker);
        b.set_waker(Waker { argument: 2, ..waker });
        for number in 0..ROOM {
            assert_eq!(a.send(&vec![0; number]), Ok(()));
        }
        assert_eq!(woken(), 2, "only who receives");
        assert_eq!(a.send(&[9]), Err(Busy));
        let mut frame = vec![7; 3];
        for number in 0..ROOM {
            assert!(b.receive(&mut frame));
            assert_eq!(frame, vec![0; number]);
        }
        assert_eq!(woken(), 1, "there is room again");
        assert!(!b.receive(&mut frame) && !a.receive(&mut frame));
        assert_eq!((a.mac(), b.mac()), ([2; 6], [4; 6]));
    }
}
