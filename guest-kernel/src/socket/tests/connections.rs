//! Streams between two hosts.

use super::*;
use crate::errno::*;
use crate::fs::file::Ready;
use crate::socket::stack::Shutdown;
use crate::socket::stream::BUFFER;
use proptest::prelude::*;
use std::vec;

#[test]
fn bytes_go_both_ways_and_ends_know_each_other() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    assert_eq!(net.stack(B).peer(client), Ok(at(SERVER, 80)));
    assert_eq!(net.stack(A).local(server), Ok(at(SERVER, 80)));
    let from = net.stack(B).local(client).unwrap();
    assert_eq!(*from.ip(), CLIENT);
    assert_eq!(net.stack(A).peer(server), Ok(from));

    assert_eq!(net.stack(B).send(client, b"GET /", None), Ok(5));
    net.settle();
    let mut buffer = [0; 3];
    assert_eq!(net.stack(A).receive(server, &mut buffer, true), Ok((3, None)));
    assert_eq!(net.drain(A, server).unwrap(), b"GET /", "a look takes nothing");
    assert_eq!(net.stack(A).send(server, b"200", None), Ok(3));
    net.settle();
    assert_eq!(net.drain(B, client).unwrap(), b"200");
    assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EISCONN));
    assert_eq!(net.stack(B).listen(client, 1), Err(EINVAL));
    assert_eq!(net.stack(B).send(client, b"x", Some(at(SERVER, 80))), Err(EISCONN));
}

#[test]
fn a_port_without_a_listener_refuses() {
    let mut net = Net::new();
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).ready(client), Ready::WRITE | Ready::HANGUP);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 81)), Err(EINPROGRESS));
    assert_eq!(net.stack(B).connect(client, at(SERVER, 81)), Err(EALREADY));
    assert_eq!(net.stack(B).ready(client), Ready::empty());
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(EAGAIN));
    net.pass(SECOND);
    assert!(net.hosts[B].woken.contains(&client.number()));
    assert!(net.stack(B).ready(client).contains(Ready::ERROR));
    assert_eq!(net.stack(B).take_error(client), Ok(Some(ECONNREFUSED)));
    assert_eq!(net.stack(B).take_error(client), Ok(None), "told once");
    // It can be tried again.
    net.listener(81, 0);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 81)), Err(EINPROGRESS));
    net.pass(SECOND);
    assert_eq!(net.stack(B).finish_connect(client), Ok(()));
}

#[test]
fn a_host_that_does_not_answer_is_given_up() {
    let mut net = Net::new();
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(client, at(Ipv4Addr::new(10, 0, 0, 9), 80)), Err(EINPROGRESS));
    net.pass(120 * SECOND);
    assert_eq!(net.stack(B).finish_connect(client), Err(EAGAIN));
    net.pass(10 * SECOND);
    assert_eq!(net.stack(B).finish_connect(client), Err(ETIMEDOUT));
    assert_eq!(
        net.stack(B).connect(client, at(Ipv4Addr::new(192, 0, 2, 1), 80)),
        Err(ENETUNREACH),
        "there is no gateway"
    );
    net.stack(B).close(client);
    assert!(net.is_empty());
}

#[test]
fn half_a_connection_can_end() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    net.stack(B).send(client, b"all of it", None).unwrap();
    net.stack(B).shutdown(client, Shutdown::Write).unwrap();
    assert_eq!(net.stack(B).send(client, b"more", None), Err(EPIPE));
    net.settle();
    assert_eq!(net.drain(A, server).unwrap(), b"all of it");
    let mut byte = [0];
    assert_eq!(net.stack(A).receive(server, &mut byte, false), Ok((0, None)), "the end");
    assert_eq!(net.stack(A).receive(server, &mut byte, false), Ok((0, None)), "still the end");
    assert_eq!(net.stack(A).ready(server), Ready::READ | Ready::WRITE | Ready::READ_HANGUP);
    // The other half lives.
    assert_eq!(net.stack(A).send(server, b"answer", None), Ok(6));
    net.settle();
    assert_eq!(net.drain(B, client).unwrap(), b"answer");
    net.stack(A).close(server);
    net.settle();
    assert_eq!(net.stack(B).receive(client, &mut byte, false), Ok((0, None)));
    assert!(net.stack(B).ready(client).contains(Ready::HANGUP));
    net.stack(B).close(client);
    net.stack(A).close(listener);
    net.pass(11 * SECOND);
    assert!(net.is_empty(), "nothing is left after the wait for late packets");
}

