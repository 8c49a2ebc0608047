//! The protocol of the two-level ABI, apart from where its bits lie.
//!
//! Level 0 is a byte of the vCPU, "look here"; level 1 a word of the vCPU, one bit for
//! each word of level 2; level 2 a bit per port in the shared page, and beside it a bit
//! per port that mutes it. The hypervisor sets from the bottom up, the guest clears from
//! the top down and then looks:
//!
//! ```text
//! set pending[port]            (A)      | clear upcall_pending                 (a)
//! if not mask[port]:           (B)      | sel = swap(selector, 0)              (b)
//!   set selector[port / bits]  (C)      | for each bit of sel:
//!     set upcall_pending       (D)      |   look at pending and not mask       (c)
//! ```
//!
//! In this order an event that the guest missed at (c) finds the selector clear at (C),
//! and one that it missed at (b) finds the byte clear at (D): the upcall comes again.
//! Whoever finds his bit set already leaves the rest to the one who set it.

use crate::cell::{Bit, Cell};

/// Where the bits of one port are. `None`: the ABI has none for it.
pub trait Places {
    /// What they lie in.
    type Word: Cell;
    /// A vCPU.
    type Vcpu: Copy;
    /// In the shared page: an event came.
    fn pending(&self) -> Option<Bit<'_, Self::Word>>;
    /// In the shared page: nobody is to be told.
    fn mask(&self) -> Option<Bit<'_, Self::Word>>;
    /// Who is to be told.
    fn vcpu(&self) -> Option<Self::Vcpu>;
    /// In his `vcpu_info`: something came in the port's word.
    fn selector(&self, vcpu: Self::Vcpu) -> Option<Bit<'_, Self::Word>>;
    /// (D) In his `vcpu_info`: something came; and he notices.
    fn mark_upcall(&self, vcpu: Self::Vcpu);
}

/// An event comes. Returns whether it is the first since the guest cleared the bit.
#[inline(always)]
pub fn set_pending(port: &impl Places) -> bool {
    // (A) Before everything else: who is told must find it.
    if port.pending().is_none_or(|pending| pending.set()) {
        return false;
    }
    tell(port);
    true
}

/// Tells the vCPU of a pending port, unless that is masked.
#[inline(always)]
fn tell(port: &impl Places) {
    // (B) The guest unmasks, then looks at pending: it does our part from here on if
    // we see its mask still set.
    if port.mask().is_none_or(|mask| mask.is_set()) {
        return;
    }
    let Some(vcpu) = port.vcpu() else { return };
    // (C) Before the byte: the guest clears the byte first, so it finds this bit or us
    // the byte clear.
    if port.selector(vcpu).is_some_and(|selector| !selector.set()) {
        port.mark_upcall(vcpu);
    }
}

/// Unmasks the port; if it is pending, its vCPU is told.
pub fn unmask(port: &impl Places) {
    let was_masked = port.mask().is_some_and(|mask| mask.clear());
    if was_masked && port.pending().is_some_and(|pending| pending.is_set()) {
        tell(port);
    }
}
