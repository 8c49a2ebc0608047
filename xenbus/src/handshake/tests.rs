//! Every pair of states, every order in which the halves look at each other.

use super::*;
use std::collections::HashSet;
use std::vec;
use std::vec::Vec;

/// Both halves, and what they hold of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    front: State,
    front_want: front::Want,
    /// The front end has rings that the peer may map.
    published: bool,
    back: State,
    back_want: back::Want,
    /// The back end has mapped rings.
    mapped: bool,
    /// They are not those that the front end has now.
    stale: bool,
}

impl World {
    fn fresh() -> World {
        World {
            front: State::Initialising,
            front_want: front::Want::Up,
            published: false,
            back: State::Initialising,
            back_want: back::Want::Up,
            mapped: false,
            stale: false,
        }
    }

    /// The front end's kernel starts another.
    fn front_begins_again(self) -> World {
        let front_want = front::Want::Up;
        let stale = self.mapped;
        World { front: State::Initialising, front_want, published: false, stale, ..self }
    }

    fn front_steps(mut self) -> Option<World> {
        let step = front::next(self.front, self.back, self.front_want)?;
        match step.work {
            Some(front::Work::Publish) => {
                assert!(!self.published, "rings are published twice: {self:?}");
                self.published = true;
                self.stale = self.mapped;
            }
            Some(front::Work::Connect) => {
                assert!(self.published, "nothing is published: {self:?}");
            }
            Some(front::Work::Disconnect) => self.published = false,
            Some(front::Work::Suspend | front::Work::Resume) | None => {}
        }
        self.front = step.to;
        Some(self)
    }

    fn back_steps(mut self) -> Option<World> {
        let step = back::next(self.back, self.front, self.back_want)?;
        match step.work {
            Some(back::Work::Connect) => {
                assert!(!self.mapped, "rings are mapped twice: {self:?}");
                self.mapped = true;
            }
            Some(back::Work::Disconnect) => (self.mapped, self.stale) = (false, false),
            Some(back::Work::Prepare) if self.back_want == back::Want::Anew => {
                self.back_want = back::Want::Up;
            }
            Some(back::Work::Prepare | back::Work::Reconfigure) | None => {}
        }
        self.back = step.to;
        Some(self)
    }

    fn next(self) -> Vec<World> {
        [self.front_steps(), self.back_steps()].into_iter().flatten().collect()
    }

    fn works(&self) -> bool {
        let connected = (self.front, self.back) == (State::Connected, State::Connected);
        connected && self.published && self.mapped && !self.stale
    }
}

/// All worlds that can come of `start`; checks that every way ends, and that `end` holds at every
/// end.
fn explore(start: World, end: impl Fn(&World) -> bool) -> HashSet<World> {
    // Depth first: a world that is met again while it is being explored is a circle.
    let mut done = HashSet::new();
    let mut open = HashSet::new();
    let mut stack = vec![(start, false)];
    while let Some((world, left)) = stack.pop() {
        if left {
            open.remove(&world);
            done.insert(world);
            continue;
        }
        if done.contains(&world) {
            continue;
        }
        assert!(open.insert(world), "from {start:?} round and round through {world:?}");
        stack.push((world, true));
        let next = world.next();
        assert!(!next.is_empty() || end(&world), "from {start:?} stuck in {world:?}");
        for world in next.into_iter().filter(|next| !done.contains(next)) {
            stack.push((world, false));
        }
    }
    done
}

/// What a device that works, or is on its way, goes through.
fn on_the_way() -> HashSet<World> {
    explore(World::fresh(), World::works)
}

#[test]
fn two_halves_always_connect() {
    assert!(on_the_way().len() > 4);
}

#[test]
fn either_half_may_close_at_any_time_and_both_let_go() {
    for world in on_the_way() {
        let closed = |w: &World| !w.published && !w.mapped && w.front == State::Closed;
        explore(World { front_want: front::Want::Down, ..world }, |w| {
            // A back end that was not connected goes on waiting.
            closed(w) && matches!(w.back, State::Closed | State::InitWait)
        });
        explore(World { back_want: back::Want::Down, ..world }, |w| {
            !w.published
                && !w.mapped
                && w.back == State::Closed
                && matches!(w.front, State::Closed | State::Initialising)
        });
        let both = World { front_want: front::Want::Down, back_want: back::Want::Down, ..world };
        explore(both, |w| closed(w) && w.back == State::Closed);
    }
}

