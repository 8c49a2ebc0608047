//! All hypercalls of three domains, guided by coverage.
//!
//! `cargo xtask fuzz` runs it; the same bytes are decoded and run by the host test `hypercalls`,
//! which replays `corpus/hypercalls`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pv_tests::ops::run::Sequence;

fuzz_target!(|bytes: &[u8]| {
    if let Err(what) = Sequence::decode(bytes, 400).run(16) {
        panic!("{what}");
    }
});
