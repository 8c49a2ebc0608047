//! What a domain's page-table lock guards: the budget of the running request, and deferred work.
//!
//! Holding `&mut Paging` is the permission to change page-table types among the
//! domain's frames.

use pv_abi::types::Mfn;

use crate::error::Stop;

/// Tables (of 512 entries) that one request may work through before it is preempted:
/// some 100 microseconds. At least as many as there are levels, or no request would get on.
pub const BUDGET: u32 = 32;

/// Frames that can be waiting: one per level of a tree that was being taken down, twice.
pub const DEFERRED: usize = 8;

/// The guarded state.
pub struct Paging {
    budget: u32,
    /// What the budget is at a request's start: [`BUDGET`]; less in tests of preemption.
    pub full_budget: u32,
    /// Partial frames whose entries' references are to be dropped.
    pub(super) deferred: heapless::Vec<Mfn, DEFERRED>,
}

impl Paging {
    /// Nothing deferred.
    pub const fn new() -> Paging {
        Paging { budget: 0, full_budget: BUDGET, deferred: heapless::Vec::new() }
    }

    /// Starts a request with a full budget.
    pub fn refill(&mut self) {
        self.budget = self.full_budget;
    }

    /// Whether the budget is gone.
    pub fn exhausted(&self) -> bool {
        self.budget == 0
    }

    /// Accounts for one table's work; `Preempted` once the budget is gone.
    pub fn spend(&mut self) -> Result<(), Stop> {
        self.budget = self.budget.checked_sub(1).ok_or(Stop::Preempted)?;
        Ok(())
    }
}

impl Default for Paging {
    fn default() -> Self {
        Paging::new()
    }
}
