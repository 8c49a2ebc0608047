//! The host's addresses, and frames that lie about them.

use super::*;
use crate::errno::*;
use crate::socket::address;

#[test]
fn addresses_of_programs_are_read_and_written() {
    let bytes = [2, 0, 0x1f, 0x90, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(address::decode(&bytes), Ok(at(SERVER, 8080)));
    assert_eq!(address::encode(at(SERVER, 8080)), bytes);
    assert_eq!(address::decode(&bytes[..15]), Err(EINVAL));
    assert_eq!(address::decode(&[]), Err(EINVAL));
    assert_eq!(
        address::decode(&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Err(EAFNOSUPPORT)
    );
    assert_eq!(address::family(&[1]), Err(EINVAL));
}

#[test]
fn another_address_ends_connections_from_the_old_one() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let (client, _) = net.connected(listener, 80);
    let settings = Settings::new(Ipv4Addr::new(10, 0, 0, 3), 24).unwrap();
    net.stack(B).set_plan(Plan::Static(settings));
    net.stack(B).send(client, b"x", None).unwrap();
    net.pass(SECOND);
    assert_eq!(net.stack(B).receive(client, &mut [0], false), Err(ETIMEDOUT));
    let again = net.stack(B).open(Kind::Stream);
    assert_eq!(net.stack(B).connect(again, at(SERVER, 80)), Err(EINPROGRESS));
    net.pass(2 * SECOND);
    assert_eq!(net.stack(B).finish_connect(again), Ok(()));
}

#[test]
fn connections_of_the_host_to_itself_outlive_its_interface() {
    let mut net = Net::new();
    let listener = net.listener(80, 4);
    let own = net.stack(A).open(Kind::Stream);
    assert_eq!(net.stack(A).connect(own, at(Ipv4Addr::LOCALHOST, 80)), Err(EINPROGRESS));
    net.settle();
    let (server, _) = net.stack(A).accept(listener).unwrap();
    net.stack(A).attach(None, 9);
    net.stack(A).send(own, b"still here", None).unwrap();
    net.pass(SECOND);
    assert_eq!(net.drain(A, server).unwrap(), b"still here");
    assert!(!net.stack(A).link().is_up());
}

#[test]
fn nobody_outside_speaks_from_the_loopback_network() {
    let mut net = Net::new();
    let hears = net.stack(A).open(Kind::Datagram);
    net.stack(A).bind(hears, at(Ipv4Addr::UNSPECIFIED, 53)).unwrap();
    // B takes an address that it must not have: its own stack would refuse it.
    let raw = net.stack(B).open(Kind::Raw(17));
    net.stack(B).send(raw, b"wake the neighbour's cache", Some(at(SERVER, 0))).unwrap();
    net.pass(2 * SECOND);
    let mut frame = alloc::vec![2, 0, 0, 0, 0, 0xa, 2, 0, 0, 0, 0, 0xb, 8, 0];
    let mut packet = [
        0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 10, 0, 0, 1, //
        0x10, 0, 0, 53, 0, 9, 0, 0, b'!',
    ];
    let sum: u32 =
        packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    [packet[10], packet[11]] = (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes();
    let mut honest = packet;
    frame.extend_from_slice(&packet);
    // The same from 10.0.0.2 is heard.
    honest[12..16].copy_from_slice(&CLIENT.octets());
    [honest[10], honest[11]] = [0, 0];
    let sum: u32 =
        honest[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    [honest[10], honest[11]] = (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes();
    let [end, other] = pair([[2, 0, 0, 0, 0, 0xa], [2, 0, 0, 0, 0, 0xb]]);
    net.stack(A).attach(Some(Arc::new(end)), 3);
    other.send(&frame).unwrap();
    let now = net.now;
    net.stack(A).poll(now, &mut |_| {});
    assert_eq!(net.stack(A).receive(hears, &mut [0; 4], false), Err(EAGAIN));
    frame.truncate(14);
    frame.extend_from_slice(&honest);
    other.send(&frame).unwrap();
    net.stack(A).poll(now, &mut |_| {});
    assert_eq!(net.stack(A).receive(hears, &mut [0; 4], false), Ok((1, Some(at(CLIENT, 0x1000)))));
}
