//! `bench-store`: how fast XenStore's server answers, with few domains connected and with many.
//!
//! The measuring program is `xenstore/benches/server.rs`, compiled with optimization. What counts
//! beside the speed is the last column: the server's work does not grow with the number of domains,
//! but one domain's connection stays in the cache, and a thousand do not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use serde::Deserialize;

use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// What `bench-store` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Nodes in the store
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    nodes: u32,
    /// Domains that are connected, one run for each number
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,1000")]
    domains: Vec<u16>,
    /// Seconds for each operation
    #[arg(long, value_name = "S", default_value_t = 1)]
    seconds: u32,
    /// Also write everything as JSON (`-` for standard output instead of the table)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Report {
    nodes: u64,
    runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    domains: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    per_second: f64,
    p50_ns: u64,
    p99_ns: u64,
}

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    let json = measure(args, &ws, &toolchain)?;
    let report: Report = serde_json::from_str(&json).context("what the bench printed")?;
    match &args.json {
        Some(path) if path == Path::new("-") => print!("{json}"),
        other => {
            if let Some(path) = other {
                fs::write(path, &json)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            print!("{}", table(&report));
        }
    }
    Ok(())
}

fn measure(args: &Args, ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["run", "--quiet", "--release", "--package", "xenstore"]);
    command.args(["--bin", "store-bench", "--target-dir"]).arg(ws.target()).arg("--");
    command.args([args.nodes.to_string(), args.seconds.to_string()]);
    command.args(args.domains.iter().map(ToString::to_string));
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the bench failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A table for a person: a row an operation, a group of columns a run, and how much more time an
/// operation of the last run takes than one of the first.
fn table(report: &Report) -> String {
    let Some((first, last)) = report.runs.first().zip(report.runs.last()) else {
        return String::new();
    };
    let mut text = format!("{:22}", format!("{} nodes; domains", report.nodes));
    for run in &report.runs {
        text += &format!("{:>12}{:10}{:10}", run.domains, "", "");
    }
    text += &format!("\n{:22}", "");
    for _ in &report.runs {
        text += &format!("{:>12}{:>10}{:>10}", "a second", "p50", "p99");
    }
    text += &format!("{:>8}\n", "ratio");
    for (at, row) in first.rows.iter().enumerate() {
        text += &format!("{:22}", row.name);
        for row in report.runs.iter().filter_map(|run| run.rows.get(at)) {
            let (p50, p99) = (microseconds(row.p50_ns), microseconds(row.p99_ns));
            text += &format!("{:>12.0}{p50:>10}{p99:>10}", row.per_second);
        }
        // Of medians: what else the machine does shows in the means.
        let ratio = last.rows.get(at).map(|last| last.p50_ns as f64 / row.p50_ns as f64);
        text += &ratio.map_or(String::new(), |ratio| format!("{ratio:>8.2}"));
        text.push('\n');
    }
    text
}

fn microseconds(ns: u64) -> String {
    format!("{:.1} us", ns as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compares_first_and_last() {
        let json = r#"{"nodes":100,"runs":[
            {"domains":1,"rows":[{"name":"read","operations":2,"per_second":300,"p50_ns":1000,"p99_ns":2500}]},
            {"domains":9,"rows":[{"name":"read","operations":2,"per_second":200,"p50_ns":1500,"p99_ns":9900}]}
        ]}"#;
        let table = table(&serde_json::from_str(json).unwrap());
        let row: Vec<&str> = table.lines().nth(2).unwrap().split_whitespace().collect();
        let expected =
            ["read", "300", "1.0", "us", "2.5", "us", "200", "1.5", "us", "9.9", "us", "1.50"];
        assert_eq!(row, expected);
    }
}
