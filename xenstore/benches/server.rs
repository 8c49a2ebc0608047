//! How fast the server answers: requests in, replies and events out, no transport between.
//!
//! `store-bench NODES SECONDS DOMAINS..` fills a store with homes of a hundred nodes each, connects as
//! many domains, and has them ask in turn, by Xen's quotas. Whatever the number of domains, requests go
//! through all homes in turn, so that the same memory is visited and only the number differs. It prints
//! JSON; `cargo xtask bench-store` calls it and makes a table. Requests are encoded before the clock
//! runs.

use std::time::{Duration, Instant};

use xenstore::DomId;
use xenstore::quota::Quotas;
use xenstore::server::{ConnectionId, Server};
use xenstore::wire::{Header, Message, MessageType, payload};

/// Nodes of a home: itself, `data` and what is below, `control`.
const HOME_NODES: usize = 100;
/// Names below `data`.
const NAMES: usize = HOME_NODES - 3;
const VALUE: &[u8] = b"0123456789abcdef";

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (nodes, seconds, domains) = match &numbers[..] {
        [nodes, seconds, domains @ ..] if !domains.is_empty() => (*nodes, *seconds, domains),
        _ => {
            eprintln!("usage: store-bench NODES SECONDS DOMAINS..");
            std::process::exit(2);
        }
    };
    let limit = Duration::from_secs(seconds as u64);
    let runs: Vec<String> =
        domains.iter().map(|domains| Bench::new(nodes, *domains).run(limit)).collect();
    println!("{{\"nodes\":{nodes},\"runs\":[{}]}}", runs.join(","));
}

/// A filled server and who is connected to it.
struct Bench {
    server: Server,
    zero: ConnectionId,
    homes: usize,
    /// Domain 1 and on.
    guests: Vec<ConnectionId>,
}

impl Bench {
    fn new(nodes: usize, domains: usize) -> Self {
        let mut server = Server::new(Quotas::default());
        let zero = server.connect(DomId::new(0));
        let homes = (nodes / HOME_NODES).max(domains);
        let mut bench = Self { server, zero, homes, guests: Vec::new() };
        for domid in 1..=homes {
            let home = home(domid);
            // Open to all, so that any domain may ask in any home.
            let perms = format!("b{domid}");
            bench.fill(MessageType::Mkdir, &[home.as_bytes()]);
            bench.fill(MessageType::SetPerms, &[home.as_bytes(), perms.as_bytes()]);
            bench.fill(MessageType::Mkdir, &[format!("{home}/control").as_bytes()]);
            for name in 0..NAMES {
                bench.fill(MessageType::Mkdir, &[format!("{home}/{}", data(name)).as_bytes()]);
            }
        }
        for domid in 1..=domains {
            let domid = u16::try_from(domid).expect("a domain's number");
            let words = [domid.to_string(), "1".into(), "1".into()];
            bench.fill(MessageType::Introduce, &words.each_ref().map(|word| word.as_bytes()));
            let id = bench.server.connect(DomId::new(domid));
            bench.guests.push(id);
            bench.ask(id, &request(MessageType::Watch, 0, &payload::join(&[b"control", b"token"])));
        }
        while bench.server.take_action().is_some() {}
        bench
    }

    /// A request of domain 0 that prepares something.
    fn fill(&mut self, kind: MessageType, words: &[&[u8]]) {
        let reply = self.ask(self.zero, &request(kind, 0, &payload::join(words)));
        assert_eq!(reply, Some(kind), "{words:?}");
    }

    /// One request and all that it sends; the type of the first message for its client.
    fn ask(&mut self, id: ConnectionId, request: &[u8]) -> Option<MessageType> {
        self.server.input(id, request);
        let head = self.server.output(id).first_chunk().map(|head| Header::decode(*head));
        while let Some(touched) = self.server.take_touched() {
            self.take(touched);
        }
        head.and_then(|head| head.kind())
    }

    fn take(&mut self, id: ConnectionId) {
        while !self.server.output(id).is_empty() {
            let count = self.server.output(id).len();
            self.server.sent(id, count);
        }
    }

