//! All hypercalls of three domains on two or three CPUs, in random sequences.
//!
//! Sequences that once failed are in `corpus/hypercalls`, the fuzz target's inputs in
//! `fuzz/corpus/hypercalls`; both are replayed. `cargo xtask soak` runs millions of steps.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use pv_tests::ops::run::Sequence;

/// Runs that may be spent on making a failure short.
const TRIES: usize = 400;

/// Calls `f` with each file of a folder of this package.
fn each_file(folder: &str, mut f: impl FnMut(&Path, Vec<u8>)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the corpus is there") {
        let path = file.expect("it can be listed").path();
        f(&path, std::fs::read(&path).expect("it can be read"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn saved_sequences_are_fixed() {
    each_file("corpus/hypercalls", |path, text| {
        let sequence: Sequence =
            serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if let Err(what) = sequence.run(1) {
            panic!("{}: {what}", path.display());
        }
    });
}

#[test]
fn the_fuzz_targets_corpus_passes() {
    each_file("fuzz/corpus/hypercalls", |path, bytes| {
        if let Err(what) = Sequence::decode(&bytes, 400).run(16) {
            panic!("{}: {what}", path.display());
        }
    });
}

#[test]
fn a_saved_sequence_is_the_sequence() {
    let bytes: Vec<u8> = (0..4000_u32).map(|n| (n * 7 + n / 13) as u8).collect();
    let sequence = Sequence::decode(&bytes, 100);
    assert!(!sequence.steps.is_empty());
    let text = serde_json::to_string(&sequence).expect("it can be written");
    let again: Sequence = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(again.steps, sequence.steps);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        max_shrink_iters: 0,
        failure_persistence: None,
        // The same every time; `cargo xtask soak` tries others.
        rng_seed: RngSeed::Fixed(17),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_invariants_hold_after_every_step(bytes in prop::collection::vec(any::<u8>(), 200..8000)) {
        let sequence = Sequence::decode(&bytes, 250);
        if let Err(what) = sequence.run(1).map(drop) {
            let short = sequence.shrink(TRIES);
            let text = serde_json::to_string_pretty(&short).unwrap_or_default();
            prop_assert!(false, "{what}\nshorter:\n{text}");
        }
    }
}
