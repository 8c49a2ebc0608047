//! UDP, and raw sockets.

use super::*;
use crate::errno::*;
use crate::fs::file::Ready;

fn datagram(net: &mut Net, host: usize, port: u16) -> Id {
    let id = net.stack(host).open(Kind::Datagram);
    net.stack(host).bind(id, at(Ipv4Addr::UNSPECIFIED, port)).unwrap();
    id
}

#[test]
fn datagrams_keep_their_bounds_and_say_where_they_come_from() {
    let mut net = Net::new();
    let server = datagram(&mut net, A, 53);
    let client = net.stack(B).open(Kind::Datagram);
    assert_eq!(net.stack(B).send(client, b"?", None), Err(EDESTADDRREQ));
    assert_eq!(net.stack(B).send(client, b"one", Some(at(SERVER, 53))), Ok(3));
    assert_eq!(net.stack(B).send(client, b"", Some(at(SERVER, 53))), Ok(0));
    assert_eq!(net.stack(B).send(client, b"three", Some(at(SERVER, 53))), Ok(5));
    assert_eq!(net.stack(A).ready(server), Ready::WRITE);
    net.pass(2 * SECOND);
    assert!(net.hosts[A].woken.contains(&server.number()));
    let from = at(CLIENT, net.stack(B).local(client).unwrap().port());
    let mut buffer = [0; 2];
    assert_eq!(net.stack(A).receive(server, &mut buffer, true), Ok((3, Some(from))));
    assert_eq!(net.stack(A).receive(server, &mut buffer, false), Ok((3, Some(from))), "it is cut");
    assert_eq!(&buffer, b"on");
    assert_eq!(net.stack(A).receive(server, &mut buffer, false), Ok((0, Some(from))));
    assert_eq!(net.stack(A).receive(server, &mut buffer, false), Ok((5, Some(from))));
    assert_eq!(net.stack(A).receive(server, &mut buffer, false), Err(EAGAIN));
    assert_eq!(net.stack(A).send(server, b"answer", Some(from)), Ok(6));
    net.settle();
    let mut buffer = [0; 8];
    assert_eq!(net.stack(B).receive(client, &mut buffer, false), Ok((6, Some(at(SERVER, 53)))));
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut net = Net::new();
    let id = datagram(&mut net, B, 5000);
    let to = |ip| Some(at(ip, 53));
    let stack = net.stack(B);
    assert_eq!(stack.send(id, &[0; 1472], to(SERVER)), Ok(1472), "a whole frame");
    assert_eq!(stack.send(id, &[0; 1473], to(SERVER)), Err(EMSGSIZE));
    assert_eq!(stack.send(id, b"x", to(Ipv4Addr::new(192, 0, 2, 1))), Err(ENETUNREACH));
    assert_eq!(stack.send(id, b"x", Some(at(SERVER, 0))), Err(EINVAL));
    let everyone = Ipv4Addr::new(10, 0, 0, 255);
    assert_eq!(stack.send(id, b"x", to(everyone)), Err(EACCES));
    assert_eq!(stack.connect(id, at(Ipv4Addr::BROADCAST, 53)), Err(EACCES));
    stack.options(id).unwrap().broadcast = true;
    let hears = datagram(&mut net, A, 53);
    net.stack(B).send(id, b"all", to(everyone)).unwrap();
    net.pass(2 * SECOND);
    let mut buffer = [0; 2000];
    assert_eq!(net.stack(A).receive(hears, &mut buffer, false), Ok((1472, Some(at(CLIENT, 5000)))));
    assert_eq!(net.stack(A).receive(hears, &mut buffer, false), Ok((3, Some(at(CLIENT, 5000)))));
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut net = Net::new();
    let server = datagram(&mut net, A, 53);
    let stranger = datagram(&mut net, A, 54);
    let client = net.stack(B).open(Kind::Datagram);
    assert_eq!(net.stack(B).shutdown(client, crate::socket::stack::Shutdown::Both), Err(ENOTCONN));
    net.stack(B).connect(client, at(SERVER, 53)).unwrap();
    let own = net.stack(B).local(client).unwrap();
    assert_eq!(*own.ip(), CLIENT, "a program asks for it so");
    assert_eq!(net.stack(B).peer(client), Ok(at(SERVER, 53)));
    for id in [stranger, server] {
        net.stack(A).send(id, b"hello", Some(own)).unwrap();
    }
    net.pass(2 * SECOND);
    let mut buffer = [0; 8];
    assert_eq!(net.stack(B).receive(client, &mut buffer, false), Ok((5, Some(at(SERVER, 53)))));
    assert_eq!(net.stack(B).receive(client, &mut buffer, false), Err(EAGAIN));
    net.stack(B).disconnect(client).unwrap();
    assert_eq!(net.stack(B).peer(client), Err(ENOTCONN));
    net.stack(A).send(stranger, b"hello", Some(own)).unwrap();
    net.pass(2 * SECOND);
    assert_eq!(net.stack(B).receive(client, &mut buffer, false), Ok((5, Some(at(SERVER, 54)))));
}

#[test]
fn a_full_queue_drops_what_comes() {
    let mut net = Net::new();
    let server = datagram(&mut net, A, 53);
    let client = datagram(&mut net, B, 5000);
    for _ in 0..100 {
        net.stack(B).send(client, &[0; 1400], Some(at(SERVER, 53))).unwrap();
        net.pass(20 * MS);
    }
    net.pass(2 * SECOND);
    let mut count = 0;
    while net.stack(A).receive(server, &mut [0; 8], false).is_ok() {
        count += 1;
    }
    assert!((20..=32).contains(&count), "{count} were kept");
}

/// An echo request as `ping` sends it.
fn echo(number: u8) -> [u8; 9] {
    let mut packet = [8, 0, 0, 0, 0x12, 0x34, 0, number, b'!'];
    let mut sum = 0u32;
    for pair in packet.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    [packet[2], packet[3]] = sum.to_be_bytes();
    packet
}

#[test]
fn echoes_come_back_with_their_header() {
    let mut net = Net::new();
    let id = net.stack(B).open(Kind::Raw(1));
    assert_eq!(net.stack(B).bind(id, at(SERVER, 0)), Err(EADDRNOTAVAIL));
    net.stack(B).options(id).unwrap().hop_limit = Some(9);
    assert_eq!(net.stack(B).send(id, &echo(1), Some(at(SERVER, 0))), Ok(9));
    assert_eq!(net.stack(B).send(id, &[0; 1481], Some(at(SERVER, 0))), Err(EMSGSIZE));
    net.pass(2 * SECOND);
    let mut packet = [0; 64];
    assert_eq!(net.stack(B).receive(id, &mut packet, false), Ok((29, Some(at(SERVER, 0)))));
    assert_eq!((packet[0], packet[9]), (0x45, 1), "the IP header");
    assert_eq!(packet[12..20], [10, 0, 0, 1, 10, 0, 0, 2]);
    assert_eq!((packet[20], packet[27], packet[28]), (0, 1, b'!'), "the reply");
    assert_eq!(net.stack(B).receive(id, &mut packet, false), Err(EAGAIN));
    // To itself, who hears the request, too.
    assert_eq!(net.stack(B).send(id, &echo(2), Some(at(Ipv4Addr::LOCALHOST, 0))), Ok(9));
    net.settle();
    for kind in [8, 0] {
        assert_eq!(
            net.stack(B).receive(id, &mut packet, false),
            Ok((29, Some(at(Ipv4Addr::LOCALHOST, 0))))
        );
        assert_eq!(packet[20], kind);
    }
    net.stack(B).close(id);
    assert!(net.is_empty());
}
