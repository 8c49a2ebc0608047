//! What a bench guest prints, and the table made of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::xen;

/// One row as a guest measured it, in TSC ticks per operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stat {
    /// Smallest of the batches.
    pub min: f64,
    /// Middle one.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

/// One run of a bench guest.
#[derive(Debug, Default, Serialize)]
pub struct Measured {
    /// Rows by name.
    pub rows: BTreeMap<String, Stat>,
    /// Names in the order they came.
    #[serde(skip)]
    order: Vec<String>,
    /// Why there is no number, of rows that Xen has one of.
    pub missing: BTreeMap<String, String>,
    /// `FAIL name rc` lines.
    pub failed: Vec<String>,
    /// `SKIP name why` lines.
    pub skipped: Vec<String>,
    /// Whether `BENCH-DONE` came.
    pub complete: bool,
}

impl Measured {
    /// Looks at a line of the console.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        let mut words = line.split_whitespace();
        let Some(kind) = words.next() else { return };
        let rest = line[kind.len()..].trim().to_string();
        match kind {
            "BENCH" | "STAT" => {
                let Some(name) = words.next() else { return };
                let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
                if !self.rows.contains_key(name) {
                    self.order.push(name.to_string());
                }
                let stat = self.rows.entry(name.to_string()).or_default();
                match numbers[..] {
                    [min, median, max, ..] => *stat = Stat { min, median, max },
                    [min] => *stat = Stat { min, median: min, max: min },
                    _ => {}
                }
            }
            "FAIL" => {
                self.lacks(&rest);
                self.failed.push(rest);
            }
            "SKIP" => {
                self.lacks(&rest);
                self.skipped.push(rest);
            }
            "BENCH-DONE" => self.complete = true,
            _ => {}
        }
    }

    /// A row that could not be measured, if it is one: `name why`.
    fn lacks(&mut self, line: &str) {
        let (name, why) = line.split_once(' ').unwrap_or((line, ""));
        if xen::recorded(name).is_some() {
            if !self.rows.contains_key(name) && !self.missing.contains_key(name) {
                self.order.push(name.to_string());
            }
            self.missing.insert(name.to_string(), why.to_string());
        }
    }

    fn min(&self, name: &str) -> Option<f64> {
        self.rows.get(name).map(|stat| stat.min)
    }

    /// The rows in the order they came.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, Stat)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), *self.rows.get(name)?)))
    }
}

/// Everything that one `bench` measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Ferrule, in instructions.
    pub instructions: Measured,
    /// Ferrule, in host ticks.
    pub ticks: Option<Measured>,
    /// The Xen that was given, in instructions.
    pub xen_instructions: Option<Measured>,
    /// The Xen that was given, in host ticks.
    pub xen_ticks: Option<Measured>,
}

impl Report {
    /// A table for a person.
    pub fn table(&self) -> String {
        let mut rows = vec![self.head()];
        for name in &self.instructions.order {
            rows.push(self.row(name));
        }
        aligned(&rows)
    }

    fn head(&self) -> Vec<String> {
        let mut head = vec!["instructions per operation", "ferrule", "xen rec.", "ratio", ""];
        if self.xen_instructions.is_some() {
            head.extend(["xen here", "ratio"]);
        }
        if self.ticks.is_some() {
            head.push("ticks");
        }
        if self.xen_ticks.is_some() {
            head.extend(["xen ticks", "ratio"]);
        }
        head.into_iter().map(str::to_string).collect()
    }

