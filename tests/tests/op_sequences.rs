//! Random sequences of page-table operations; the invariants hold after each.
//!
//! Sequences that once failed are in `corpus/op_sequences`, one JSON file each, and are
//! replayed. A failing run prints the shortest sequence it found as such a file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hypervisor::mm::frame::Type;
use hypervisor::platform::Mmu;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use pv_tests::guest::{Guest, Spec};
use pv_tests::ops::mm::{DATA, FLAGS, FrameName, INDICES, Op, POOLS, STRANGE, TOP, World};
use pv_tests::{boot, check};
use serde::{Deserialize, Serialize};

/// Pages of each guest: enough for tables of all levels, few enough to meet again.
const PAGES: u64 = 48;

/// A saved run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sequence {
    /// What went wrong.
    #[serde(default)]
    about: String,
    /// Where the guest's memory is mapped.
    base: u64,
    /// Tables that a request may work through before it is preempted.
    budget: u32,
    /// What the guest does.
    ops: Vec<Op>,
}

/// Runs a sequence; the error says what broke, and after which operation.
fn run(sequence: &Sequence) -> Result<(), String> {
    let sys = boot::system(640, 1);
    let spec = Spec { pages: PAGES, base: sequence.base, privileged: false, ..Spec::default() };
    let other = Guest::on(sys.clone(), Spec { id: 1, ..spec.clone() });
    let guest = Guest::on(sys.clone(), Spec { id: 2, ..spec });
    unmap_half(&other);
    guest.domain().paging.lock().full_budget = sequence.budget;
    let mut world = World { guest, other: other.frames.clone() };
    world.guest.run_as(0);
    sys.platform.run_on(0);
    let l4 = world.guest.vcpu().state.lock().l4;
    sys.platform.load_root(l4);
    let free = sys.memory.free_and_total().0;
    for (number, op) in sequence.ops.iter().enumerate() {
        let done = catch_unwind(AssertUnwindSafe(|| world.apply(op)));
        let broken = match done {
            Ok(()) => check::broken(&sys),
            Err(panic) => Err(words(&panic)),
        };
        broken.map_err(|what| format!("after operation {number} ({op:?}): {what}"))?;
    }
    let after = sys.memory.free_and_total().0;
    let grown = PAGES as i64 - i64::from(pages_of(&world.guest));
    if after as i64 - free as i64 != grown {
        return Err(format!("{grown} pages were given back, {free} became {after} free ones"));
    }
    Ok(())
}

/// Frees some frames of the neighbour's of their type, so that only their owner protects them.
fn unmap_half(other: &Guest) {
    for page in PAGES / 4..PAGES / 2 {
        let va = other.base + page * 4096;
        let (table, index) = other.l1_entry_of(va).expect("it is mapped");
        let mut types = other.sys.page_types(other.domain());
        let done = types.write_entry(table, Type::L1, index as u16, 0, false);
        done.expect("an entry may be cleared");
    }
}

fn pages_of(guest: &Guest) -> u32 {
    guest.domain().pages.load(std::sync::atomic::Ordering::Relaxed)
}

fn words(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    format!("a panic: {}", text.unwrap_or_default())
}

/// The level-2 table that the guest's memory is mapped by, at a base of 2 GiB.
const HOME: FrameName = FrameName::FirstTable(2);

fn frame_name() -> impl Strategy<Value = FrameName> {
    prop_oneof![
        12 => (0..PAGES as u16).prop_map(FrameName::Own),
        3 => (0_u8..6).prop_map(FrameName::FirstTable),
        1 => Just(FrameName::SharedInfo),
        1 => Just(FrameName::Hypervisor),
        1 => Just(FrameName::M2p),
        3 => (0_u16..48).prop_map(FrameName::Other),
        1 => Just(FrameName::Nowhere),
    ]
}

/// A frame of a pool, seldom any.
fn from_pool(pool: u8) -> impl Strategy<Value = FrameName> {
    let pool = POOLS[usize::from(pool) - 1].clone();
    prop_oneof![9 => pool.prop_map(FrameName::Own), 1 => frame_name()]
}

fn index() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0_u16..8, 2 => select(INDICES.to_vec()), 1 => 0_u16..512]
}

/// Addresses that are not the guest's, or that nothing is mapped at.
fn special_va() -> impl Strategy<Value = u32> {
    prop_oneof![
        select(vec![0_u32, 0x1000, 0xc000_0000, 0xf57f_f000, 0xf580_0000, 0xffff_f000]),
        any::<u32>(),
    ]
}

fn flags() -> impl Strategy<Value = u64> {
    let common = select(FLAGS.to_vec());
    let strange = select(STRANGE.to_vec());
    prop_oneof![8 => common.clone(), 1 => (common, strange).prop_map(|(a, b)| a | b)]
}

/// Whether a table is pinned, and then after how many continuations the guest gives up, or 0.
fn pin() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![3 => Just(None), 2 => Just(Some(0)), 1 => (1_u8..4).prop_map(Some)]
}

