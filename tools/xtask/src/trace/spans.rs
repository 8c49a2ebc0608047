//! From records to spans: what begins gets its end.
//!
//! On each CPU things nest: a vCPU runs, and inside of that it makes hypercalls and takes
//! traps, each of which ends before the vCPU stops. A ring that went round begins in the
//! middle, and a machine that ended left something open: ends without a beginning are
//! dropped, beginnings without an end last until the CPU's last record.

use std::collections::BTreeMap;

use trace_format::{Record, What};

use super::memory::Trace;
use super::names;

/// A domain's vCPU.
pub type Vcpu = (u16, u16);

/// What a span is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The vCPU ran.
    Run,
    /// It made this hypercall.
    Hypercall(String),
    /// It took this trap.
    Trap(String),
}

/// Something that lasted.
#[derive(Clone, Debug)]
pub struct Span {
    /// What it was.
    pub kind: Kind,
    /// On which CPU.
    pub cpu: usize,
    /// Whose it was.
    pub vcpu: Vcpu,
    /// When it began, in ns.
    pub begin: u64,
    /// When it ended.
    pub end: u64,
    /// What a person may want to know, by name.
    pub facts: Vec<(&'static str, String)>,
}

/// Something that happened at once.
#[derive(Clone, Debug)]
pub struct Instant {
    /// What it was.
    pub name: String,
    /// On which CPU.
    pub cpu: usize,
    /// Whose it was, if anybody's.
    pub vcpu: Option<Vcpu>,
    /// When, in ns.
    pub at: u64,
}

/// A trace with ends to its beginnings.
#[derive(Debug, Default)]
pub struct Spans {
    /// What lasted, in the order in which it began, CPU by CPU.
    pub spans: Vec<Span>,
    /// What did not.
    pub instants: Vec<Instant>,
    /// CPUs that there are.
    pub cpus: usize,
    /// First and last time.
    pub period: (u64, u64),
}

impl Spans {
    /// Sorts a trace out.
    pub fn of(trace: &Trace) -> Self {
        let mut all = Self { cpus: trace.cpus.len(), period: (u64::MAX, 0), ..Self::default() };
        for (cpu, records) in trace.cpus.iter().enumerate() {
            Cpu { cpu, open: Vec::new(), last: 0 }.take(records, trace, &mut all);
        }
        all.period.0 = all.period.0.min(all.period.1);
        all
    }

    /// How long each vCPU ran.
    pub fn ran(&self) -> BTreeMap<Vcpu, u64> {
        let mut ran = BTreeMap::new();
        for span in self.spans.iter().filter(|span| span.kind == Kind::Run) {
            *ran.entry(span.vcpu).or_default() += span.end - span.begin;
        }
        ran
    }
}

/// One CPU's records on their way.
struct Cpu {
    cpu: usize,
    /// Spans without an end yet, by their place: each lies in the one before.
    open: Vec<usize>,
    last: u64,
}

impl Cpu {
    fn take(&mut self, records: &[Record], trace: &Trace, all: &mut Spans) {
        for record in records {
            // A counter that is set back must not make ends come before beginnings.
            self.last = trace.clock.ns(record.tsc).max(self.last);
            all.period = (all.period.0.min(self.last), all.period.1.max(self.last));
            self.one(record, all);
        }
        self.close(0, all);
    }

    fn one(&mut self, record: &Record, all: &mut Spans) {
        let vcpu = (record.domain, record.vcpu);
        match record.what {
            What::Run => {
                self.close(0, all);
                self.begin(Kind::Run, vcpu, Vec::new(), all);
            }
            What::Stop => self.close(0, all),
            What::Hypercall { number, command, detail } => {
                self.running(vcpu, all);
                let facts = vec![("command", command.to_string()), ("detail", detail.to_string())];
                self.begin(Kind::Hypercall(names::hypercall(number, command)), vcpu, facts, all);
            }
            What::HypercallDone { result, continued, .. } => {
                let is_call = |kind: &Kind| matches!(kind, Kind::Hypercall(_));
                // Registers of a pv32 guest are 32 bits wide.
                let result = (result as i32).to_string();
                let result = if continued { "to be continued".into() } else { result };
                self.end(is_call, ("result", result), all);
            }
            What::Trap { vector, code, address, ip } => {
                self.running(vcpu, all);
                let mut facts = vec![("code", format!("{code:#x}")), ("ip", format!("{ip:#x}"))];
                if address != 0 {
                    facts.push(("address", format!("{address:#x}")));
                }
                self.begin(Kind::Trap(names::trap(vector)), vcpu, facts, all);
            }
            What::TrapDone { ip, .. } => {
                let is_trap = |kind: &Kind| matches!(kind, Kind::Trap(_));
                self.end(is_trap, ("goes on at", format!("{ip:#x}")), all);
            }
            what => {
                let Some(name) = names::instant(what) else { return };
                let vcpu = (record.domain != trace_format::NO_DOMAIN).then_some(vcpu);
                all.instants.push(Instant { name, cpu: self.cpu, vcpu, at: self.last });
            }
        }
    }

