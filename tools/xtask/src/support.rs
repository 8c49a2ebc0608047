//! `support`: the table of hypercalls in ARCHITECTURE.md.
//!
//! A program of the host tests makes it, by asking the real dispatch; here it is put between
//! two marks, or compared with what stands there.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use clap::Args as ClapArgs;

use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- support: written by `cargo xtask support` -->\n";
const END: &str = "<!-- /support -->\n";

/// What `support` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// Change nothing; fail if the table is not what it should be
    #[arg(long)]
    check: bool,
}

/// Writes or checks the table.
pub fn run(args: &Args) -> Result<()> {
    let (ws, toolchain) = (Workspace::here(), Toolchain::find()?);
    if args.check {
        return check(&ws, &toolchain).map(|_| ());
    }
    let page = page(&ws)?;
    fs::write(ws.join(PAGE), with_table(&page, &table(&ws, &toolchain)?)?)?;
    println!("{}", ws.shown(&ws.join(PAGE)));
    Ok(())
}

/// Fails if the table is out of date.
pub fn check(ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let page = page(ws)?;
    let wanted = with_table(&page, &table(ws, toolchain)?)?;
    if let Some(line) = wanted.lines().find(|line| !page.lines().any(|old| old == *line)) {
        bail!("{PAGE} is out of date (`cargo xtask support` writes it anew); it lacks\n{line}");
    }
    ensure!(page == wanted, "{PAGE} is out of date: `cargo xtask support` writes it anew");
    Ok(String::new())
}

fn page(ws: &Workspace) -> Result<String> {
    fs::read_to_string(ws.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))
}

fn table(ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["run", "--quiet", "--package", "pv-tests"]);
    command.args(["--bin", "support-table", "--target-dir"]).arg(ws.target());
    let output = command.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the table cannot be made:\n{}", said.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// `page` with `table` between the marks.
fn with_table(page: &str, table: &str) -> Result<String> {
    let parts = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    let (before, after) = parts.with_context(|| format!("{PAGE} has no place for the table"))?;
    Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_between_the_marks() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let new = with_table(&page, "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\n| new |\n\n{END}after\n"));
        assert_eq!(with_table(&new, "| new |\n").unwrap(), new);
        assert!(with_table("no marks\n", "").is_err());
    }
}
