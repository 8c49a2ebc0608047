//! Two hosts on one cable, by a clock of their own.

mod addresses;
mod connections;
mod datagrams;
mod listening;
mod plans;
mod reports;

use super::address::ANY;
use super::plan::{Plan, Settings};
use super::stack::Result;
use super::{Id, Kind, Stack};
use crate::errno::{EAGAIN, EINPROGRESS};
use crate::net::Interface;
use crate::net::pair::pair;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A host and what it was told to wake.
struct Host {
    stack: Stack,
    woken: BTreeSet<u32>,
    next: Option<u64>,
}

/// The network.
struct Net {
    hosts: [Host; 2],
    now: u64,
}

const A: usize = 0;
const B: usize = 1;

fn at(ip: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip, port)
}

impl Net {
    /// Hosts A ([`SERVER`]) and B ([`CLIENT`]), with room for so many connections each.
    fn of(limit: usize) -> Self {
        let interfaces = pair([[2, 0, 0, 0, 0, 0xa], [2, 0, 0, 0, 0, 0xb]]);
        let mut ips = [SERVER, CLIENT].into_iter();
        let hosts = interfaces.map(|interface| {
            let mut stack = Stack::new(limit, 7);
            stack.attach(Some(Arc::new(interface) as Arc<dyn Interface>), 7);
            let settings = Settings::new(ips.next().unwrap(), 24).unwrap();
            stack.set_plan(Plan::Static(settings));
            Host { stack, woken: BTreeSet::new(), next: Some(0) }
        });
        Self { hosts, now: SECOND }
    }

    fn new() -> Self {
        Self::of(64)
    }

    fn stack(&mut self, host: usize) -> &mut Stack {
        &mut self.hosts[host].stack
    }

    /// Lets both hosts work until they have nothing to do without time.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let now = self.now;
            let mut busy = false;
            for host in &mut self.hosts {
                let woken = &mut host.woken;
                host.next = host.stack.poll(now, &mut |id| {
                    woken.insert(id.number());
                });
                busy |= host.next.is_some_and(|at| at <= now);
            }
            let waits = self.hosts.iter_mut().any(|host| host.stack.link.peek().is_some());
            if !busy && !waits {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        loop {
            self.settle();
            let next = self.hosts.iter().filter_map(|host| host.next).min();
            match next.filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now + 1000),
                None => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// A listener on host A.
    fn listener(&mut self, port: u16, backlog: usize) -> Id {
        let stack = self.stack(A);
        let id = stack.open(Kind::Stream);
        stack.bind(id, at(Ipv4Addr::UNSPECIFIED, port)).unwrap();
        stack.listen(id, backlog).unwrap();
        id
    }

    /// A connection from host B to host A, accepted: B's socket and A's.
    fn connected(&mut self, listener: Id, port: u16) -> (Id, Id) {
        let client = self.stack(B).open(Kind::Stream);
        assert_eq!(self.stack(B).connect(client, at(SERVER, port)), Err(EINPROGRESS));
        self.pass(SECOND);
        assert_eq!(self.stack(B).finish_connect(client), Ok(()));
        let (server, _) = self.stack(A).accept(listener).unwrap();
        (client, server)
    }

    /// All that a socket has to give now.
    fn drain(&mut self, host: usize, id: Id) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.stack(host).receive(id, &mut buffer, false) {
                Ok((0, _)) => return Ok(all),
                Ok((count, _)) => all.extend_from_slice(&buffer[..count]),
                Err(errno) if errno == EAGAIN => return Ok(all),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// No connection is left anywhere, and no socket.
    fn is_empty(&self) -> bool {
        self.hosts.iter().all(|host| {
            host.stack.connections() == 0 && host.stack.entries.iter().all(Option::is_none)
        })
    }
}

#[test]
fn a_host_alone_talks_to_itself() {
    let mut stack = Stack::new(8, 1);
    let listener = stack.open(Kind::Stream);
    stack.listen(listener, 1).unwrap();
    let port = stack.local(listener).unwrap().port();
    let client = stack.open(Kind::Stream);
    // 0.0.0.0 as a destination is the host itself.
    assert_eq!(stack.connect(client, at(*ANY.ip(), port)), Err(EINPROGRESS));
    let mut woken = Vec::new();
    stack.ready(client);
    while stack.poll(SECOND, &mut |id| woken.push(id)) == Some(SECOND) {}
    assert!(woken.contains(&client) && woken.contains(&listener));
    assert_eq!(stack.finish_connect(client), Ok(()));
    let (server, from) = stack.accept(listener).unwrap();
    assert_eq!(from, stack.local(client).unwrap());
    assert_eq!(*from.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(stack.peer(server), Ok(from));
    assert_eq!(stack.send(client, b"to myself", None), Ok(9));
    while stack.poll(SECOND, &mut |_| {}) == Some(SECOND) {}
    let mut buffer = [0; 16];
    assert_eq!(stack.receive(server, &mut buffer, false), Ok((9, None)));
    assert_eq!(&buffer[..9], b"to myself");
}