#[test]
fn a_back_end_that_dies_and_attaches_again_is_served_by_the_same_rings() {
    for world in on_the_way() {
        let restarted = World { back: State::Initialising, mapped: false, stale: false, ..world };
        explore(restarted, World::works);
    }
}

#[test]
fn a_back_end_that_dies_may_have_rings_made_anew() {
    for world in on_the_way() {
        let restarted = World {
            back: State::Initialising,
            back_want: back::Want::Anew,
            mapped: false,
            ..world
        };
        let seen = explore(restarted, World::works);
        if world.published {
            assert!(seen.iter().any(|w| !w.published), "the old rings stay: {world:?}");
        }
    }
}

#[test]
fn a_front_end_that_begins_again_gets_new_rings() {
    for world in on_the_way() {
        explore(world.front_begins_again(), World::works);
    }
}

#[test]
fn a_device_that_was_closed_comes_back_from_either_side() {
    let closed = |w: &World| !w.published && !w.mapped;
    for world in on_the_way() {
        // The front end closes, and is opened again wherever that has led.
        let down = World { front_want: front::Want::Down, ..world };
        for w in explore(down, closed) {
            if w.front == State::Closed {
                explore(w.front_begins_again(), World::works);
            }
        }
        // The same for the back end; a front end that saw it leave follows by itself.
        let down = World { back_want: back::Want::Down, ..world };
        for mut w in explore(down, closed) {
            if w.back == State::Closed {
                (w.back, w.back_want) = (State::Initialising, back::Want::Up);
                explore(w, World::works);
            }
        }
    }
}

#[test]
fn a_device_is_changed_while_it_works() {
    let start = on_the_way().into_iter().find(World::works).expect("it works");
    let seen = explore(World { back: State::Reconfiguring, ..start }, World::works);
    assert!(seen.iter().any(|w| w.front == State::Reconfiguring && w.back == State::Reconfigured));
}

#[test]
fn a_half_whose_peer_vanishes_lets_go() {
    for world in on_the_way() {
        let (mut front, mut back) = (world, world);
        front.back = State::Unknown;
        while let Some(next) = front.front_steps() {
            front = next;
        }
        assert!(!front.published, "{world:?}");
        back.front = State::Unknown;
        while let Some(next) = back.back_steps() {
            back = next;
        }
        assert!(!back.mapped, "{world:?}");
    }
}

/// A peer that writes any state at any time: no step depends on one before, so each pair is tried
/// once. From every state that a half can be in with a liar, it still comes to an end by itself,
/// and lets go when told to.
#[test]
fn a_peer_may_say_what_it_likes() {
    let mut fronts = HashSet::from([(State::Initialising, false)]);
    let mut backs = HashSet::from([(State::Initialising, false)]);
    loop {
        let before = (fronts.len(), backs.len());
        for peer in State::ALL {
            for (own, held) in fronts.iter().copied().collect::<Vec<_>>() {
                let world = World { front: own, published: held, back: peer, ..World::fresh() };
                if let Some(next) = world.front_steps() {
                    fronts.insert((next.front, next.published));
                }
            }
            for (own, held) in backs.iter().copied().collect::<Vec<_>>() {
                let world = World { back: own, mapped: held, front: peer, ..World::fresh() };
                if let Some(next) = world.back_steps() {
                    backs.insert((next.back, next.mapped));
                }
            }
        }
        if before == (fronts.len(), backs.len()) {
            break;
        }
    }
    for (own, held) in fronts {
        let down = front::Want::Down;
        let mut w = World { front: own, published: held, front_want: down, ..World::fresh() };
        for peer in [State::Connected, State::Closing] {
            w.back = peer;
            for _ in 0..3 {
                w = w.front_steps().unwrap_or(w);
            }
        }
        assert_eq!((w.front, w.published), (State::Closed, false), "from {own:?}");
    }
    for (own, held) in backs {
        let down = back::Want::Down;
        let mut w = World { back: own, mapped: held, back_want: down, ..World::fresh() };
        for peer in [State::Connected, State::Closed] {
            w.front = peer;
            for _ in 0..3 {
                w = w.back_steps().unwrap_or(w);
            }
        }
        assert_eq!((w.back, w.mapped), (State::Closed, false), "from {own:?}");
    }
}
