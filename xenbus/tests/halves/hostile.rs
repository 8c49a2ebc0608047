//! A peer that writes anything anywhere it may: into its own directory, and all over the ring.

use proptest::prelude::*;
use xenbus::memory::SharedMemory;

use crate::world::*;

#[derive(Clone, Debug)]
enum Op {
    Look,
    Poll,
    Type,
    /// Writes a node of the peer's directory.
    Node(&'static str, String),
    Remove(&'static str),
    /// Writes a word of the ring.
    Word(usize, u32),
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u32..10).prop_map(|number| number.to_string()),
        any::<u32>().prop_map(|number| number.to_string()),
        "[ -~]{0,8}",
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![3 => Just("state"), 1 => Just("ring-ref"), 1 => Just("port")];
    let index = prop_oneof![
        Just(3072),
        Just(3076),
        Just(3080),
        Just(3084),
        (0usize..1024).prop_map(|w| 4 * w)
    ];
    let word = prop_oneof![0u32..4096, any::<u32>()];
    prop_oneof![
        4 => Just(Op::Look),
        3 => Just(Op::Poll),
        1 => Just(Op::Type),
        4 => (key.clone(), value()).prop_map(|(key, value)| Op::Node(key, value)),
        1 => key.prop_map(Op::Remove),
        4 => (index, word).prop_map(|(at, word)| Op::Word(at, word)),
    ]
}

fn scribble(world: &World, directory: &str, op: &Op) {
    match op {
        Op::Node(key, value) => world.set(&format!("{directory}/{key}"), value),
        Op::Remove(key) => world.remove(&format!("{directory}/{key}")),
        Op::Word(offset, word) => {
            let grant = world.get(&(front() + "/ring-ref")).and_then(|grant| grant.parse().ok());
            if let Some(memory) = grant.and_then(|grant| world.memory(grant)) {
                memory.store(*offset, *word);
            }
        }
        Op::Look | Op::Poll | Op::Type => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The front end is the liar.
    #[test]
    fn a_back_end_survives(ops in prop::collection::vec(op(), 0..60)) {
        let world = World::with_console();
        let (mut front_half, mut back_half) = (open_front(&world), open_back(&world));
        settle(&world, &mut front_half, &mut back_half);
        let (mut store, mut host) = (world.domain(HOST), world.domain(HOST));
        for op in &ops {
            match op {
                Op::Look => drop(back_half.look(&mut store, &mut host)),
                Op::Poll => drop(back_half.driver.poll(&mut host)),
                Op::Type => drop(back_half.driver.type_in(b"typed")),
                other => scribble(&world, &front(), other),
            }
        }
        back_half.abandon(&mut store, &mut host);
        prop_assert_eq!(world.in_use().2, 0, "nothing stays mapped");
    }

    /// The back end is.
    #[test]
    fn a_front_end_survives(ops in prop::collection::vec(op(), 0..60)) {
        let world = World::with_console();
        let (mut front_half, mut back_half) = (open_front(&world), open_back(&world));
        settle(&world, &mut front_half, &mut back_half);
        let (mut store, mut guest) = (world.domain(GUEST), world.domain(GUEST));
        for op in &ops {
            match op {
                Op::Look => drop(front_half.look(&mut store, &mut guest)),
                Op::Poll => {
                    if let Some(terminal) = front_half.driver.terminal() {
                        let _ = terminal.read(&mut guest, &mut [0; 100]);
                    }
                }
                Op::Type => {
                    if let Some(terminal) = front_half.driver.terminal() {
                        let _ = terminal.write(&mut guest, b"printed");
                    }
                }
                other => scribble(&world, &back(), other),
            }
        }
        world.kill(HOST);
        prop_assert!(front_half.abandon(&mut store, &mut guest).is_empty());
        prop_assert_eq!(world.in_use(), (0, 0, 0));
    }
}