    /// In a ring that begins in the middle, the first sign of a vCPU says that it runs.
    fn running(&mut self, vcpu: Vcpu, all: &mut Spans) {
        if self.open.is_empty() {
            self.begin(Kind::Run, vcpu, Vec::new(), all);
        }
    }

    fn begin(
        &mut self,
        kind: Kind,
        vcpu: Vcpu,
        facts: Vec<(&'static str, String)>,
        all: &mut Spans,
    ) {
        self.open.push(all.spans.len());
        let (cpu, begin) = (self.cpu, self.last);
        all.spans.push(Span { kind, cpu, vcpu, begin, end: begin, facts });
    }

    /// Ends the innermost span if it is of that kind.
    fn end(&mut self, is: impl Fn(&Kind) -> bool, fact: (&'static str, String), all: &mut Spans) {
        if let Some(span) = self.open.last().map(|index| &mut all.spans[*index])
            && is(&span.kind)
        {
            span.end = self.last;
            span.facts.push(fact);
            self.open.pop();
        }
    }

    /// Ends all spans but the outer `keep`.
    fn close(&mut self, keep: usize, all: &mut Spans) {
        for index in self.open.drain(keep..) {
            all.spans[index].end = self.last;
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::memory::Clock;
    use super::*;

    /// What two CPUs did: hypercalls, traps, a switch, and an end in the middle of a call.
    pub fn trace() -> Trace {
        let of = |tsc, vcpu, what| Record { tsc, domain: 0, vcpu, what };
        let send = What::Hypercall { number: 32, command: 4, detail: 7 };
        let done = What::HypercallDone { number: 32, result: 0, continued: false };
        let fault = What::Trap { vector: 14, code: 2, address: 0x1000, ip: 0x2000 };
        let first = vec![
            // The beginning of this call is lost.
            of(90, 0, done),
            of(100, 0, What::Run),
            of(110, 0, send),
            of(150, 0, done),
            of(150, 0, What::Upcall),
            of(200, 0, fault),
            of(220, 0, What::TrapDone { vector: 14, ip: 0x3000 }),
            of(300, 0, What::Stop),
            of(310, 1, What::Run),
            of(400, 1, What::Stop),
        ];
        let second = vec![
            Record {
                domain: trace_format::NO_DOMAIN,
                ..of(120, 0, What::Interrupt { vector: 0xf9 })
            },
            of(130, 2, What::Run),
            of(140, 2, What::Hypercall { number: 29, command: 2, detail: 0 }),
        ];
        Trace { clock: Clock::of_nanoseconds(), cpus: vec![first, second], lost: 0 }
    }

    #[test]
    fn what_begins_gets_its_end() {
        let spans = Spans::of(&trace());
        let seen: Vec<_> =
            spans.spans.iter().map(|s| (s.cpu, s.vcpu.1, s.kind.clone(), s.begin, s.end)).collect();
        let call = |name: &str| Kind::Hypercall(name.into());
        assert_eq!(
            seen,
            [
                (0, 0, Kind::Run, 100, 300),
                (0, 0, call("event_channel_op send"), 110, 150),
                (0, 0, Kind::Trap("#PF".into()), 200, 220),
                (0, 1, Kind::Run, 310, 400),
                (1, 2, Kind::Run, 130, 140),
                (1, 2, call("sched_op shutdown"), 140, 140),
            ]
        );
        assert_eq!(spans.period, (90, 400));
        assert_eq!(spans.ran()[&(0, 0)], 200);
        assert_eq!(spans.instants.len(), 2);
        assert_eq!(spans.instants[1].vcpu, None);
    }

    #[test]
    fn a_counter_set_back_makes_nothing_negative() {
        let mut back = trace();
        back.cpus[0][6].tsc = 10;
        let spans = Spans::of(&back);
        assert!(spans.spans.iter().all(|span| span.end >= span.begin));
    }
}
