use super::*;
use crate::memory::Words;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

const PLACE: Place = Place { data: 8, size: 16, cons: 0, prod: 4 };

fn pair(start: u32) -> (Words, Writer, Reader) {
    let memory = Words::pages(1);
    memory.store(PLACE.cons, start);
    memory.store(PLACE.prod, start);
    let writer = Writer::attach(&memory, PLACE).expect("fits");
    let reader = Reader::attach(&memory, PLACE).expect("fits");
    (memory, writer, reader)
}

#[test]
fn bytes_come_out_in_order_and_indices_wrap() {
    let (memory, mut writer, mut reader) = pair(u32::MAX - 5);
    for round in 0..10 {
        assert_eq!(writer.write(&memory, &[round; 11]), Ok(11));
        assert_eq!(writer.write(&memory, &[round + 1; 11]), Ok(5), "only what fits");
        assert_eq!(writer.write(&memory, &[0]), Ok(0), "full");
        let mut bytes = [0; 20];
        assert_eq!(reader.read(&memory, &mut bytes), Ok(16));
        assert_eq!(bytes[..11], [round; 11]);
        assert_eq!(bytes[11..16], [round + 1; 5]);
        assert_eq!(reader.read(&memory, &mut bytes), Ok(0), "empty");
    }
}

#[test]
fn a_ring_beyond_the_memory_is_refused() {
    let memory = Words::pages(1);
    for place in [
        Place { data: 4096 - 15, ..PLACE },
        Place { cons: 4096, ..PLACE },
        Place { prod: 4094, ..PLACE },
    ] {
        assert!(Writer::attach(&memory, place).is_err(), "{place:?}");
        assert!(Reader::attach(&memory, place).is_err(), "{place:?}");
    }
    assert!(Writer::attach(&memory, Place { data: 4096 - 16, ..PLACE }).is_ok());
}

#[test]
fn a_producer_that_claims_too_much_is_an_error() {
    let (memory, _, mut reader) = pair(100);
    memory.store(PLACE.prod, 116);
    assert_eq!(reader.waiting(&memory), Ok(16));
    memory.store(PLACE.prod, 117);
    let mut bytes = [0; 32];
    assert_eq!(reader.read(&memory, &mut bytes), Err(Corrupt { ours: 100, theirs: 117 }));
    memory.store(PLACE.prod, 99);
    assert_eq!(reader.read(&memory, &mut bytes), Err(Corrupt { ours: 100, theirs: 99 }));
    assert_eq!(bytes, [0; 32], "nothing was read");
    memory.store(PLACE.prod, 101);
    assert_eq!(reader.read(&memory, &mut bytes), Ok(1), "the reader is where it was");
}

#[test]
fn a_consumer_that_claims_too_much_is_an_error() {
    let (memory, mut writer, _) = pair(100);
    memory.store(PLACE.cons, 101);
    assert_eq!(writer.write(&memory, &[1]), Err(Corrupt { ours: 100, theirs: 101 }));
    memory.store(PLACE.cons, 83);
    assert_eq!(writer.write(&memory, &[1]), Err(Corrupt { ours: 100, theirs: 83 }));
    memory.store(PLACE.cons, 84);
    assert_eq!(writer.write(&memory, &[1]), Ok(0), "full, so far as the peer says");
}

#[test]
fn our_own_index_is_not_read_back() {
    let (memory, mut writer, mut reader) = pair(0);
    memory.store(PLACE.prod, 12345);
    assert_eq!(writer.write(&memory, b"abc"), Ok(3));
    assert_eq!(memory.load(PLACE.prod), 3);
    memory.store(PLACE.cons, 12345);
    let mut bytes = [0; 3];
    assert_eq!(reader.read(&memory, &mut bytes), Ok(3));
    assert_eq!(memory.load(PLACE.cons), 3);
    assert_eq!(&bytes, b"abc");
}

#[test]
fn a_reset_ring_is_empty() {
    let (memory, mut writer, _) = pair(7);
    assert_eq!(writer.write(&memory, b"lost"), Ok(4));
    writer.reset(&memory);
    let mut reader = Reader::attach(&memory, PLACE).expect("fits");
    assert_eq!(reader.waiting(&memory), Ok(0));
    reader.reset(&memory);
    assert_eq!(writer.write(&memory, b"kept"), Ok(4));
    assert_eq!((memory.load(PLACE.cons), memory.load(PLACE.prod)), (0, 4));
}

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    Read(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![(0usize..40).prop_map(Op::Write), (0usize..40).prop_map(Op::Read)]
}

proptest! {
    #[test]
    fn it_is_a_queue(start: u32, ops in prop::collection::vec(op(), 0..60)) {
        let (memory, mut writer, mut reader) = pair(start);
        let mut model = VecDeque::new();
        let mut next = 0u8;
        for op in ops {
            match op {
                Op::Write(count) => {
                    let bytes: Vec<u8> = (0..count).map(|i| next.wrapping_add(i as u8)).collect();
                    let written = writer.write(&memory, &bytes).expect("an honest reader");
                    prop_assert_eq!(written, count.min(16 - model.len()));
                    model.extend(&bytes[..written]);
                    next = next.wrapping_add(written as u8);
                }
                Op::Read(count) => {
                    let mut bytes = vec![0; count];
                    let read = reader.read(&memory, &mut bytes).expect("an honest writer");
                    prop_assert_eq!(read, count.min(model.len()));
                    prop_assert!(bytes[..read].iter().copied().eq(model.drain(..read)));
                }
            }
        }
    }

    /// Whatever a peer writes over the indices: no panic, nothing beyond the ring is touched.
    #[test]
    fn scribbling_harms_nobody(scribbles in prop::collection::vec((0usize..2, any::<u32>(), 0usize..40), 0..60)) {
        let (memory, mut writer, mut reader) = pair(0);
        memory.copy_in(24, &[0xaa; 64]);
        for (which, value, count) in scribbles {
            memory.store(4 * which, value);
            if let Ok(written) = writer.write(&memory, &vec![1; count]) {
                prop_assert!(written <= 16);
            }
            let mut bytes = vec![0; count];
            if let Ok(read) = reader.read(&memory, &mut bytes) {
                prop_assert!(read <= 16 && !bytes.contains(&0xaa));
            }
        }
        let mut after = [0; 64];
        memory.copy_out(24, &mut after);
        prop_assert_eq!(after, [0xaa; 64]);
    }
}
