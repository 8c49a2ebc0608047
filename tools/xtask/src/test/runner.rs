//! Tests as values, and running them: in order, neighbours that may in parallel.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use super::Group;
use crate::addresses::Functions;

/// Emulators that run at the same time.
const PARALLEL: usize = 2;

/// One test.
pub struct Test<'a> {
    /// What it is about.
    pub group: Group,
    /// Its name within the group.
    pub name: String,
    parallel: bool,
    run: Box<dyn Fn() -> Ended + Send + Sync + 'a>,
}

impl<'a> Test<'a> {
    /// A test that runs alone.
    pub fn new(group: Group, name: &str, run: impl Fn() -> Ended + Send + Sync + 'a) -> Self {
        Self { group, name: name.into(), parallel: false, run: Box::new(run) }
    }

    /// It may run beside others of its kind.
    pub fn parallel(self) -> Self {
        Self { parallel: true, ..self }
    }

    /// Group and name.
    pub fn title(&self) -> String {
        let group = self.group.to_possible_value();
        format!("{:7}{}", group.map_or(String::new(), |group| group.get_name().into()), self.name)
    }
}

/// How a test ended: most count as one, Cargo's as many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that could not say anything here.
    pub skipped: usize,
    /// Why it failed or was skipped.
    pub why: String,
    log: Vec<String>,
}

impl Ended {
    /// One test passed.
    pub fn passed() -> Self {
        Self::counted(1, 0, 0)
    }

    /// Many tests at once.
    pub fn counted(passed: usize, failed: usize, skipped: usize) -> Self {
        Self { passed, failed, skipped, ..Self::default() }
    }

    /// One test failed.
    pub fn failed(why: String) -> Self {
        Self { failed: 1, why, ..Self::default() }
    }

    /// One test was skipped.
    pub fn skipped(why: String) -> Self {
        Self { skipped: 1, why, ..Self::default() }
    }

    /// What a check's result says.
    pub fn of(done: Result<String>) -> Self {
        match done {
            Ok(_) => Self::passed(),
            Err(error) => Self::failed(format!("{error:#}")),
        }
    }

    /// With the last lines of a console or a compiler, shown if it failed.
    pub fn with_log(self, log: &[String]) -> Self {
        Self { log: log.to_vec(), ..self }
    }

    /// With names beside the addresses of a crashed guest's backtrace.
    pub fn with_names_from(mut self, linked: &Path) -> Self {
        let mut functions = Functions::default();
        if self.failed > 0 && functions.add(linked).is_ok() {
            self.log = self.log.iter().map(|line| functions.annotate(line)).collect();
        }
        self
    }
}

/// Runs tests in order; neighbours that may run in parallel do.
pub fn run_all(tests: &[Test<'_>]) -> Ended {
    let totals = Mutex::new(Ended::default());
    let done = AtomicUsize::new(0);
    let one = |test: &Test<'_>| {
        show_running(&test.title(), done.load(Ordering::Relaxed), tests.len());
        let began = Instant::now();
        let ended = (test.run)();
        done.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut totals) = totals.lock() {
            show(&test.title(), &ended, began.elapsed().as_secs_f32());
            totals.passed += ended.passed;
            totals.failed += ended.failed;
            totals.skipped += ended.skipped;
        }
    };
    for neighbours in tests.chunk_by(|a, b| a.parallel && b.parallel) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..PARALLEL.min(neighbours.len()) {
                scope.spawn(|| {
                    while let Some(test) = neighbours.get(next.fetch_add(1, Ordering::Relaxed)) {
                        one(test);
                    }
                });
            }
        });
    }
    totals.into_inner().unwrap_or_default()
}

/// On a terminal, a line that the next result overwrites.
fn show_running(title: &str, done: usize, all: usize) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K[{done}/{all}] {title} …");
        let _ = io::stderr().flush();
    }
}

fn show(title: &str, ended: &Ended, seconds: f32) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    let (word, text) = match ended {
        Ended { failed: 1.., .. } => ("FAIL", ended.why.as_str()),
        Ended { passed: 0, skipped: 1.., .. } => ("skip", ended.why.as_str()),
        _ => ("ok", ""),
    };
    let many = ended.passed + ended.failed + ended.skipped;
    let count = if many > 1 { format!("  {}/{many} passed", ended.passed) } else { String::new() };
    println!("{word:5} {title:40} {seconds:6.1} s{count}");
    for line in text.lines() {
        println!("      {line}");
    }
    if ended.failed > 0 {
        ended.log.iter().for_each(|line| println!("      | {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_runs_once_and_counts() {
        let ran = AtomicUsize::new(0);
        let test = |name: &str, ended: Ended| {
            let ran = &ran;
            Test::new(Group::Guests, name, move || {
                ran.fetch_add(1, Ordering::Relaxed);
                ended.clone()
            })
        };
        let tests = vec![
            test("alone", Ended::counted(5, 0, 1)),
            test("a", Ended::passed()).parallel(),
            test("b", Ended::failed("because".into())).parallel(),
            test("c", Ended::skipped("not here".into())).parallel(),
        ];
        let totals = run_all(&tests);
        assert_eq!(ran.load(Ordering::Relaxed), 4);
        assert_eq!((totals.passed, totals.failed, totals.skipped), (6, 1, 2));
    }
}
