//! `ifconfig` in both of its ways: what the shell shows, and the requests that programs make.

use super::*;
use crate::errno::*;
use crate::socket::ioctl::{ADD_ROUTE, DELETE_ROUTE, NAME, REQUEST, ROUTE};
use crate::socket::plan::Wrong;
use crate::socket::{address, echo, report, resolver};
use std::string::String;

fn named(name: &[u8], rest: &[u8]) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..name.len()].copy_from_slice(name);
    bytes[NAME..NAME + rest.len()].copy_from_slice(rest);
    bytes
}

fn ask(stack: &mut Stack, request: u32, name: &[u8]) -> Result<[u8; REQUEST - NAME]> {
    let mut bytes = named(name, &[]);
    stack.interface_request(request, &mut bytes)?;
    Ok(bytes[NAME..].try_into().unwrap())
}

fn set(stack: &mut Stack, request: u32, name: &[u8], ip: Ipv4Addr) -> Result {
    stack.interface_request(request, &mut named(name, &address::encode(at(ip, 0))))
}

#[test]
fn the_shell_shows_and_reads() {
    let mut net = Net::new();
    net.pass(SECOND);
    let mut text = String::new();
    report::write(net.stack(A), &mut text).unwrap();
    assert_eq!(
        text,
        "eth0  02:00:00:00:00:0a  link up, 1500 bytes a packet\n      10.0.0.1/24 as said\n      \
         received 0 frames, 0 bytes\n      sent 0 frames, 0 bytes\nlo    127.0.0.1/8\n      \
         received 2 frames, 84 bytes\n      sent 0 frames, 0 bytes\n0 connections\n"
    );
    let Ok(Plan::Static(settings)) = report::parse(&["10.0.0.5/24", "10.0.0.1", "10.0.0.2"]) else {
        panic!("not a plan");
    };
    assert_eq!(settings.gateway, Some(SERVER));
    assert_eq!(settings.name_servers[..], [CLIENT]);
    net.stack(A).set_plan(Plan::Static(settings));
    text.clear();
    report::write(net.stack(A), &mut text).unwrap();
    assert!(
        text.contains("10.0.0.5/24 as said, gateway 10.0.0.1, names from 10.0.0.2\n"),
        "{text}"
    );
    assert_eq!(report::parse(&["dhcp"]), Ok(Plan::Dhcp));
    assert_eq!(report::parse(&["dhcp", "now"]), Err(Wrong::Method));
    assert_eq!(report::parse(&[]), Err(Wrong::Method));
    assert_eq!(report::parse(&["10.0.0.5/24", "10.0.1.1"]), Err(Wrong::Gateway));
    assert_eq!(report::parse(&["10.0.0.5/24", "10.0.0.1", "dns"]), Err(Wrong::NameServer));
    let mut alone = Stack::new(1, 1);
    alone.set_plan(Plan::Dhcp);
    text.clear();
    report::write(&alone, &mut text).unwrap();
    assert!(text.starts_with("no network device\nlo "), "{text}");
}

#[test]
fn name_servers_are_told_to_programs() {
    assert_eq!(resolver::text(&resolver::servers(None)), "");
    let Ok(Plan::Static(settings)) =
        report::parse(&["10.0.0.5/24", "10.0.0.1", "10.0.0.2", "1.1.1.1"])
    else {
        panic!("not a plan");
    };
    let servers = resolver::servers(Some(&settings));
    assert_eq!(resolver::text(&servers), "nameserver 10.0.0.2\nnameserver 1.1.1.1\n");
}

