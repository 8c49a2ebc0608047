//! The half that asks.

use core::marker::PhantomData;

use crate::memory::{Corrupt, SharedMemory, TooSmall};

use super::{
    Full, Geometry, Message, Notify, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, ask_for_event,
    publish,
};

/// A ring's front half: `Req` out, `Rsp` in.
#[derive(Debug)]
pub struct FrontRing<M, Req, Rsp> {
    memory: M,
    geometry: Geometry,
    /// Requests written, and of these published.
    req_prod: u32,
    published: u32,
    /// Responses taken.
    rsp_cons: u32,
    messages: PhantomData<(Req, Rsp)>,
}

impl<M: SharedMemory, Req: Message, Rsp: Message> FrontRing<M, Req, Rsp> {
    /// Makes an empty ring of zeroed memory, before the peer knows of it.
    ///
    /// # Errors
    /// No slot fits.
    pub fn new(memory: M) -> Result<Self, TooSmall> {
        Self::from_index(memory, 0)
    }

    /// Makes an empty ring whose indices begin at `at`.
    pub(super) fn from_index(memory: M, at: u32) -> Result<Self, TooSmall> {
        let geometry = Geometry::of::<Req, Rsp>(&memory)?;
        memory.store(REQ_PROD, at);
        memory.store(RSP_PROD, at);
        // The first message of each side shall wake the other.
        memory.store(REQ_EVENT, at.wrapping_add(1));
        memory.store(RSP_EVENT, at.wrapping_add(1));
        let messages = PhantomData;
        Ok(FrontRing { memory, geometry, req_prod: at, published: at, rsp_cons: at, messages })
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.geometry.slots
    }

    /// For how many more requests there is room.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.geometry.slots - self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// Writes a request, which the peer sees when it is [published](FrontRing::publish).
    ///
    /// # Errors
    /// All slots are taken.
    pub fn push(&mut self, request: &Req) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full);
        }
        self.geometry.write(&self.memory, self.req_prod, request);
        self.req_prod = self.req_prod.wrapping_add(1);
        Ok(())
    }

    /// Shows the peer all that was written.
    pub fn publish(&mut self) -> Notify {
        let old = core::mem::replace(&mut self.published, self.req_prod);
        publish(&self.memory, (REQ_PROD, REQ_EVENT), (old, self.req_prod))
    }

    /// How many responses wait.
    ///
    /// # Errors
    /// The peer claims to have answered what was not asked.
    pub fn waiting(&self) -> Result<u32, Corrupt> {
        // Seen before the responses that it vouches for are read.
        let rsp_prod = self.memory.load(RSP_PROD);
        let waiting = rsp_prod.wrapping_sub(self.rsp_cons);
        if waiting > self.published.wrapping_sub(self.rsp_cons) {
            return Err(Corrupt { ours: self.rsp_cons, theirs: rsp_prod });
        }
        Ok(waiting)
    }

    /// Takes the next response, if one waits.
    ///
    /// # Errors
    /// As [`waiting`](FrontRing::waiting).
    pub fn take(&mut self) -> Result<Option<Rsp>, Corrupt> {
        if self.waiting()? == 0 {
            return Ok(None);
        }
        let response = self.geometry.read(&self.memory, self.rsp_cons);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Ok(Some(response))
    }

    /// Before going to sleep: asks for an event at the next response, and looks once more. Whether
    /// one waits now, so that there must be no sleep.
    ///
    /// # Errors
    /// As [`waiting`](FrontRing::waiting).
    pub fn final_check(&mut self) -> Result<bool, Corrupt> {
        if self.waiting()? > 0 {
            return Ok(true);
        }
        ask_for_event(&self.memory, RSP_EVENT, self.rsp_cons.wrapping_add(1));
        Ok(self.waiting()? > 0)
    }

    /// Gives the memory back, for the grants on it to be ended.
    #[must_use]
    pub fn into_memory(self) -> M {
        self.memory
    }
}