/// Building a table of level 1 or 2, the latter for slot 3 or another.
fn build_low() -> impl Strategy<Value = Op> {
    let kinds = select(vec![(1_u8, 1_u8, DATA), (2, 2, 1), (TOP, 2, 1)]);
    kinds.prop_flat_map(|(pool, level, below)| {
        let bits = select(vec![0, 2, 6, 0x66]);
        let entries = prop::collection::vec((index(), from_pool(below), bits), 0..9);
        (POOLS[usize::from(pool) - 1].clone(), entries, pin(), 0_u8..4).prop_map(
            move |(frame, entries, pin, flush)| Op::Build { frame, level, entries, pin, flush },
        )
    })
}

/// Building a root; mostly one that the guest can live on.
fn build_root() -> impl Strategy<Value = Op> {
    let low = prop::collection::vec((0_u16..3, from_pool(2)), 0..3);
    let home = prop::bool::weighted(0.7);
    let steps = prop_oneof![2 => Just(0_u8), 1 => 1_u8..4];
    let parts = (POOLS[2].clone(), low, from_pool(TOP), home, steps, 0_u8..4);
    parts.prop_map(|(frame, low, top, home, steps, flush)| {
        let mut entries: Vec<_> = low.into_iter().map(|(slot, to)| (slot, to, 0)).collect();
        entries.push((3, top, 0));
        if home {
            entries.push((2, HOME, 0));
        }
        Op::Build { frame, level: 3, entries, pin: Some(steps), flush }
    })
}

fn simple() -> impl Strategy<Value = Op> {
    let steps = || prop_oneof![3 => Just(0_u8), 1 => 1_u8..4];
    let table = || {
        prop_oneof![(1_u8..=4).prop_flat_map(from_pool), (0_u8..6).prop_map(FrameName::FirstTable),]
    };
    Union::new_weighted(vec![
        (
            6,
            (table(), index(), frame_name(), flags(), prop_oneof![8 => Just(0_u8), 1 => 0_u8..8])
                .prop_map(|(table, index, to, flags, command)| Op::Update {
                    table,
                    index,
                    to,
                    flags,
                    command,
                })
                .boxed(),
        ),
        (
            2,
            prop::collection::vec((table(), index(), frame_name(), flags()), 0..5)
                .prop_map(Op::Updates)
                .boxed(),
        ),
        (
            5,
            (8..PAGES as u16, frame_name(), flags(), 0_u8..8)
                .prop_map(|(page, to, flags, flush)| Op::UpdateVa { page, to, flags, flush })
                .boxed(),
        ),
        (
            4,
            (1_u8..=4)
                .prop_flat_map(move |level| (from_pool(level), Just(level), steps()))
                .prop_map(|(frame, level, steps)| Op::Pin { frame, level, steps })
                .boxed(),
        ),
        (
            4,
            ((1_u8..=4).prop_flat_map(from_pool), steps())
                .prop_map(|(frame, steps)| Op::Unpin { frame, steps })
                .boxed(),
        ),
        (2, from_pool(3).prop_map(Op::NewBaseptr).boxed()),
        (1, Just(Op::NewBaseptr(FrameName::FirstTable(0))).boxed()),
        (1, frame_name().prop_map(Op::Clear).boxed()),
        (1, (frame_name(), frame_name()).prop_map(|(a, b)| Op::Copy(a, b)).boxed()),
        (1, prop::option::of(frame_name()).prop_map(Op::SetGdt).boxed()),
        (1, frame_name().prop_map(Op::Decrease).boxed()),
        (1, Just(Op::Increase).boxed()),
        (1, Just(Op::Flush).boxed()),
    ])
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => build_low(),
        4 => build_root(),
        12 => simple(),
        2 => (8..PAGES as u16).prop_map(Op::GiveAway),
        3 => (0..PAGES as u16, index(), frame_name(), flags())
            .prop_map(|(page, index, to, flags)| Op::Store { page, index, to, flags }),
        1 => (special_va(), frame_name(), flags())
            .prop_map(|(va, to, flags)| Op::UpdateAt { va, to, flags }),
        2 => (0..PAGES as u16).prop_map(Op::Load),
        1 => prop::collection::vec(simple(), 0..5).prop_map(Op::Multi),
    ]
}

fn sequence() -> impl Strategy<Value = Sequence> {
    let base = prop_oneof![4 => Just(0x8000_0000_u64), 1 => Just(0xc000_0000)];
    let budget = select(vec![3_u32, 3, 4, 6, 32]);
    (base, budget, prop::collection::vec(op(), 1..80)).prop_map(|(base, budget, ops)| Sequence {
        about: String::new(),
        base,
        budget,
        ops,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_invariants_hold_after_every_operation(sequence in sequence()) {
        let outcome = run(&sequence);
        prop_assert!(
            outcome.is_ok(),
            "{}\n{}",
            outcome.unwrap_err(),
            serde_json::to_string_pretty(&sequence).unwrap_or_default()
        );
    }
}

#[test]
fn saved_sequences_are_fixed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/op_sequences");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = file.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let sequence: Sequence =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if let Err(what) = run(&sequence) {
            panic!("{}: {what}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}
