//! Work for a disk's queue, and where it ends.
//!
//! A job belongs to its disk until it is done, whatever becomes of who submitted it: nobody can take
//! back a page that a device is writing. What is done is put into the mailbox of its owner, who is woken;
//! of an owner that is gone, the mailbox goes with the last job.

use crate::sync::Guarded;
use crate::virtio::dma::Page;
use crate::waker::Waker;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use pv_abi::errno::Errno;
use xenbus::block::{Done, Work};

/// Where somebody's jobs end.
pub struct Mailbox {
    done: Guarded<VecDeque<Done<Page>>>,
    owner: Waker,
}

impl Mailbox {
    /// An empty one; `owner` is called, upcalls masked, for everything that ends here.
    pub fn new(owner: Waker) -> Arc<Self> {
        Arc::new(Self { done: Guarded::new(VecDeque::new()), owner })
    }

    /// Something that ended, in the order in which it did.
    pub fn take(&self) -> Option<Done<Page>> {
        self.done.with(VecDeque::pop_front)
    }
}

/// Something to be done.
pub struct Job {
    /// The owner's number for it.
    pub tag: u32,
    /// What.
    pub work: Work<Page>,
    /// Where it ends.
    pub mailbox: Arc<Mailbox>,
}

impl Job {
    /// It is done.
    pub fn end(self, result: Result<(), Errno>) {
        let chunks = match self.work {
            Work::Read { chunks, .. } | Work::Write { chunks, .. } => chunks,
            Work::Flush | Work::Discard { .. } => Vec::new(),
        };
        let done = Done { tag: self.tag, chunks, result };
        self.mailbox.done.with(|all| all.push_back(done));
        self.mailbox.owner.wake();
    }
}
