//! How the halves of a device find each other, and part: Xen's state machine, as two functions.
//!
//! Each half writes its [`State`] into its node `state` and watches the other's. What a half does
//! next depends on its own state, the peer's, and what it wants; nothing else. So each half is a
//! function, [`front::next`] and [`back::next`], from these three to a [`Step`]: work to do, and
//! the state to write when it is done. They do nothing themselves: [`crate::front`] and
//! [`crate::back`] carry steps out, and the tests try every pair of states.
//!
//! ```text
//!        front end                              back end
//!        Initialising                           Initialising
//!            |                                      | prepare: offer features
//!            |                                  InitWait
//!            | publish: rings, event channel        |
//!        Initialised                                |
//!            |                                      | connect: map rings, bind
//!            | connect: read what is offered    Connected
//!        Connected                                  |
//!            |              ...works...             |
//!            |                                  Closing      (or the front end first)
//!            | disconnect                           |
//!        Closed                                     | disconnect: unmap
//!                                               Closed
//! ```
//!
//! **Going by what is.** Watches tell that a node changed, not how often: a peer may have gone
//! through several states since we looked. So no step depends on having seen one, and where a state
//! would not last until the peer has seen it, it is not needed.
//!
//! **Coming back.** A front end that starts anew writes `Initialising`, which no running back end
//! takes for anything else: it lets go of the old rings and waits for new ones. A back end that was
//! restarted finds rings of its predecessor's: either it takes them over ([`Restart::Attach`]:
//! through `InitWait` to `Connected`, and the front end need not notice), or it has them made anew
//! ([`Restart::Anew`]: through `Closing`; the front end closes, sees `InitWait` and begins again).
//!
//! **Peers that break the rules.** A peer's state that does not fit is waited out, whatever it is.
//! A half only ever lets go of what it took itself, so a liar can hurt its own device alone. A half
//! whose work fails goes to `Closing` and does not come back by itself: two halves that disagree
//! would go round for ever.

pub mod back;
pub mod front;

use crate::state::State;

/// What a half does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<W> {
    /// What is done first, if anything.
    pub work: Option<W>,
    /// The state that is written when it is done.
    pub to: State,
}

impl<W> Step<W> {
    fn plain(to: State) -> Option<Step<W>> {
        Some(Step { work: None, to })
    }

    fn with(work: W, to: State) -> Option<Step<W>> {
        Some(Step { work: Some(work), to })
    }
}

/// What a back end that starts does about rings that a front end has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It takes them over: right for byte rings, and where requests are answered in order.
    Attach,
    /// It has the front end make new ones.
    Anew,
}

#[cfg(test)]
mod tests;