    fn row(&self, name: &str) -> Vec<String> {
        let ours = self.instructions.min(name);
        let recorded = xen::recorded(name);
        let theirs = recorded.map(|row| row.instructions);
        let mark = match (recorded, ratio(ours, theirs)) {
            (Some(row), Some(ratio)) if row.goal => {
                if ratio <= 0.5 {
                    "goal"
                } else {
                    "over"
                }
            }
            _ => "",
        };
        let mut row = vec![
            name.to_string(),
            number(ours),
            number(theirs),
            percent(ours, theirs),
            self.instructions.missing.get(name).map_or(mark.into(), |why| format!("not: {why}")),
        ];
        if let Some(xen) = &self.xen_instructions {
            row.extend([number(xen.min(name)), percent(ours, xen.min(name))]);
        }
        let ticks = self.ticks.as_ref().map(|ticks| ticks.min(name));
        if let Some(ticks) = ticks {
            row.push(number(ticks));
        }
        if let Some(xen) = &self.xen_ticks {
            row.extend([number(xen.min(name)), percent(ticks.flatten(), xen.min(name))]);
        }
        row
    }

    /// How many of the rows with a goal meet it.
    pub fn goals(&self) -> (usize, usize) {
        let goals: Vec<_> = xen::RECORDED.iter().filter(|row| row.goal).collect();
        let met = goals.iter().filter(|row| {
            ratio(self.instructions.min(row.name), Some(row.instructions))
                .is_some_and(|ratio| ratio <= 0.5)
        });
        (met.count(), goals.len())
    }
}

/// Rows of cells of one number, the first of a row to the left and the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(line, "{cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Ours as a share of theirs, if there are both.
pub fn ratio(ours: Option<f64>, theirs: Option<f64>) -> Option<f64> {
    Some(ours? / theirs.filter(|value| *value > 0.0)?)
}

/// The same for a table.
pub fn percent(ours: Option<f64>, theirs: Option<f64>) -> String {
    ratio(ours, theirs).map_or("-".into(), |ratio| format!("{ratio:.2}"))
}

/// A number for a table.
pub fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.0}"))
}

/// What a guest measured that has printed this.
#[cfg(test)]
pub fn measured(log: &str) -> Measured {
    let mut measured = Measured::default();
    log.lines().for_each(|line| measured.line(line));
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "(FR) [0.1] Ferrule\nINFO tsc=1\nBENCH hypercall_xen_version 100.50\n\
        STAT hypercall_xen_version 100.50 101.00 250.00 n=1000\nBENCH stack_switch 296.00\r\n\
        FAIL loopback_evtchn -38\nSKIP vcpu1 no second vCPU\nFAIL grant_copy_4k -38\n\
        BENCH own_row 7.00\nBENCH-DONE\n";

    #[test]
    fn lines_are_read() {
        let measured = measured(LOG);
        let stat = Stat { min: 100.5, median: 101.0, max: 250.0 };
        assert_eq!(measured.rows["hypercall_xen_version"], stat);
        let order = ["hypercall_xen_version", "stack_switch", "grant_copy_4k", "own_row"];
        assert_eq!(measured.order, order);
        assert_eq!(measured.failed, ["loopback_evtchn -38", "grant_copy_4k -38"]);
        assert_eq!(measured.skipped, ["vcpu1 no second vCPU"]);
        assert!(measured.complete);
    }

    #[test]
    fn the_table_compares() {
        let report = Report { instructions: measured(LOG), ..Report::default() };
        let table = report.table();
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<_> = row("hypercall_xen_version").split_whitespace().collect();
        assert_eq!(words, ["hypercall_xen_version", "100", "319", "0.32", "goal"]);
        assert!(row("stack_switch").ends_with("over"));
        assert!(row("own_row").contains("7"));
        let words: Vec<_> = row("grant_copy_4k").split_whitespace().collect();
        assert_eq!(words, ["grant_copy_4k", "-", "2375", "-", "not:", "-38"]);
        assert_eq!(report.goals().0, 1);
        let full = Report {
            ticks: Some(measured(LOG)),
            xen_instructions: Some(measured(LOG)),
            xen_ticks: Some(measured(LOG)),
            ..report
        };
        assert_eq!(full.head().len(), full.row("own_row").len());
        assert!(full.table().contains("1.00"));
    }
}
