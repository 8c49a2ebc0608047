use super::*;
use crate::memory::{Corrupt, Words};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

type Front = FrontRing<Words, [u32; 4], [u8; 3]>;
type Back = BackRing<Words, [u32; 4], [u8; 3]>;

fn halves(pages: usize) -> (Words, Front, Back) {
    let memory = Words::pages(pages);
    let front = Front::new(memory.clone()).expect("fits");
    let back = Back::attach(memory.clone()).expect("fits");
    (memory, front, back)
}

/// Halves of a ring that has been in use, up to index `at`.
fn halves_at(at: u32) -> (Words, Front, Back) {
    let memory = Words::pages(1);
    let front = Front::from_index(memory.clone(), at).expect("fits");
    let back = Back::attach(memory.clone()).expect("fits");
    (memory, front, back)
}

#[test]
fn as_many_slots_as_fit_as_a_power_of_two() {
    // (4096 - 64) / 16 = 252; of 4 pages 1020.
    assert_eq!(halves(1).1.slots(), 128);
    assert_eq!(halves(4).2.slots(), 512);
    // Xen's block ring: 112 bytes a slot, 32 in a page, 256 in 8.
    let slots = |pages| Geometry::of::<[u64; 14], [u8; 16]>(&Words::pages(pages)).map(|g| g.slots);
    assert_eq!((slots(1), slots(8)), (Ok(32), Ok(256)));
    // The response may be the larger one.
    assert_eq!(Geometry::of::<u8, [u64; 14]>(&Words::pages(1)).map(|g| g.slots), Ok(32));
    assert_eq!(slots(0), Err(TooSmall));
    assert!(FrontRing::<_, [u8; 4033], u8>::new(Words::pages(1)).is_err());
    assert!(FrontRing::<_, [u8; 4032], u8>::new(Words::pages(1)).is_ok());
    assert!(FrontRing::<_, (), ()>::new(Words::pages(1)).is_err());
}

#[test]
fn a_request_is_answered() {
    let (memory, mut front, mut back) = halves(1);
    assert_eq!(front.push(&[1, 2, 3, 4]), Ok(()));
    assert_eq!(back.take(), Ok(None), "not published");
    assert_eq!(front.publish(), Notify::Yes);
    assert_eq!(memory.load(64), 1, "the first slot is after the head");
    assert_eq!(back.take(), Ok(Some([1, 2, 3, 4])));
    assert_eq!(back.take(), Ok(None));
    assert_eq!(back.unanswered(), 1);
    assert_eq!(front.free(), 127);
    assert_eq!(back.push(&[7, 8, 9]), Ok(()));
    assert_eq!(back.push(&[0, 0, 0]), Err(Full), "nobody asked");
    assert_eq!(front.take(), Ok(None), "not published");
    assert_eq!(back.publish(), Notify::Yes);
    assert_eq!(front.take(), Ok(Some([7, 8, 9])));
    assert_eq!((front.free(), front.take()), (128, Ok(None)));
}

#[test]
fn all_slots_can_be_outstanding_and_no_more() {
    let (_, mut front, mut back) = halves(1);
    for i in 0..128 {
        assert_eq!(front.push(&[i; 4]), Ok(()));
    }
    assert_eq!(front.push(&[0; 4]), Err(Full));
    assert_eq!(front.publish(), Notify::Yes);
    for i in 0..128 {
        assert_eq!(back.take(), Ok(Some([i; 4])));
    }
    for _ in 0..128 {
        assert_eq!(back.push(&[0; 3]), Ok(()));
    }
    let _ = back.publish();
    assert_eq!(front.push(&[0; 4]), Err(Full), "responses are not taken yet");
    assert_eq!(front.take(), Ok(Some([0; 3])));
    assert_eq!(front.push(&[0; 4]), Ok(()));
}

