//! The figures of versions that were recorded: `tests/figures/split.jsonl`, a line of JSON for each,
//! oldest first.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use crate::soak::split::Speed;
use crate::workspace::Workspace;

/// A row's figures: instructions for one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The row's name.
    pub name: String,
    /// What is done once.
    pub unit: String,
    /// Instructions of each side.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was measured of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The day of the version, and the version's name in git; none where that does not know.
    pub version: Option<String>,
    /// QEMU's version.
    pub qemu: (u32, u32),
    /// The rows.
    pub rows: Vec<Row>,
    /// How fast data goes, if it went.
    #[serde(default)]
    pub speed: Option<Speed>,
}

impl Record {
    /// The figures of a row.
    pub fn find(&self, name: &str) -> Option<Counts> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.counts)
    }
}

fn file(ws: &Workspace) -> PathBuf {
    ws.join("tests/figures/split.jsonl")
}

/// The version that was recorded last, if any was.
pub fn last(ws: &Workspace) -> Result<Option<Record>> {
    let path = file(ws);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let last = text.lines().next_back().map(serde_json::from_str).transpose();
    last.with_context(|| format!("the last line of {}", path.display()))
}

/// Adds a version.
pub fn add(ws: &Workspace, record: &Record) -> Result<()> {
    let path = file(ws);
    let line = serde_json::to_string(record)?;
    fs::create_dir_all(path.parent().context("a file is in a folder")?)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| writeln!(file, "{line}"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The version that the sources are of.
pub fn version(ws: &Workspace) -> Option<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").current_dir(ws.root()).args(words).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(said)
    };
    let day = git(&["show", "--no-patch", "--format=%cs"])?;
    Some(format!("{day} {}", git(&["describe", "--always", "--dirty"])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let counts = Counts { domu: 10.5, hypervisor: 20.0, domain0: 30.0, programs: 0.0 };
        let row = Row { name: "read".into(), unit: "block".into(), counts };
        let record = Record { version: None, qemu: (7, 2), rows: vec![row], speed: None };
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n') && line.contains(r#""domu":10.5"#), "{line}");
        let again: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.find("read"), Some(counts));
        assert_eq!(again.find("write"), None);
    }
}
