//! Rings of requests and responses: no message is seen before it is there, and nobody sleeps
//! while one waits.

use std::sync::Arc;

use loom::sync::Notify;
use loom::thread;
use pv_loom::check;
use pv_loom::shared::{Memory, Mistake};
use xenbus::ring::{BackRing, FrontRing, Notify as Wanted};

/// A message is one byte, and so is a slot.
type Front = FrontRing<Arc<Memory>, u8, u8>;
type Back = BackRing<Arc<Memory>, u8, u8>;

/// An event channel, one way.
#[derive(Clone)]
struct Event(Arc<Notify>);

impl Event {
    fn new() -> Event {
        Event(Arc::new(Notify::new()))
    }
    fn send_if(&self, wanted: Wanted) {
        if wanted == Wanted::Yes {
            self.0.notify();
        }
    }
}

/// Whether a half looks once more before it sleeps.
#[derive(Clone, Copy, PartialEq)]
enum LastLook {
    Taken,
    Omitted,
}

fn halves(mistake: Mistake) -> (Front, Back) {
    // The head, and one word: 4 slots.
    let memory = Arc::new(Memory::new(68, mistake));
    let front = Front::new(Arc::clone(&memory)).unwrap();
    (front, Back::attach(memory).unwrap())
}

/// The front end writes 1 and 2 and wakes the back end if it must; the back end sleeps until both
/// came.
fn requests(mistake: Mistake, last_look: LastLook) {
    let (mut front, mut back) = halves(mistake);
    let wake = Event::new();
    let events = wake.clone();
    let server = thread::spawn(move || {
        let mut next = 1;
        while next <= 2 {
            if let Some(request) = back.take().unwrap() {
                assert_eq!(request, next, "a request is seen before it is there");
                next += 1;
            } else if !back.final_check().unwrap() || last_look == LastLook::Omitted {
                events.0.wait();
            }
        }
    });
    for request in [1, 2] {
        front.push(&request).unwrap();
        wake.send_if(front.publish());
    }
    server.join().unwrap();
}

/// Two requests are answered, one by one; the front end sleeps until both responses came.
fn responses(mistake: Mistake, last_look: LastLook) {
    let (mut front, mut back) = halves(mistake);
    for request in [1, 2] {
        front.push(&request).unwrap();
    }
    let _ = front.publish();
    let wake = Event::new();
    let events = wake.clone();
    let server = thread::spawn(move || {
        while let Some(request) = back.take().unwrap() {
            back.push(&(request + 10)).unwrap();
            wake.send_if(back.publish());
        }
    });
    let mut next = 11;
    while next <= 12 {
        if let Some(response) = front.take().unwrap() {
            assert_eq!(response, next, "a response is seen before it is there");
            next += 1;
        } else if !front.final_check().unwrap() || last_look == LastLook::Omitted {
            events.0.wait();
        }
    }
    server.join().unwrap();
}

/// Two requests through one slot, where their responses go, too.
fn reuse(mistake: Mistake) {
    let memory = Arc::new(Memory::new(68, mistake));
    let mut front = FrontRing::<_, u32, u32>::new(Arc::clone(&memory)).unwrap();
    let mut back = BackRing::<_, u32, u32>::attach(memory).unwrap();
    assert_eq!(front.slots(), 1);
    let server = thread::spawn(move || {
        for expected in [1, 2] {
            let request = loop {
                if let Some(request) = back.take().unwrap() {
                    break request;
                }
                thread::yield_now();
            };
            assert_eq!(request, expected, "a request is seen before it is there");
            back.push(&(request + 10)).unwrap();
            let _ = back.publish();
        }
    });
    for request in [1u32, 2] {
        front.push(&request).unwrap();
        let _ = front.publish();
        let response = loop {
            if let Some(response) = front.take().unwrap() {
                break response;
            }
            thread::yield_now();
        };
        assert_eq!(response, request + 10, "a response is seen before it is there");
    }
    server.join().unwrap();
}

#[test]
fn no_request_is_slept_over() {
    check(3, || requests(Mistake::None, LastLook::Taken));
}

#[test]
fn no_response_is_slept_over() {
    check(3, || responses(Mistake::None, LastLook::Taken));
}

#[test]
fn slots_are_used_again() {
    check(3, || reuse(Mistake::None));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_barriers_matter_to_requests() {
    check(3, || requests(Mistake::NoBarrier, LastLook::Taken));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_barriers_matter_to_responses() {
    check(3, || responses(Mistake::NoBarrier, LastLook::Taken));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_last_look_matters_to_requests() {
    check(3, || requests(Mistake::None, LastLook::Omitted));
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_model_can_tell_that_the_last_look_matters_to_responses() {
    check(3, || responses(Mistake::None, LastLook::Omitted));
}

#[test]
#[should_panic(expected = "before it is there")]
fn the_model_can_tell_that_an_index_is_stored_last() {
    check(3, || requests(Mistake::StoreIsRelaxed, LastLook::Taken));
}

#[test]
#[should_panic(expected = "before it is there")]
fn the_model_can_tell_that_an_index_is_loaded_first() {
    check(3, || requests(Mistake::LoadIsRelaxed, LastLook::Taken));
}