#[test]
fn programs_ask_for_interfaces() {
    let mut net = Net::new();
    let stack = net.stack(A);
    let listed: Vec<[u8; REQUEST]> = stack.list_interfaces().collect();
    assert_eq!(listed[0], named(b"lo", &address::encode(at(Ipv4Addr::LOCALHOST, 0))));
    assert_eq!(listed[1], named(b"eth0", &address::encode(at(SERVER, 0))));
    assert_eq!(ask(stack, 0x8915, b"eth0"), Ok(address::encode(at(SERVER, 0))));
    let netmask = Ipv4Addr::new(255, 255, 255, 0);
    assert_eq!(ask(stack, 0x891b, b"eth0"), Ok(address::encode(at(netmask, 0))));
    let broadcast = Ipv4Addr::new(10, 0, 0, 255);
    assert_eq!(ask(stack, 0x8919, b"eth0"), Ok(address::encode(at(broadcast, 0))));
    assert_eq!(ask(stack, 0x8913, b"eth0").unwrap()[..2], 0x1043u16.to_ne_bytes());
    assert_eq!(ask(stack, 0x8913, b"lo").unwrap()[..2], 0x49u16.to_ne_bytes());
    assert_eq!(ask(stack, 0x8927, b"eth0").unwrap()[..8], [1, 0, 2, 0, 0, 0, 0, 0xa]);
    assert_eq!(ask(stack, 0x8921, b"eth0").unwrap()[..4], 1500u32.to_ne_bytes());
    assert_eq!(ask(stack, 0x8933, b"eth0").unwrap()[..4], 2u32.to_ne_bytes());
    let mut bytes = named(b"", &1u32.to_ne_bytes());
    stack.interface_request(0x8910, &mut bytes).unwrap();
    assert_eq!(bytes[..3], *b"lo\0");
    assert_eq!(ask(stack, 0x8915, b"eth1"), Err(ENODEV));
    assert_eq!(ask(stack, 0x89ff, b"eth0"), Err(ENOTTY));
    stack.set_plan(Plan::Off);
    assert_eq!(ask(stack, 0x8915, b"eth0"), Err(EADDRNOTAVAIL));
    assert_eq!(ask(stack, 0x8913, b"eth0").unwrap()[..2], 0x1042u16.to_ne_bytes(), "not up");
    assert_eq!(ask(&mut Stack::new(1, 1), 0x8913, b"eth0"), Err(ENODEV));
}

#[test]
fn programs_set_addresses_and_the_gateway() {
    let mut net = Net::new();
    let stack = net.stack(A);
    let own = Ipv4Addr::new(172, 16, 0, 9);
    set(stack, 0x8916, b"eth0", own).unwrap();
    assert_eq!((stack.settings().unwrap().address, stack.settings().unwrap().prefix), (own, 16));
    set(stack, 0x891c, b"eth0", Ipv4Addr::new(255, 255, 255, 0)).unwrap();
    assert_eq!(stack.settings().unwrap().prefix, 24);
    assert_eq!(set(stack, 0x891c, b"eth0", Ipv4Addr::new(255, 0, 255, 0)), Err(EINVAL));
    assert_eq!(set(stack, 0x8916, b"eth0", Ipv4Addr::LOCALHOST), Err(EINVAL));
    assert_eq!(set(stack, 0x8916, b"lo", own), Err(EPERM));
    assert_eq!(set(stack, 0x8916, b"lo", Ipv4Addr::LOCALHOST), Ok(()));
    let mut route = [0; ROUTE];
    route[20..36].copy_from_slice(&address::encode(at(Ipv4Addr::new(172, 16, 0, 1), 0)));
    assert_eq!(stack.route_request(ADD_ROUTE, &route), Err(EINVAL), "not by a gateway");
    route[52] = 3;
    stack.route_request(ADD_ROUTE, &route).unwrap();
    assert_eq!(stack.settings().unwrap().gateway, Some(Ipv4Addr::new(172, 16, 0, 1)));
    set(stack, 0x891c, b"eth0", Ipv4Addr::new(255, 255, 255, 128)).unwrap();
    assert!(stack.settings().unwrap().gateway.is_some(), "still on the network");
    stack.route_request(DELETE_ROUTE, &route).unwrap();
    assert_eq!(stack.settings().unwrap().gateway, None);
    route[26] = 9;
    assert_eq!(stack.route_request(ADD_ROUTE, &route), Err(ENETUNREACH));
    route[40] = 255;
    assert_eq!(stack.route_request(ADD_ROUTE, &route), Err(EINVAL), "only to everywhere");
    // Down, and up again without an address.
    stack.interface_request(0x8914, &mut named(b"eth0", &[0, 0])).unwrap();
    assert_eq!(stack.plan(), &Plan::Off);
    assert_eq!(stack.route_request(ADD_ROUTE, &route), Err(EINVAL));
}

#[test]
fn pings_are_answered_by_number() {
    let mut net = Net::new();
    let id = net.stack(B).open(Kind::Raw(1));
    net.stack(B).send(id, &echo::request(77, 300), Some(at(SERVER, 0))).unwrap();
    net.pass(2 * SECOND);
    let mut packet = [0; 128];
    let (length, _) = net.stack(B).receive(id, &mut packet, false).unwrap();
    assert_eq!(length, 20 + echo::REQUEST);
    assert_eq!(echo::reply(&packet[..length], 77), Some((300, 64)));
    assert_eq!(echo::reply(&packet[..length], 78), None, "another's");
    assert_eq!(echo::reply(&packet[..27], 77), None);
    assert_eq!(echo::reply(&[], 77), None);
    packet[20] = 8;
    assert_eq!(echo::reply(&packet[..length], 77), None, "a request");
}
