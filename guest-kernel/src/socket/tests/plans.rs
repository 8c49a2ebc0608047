//! The word `ip=`, and DHCP.

use super::*;
use crate::socket::plan::{Wrong, class_prefix, netmask_of, prefix_of};
use core::sync::atomic::Ordering;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet,
    Ipv4Repr, UdpPacket, UdpRepr,
};

fn settings(text: &str) -> Settings {
    match Plan::parse(text) {
        Ok(Plan::Static(settings)) => settings,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn linux_words_are_understood() {
    for word in ["dhcp", "on", "any", "::::::dhcp", ":::::eth0:on", "10.0.0.1::::::dhcp"] {
        assert_eq!(Plan::parse(word), Ok(Plan::Dhcp), "{word}");
    }
    for word in ["off", "none", "::::::off"] {
        assert_eq!(Plan::parse(word), Ok(Plan::Off), "{word}");
    }
    let all = settings("10.1.2.3:10.1.0.9:10.1.0.1:255.255.0.0:web:eth0:off:10.1.0.2:10.1.0.3");
    assert_eq!((all.address, all.prefix), (Ipv4Addr::new(10, 1, 2, 3), 16));
    assert_eq!(all.gateway, Some(Ipv4Addr::new(10, 1, 0, 1)));
    assert_eq!(all.name_servers[..], [Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 1, 0, 3)]);
    assert_eq!(all.netmask(), Ipv4Addr::new(255, 255, 0, 0));
    assert_eq!(all.broadcast(), Ipv4Addr::new(10, 1, 255, 255));
    assert!(all.contains(Ipv4Addr::new(10, 1, 9, 9)) && !all.contains(Ipv4Addr::new(10, 2, 0, 1)));
    assert_eq!(settings("172.16.0.5").prefix, 16, "by its class");
    assert_eq!(settings("192.168.7.5/28::192.168.7.1").prefix, 28);
    assert_eq!(settings("192.168.7.5::::::static").prefix, 24);
}

#[test]
fn wrong_words_are_named() {
    for (word, wrong) in [
        ("", Wrong::Address),
        ("static", Wrong::Address),
        ("10.0.0", Wrong::Address),
        ("127.0.0.1", Wrong::Address),
        ("0.0.0.1", Wrong::Address),
        ("224.0.0.1", Wrong::Address),
        ("10.0.0.255/24", Wrong::Address),
        ("10.0.0.0/24", Wrong::Address),
        ("10.0.0.1/31", Wrong::Netmask),
        ("10.0.0.1/0", Wrong::Netmask),
        ("10.0.0.1/24:::255.0.0.0", Wrong::Netmask),
        ("10.0.0.1:::255.0.255.0", Wrong::Netmask),
        ("10.0.0.1::10.0.1.1:255.255.255.0", Wrong::Gateway),
        ("10.0.0.1::10.0.0.1:255.255.255.0", Wrong::Gateway),
        ("10.0.0.1::nobody", Wrong::Gateway),
        ("10.0.0.1:::::::dns", Wrong::NameServer),
        ("::::::bootp", Wrong::Method),
        ("10.0.0.1::::::rarp", Wrong::Method),
    ] {
        assert_eq!(Plan::parse(word), Err(wrong), "{word}");
    }
    assert_eq!(Plan::of_command_line("exec=ls"), Ok(None));
    assert_eq!(Plan::of_command_line("ip=dhcp a=b ip=off"), Ok(Some(Plan::Off)), "the last counts");
    assert_eq!(Plan::of_command_line("ip=1"), Err(Wrong::Address));
}

#[test]
fn netmasks_are_prefixes() {
    for prefix in 0..=32 {
        assert_eq!(prefix_of(netmask_of(prefix)), Ok(prefix));
    }
    assert_eq!(prefix_of(Ipv4Addr::new(0, 255, 0, 0)), Err(Wrong::Netmask));
    assert_eq!(class_prefix(Ipv4Addr::new(191, 1, 1, 1)), 16);
}

/// A server's answer to what the client sent in `frame`, and the kind of message that it was.
fn answer(frame: &[u8], address: Ipv4Addr) -> (DhcpMessageType, Vec<u8>) {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
    let udp = UdpPacket::new_checked(ip.payload()).unwrap();
    let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
    let question = DhcpRepr::parse(&packet).unwrap();
    let mut servers = heapless::Vec::new();
    servers.push(SERVER).unwrap();
    let reply = DhcpRepr {
        message_type: match question.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            _ => DhcpMessageType::Ack,
        },
        your_ip: address,
        server_ip: SERVER,
        server_identifier: Some(SERVER),
        router: Some(SERVER),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        dns_servers: Some(servers),
        lease_duration: Some(100),
        client_identifier: None,
        parameter_request_list: None,
        max_size: None,
        requested_ip: None,
        ..question.clone()
    };
    let udp = UdpRepr { src_port: 67, dst_port: 68 };
    let ip = Ipv4Repr {
        src_addr: SERVER,
        dst_addr: Ipv4Addr::BROADCAST,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + reply.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = alloc::vec![0; 14 + ip.buffer_len() + ip.payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(ethernet.src_addr());
    frame.set_src_addr(smoltcp::wire::EthernetAddress([2, 0, 0, 0, 0, 0xd]));
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &Default::default());
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &SERVER.into(),
        &Ipv4Addr::BROADCAST.into(),
        reply.buffer_len(),
        |payload| reply.emit(&mut DhcpPacket::new_unchecked(payload)).unwrap(),
        &Default::default(),
    );
    (question.message_type, bytes)
}

