//! Rings of bytes: every byte arrives as it was written, though room is reused, and nobody sleeps
//! while there is something to do.

use std::sync::Arc;

use loom::sync::Notify;
use loom::thread;
use pv_loom::check;
use pv_loom::shared::{Memory, Mistake};
use xenbus::stream::{Place, Reader, Writer};

/// Two bytes only: the third goes where the first was.
const PLACE: Place = Place { data: 8, size: 2, cons: 0, prod: 4 };

/// Whether a half that moved an index sends an event.
#[derive(Clone, Copy, PartialEq)]
enum Events {
    Always,
    /// The reader believes that nobody waits for room.
    NotForRoom,
    /// The writer believes that nobody waits for bytes.
    NotForBytes,
}

/// The writer writes `abc` and sleeps while there is no room; the reader sleeps while there is
/// nothing.
fn model(mistake: Mistake, events: Events) {
    let memory = Arc::new(Memory::new(12, mistake));
    let mut writer = Writer::attach(&memory, PLACE).unwrap();
    let mut reader = Reader::attach(&memory, PLACE).unwrap();
    let (room, bytes) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let consumer = {
        let (memory, room, bytes) = (Arc::clone(&memory), Arc::clone(&room), Arc::clone(&bytes));
        thread::spawn(move || {
            let (mut text, mut used) = ([0; 3], 0);
            while used < 3 {
                let count = reader.read(&memory, &mut text[used..]).unwrap();
                used += count;
                if count == 0 {
                    bytes.wait();
                } else if events != Events::NotForRoom {
                    room.notify();
                }
            }
            assert_eq!(&text, b"abc", "a byte is seen before it is there");
        })
    };
    let mut rest: &[u8] = b"abc";
    while !rest.is_empty() {
        let count = writer.write(&memory, rest).unwrap();
        rest = &rest[count..];
        if count == 0 {
            room.wait();
        } else if events != Events::NotForBytes {
            bytes.notify();
        }
    }
    consumer.join().unwrap();
}

#[test]
fn bytes_arrive_and_nobody_sleeps_over_them() {
    check(3, || model(Mistake::None, Events::Always));
}

#[test]
fn no_barrier_is_needed_beside_the_event() {
    check(3, || model(Mistake::NoBarrier, Events::Always));
}

#[test]
#[should_panic(expected = "before it is there")]
fn the_model_can_tell_that_an_index_is_stored_last() {
    check(3, || model(Mistake::StoreIsRelaxed, Events::Always));
}

#[test]
#[should_panic(expected = "before it is there")]
fn the_model_can_tell_that_an_index_is_loaded_first() {
    check(3, || model(Mistake::LoadIsRelaxed, Events::Always));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_event_for_room_matters() {
    check(3, || model(Mistake::None, Events::NotForRoom));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_event_for_bytes_matters() {
    check(3, || model(Mistake::None, Events::NotForBytes));
}
