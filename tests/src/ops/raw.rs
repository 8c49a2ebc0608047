//! Hypercalls without sense: any number, any arguments.

use super::call::{Call, Field};
use super::mm::FrameName;
use super::source::Source;

/// The highest number, and some.
const NUMBERS: u64 = 60;

/// One hypercall.
pub fn decode(from: &mut Source<'_>) -> Call {
    let number = if from.below(16) == 0 { from.word() } else { from.below(NUMBERS) as u32 };
    let count = from.below(6);
    let args = (0..count).map(|_| argument(from)).collect();
    Call { number, args }
}

fn argument(from: &mut Source<'_>) -> Field {
    match from.below(8) {
        0..3 => Field::B4(from.number()),
        3 => Field::Va4(from.half() % 48, from.half()),
        4 => Field::Mfn4(FrameName::decode(from)),
        _ => {
            let words = from.below(12);
            Field::array(words, || match from.below(4) {
                0 => vec![Field::Mfn4(FrameName::decode(from))],
                1 => vec![Field::Pointer(vec![Field::B8(from.long())])],
                _ => vec![Field::B4(from.number())],
            })
        }
    }
}