#[test]
fn a_peer_that_is_awake_gets_no_event() {
    let (_, mut front, mut back) = halves(1);
    let send = |front: &mut Front| {
        front.push(&[0; 4]).expect("room");
        front.publish()
    };
    assert_eq!(send(&mut front), Notify::Yes);
    assert_eq!(send(&mut front), Notify::No, "the back end has not asked again");
    assert_eq!(back.final_check(), Ok(true), "two wait");
    assert_eq!(send(&mut front), Notify::No);
    while back.take().expect("honest").is_some() {}
    assert_eq!(back.final_check(), Ok(false));
    assert_eq!(send(&mut front), Notify::Yes);
    // The other way.
    for expected in [Notify::Yes, Notify::No] {
        back.push(&[0; 3]).expect("asked");
        assert_eq!(back.publish(), expected);
    }
    assert_eq!(front.final_check(), Ok(true));
    while front.take().expect("honest").is_some() {}
    assert_eq!(front.final_check(), Ok(false));
    back.push(&[0; 3]).expect("asked");
    assert_eq!(back.publish(), Notify::Yes);
}

#[test]
fn publishing_nothing_wakes_nobody() {
    let (_, mut front, mut back) = halves(1);
    assert_eq!(front.publish(), Notify::No);
    assert_eq!(back.publish(), Notify::No);
}

#[test]
fn a_front_end_that_claims_too_much_is_an_error() {
    let (memory, mut front, mut back) = halves_at(1000);
    memory.store(REQ_PROD, 1128);
    assert_eq!(back.waiting(), Ok(128));
    memory.store(REQ_PROD, 1129);
    assert_eq!(back.take(), Err(Corrupt { ours: 1000, theirs: 1129 }));
    assert_eq!(back.final_check(), Err(Corrupt { ours: 1000, theirs: 1129 }));
    memory.store(REQ_PROD, 999);
    assert_eq!(back.take(), Err(Corrupt { ours: 1000, theirs: 999 }));
    // A slot of an unanswered request is not free.
    front.push(&[0; 4]).expect("room");
    let _ = front.publish();
    assert!(back.take().expect("honest").is_some());
    memory.store(REQ_PROD, 1129);
    assert_eq!(back.take(), Err(Corrupt { ours: 1001, theirs: 1129 }));
}

#[test]
fn a_back_end_that_claims_too_much_is_an_error() {
    let (memory, mut front, _) = halves_at(1000);
    front.push(&[0; 4]).expect("room");
    let _ = front.publish();
    front.push(&[0; 4]).expect("room");
    memory.store(RSP_PROD, 1002);
    assert_eq!(
        front.take(),
        Err(Corrupt { ours: 1000, theirs: 1002 }),
        "the second is unpublished"
    );
    memory.store(RSP_PROD, 999);
    assert_eq!(front.final_check(), Err(Corrupt { ours: 1000, theirs: 999 }));
    memory.store(RSP_PROD, 1001);
    assert!(front.take().expect("possible").is_some());
}

#[test]
fn a_back_end_that_comes_back_answers_what_is_left() {
    let (memory, mut front, mut back) = halves_at(u32::MAX);
    for i in 0..3 {
        front.push(&[i; 4]).expect("room");
    }
    let _ = front.publish();
    assert_eq!(back.take(), Ok(Some([0; 4])));
    back.push(&[0; 3]).expect("asked");
    let _ = back.publish();
    assert_eq!(back.take(), Ok(Some([1; 4])));
    drop(back);
    let mut back = Back::attach(memory).expect("fits");
    assert_eq!(back.take(), Ok(Some([1; 4])));
    assert_eq!(back.take(), Ok(Some([2; 4])));
    assert_eq!(back.take(), Ok(None));
}

#[derive(Clone, Debug)]
enum Op {
    Push,
    Publish,
    TakeRequest,
    Answer,
    PublishAnswers,
    TakeResponse,
    Scribble(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Push),
        Just(Op::Push),
        Just(Op::Publish),
        Just(Op::TakeRequest),
        Just(Op::Answer),
        Just(Op::PublishAnswers),
        Just(Op::TakeResponse)
    ]
}

fn hostile_op() -> impl Strategy<Value = Op> {
    // Anywhere in the page, and often among the indices; near to what is right, and far off.
    let offset = prop_oneof![(0usize..4), (0usize..1024)];
    let value = prop_oneof![0u32..200, any::<u32>()];
    prop_oneof![op(), (offset, value).prop_map(|(at, value)| Op::Scribble(4 * at, value))]
}

