//! ARCHITECTURE.md names files and functions, hop by hop: they must be there.

use std::path::Path;

/// Pairs of a file and the function that a row of a table says is in it.
fn hops(text: &str) -> Vec<(String, String)> {
    let code = |cell: &str| cell.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    text.lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [_, file, function] = cells.as_slice() else { return None };
            Some((code(file)?, code(function)?))
        })
        .collect()
}

/// Every path in backticks that looks like a source file of the project.
fn files(text: &str) -> Vec<&str> {
    text.split('`').filter(|word| word.ends_with(".rs") && word.contains('/')).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the project")
}

fn architecture() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there")
}

#[test]
fn every_hop_names_a_function_of_its_file() {
    let text = architecture();
    let hops = hops(&text);
    assert!(hops.len() > 12, "the tables were not understood");
    for (file, function) in hops {
        let source = std::fs::read_to_string(root().join(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let defined = [format!("fn {function}"), format!("\n{function}:")];
        assert!(
            defined.iter().any(|d| source.contains(d.as_str())),
            "{file} has no {function}; ARCHITECTURE.md says so"
        );
    }
}

#[test]
fn every_named_file_exists() {
    let text = architecture();
    for file in files(&text) {
        assert!(root().join(file).exists(), "ARCHITECTURE.md names {file}, which is not there");
    }
}

#[test]
fn a_missing_function_would_be_seen() {
    let found = hops("| a step | `hypervisor/src/exit.rs` | `no_such_function` |");
    assert_eq!(found, [("hypervisor/src/exit.rs".into(), "no_such_function".into())]);
}
