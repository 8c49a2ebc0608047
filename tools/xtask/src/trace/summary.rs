//! A trace in three small tables: where the time went.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::spans::{Kind, Spans};

/// How often, and how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How often.
    pub count: u64,
    /// Nanoseconds.
    pub ns: u64,
}

/// Hypercalls, and traps, by name.
pub fn by_name(spans: &Spans) -> (BTreeMap<&str, Total>, BTreeMap<&str, Total>) {
    let (mut hypercalls, mut traps) = (BTreeMap::new(), BTreeMap::new());
    for span in &spans.spans {
        let total: &mut Total = match &span.kind {
            Kind::Hypercall(name) => hypercalls.entry(name.as_str()).or_default(),
            Kind::Trap(name) => traps.entry(name.as_str()).or_default(),
            Kind::Run => continue,
        };
        total.count += 1;
        total.ns += span.end - span.begin;
    }
    (hypercalls, traps)
}

/// The tables.
pub fn text(spans: &Spans) -> String {
    let whole = (spans.period.1 - spans.period.0).max(1);
    let mut text = format!("{:.3} ms on {} CPUs\n", milliseconds(whole), spans.cpus);
    let ran = spans.ran();
    let mut domains: BTreeMap<u16, u64> = BTreeMap::new();
    for ((domain, _), ns) in &ran {
        *domains.entry(*domain).or_default() += ns;
    }
    text.push_str("\nwho ran        ms   of a CPU\n");
    for (domain, ns) in domains {
        line(&mut text, &format!("domain {domain}"), ns, whole);
        for ((_, vcpu), ns) in ran.iter().filter(|((of, _), _)| *of == domain) {
            line(&mut text, &format!("  d{domain}v{vcpu}"), *ns, whole);
        }
    }
    let all: u64 = ran.values().sum();
    let (hypercalls, traps) = by_name(spans);
    table(&mut text, "hypercall", &hypercalls, all.max(1));
    table(&mut text, "trap", &traps, all.max(1));
    text
}

fn line(text: &mut String, who: &str, ns: u64, whole: u64) {
    let _ = writeln!(text, "{who:9}{:11.3}{:9.1} %", milliseconds(ns), percent(ns, whole));
}

fn table(text: &mut String, what: &str, totals: &BTreeMap<&str, Total>, whole: u64) {
    if totals.is_empty() {
        return;
    }
    let mut rows: Vec<_> = totals.iter().collect();
    rows.sort_by_key(|(name, total)| (std::cmp::Reverse(total.ns), **name));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(what.len());
    let _ = writeln!(text, "\n{what:width$}     count         ms   of the time run   ns each");
    for (name, Total { count, ns }) in rows {
        let (ms, share) = (milliseconds(*ns), percent(*ns, whole));
        let _ = writeln!(
            text,
            "{name:width$}{count:10}{ms:11.3}{share:16.1} %{:10}",
            ns / (*count).max(1)
        );
    }
}

fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::super::spans::tests::trace;
    use super::*;

    #[test]
    fn time_is_summed_up() {
        let spans = Spans::of(&trace());
        let (hypercalls, traps) = by_name(&spans);
        assert_eq!(hypercalls["event_channel_op send"], Total { count: 1, ns: 40 });
        assert_eq!(traps["#PF"], Total { count: 1, ns: 20 });
        let text = text(&spans);
        for part in ["on 2 CPUs", "domain 0", "  d0v1", "event_channel_op send", "#PF"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