#[test]
fn shutting_the_receiving_half_ends_reading() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, _) = net.connected(listener, 80);
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(EAGAIN));
    net.stack(B).shutdown(client, Shutdown::Read).unwrap();
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Ok((0, None)));
    assert!(net.stack(B).ready(client).contains(Ready::READ | Ready::READ_HANGUP));
    let fresh = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).shutdown(fresh, Shutdown::Both), Err(ENOTCONN));
    assert_eq!(net.stack(B).receive(fresh, &mut [0], false), Err(ENOTCONN));
    assert_eq!(net.stack(B).send(fresh, &[0], None), Err(EPIPE));
    assert_eq!(net.stack(B).peer(fresh), Err(ENOTCONN));
}

#[test]
fn closing_with_unread_bytes_resets() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    net.stack(B).send(client, b"nobody reads this", None).unwrap();
    net.settle();
    net.stack(A).close(server);
    net.settle();
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(ECONNRESET));
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Ok((0, None)));
    assert_eq!(net.stack(B).send(client, b"x", None), Err(EPIPE));
    assert_eq!(net.stack(B).peer(client), Err(ENOTCONN));

    // And so does a byte for a socket that is closed.
    let (client, server) = net.connected(listener, 80);
    net.stack(A).close(server);
    net.settle();
    assert_eq!(net.stack(B).send(client, b"late", None), Ok(4));
    net.settle();
    assert_eq!(net.stack(B).send(client, b"x", None), Err(ECONNRESET));

    // And who lingers for no time.
    let (client, server) = net.connected(listener, 80);
    net.stack(A).options(server).unwrap().reset_on_close = true;
    net.stack(A).close(server);
    net.settle();
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(ECONNRESET));
}

#[test]
fn a_closed_window_stops_the_sender_until_somebody_reads() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    let data: Vec<u8> = (0..4 * BUFFER).map(|byte| (byte % 251) as u8).collect();
    let mut sent = 0;
    loop {
        match net.stack(B).send(client, &data[sent..], None) {
            Ok(count) => sent += count,
            Err(errno) => {
                assert_eq!(errno, EAGAIN);
                break;
            }
        }
        net.pass(SECOND);
    }
    assert_eq!(sent, 2 * BUFFER, "what fits in both hosts");
    assert!(!net.stack(B).ready(client).contains(Ready::WRITE));
    // For as long as one likes: the window is asked for, and the peer answers.
    net.pass(3600 * SECOND);
    net.hosts[B].woken.clear();
    let mut received = Vec::new();
    while received.len() < data.len() {
        received.extend(net.drain(A, server).unwrap());
        net.pass(SECOND);
        if sent < data.len() {
            assert!(net.stack(B).ready(client).contains(Ready::WRITE));
            sent += net.stack(B).send(client, &data[sent..], None).unwrap();
        }
    }
    assert!(net.hosts[B].woken.contains(&client.number()), "who slept on the window");
    assert!(received == data);
}

#[test]
fn an_orphan_of_a_silent_peer_is_forgotten() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    net.stack(B).send(client, b"last words", None).unwrap();
    net.stack(B).close(client);
    net.settle();
    // The server reads, but never closes.
    assert_eq!(net.drain(A, server).unwrap(), b"last words");
    assert_eq!(net.hosts[B].stack.connections(), 1);
    net.pass(70 * SECOND);
    assert_eq!(net.hosts[B].stack.connections(), 0);
    assert_eq!(net.stack(A).receive(server, &mut [0], false), Ok((0, None)));
}

