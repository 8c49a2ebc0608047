//! The half that answers.

use core::marker::PhantomData;

use crate::memory::{Corrupt, SharedMemory, TooSmall};

use super::{
    Full, Geometry, Message, Notify, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, ask_for_event,
    publish,
};

/// A ring's back half: `Req` in, `Rsp` out.
#[derive(Debug)]
pub struct BackRing<M, Req, Rsp> {
    memory: M,
    geometry: Geometry,
    /// Requests taken.
    req_cons: u32,
    /// Responses written, and of these published.
    rsp_prod: u32,
    published: u32,
    messages: PhantomData<(Req, Rsp)>,
}

impl<M: SharedMemory, Req: Message, Rsp: Message> BackRing<M, Req, Rsp> {
    /// Goes on with a ring that the front end made: with the first request that has no
    /// response, which in a fresh ring is the first of all.
    ///
    /// What a predecessor had taken and not answered is taken again. That is right where it
    /// answered in order only: else a response may stand in the slot of another, unanswered
    /// request, and the ring must be made anew (`Restart::Anew` of the handshake).
    ///
    /// # Errors
    /// No slot fits.
    pub fn attach(memory: M) -> Result<Self, TooSmall> {
        let geometry = Geometry::of::<Req, Rsp>(&memory)?;
        let at = memory.load(RSP_PROD);
        let messages = PhantomData;
        Ok(BackRing { memory, geometry, req_cons: at, rsp_prod: at, published: at, messages })
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.geometry.slots
    }

    /// How many requests are taken and not answered.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        self.req_cons.wrapping_sub(self.rsp_prod)
    }

    /// How many requests wait.
    ///
    /// # Errors
    /// The peer claims to have written more than there are slots for.
    pub fn waiting(&self) -> Result<u32, Corrupt> {
        // Seen before the requests that it vouches for are read.
        let req_prod = self.memory.load(REQ_PROD);
        let waiting = req_prod.wrapping_sub(self.req_cons);
        if waiting > self.geometry.slots - self.unanswered() {
            return Err(Corrupt { ours: self.req_cons, theirs: req_prod });
        }
        Ok(waiting)
    }

    /// Takes the next request, if one waits.
    ///
    /// # Errors
    /// As [`waiting`](BackRing::waiting).
    pub fn take(&mut self) -> Result<Option<Req>, Corrupt> {
        if self.waiting()? == 0 {
            return Ok(None);
        }
        let request = self.geometry.read(&self.memory, self.req_cons);
        self.req_cons = self.req_cons.wrapping_add(1);
        Ok(Some(request))
    }

    /// Writes a response, which the peer sees when it is [published](BackRing::publish).
    ///
    /// # Errors
    /// Every request that was taken has been answered.
    pub fn push(&mut self, response: &Rsp) -> Result<(), Full> {
        if self.unanswered() == 0 {
            return Err(Full);
        }
        self.geometry.write(&self.memory, self.rsp_prod, response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
        Ok(())
    }

    /// Shows the peer all that was written.
    pub fn publish(&mut self) -> Notify {
        let old = core::mem::replace(&mut self.published, self.rsp_prod);
        publish(&self.memory, (RSP_PROD, RSP_EVENT), (old, self.rsp_prod))
    }

    /// Before going to sleep: asks for an event at the next request, and looks once more. Whether
    /// one waits now, so that there must be no sleep.
    ///
    /// # Errors
    /// As [`waiting`](BackRing::waiting).
    pub fn final_check(&mut self) -> Result<bool, Corrupt> {
        self.wait_for(1)
    }

    /// As [`final_check`](BackRing::final_check), where it takes `count` requests, at least 1, to do
    /// anything: whether so many wait now.
    ///
    /// # Errors
    /// As [`waiting`](BackRing::waiting).
    pub fn wait_for(&mut self, count: u32) -> Result<bool, Corrupt> {
        if self.waiting()? >= count {
            return Ok(true);
        }
        ask_for_event(&self.memory, REQ_EVENT, self.req_cons.wrapping_add(count));
        Ok(self.waiting()? >= count)
    }

    /// Gives the memory back, for it to be unmapped.
    #[must_use]
    pub fn into_memory(self) -> M {
        self.memory
    }
}