proptest! {
    #[test]
    fn requests_and_responses_are_queues(start: u32, ops in prop::collection::vec(op(), 0..150)) {
        let (_, mut front, mut back) = halves_at(start);
        let (mut next, mut written, mut requests) = (0, VecDeque::new(), VecDeque::new());
        let (mut unanswered, mut answers, mut responses) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        for op in ops {
            match op {
                Op::Push => {
                    let all = written.len() + requests.len() + unanswered.len() + answers.len() + responses.len();
                    prop_assert_eq!(front.free() as usize, 128 - all);
                    if front.push(&[next; 4]).is_ok() {
                        written.push_back(next);
                        next += 1;
                    }
                }
                Op::Publish => {
                    let _ = front.publish();
                    requests.append(&mut written);
                }
                Op::TakeRequest => {
                    let request = back.take().expect("honest");
                    prop_assert_eq!(request, requests.pop_front().map(|i| [i; 4]));
                    unanswered.extend(request.map(|r| r[0]));
                }
                Op::Answer => {
                    let id = unanswered.pop_front();
                    let result = back.push(&[id.unwrap_or(0) as u8; 3]);
                    prop_assert_eq!(result.is_ok(), id.is_some());
                    answers.extend(id);
                }
                Op::PublishAnswers => {
                    let _ = back.publish();
                    responses.append(&mut answers);
                }
                Op::TakeResponse => {
                    let response = front.take().expect("honest");
                    prop_assert_eq!(response, responses.pop_front().map(|i| [i as u8; 3]));
                }
                Op::Scribble(..) => unreachable!("none of the honest"),
            }
        }
    }

    /// Random writes to the whole page between all steps: errors, no panic, and no half believes in
    /// more messages than slots.
    #[test]
    fn scribbling_harms_nobody(ops in prop::collection::vec(hostile_op(), 0..100)) {
        let (memory, mut front, mut back) = halves(1);
        for op in ops {
            match op {
                Op::Push => drop(front.push(&[0; 4])),
                Op::Publish => drop(front.publish()),
                Op::TakeRequest => drop(back.take()),
                Op::Answer => drop(back.push(&[0; 3])),
                Op::PublishAnswers => drop(back.publish()),
                Op::TakeResponse => drop(front.take()),
                Op::Scribble(offset, value) => memory.store(offset, value),
            }
            prop_assert!(front.free() <= 128 && back.unanswered() <= 128);
            prop_assert!(front.waiting().is_ok_and(|n| n <= 128) || front.take().is_err());
            prop_assert!(back.final_check().is_err() || back.waiting().is_ok_and(|n| n <= 128));
        }
    }
}

/// Two threads, each asleep when it has nothing to do: a lost event would hang it.
#[test]
fn two_threads_answer_each_other() {
    use std::sync::mpsc::sync_channel;
    const REQUESTS: u32 = 250_000;
    let (_, mut front, mut back) = halves(1);
    // An event channel: an event that is pending already is not sent twice.
    let (wake_back, back_events) = sync_channel::<()>(1);
    let (wake_front, front_events) = sync_channel::<()>(1);
    let server = std::thread::spawn(move || {
        let mut answered = 0;
        while answered < REQUESTS {
            while let Some(request) = back.take().expect("an honest front end") {
                back.push(&[request[1] as u8; 3]).expect("asked");
                answered += 1;
            }
            if back.publish() == Notify::Yes {
                let _ = wake_front.try_send(());
            }
            if answered < REQUESTS && !back.final_check().expect("an honest front end") {
                back_events.recv().expect("the front end waits");
            }
        }
    });
    let (mut asked, mut answered) = (0u32, Vec::new());
    while (answered.len() as u32) < REQUESTS {
        while asked < REQUESTS && front.push(&[asked, asked, 0, 0]).is_ok() {
            asked += 1;
        }
        if front.publish() == Notify::Yes {
            let _ = wake_back.try_send(());
        }
        while let Some(response) = front.take().expect("an honest back end") {
            answered.push(response[0]);
        }
        let room = asked < REQUESTS && front.free() > 0;
        let more = (answered.len() as u32) < REQUESTS;
        if !room && more && !front.final_check().expect("an honest back end") {
            front_events.recv().expect("the back end has not answered all");
        }
    }
    server.join().expect("the back end ends");
    assert!(answered.iter().enumerate().all(|(i, &byte)| byte == i as u8));
}
