//! The table as Markdown.

use std::fmt::Write;

use hypervisor::support::WHOLE;
use pv_abi::commands;
use pv_abi::manifest::Constant;

use super::cover::Sources;
use super::{Status, probe, status};

/// Tests that a row names; of more it says how many.
const NAMED: usize = 2;

/// Makes the whole table. Words of the sources that are not true are an error.
pub fn make(sources: &Sources) -> Result<String, String> {
    let mut text = String::from("| hypercall, command | support | tests |\n|---|---|---|\n");
    let mut absent = Vec::new();
    for hypercall in commands::hypercalls() {
        let number = hypercall.value as u32;
        let name = hypercall.c.trim_start_matches("__HYPERVISOR_");
        let wrong = |error| format!("{name}: {error}");
        let mut rows = Vec::new();
        for family in commands::of(number) {
            for command in family.commands() {
                let answer = probe::command(*family, command.value as u32);
                rows.push((command, status(number, command.value as u32, answer).map_err(wrong)?));
            }
        }
        if rows.is_empty() {
            rows.push((hypercall, status(number, WHOLE, probe::whole(number)).map_err(wrong)?));
        }
        if rows.iter().all(|(_, status)| is_absent(status)) {
            absent.push(format!("**{name}**"));
        } else if let [(only, status)] = rows[..]
            && core::ptr::eq(only, hypercall)
        {
            text.push_str(&row(&format!("**{name}**"), hypercall, status, sources));
        } else {
            text.push_str(&commands(name, &rows, sources));
        }
    }
    let _ = writeln!(text, "| {} | refused: `ENOSYS` | |", absent.join(", "));
    Ok(text)
}

/// Whether there is nothing of a command, not even a reason.
fn is_absent(status: &Status) -> bool {
    matches!(status, Status::Refused(_, ""))
}

/// A row for each command that there is something of, and one for those that say `ENOSYS`.
fn commands(name: &str, rows: &[(&Constant, Status)], sources: &Sources) -> String {
    let there = rows.iter().filter(|(_, status)| !matches!(status, Status::Refused(..))).count();
    let mut text = format!("| **{name}** | {there} of {} commands | |\n", rows.len());
    for (command, status) in rows.iter().filter(|(_, status)| !is_absent(status)) {
        text.push_str(&row(&format!("`{}`", command.c), command, *status, sources));
    }
    let absent: Vec<_> = rows.iter().filter(|(_, status)| is_absent(status)).collect();
    let names: Vec<_> = absent.iter().map(|(command, _)| format!("`{}`", command.c)).collect();
    if !names.is_empty() {
        let _ = writeln!(text, "| {} | refused: `ENOSYS` | |", names.join(", "));
    }
    text
}

fn row(title: &str, constant: &Constant, status: Status, sources: &Sources) -> String {
    let support = match status {
        Status::Full => "full".to_owned(),
        Status::Partial(lacks) => format!("partial: {lacks}"),
        Status::Refused(errno, why) => format!("refused: `{errno:?}`, {why}"),
    };
    let tests = named(&sources.covering(constant.rust));
    format!("| {title} | {support} | {tests} |\n")
}

fn named(tests: &[String]) -> String {
    if tests.is_empty() {
        return "none".into();
    }
    let first: Vec<_> = tests.iter().take(NAMED).map(|test| format!("`{test}`")).collect();
    // No count of the others: it would make each new test anywhere a change of this table.
    if tests.len() > NAMED { format!("{}, others", first.join(", ")) } else { first.join(", ") }
}
