//! Tests that run on the host: Cargo's own, counted one by one.

use std::process::Command;

use super::Group;
use super::runner::{Ended, Test};
use crate::toolchain::{Toolchain, program_in_path};
use crate::workspace::Workspace;

/// Unit and integration tests, by nextest where it is installed.
pub fn tests<'a>(ws: &'a Workspace, toolchain: &'a Toolchain) -> Test<'a> {
    Test::new(Group::Host, "host-tests", move || {
        let mut command = toolchain.cargo();
        command.current_dir(ws.root());
        if program_in_path("cargo-nextest").is_some() {
            command.args(["nextest", "run", "--no-fail-fast", "--hide-progress-bar"]);
            command.args(["--status-level", "fail", "--final-status-level", "fail"]);
        } else {
            command.args(["test", "--quiet", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        }
        command.arg("--target-dir").arg(ws.target());
        count(&mut command)
    })
}

/// Examples in the documentation.
pub fn doc_tests<'a>(ws: &'a Workspace, toolchain: &'a Toolchain) -> Test<'a> {
    Test::new(Group::Host, "doc-tests", move || {
        let mut command = toolchain.cargo();
        command.current_dir(ws.root()).args(["test", "--doc", "--no-fail-fast", "--target-dir"]);
        command.arg(ws.target());
        count(&mut command)
    })
}

fn count(command: &mut Command) -> Ended {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Ended::failed(format!("cannot start cargo: {error}")),
    };
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let (passed, failed, skipped) = totals(&text);
    let mut ended = Ended::counted(passed, failed, skipped);
    if !output.status.success() {
        ended.failed = failed.max(1);
        let lines: Vec<_> = text.lines().map(str::to_string).collect();
        ended = ended.with_log(&lines[lines.len().saturating_sub(80)..]);
    }
    ended
}

/// Passed, failed and skipped in what libtest and nextest print.
fn totals(text: &str) -> (usize, usize, usize) {
    let mut sum = (0, 0, 0);
    for line in text.lines() {
        let line = line.trim();
        if !line.starts_with("test result: ") && !line.starts_with("Summary [") {
            continue;
        }
        let words: Vec<&str> =
            line.split([' ', ',', ';', ':']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<usize>() else { continue };
            match pair[1] {
                "passed" => sum.0 += number,
                "failed" => sum.1 += number,
                "ignored" | "skipped" => sum.2 += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_counted() {
        let libtest = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(totals(libtest), (4, 2, 1));
        let nextest =
            "     Summary [   0.120s] 83 tests run: 82 passed (1 slow), 1 failed, 5 skipped";
        assert_eq!(totals(nextest), (82, 1, 5));
        assert_eq!(totals("nothing"), (0, 0, 0));
    }
}