/// Asks a server, which gives the address; the time by then.
fn ask(stack: &mut Stack, server: &impl Interface, mut now: u64) -> u64 {
    let mut frame = Vec::new();
    for expected in [DhcpMessageType::Discover, DhcpMessageType::Request] {
        stack.poll(now, &mut |_| {});
        assert!(server.receive(&mut frame));
        let (question, reply) = answer(&frame, CLIENT);
        assert_eq!(question, expected);
        server.send(&reply).unwrap();
        now += MS;
    }
    stack.poll(now, &mut |_| {});
    now
}

#[test]
fn a_server_gives_the_address_and_takes_it_back() {
    let [end, server] = pair([[2, 0, 0, 0, 0, 0xb], [2, 0, 0, 0, 0, 0xd]]);
    let mut stack = Stack::new(4, 5);
    stack.set_plan(Plan::Dhcp);
    assert_eq!(stack.poll(SECOND, &mut |_| {}), None, "alone there is nobody to ask");
    stack.attach(Some(Arc::new(end)), 5);
    assert!(stack.settings().is_none());
    let now = ask(&mut stack, &server, SECOND);
    let mut frame = Vec::new();
    let got = stack.settings().unwrap().clone();
    assert_eq!((got.address, got.prefix, got.gateway), (CLIENT, 24, Some(SERVER)));
    assert_eq!(got.name_servers[..], [SERVER]);
    // It asks for more time, which nobody gives.
    let mut next = Some(now);
    while let Some(at) = next.filter(|at| *at < now + 99 * SECOND) {
        next = stack.poll(at, &mut |_| {});
        while server.receive(&mut frame) {}
    }
    assert!(stack.settings().is_some());
    stack.poll(now + 101 * SECOND, &mut |_| {});
    assert!(stack.settings().is_none(), "the time is over");
    stack.poll(now + 101 * SECOND, &mut |_| {});
    assert!(server.receive(&mut frame));
    assert_eq!(answer(&frame, CLIENT).0, DhcpMessageType::Discover, "it asks anew");
}

#[test]
fn an_address_outlives_a_link_that_was_down_for_a_while() {
    let [end, server] = pair([[2, 0, 0, 0, 0, 0xb], [2, 0, 0, 0, 0, 0xd]]);
    let is_up = end.switch();
    let mut stack = Stack::new(4, 5);
    stack.attach(Some(Arc::new(end)), 5);
    stack.set_plan(Plan::Dhcp);
    let mut now = ask(&mut stack, &server, SECOND);
    let flap = |stack: &mut Stack, now: u64| {
        for state in [false, true] {
            is_up.store(state, Ordering::Relaxed);
            stack.poll(now, &mut |_| {});
            assert!(stack.settings().is_some(), "it is kept");
        }
    };
    flap(&mut stack, now);
    // What the first look sent comes again.
    while server.receive(&mut Vec::new()) {}
    now = ask(&mut stack, &server, now + 4 * SECOND);
    assert_eq!(stack.settings().map(|got| got.address), Some(CLIENT));
    stack.poll(now + 61 * SECOND, &mut |_| {});
    assert!(stack.settings().is_some(), "a server has given it again");
    flap(&mut stack, now + 62 * SECOND);
    stack.poll(now + 121 * SECOND, &mut |_| {});
    assert!(stack.settings().is_some());
    stack.poll(now + 122 * SECOND, &mut |_| {});
    assert!(stack.settings().is_none(), "nobody gives it any more");
}
