//! One channel as one end sees it: received bytes, credits, and how far it is closed.

use alloc::collections::VecDeque;

use crate::WINDOW;

/// A channel whose number is taken.
pub struct Channel {
    /// Tells this channel from others of the same number.
    pub life: u32,
    received: VecDeque<u8>,
    /// Bytes that we may send.
    credit: usize,
    /// Bytes that the peer may send.
    granted: usize,
    /// Bytes taken by the program since the last CREDIT.
    taken: usize,
    /// Our CLOSE: not yet, waits, was sent.
    closing: Closing,
    /// The peer's CLOSE came.
    pub peer_closed: bool,
    /// The program has let go of it.
    pub released: bool,
    /// An event that says that it has bytes is on its way to the program.
    pub announced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Due,
    Sent,
}

/// What a channel has to say besides data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A CREDIT of so many bytes.
    Credit(u32),
    /// CLOSE.
    Close,
}

/// A rule was broken by the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation;

impl Channel {
    /// One that begins.
    pub fn new(life: u32) -> Self {
        Self {
            life,
            received: VecDeque::new(),
            credit: WINDOW,
            granted: WINDOW,
            taken: 0,
            closing: Closing::No,
            peer_closed: false,
            released: false,
            announced: false,
        }
    }

    /// Bytes came. They are dropped when the program has let go of the channel.
    pub fn take_in(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.granted = self.granted.checked_sub(bytes.len()).ok_or(Violation)?;
        if !self.released {
            self.received.extend(bytes);
        }
        Ok(())
    }

    /// Received bytes: some of them, or none at all.
    pub fn received(&self) -> &[u8] {
        self.received.as_slices().0
    }

    /// The program has dealt with the first `count` received bytes.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.received.len());
        self.received.drain(..count);
        self.taken += count;
    }

    /// Takes up to `wanted` bytes of credit.
    pub fn spend(&mut self, wanted: usize) -> usize {
        let spent = wanted.min(self.credit);
        self.credit -= spent;
        spent
    }

    /// A CREDIT came. Nobody has more than a window's worth.
    pub fn earn(&mut self, bytes: u32) -> Result<(), Violation> {
        let credit = self.credit + bytes as usize;
        if credit > WINDOW {
            return Err(Violation);
        }
        self.credit = credit;
        Ok(())
    }

    /// Nothing more is to be sent, and what was received is not wanted.
    pub fn release(&mut self) {
        self.released = true;
        self.received = VecDeque::new();
        if self.closing == Closing::No {
            self.closing = Closing::Due;
        }
    }

    /// Whether bytes can still be sent, credit aside.
    pub fn is_open(&self) -> bool {
        self.closing == Closing::No && !self.peer_closed
    }

    /// Whether [`Self::take_due`] has something. Credit is given back when half of the window was
    /// taken: the peer has the other half meanwhile.
    pub fn is_due(&self) -> bool {
        match self.closing {
            Closing::No => self.taken >= WINDOW / 2 && !self.peer_closed,
            Closing::Due => true,
            Closing::Sent => false,
        }
    }

    /// What is to be sent besides data now.
    pub fn take_due(&mut self) -> Option<Due> {
        if !self.is_due() {
            return None;
        }
        if self.closing == Closing::Due {
            self.closing = Closing::Sent;
            return Some(Due::Close);
        }
        let taken = core::mem::take(&mut self.taken);
        self.granted += taken;
        Some(Due::Credit(taken as u32))
    }

    /// Whether its number can be given to another.
    pub fn is_over(&self) -> bool {
        self.closing == Closing::Sent && self.peer_closed && self.released
    }
}
