//! Random orders of everything that can happen to a device; in the end it works, or it is closed,
//! and nothing is left over.

use proptest::prelude::*;
use xenbus::state::State;

use crate::world::*;

#[derive(Clone, Debug)]
enum Op {
    FrontLooks,
    BackLooks,
    /// The guest's kernel starts another.
    FrontBeginsAgain,
    /// The daemon dies and is started again.
    BackDies,
    FrontCloses,
    FrontReopens,
    Online(bool),
    /// Transactions fail a few times.
    Conflict(u32),
    Print(usize),
    Poll,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::FrontLooks),
        4 => Just(Op::BackLooks),
        1 => Just(Op::FrontBeginsAgain),
        1 => Just(Op::BackDies),
        1 => Just(Op::FrontCloses),
        1 => Just(Op::FrontReopens),
        1 => any::<bool>().prop_map(Op::Online),
        1 => (0u32..40).prop_map(Op::Conflict),
        2 => (1usize..3000).prop_map(Op::Print),
        2 => Just(Op::Poll),
    ]
}

struct Both {
    world: World,
    front: FrontHalf,
    back: BackHalf,
}

impl Both {
    fn apply(&mut self, op: &Op) {
        let world = self.world.clone();
        let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
        let (mut its_store, mut host) = (world.domain(HOST), world.domain(HOST));
        match op {
            // The store may refuse: the next look goes on.
            Op::FrontLooks => drop(self.front.look(&mut store, &mut guest)),
            Op::BackLooks => drop(self.back.look(&mut its_store, &mut host)),
            Op::FrontBeginsAgain => {
                world.conflict(0);
                world.kill(GUEST);
                self.front = open_front(&world);
            }
            Op::BackDies => {
                world.kill(HOST);
                self.back = open_back(&world);
            }
            Op::FrontCloses => drop(self.front.close(&mut store, &mut guest)),
            Op::FrontReopens => drop(self.front.reopen(&mut store, &mut guest)),
            Op::Online(on) => world.set(&(back() + "/online"), if *on { "1" } else { "0" }),
            Op::Conflict(count) => world.conflict(*count),
            Op::Print(count) => {
                if let Some(terminal) = self.front.driver.terminal() {
                    terminal.write(&mut guest, &vec![b'x'; *count]).expect("an honest back end");
                }
            }
            Op::Poll => {
                let _ = self.back.driver.poll(&mut host).expect("an honest front end");
            }
        }
    }

    fn settle(&mut self) {
        settle(&self.world, &mut self.front, &mut self.back);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn it_works_in_the_end_or_is_closed(ops in prop::collection::vec(op(), 0..40)) {
        let world = World::with_console();
        let (front, back) = (open_front(&world), open_back(&world));
        let mut both = Both { world: world.clone(), front, back };
        for op in &ops {
            both.apply(op);
        }
        // Whatever happened: the toolstack wants it, the guest opens it if it closed it, and it
        // works.
        world.conflict(0);
        both.apply(&Op::Online(true));
        both.apply(&Op::FrontLooks);
        both.apply(&Op::BackLooks);
        both.settle();
        if both.front.state() == State::Closed {
            both.apply(&Op::FrontReopens);
            both.settle();
        }
        prop_assert_eq!((both.front.state(), both.back.state()), (State::Connected, State::Connected));
        prop_assert_eq!(world.in_use(), (2, 1, 1), "one ring, mapped once");
        // And either side can end it.
        both.apply(&Op::Online(false));
        both.settle();
        both.apply(&Op::FrontLooks);
        prop_assert_eq!((both.front.state(), both.back.state()), (State::Closed, State::Closed));
        prop_assert_eq!(world.in_use(), (0, 0, 0));
    }
}