#[test]
fn thousands_of_connections_leave_nothing() {
    let mut net = Net::of(64);
    let listener = net.listener(80, 10);
    for round in 0..250 {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let client = net.stack(B).open(Kind::Stream);
            assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EINPROGRESS));
            clients.push(client);
        }
        net.settle();
        for client in &clients {
            assert_eq!(net.stack(B).finish_connect(*client), Ok(()), "round {round}");
            net.stack(B).send(*client, b"request", None).unwrap();
        }
        net.settle();
        let mut served = 0;
        while let Ok((server, _)) = net.stack(A).accept(listener) {
            assert_eq!(net.drain(A, server).unwrap(), b"request");
            net.stack(A).send(server, b"page", None).unwrap();
            // Who serves pages closes first, and is who has to wait for late packets.
            net.stack(A).close(server);
            served += 1;
        }
        assert_eq!(served, clients.len());
        net.settle();
        for client in clients {
            assert_eq!(net.drain(B, client).unwrap(), b"page");
            net.stack(B).close(client);
        }
        net.settle();
        net.now += MS;
    }
    net.stack(A).close(listener);
    assert!(net.hosts[A].stack.connections() <= 32, "only so many wait");
    net.pass(11 * SECOND);
    assert!(net.is_empty());
}

#[test]
fn a_stack_makes_no_more_connections_than_it_may() {
    let mut net = Net::of(4);
    net.listener(80, 10);
    let clients: Vec<Id> = (0..5).map(|_| net.stack(B).open(Kind::Stream)).collect();
    let results: Vec<Result> =
        clients.iter().map(|client| net.stack(B).connect(*client, at(SERVER, 80))).collect();
    assert_eq!(results[3], Err(EINPROGRESS));
    assert_eq!(results[4], Err(ENOBUFS));
    net.stack(A).set_short(true);
    net.settle();
    assert_eq!(net.stack(A).connections(), 0, "none for peers while memory is short");
    net.stack(A).set_short(false);
    net.pass(2 * SECOND);
    assert_eq!(net.stack(A).connections(), 4, "they ask again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What one end writes in whatever pieces, the other reads in whatever pieces, and then the end.
    #[test]
    fn a_stream_is_a_stream(
        writes in prop::collection::vec(1usize..20_000, 1..12),
        reads in prop::collection::vec(1usize..5_000, 1..12),
        no_delay: bool,
    ) {
        let mut net = Net::new();
        let listener = net.listener(80, 4);
        let (client, server) = net.connected(listener, 80);
        net.stack(B).options(client).unwrap().no_delay = no_delay;
        net.stack(B).follow_options(client);
        let total: usize = writes.iter().sum();
        let data: Vec<u8> = (0..total).map(|byte| (byte % 253) as u8).collect();
        let mut sizes = writes.iter().cycle();
        let mut pieces = reads.iter().cycle();
        let (mut sent, mut received) = (0, Vec::new());
        let mut is_shut = false;
        for _ in 0..100_000 {
            if sent < total {
                let end = (sent + sizes.next().unwrap()).min(total);
                match net.stack(B).send(client, &data[sent..end], None) {
                    Ok(count) => sent += count,
                    Err(errno) => prop_assert_eq!(errno, EAGAIN),
                }
            } else if !is_shut {
                net.stack(B).shutdown(client, Shutdown::Write).unwrap();
                is_shut = true;
            }
            net.pass(MS);
            let mut buffer = vec![0; *pieces.next().unwrap()];
            match net.stack(A).receive(server, &mut buffer, false) {
                Ok((0, _)) => break,
                Ok((count, _)) => received.extend_from_slice(&buffer[..count]),
                Err(errno) => prop_assert_eq!(errno, EAGAIN),
            }
        }
        prop_assert!(received == data);
    }
}
