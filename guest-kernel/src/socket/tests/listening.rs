//! Listeners: backlog, ports, hosts' own addresses.

use super::*;
use crate::errno::*;
use crate::fs::file::Ready;

#[test]
fn a_full_backlog_lets_peers_ask_again() {
    let mut net = Net::new();
    let listener = net.listener(80, 1);
    assert_eq!(net.stack(A).ready(listener), Ready::empty());
    let clients: Vec<Id> = (0..3).map(|_| net.stack(B).open(Kind::Stream)).collect();
    for client in &clients {
        // One by one, so that none is in its handshake when the next comes.
        assert_eq!(net.stack(B).connect(*client, at(SERVER, 80)), Err(EINPROGRESS));
        net.settle();
    }
    assert_eq!(net.stack(A).ready(listener), Ready::READ);
    assert!(net.hosts[A].woken.contains(&listener.number()));
    // As in Linux, a backlog of 1 lets two wait.
    assert_eq!(net.stack(B).finish_connect(clients[1]), Ok(()));
    assert_eq!(net.stack(B).finish_connect(clients[2]), Err(EAGAIN));
    let (first, from) = net.stack(A).accept(listener).unwrap();
    assert_eq!(from, net.stack(B).local(clients[0]).unwrap(), "who came first");
    net.pass(2 * SECOND);
    assert_eq!(net.stack(B).finish_connect(clients[2]), Ok(()), "the SYN came again");
    net.stack(A).accept(listener).unwrap();
    net.stack(A).accept(listener).unwrap();
    assert_eq!(net.stack(A).accept(listener), Err(EAGAIN));
    assert_eq!(net.stack(A).accept(first), Err(EINVAL));
}

#[test]
fn a_handshake_that_nobody_finishes_is_forgotten() {
    let mut net = Net::new();
    let listener = net.listener(80, 1);
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EINPROGRESS));
    // The SYN reaches A, whose answer nobody hears.
    let now = net.now;
    for _ in 0..4 {
        net.stack(B).poll(now, &mut |_| {});
        net.stack(A).poll(now, &mut |_| {});
    }
    assert_eq!(net.stack(A).connections(), 1);
    let mut deadline = Some(now);
    while let Some(at) = deadline.filter(|at| *at < now + 100 * SECOND) {
        deadline = net.stack(A).poll(at, &mut |_| {});
        let mut lost = Vec::new();
        while net.hosts[B].stack.link.peek().is_some() {
            net.hosts[B].stack.link.skip();
            lost.push(());
        }
    }
    assert_eq!(net.stack(A).connections(), 0);
    assert_eq!(net.stack(A).accept(listener), Err(EAGAIN));
}

#[test]
fn who_waits_is_turned_away_when_the_listener_closes() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EINPROGRESS));
    net.settle();
    assert_eq!(net.stack(B).finish_connect(client), Ok(()));
    net.stack(A).close(listener);
    net.settle();
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(ECONNRESET));
    net.stack(B).close(client);
    net.settle();
    assert!(net.is_empty());
}

#[test]
fn a_peer_that_gives_up_is_not_accepted() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EINPROGRESS));
    net.settle();
    net.stack(B).options(client).unwrap().reset_on_close = true;
    net.stack(B).close(client);
    net.settle();
    assert_eq!(net.stack(A).accept(listener), Err(EAGAIN));
    assert_eq!(net.stack(A).connections(), 0);
}

#[test]
fn ports_are_taken_once() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let stack = net.stack(A);
    let other = stack.open(Kind::Stream);
    assert_eq!(stack.bind(other, at(Ipv4Addr::UNSPECIFIED, 80)), Err(EADDRINUSE));
    assert_eq!(stack.bind(other, at(SERVER, 80)), Err(EADDRINUSE), "part of what is taken");
    stack.options(other).unwrap().reuse_address = true;
    stack.options(listener).unwrap().reuse_address = true;
    assert_eq!(stack.bind(other, at(SERVER, 80)), Err(EADDRINUSE), "never with a listener");
    assert_eq!(stack.bind(other, at(Ipv4Addr::new(10, 0, 0, 7), 80)), Err(EADDRNOTAVAIL));
    assert_eq!(stack.bind(other, at(SERVER, 81)), Ok(()));
    assert_eq!(stack.bind(other, at(SERVER, 82)), Err(EINVAL), "it has one");
    // UDP has ports of its own.
    let datagram = stack.open(Kind::Datagram);
    assert_eq!(stack.bind(datagram, at(Ipv4Addr::UNSPECIFIED, 80)), Ok(()));
    assert_eq!(stack.listen(datagram, 1), Err(EOPNOTSUPP));
    assert_eq!(stack.accept(datagram), Err(EOPNOTSUPP));
    let chosen = stack.open(Kind::Stream);
    stack.bind(chosen, at(SERVER, 0)).unwrap();
    assert!((32768..61000).contains(&stack.local(chosen).unwrap().port()));
}

#[test]
fn an_old_connection_holds_its_port_unless_it_may_be_used_again() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, server) = net.connected(listener, 80);
    net.stack(A).close(server);
    net.settle();
    net.stack(B).close(client);
    net.settle();
    net.stack(A).close(listener);
    let stack = net.stack(A);
    let again = stack.open(Kind::Stream);
    assert_eq!(stack.bind(again, at(Ipv4Addr::UNSPECIFIED, 80)), Err(EADDRINUSE));
    stack.options(again).unwrap().reuse_address = true;
    assert_eq!(stack.bind(again, at(Ipv4Addr::UNSPECIFIED, 80)), Ok(()));
    assert_eq!(stack.listen(again, 4), Ok(()));
}

#[test]
fn a_peer_may_use_its_port_again_while_late_packets_are_awaited() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    for round in 0..3 {
        let client = net.stack(B).open(Kind::Stream);
        net.stack(B).bind(client, at(CLIENT, 4000)).unwrap();
        assert_eq!(net.stack(B).connect(client, at(SERVER, 80)), Err(EINPROGRESS));
        net.settle();
        assert_eq!(net.stack(B).finish_connect(client), Ok(()), "round {round}");
        let (server, from) = net.stack(A).accept(listener).unwrap();
        assert_eq!(from, at(CLIENT, 4000));
        net.stack(A).close(server);
        net.settle();
        net.stack(B).close(client);
        net.settle();
        assert_eq!(net.hosts[A].stack.connections(), 1, "one waits");
    }
}

#[test]
fn the_more_particular_listener_hears() {
    let mut net = Net::new();
    let stack = net.stack(A);
    for (ip, port) in [(SERVER, 80), (Ipv4Addr::LOCALHOST, 81)] {
        let id = stack.open(Kind::Stream);
        stack.bind(id, at(ip, port)).unwrap();
        stack.listen(id, 1).unwrap();
    }
    // What listens at 127.0.0.1 is not to be had from outside, nor the other way round.
    let client = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(client, at(SERVER, 81)), Err(EINPROGRESS));
    net.settle();
    assert_eq!(net.stack(B).finish_connect(client), Err(ECONNREFUSED));
    let own = net.stack(A).open(Kind::Stream);
    assert_eq!(net.stack(A).connect(own, at(SERVER, 80)), Err(EINPROGRESS));
    net.settle();
    assert_eq!(net.stack(A).finish_connect(own), Ok(()), "the host by its own address");
    assert_eq!(*net.stack(A).local(own).unwrap().ip(), SERVER);
}