    /// Measures everything; JSON.
    fn run(&mut self, limit: Duration) -> String {
        let guests = self.guests.clone();
        let homes = self.homes;
        let at = |turn: usize, below: &str| format!("{}/{below}", home(turn % homes + 1));
        let name = |turn: usize| at(turn, &data(turn / homes % NAMES));
        let read = |turn, number| {
            request(MessageType::Read, number, &payload::join(&[name(turn).as_bytes()]))
        };
        let write = |turn: usize, number| {
            request(MessageType::Write, number, &[name(turn).as_bytes(), b"\0", VALUE].concat())
        };
        let rows = [
            self.row("read", limit, |bench, turn, clock| {
                let (id, read) = (guests[turn % guests.len()], read(turn, 0));
                clock.time(|| bench.ask(id, &read)) == Some(MessageType::Read)
            }),
            self.row("write", limit, |bench, turn, clock| {
                let (id, write) = (guests[turn % guests.len()], write(turn, 0));
                clock.time(|| bench.ask(id, &write)) == Some(MessageType::Write)
            }),
            self.row("directory", limit, |bench, turn, clock| {
                let path = payload::join(&[at(turn, "data").as_bytes()]);
                let list = request(MessageType::Directory, 0, &path);
                let id = guests[turn % guests.len()];
                clock.time(|| bench.ask(id, &list)) == Some(MessageType::Directory)
            }),
            self.row("transaction", limit, |bench, turn, clock| {
                let id = guests[turn % guests.len()];
                // A connection's transactions are numbered from 1.
                let number = (turn / guests.len() + 1) as u32;
                let start = request(MessageType::TransactionStart, 0, b"\0");
                let (read, write) = (read(turn, number), write(turn, number));
                let end = request(MessageType::TransactionEnd, number, b"T\0");
                clock.time(|| {
                    bench.ask(id, &start);
                    bench.ask(id, &read);
                    bench.ask(id, &write);
                    bench.ask(id, &end)
                }) == Some(MessageType::TransactionEnd)
            }),
            self.row("watch fires", limit, |bench, turn, clock| {
                // The watches are of the domains that are connected: with one, always the same.
                let path = format!("{}/control", home(turn % guests.len() + 1));
                let write =
                    request(MessageType::Write, 0, &[path.as_bytes(), b"\0", VALUE].concat());
                let (zero, id) = (bench.zero, guests[turn % guests.len()]);
                clock.time(|| {
                    bench.server.input(zero, &write);
                    let fired = !bench.server.output(id).is_empty();
                    while let Some(touched) = bench.server.take_touched() {
                        bench.take(touched);
                    }
                    fired
                })
            }),
        ];
        format!("{{\"domains\":{},\"rows\":[{}]}}", guests.len(), rows.join(","))
    }

    /// Does one thing again and again, each turn timed.
    fn row(
        &mut self,
        name: &str,
        limit: Duration,
        mut turn: impl FnMut(&mut Self, usize, &mut Clock) -> bool,
    ) -> String {
        let begin = Instant::now();
        let mut clock = Clock { times_ns: Vec::new() };
        for number in 0.. {
            assert!(turn(self, number, &mut clock), "{name}, turn {number}");
            if begin.elapsed() >= limit {
                break;
            }
        }
        clock.row(name)
    }
}

struct Clock {
    times_ns: Vec<u64>,
}

impl Clock {
    fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let result = work();
        self.times_ns.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        result
    }

    fn row(mut self, name: &str) -> String {
        self.times_ns.sort_unstable();
        let (count, total) = (self.times_ns.len(), self.times_ns.iter().sum::<u64>());
        let quantile = |percent: usize| self.times_ns[(count * percent / 100).min(count - 1)];
        format!(
            "{{\"name\":\"{name}\",\"operations\":{count},\"per_second\":{:.0},\"p50_ns\":{},\
             \"p99_ns\":{}}}",
            count as f64 * 1e9 / total as f64,
            quantile(50),
            quantile(99)
        )
    }
}

fn home(domid: usize) -> String {
    format!("/local/domain/{domid}")
}

fn data(name: usize) -> String {
    format!("data/name{name:02}")
}

fn request(kind: MessageType, transaction: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { transaction, ..Header::unsolicited(kind) };
    Message { header, payload: payload.to_vec() }.encode()
}
