//! One at a time: who changes domains has the turn, and others wait for it asleep.
//!
//! Making a domain takes many steps in which the maker may lose the CPU; between them nobody else
//! may make one of the same name or take this one away.

use crate::sync::Guarded;
use crate::task::scheduler::{self, TOOLSTACK};
use ring1::events::Masked;

static TAKEN: Guarded<bool> = Guarded::new(false);

/// The turn; it ends when this is dropped.
#[must_use = "the turn lasts while this lives"]
pub struct Turn(());

/// Waits for one's turn.
pub fn take() -> Turn {
    let _masked = Masked::new();
    while TAKEN.with(|taken| core::mem::replace(taken, true)) {
        scheduler::sleep(TOOLSTACK, 0);
    }
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _masked = Masked::new();
        TAKEN.with(|taken| *taken = false);
        scheduler::wake(TOOLSTACK);
    }
}
