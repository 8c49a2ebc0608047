//! A trace as Chrome's trace-event format, which the Perfetto UI opens.
//!
//! One "process" is the machine, with a track for each CPU: who ran there and what it asked
//! for. Each domain is another, with a track for each vCPU: the same, seen from the guest.
//! Times are microseconds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::spans::{Instant, Kind, Span, Spans, Vcpu};

/// The machine's number among the processes; domain n's is 1 + n.
const MACHINE: u32 = 0;

/// The whole file.
pub fn json(spans: &Spans) -> Value {
    let mut events = names(spans);
    let mut timed: Vec<(u64, Value)> = Vec::new();
    for span in &spans.spans {
        timed.push((span.begin, complete(span, (MACHINE, span.cpu as u32), label_on_cpu(span))));
        timed.push((span.begin, complete(span, track(span.vcpu), label_of_vcpu(span))));
    }
    for instant in &spans.instants {
        timed.push((instant.at, happened(instant, (MACHINE, instant.cpu as u32))));
        if let Some(vcpu) = instant.vcpu {
            timed.push((instant.at, happened(instant, track(vcpu))));
        }
    }
    // Stable: what begins at one time stays in the order in which it lies in each other.
    timed.sort_by_key(|(at, _)| *at);
    events.extend(timed.into_iter().map(|(_, event)| event));
    json!({ "traceEvents": events, "displayTimeUnit": "ns" })
}

fn track((domain, vcpu): Vcpu) -> (u32, u32) {
    (1 + u32::from(domain), vcpu.into())
}

/// The names of processes and tracks.
fn names(spans: &Spans) -> Vec<Value> {
    let name = |what: &str, (pid, tid): (u32, u32), name: String| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
    let mut all = vec![name("process_name", (MACHINE, 0), "machine".into())];
    for cpu in 0..spans.cpus as u32 {
        all.push(name("thread_name", (MACHINE, cpu), format!("CPU {cpu}")));
    }
    let of_spans = spans.spans.iter().map(|span| span.vcpu);
    let vcpus: BTreeSet<Vcpu> =
        of_spans.chain(spans.instants.iter().filter_map(|instant| instant.vcpu)).collect();
    let domains: BTreeSet<u16> = vcpus.iter().map(|(domain, _)| *domain).collect();
    for domain in domains {
        all.push(name("process_name", track((domain, 0)), format!("domain {domain}")));
    }
    for (domain, vcpu) in vcpus {
        all.push(name("thread_name", track((domain, vcpu)), format!("d{domain}v{vcpu}")));
    }
    all
}

fn label_on_cpu(span: &Span) -> String {
    match &span.kind {
        Kind::Run => format!("d{}v{}", span.vcpu.0, span.vcpu.1),
        Kind::Hypercall(name) | Kind::Trap(name) => name.clone(),
    }
}

fn label_of_vcpu(span: &Span) -> String {
    match &span.kind {
        Kind::Run => format!("on CPU {}", span.cpu),
        Kind::Hypercall(name) | Kind::Trap(name) => name.clone(),
    }
}

fn category(span: &Span) -> &'static str {
    match span.kind {
        Kind::Run => "run",
        Kind::Hypercall(_) => "hypercall",
        Kind::Trap(_) => "trap",
    }
}

fn complete(span: &Span, (pid, tid): (u32, u32), name: String) -> Value {
    let facts: serde_json::Map<_, _> =
        span.facts.iter().map(|(fact, value)| ((*fact).into(), value.clone().into())).collect();
    json!({
        "ph": "X", "name": name, "cat": category(span), "pid": pid, "tid": tid,
        "ts": microseconds(span.begin), "dur": microseconds(span.end - span.begin), "args": facts,
    })
}

fn happened(instant: &Instant, (pid, tid): (u32, u32)) -> Value {
    json!({
        "ph": "i", "s": "t", "name": instant.name, "cat": "event", "pid": pid, "tid": tid,
        "ts": microseconds(instant.at),
    })
}

fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// What is wrong with a file of trace events, if anything: for tests of what was written.
///
/// Every event has what its kind must have; times do not go back; on each track what lasts
/// lies in each other or apart.
pub fn faults(file: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(events) = file["traceEvents"].as_array() else { return vec!["no events".into()] };
    let mut last = 0;
    let mut open: std::collections::BTreeMap<(u64, u64), Vec<i64>> = Default::default();
    for event in events {
        let (Some(kind), Some(pid), Some(tid), Some(_)) = (
            event["ph"].as_str(),
            event["pid"].as_u64(),
            event["tid"].as_u64(),
            event["name"].as_str(),
        ) else {
            faults.push(format!("without kind, track or name: {event}"));
            continue;
        };
        if kind == "M" {
            if event["args"]["name"].as_str().is_none() {
                faults.push(format!("names nothing: {event}"));
            }
            continue;
        }
        let Some(begin) = event["ts"].as_f64().map(nanoseconds) else {
            faults.push(format!("without time: {event}"));
            continue;
        };
        if begin < last {
            faults.push(format!("before the one before: {event}"));
        }
        last = begin;
        match (kind, event["dur"].as_f64().map(nanoseconds)) {
            ("i", None) => {}
            ("X", Some(duration)) if duration >= 0 => {
                let ends = open.entry((pid, tid)).or_default();
                while ends.last().is_some_and(|end| *end <= begin) {
                    ends.pop();
                }
                if ends.last().is_some_and(|end| begin + duration > *end) {
                    faults.push(format!("lasts longer than what it lies in: {event}"));
                }
                ends.push(begin + duration);
            }
            _ => faults.push(format!("of no known kind: {event}")),
        }
    }
    faults
}

fn nanoseconds(microseconds: f64) -> i64 {
    (microseconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::super::spans::tests::trace;
    use super::*;

    fn written() -> Value {
        let text = serde_json::to_string(&json(&Spans::of(&trace()))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_trace_is_a_valid_file() {
        assert_eq!(faults(&written()), [""; 0]);
    }

    #[test]
    fn every_cpu_and_vcpu_has_a_track() {
        let file = written();
        let events = file["traceEvents"].as_array().unwrap();
        let names: BTreeSet<&str> =
            events.iter().filter_map(|event| event["args"]["name"].as_str()).collect();
        let wanted = ["CPU 0", "CPU 1", "d0v0", "d0v1", "d0v2", "domain 0", "machine"];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), wanted);
        let send = events.iter().filter(|event| event["name"] == "event_channel_op send");
        let tracks: Vec<_> = send.map(|event| event["pid"].as_u64().unwrap()).collect();
        assert_eq!(tracks, [0, 1], "on its CPU and on its vCPU");
    }

    #[test]
    fn faults_are_seen() {
        let with = |index: usize, field: &str, value: Value| {
            let mut file = written();
            let timed = |event: &&mut Value| event["ph"] == "X";
            let events = file["traceEvents"].as_array_mut().unwrap();
            events.iter_mut().filter(timed).nth(index).unwrap()[field] = value;
            faults(&file).len()
        };
        assert!(with(0, "ts", json!(1e9)) > 0, "times go back");
        assert!(with(2, "dur", json!(1e6)) > 0, "too long");
        assert!(with(0, "dur", json!(-1.0)) > 0);
        assert!(with(0, "name", Value::Null) > 0);
        assert!(with(0, "ph", json!("Z")) > 0);
        assert_eq!(faults(&json!({})), ["no events"]);
    }
}
