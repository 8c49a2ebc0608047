//! `XSA.md` names tests: they must be there.

use std::path::{Path, PathBuf};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(here().join("XSA.md")).expect("XSA.md is there")
}

/// Words in backticks, in rows of tables.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// What a name stands for: the file it must be in, and the function.
fn place(name: &str) -> Option<(PathBuf, Option<&str>)> {
    if let Some(guest) = name.strip_prefix("guest/") {
        return Some((here().join(format!("guests/src/bin/{guest}.rs")), None));
    }
    if let Some(model) = name.strip_prefix("loom/") {
        return Some((here().join(format!("loom/tests/{model}.rs")), None));
    }
    let (file, function) = name.split_once("::")?;
    Some((here().join(format!("tests/{file}.rs")), Some(function)))
}

/// What is wrong with a name.
fn missing(name: &str) -> Option<String> {
    let (path, function) = place(name)?;
    let Ok(source) = std::fs::read_to_string(&path) else {
        return Some(format!("{name}: {} is not there", path.display()));
    };
    let function = function?;
    let found = source.contains(&format!("fn {function}("));
    (!found).then(|| format!("{name}: {} has no such test", path.display()))
}

#[test]
fn every_named_test_exists() {
    let text = page();
    let wrong: Vec<String> = named(&text).filter_map(missing).collect();
    assert!(wrong.is_empty(), "XSA.md names what is not there:\n{}", wrong.join("\n"));
    assert!(
        named(&text).filter(|name| place(name).is_some()).count() > 80,
        "it was not understood"
    );
}

#[test]
fn every_test_of_an_advisory_is_named() {
    let text = page();
    let mut forgotten = Vec::new();
    let folders = [here().join("tests"), here().join("tests/grant")];
    for file in folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("it is there")) {
        let path = file.expect("it can be listed").path();
        let Ok(source) = std::fs::read_to_string(&path) else { continue };
        for rest in source.split("fn xsa_").skip(1) {
            let name = format!("xsa_{}", rest.split('(').next().unwrap_or_default());
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if is_name && !text.contains(&name) {
                forgotten.push(name);
            }
        }
    }
    assert!(forgotten.is_empty(), "XSA.md does not name {forgotten:?}");
}

#[test]
fn a_missing_test_would_be_seen() {
    assert!(missing("advisories::no_such_test").is_some());
    assert!(missing("no_such_file::test").is_some());
    assert!(missing("guest/no-such-guest").is_some());
    assert!(missing("advisories::every_named_test_exists").is_none());
}
