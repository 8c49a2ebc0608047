//! The direction of imports inside the hypervisor, and of crates.
//!
//! `guest` and `mm` lie below `evtchn`, `grant`, `sched`, `domain`, `time`; those lie
//! below `trap` and `hypercall`; nothing but `main.rs` names `arch` (which implements
//! `platform` from above). A handler takes its arguments as `hypercall::Args`, and
//! a vCPU stores what its guest registered with `trap`: these named types may be
//! used from below. Tests may name anything.

use std::fs;

use anyhow::{Context, Result, bail};

use super::source;
use crate::workspace::Workspace;

/// Modules in layers, lowest first. What is not listed is bound only by the rule on `arch`.
const LAYERS: &[&[&str]] = &[
    &["error", "lock", "platform", "width"],
    &["guest", "mm", "machine"],
    &["domain", "evtchn", "grant", "sched", "system", "time", "trace"],
    &["hypercall", "trap"],
];

/// (module, path it may name although that lies above, why)
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("*", "hypercall::Args", "how a handler takes its arguments"),
    ("*", "hypercall::target", "how a handler finds the domain an argument names"),
    ("domain", "trap::Callbacks", "what a vCPU's guest registered"),
    ("domain", "trap::Nmi", "whether a vCPU is in its guest's handler"),
    ("domain", "trap::Target", "what a vCPU's guest registered"),
    ("domain", "trap::Trap", "what a vCPU's guest registered"),
    ("domain", "trap::TrapTable", "what a vCPU's guest registered"),
    ("domain", "trap::control", "which bits of CR4 a vCPU's guest decides"),
    ("domain", "trap::debug_registers", "which values a vCPU's debug registers may have"),
    ("guest", "domain", "the context of a call holds the calling vCPU"),
    ("guest", "system", "the context of a call holds the system"),
    ("mm", "domain", "frames are owned by domains"),
    ("mm", "system", "the context of a call holds the system"),
];

/// (crate, crates that it must never depend on)
const CRATES: &[(&str, &[&str])] = &[
    ("pv-abi", &["hypervisor", "guest-kernel", "xenbus", "xenstore"]),
    ("hypervisor", &["guest-kernel", "xenbus", "xenstore", "pv-tests", "pv-guests"]),
    ("guest-kernel", &["hypervisor", "pv-tests", "pv-guests"]),
    ("guest-kernel/ring1", &["hypervisor", "guest-kernel", "xenbus", "xenstore"]),
    ("xenstore", &["hypervisor", "guest-kernel", "xenbus", "pv-tests", "pv-guests"]),
    ("guest-kernel/programs", &["hypervisor", "guest-kernel", "pv-abi"]),
    ("tests/guests", &["hypervisor", "guest-kernel"]),
];

/// Fails with every import that points the wrong way.
pub fn check(ws: &Workspace) -> Result<String> {
    let mut wrong = Vec::new();
    let sources = ws.join("hypervisor/src");
    for file in source::rust_files(&sources)? {
        if file.path == "main.rs" || file.path.ends_with("tests.rs") {
            continue;
        }
        let code = source::code_only(&file.text);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or(&code);
        for (line, path) in named_paths(code) {
            if let Some(rule) = breach(module_of(&file.path), &path) {
                wrong.push(format!(
                    "  hypervisor/src/{}:{line}: names crate::{path}: {rule}",
                    file.path
                ));
            }
        }
    }
    for (name, forbidden) in CRATES {
        let manifest = ws.join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        for dependency in dependencies(&text) {
            if forbidden.contains(&dependency.as_str()) {
                wrong.push(format!("  {name}/Cargo.toml: must not depend on {dependency}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(String::new())
}

/// The top-level module that a file belongs to.
fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Why `module` must not name `path`, if so.
fn breach(module: &str, path: &str) -> Option<String> {
    let target = path.split("::").next().unwrap_or(path);
    if target == "arch" && module != "arch" {
        return Some("only main.rs names arch".into());
    }
    let layer = |name| LAYERS.iter().position(|layer| layer.contains(&name));
    let (from, to) = (layer(module)?, layer(target)?);
    let excepted = EXCEPTIONS.iter().any(|(who, what, _)| {
        let named = path == *what || path.starts_with(&format!("{what}::"));
        (*who == "*" || *who == module) && named
    });
    (to > from && !excepted).then(|| format!("{target} lies above {module}"))
}

/// Every `crate::` path in the code with its line, groups in braces taken apart.
fn named_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let mut paths = Vec::new();
        expand("", &code[at + "crate::".len()..], &mut paths);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Reads one path, or a group `{a::b, c}`, at the start of `text`; returns the rest.
fn expand<'a>(prefix: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut inside) = text.strip_prefix('{') {
        loop {
            inside = expand(prefix, inside, paths).trim_start();
            if let Some(alias) = inside.strip_prefix("as ") {
                let end = alias.find([',', '}']).unwrap_or(alias.len());
                inside = &alias[end..];
            }
            match inside.chars().next() {
                Some(',') => inside = inside[1..].trim_start(),
                Some('}') => return &inside[1..],
                _ => return inside,
            }
            if let Some(rest) = inside.strip_prefix('}') {
                return rest;
            }
        }
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let path = match (prefix, &text[..end]) {
        (_, "self" | "") => prefix.to_string(),
        ("", name) => name.to_string(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    match text[end..].strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => expand(&path, rest, paths),
        _ => {
            if !path.is_empty() {
                paths.push(path);
            }
            &text[end..]
        }
    }
}

/// The names below a manifest's dependency tables.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or("");
            if !name.is_empty() {
                found.push(name.trim_matches('"').to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let code =
            "use crate::{a::{b, c::D}, e as f, g::*};\nlet x = crate::h::i::<u8>();\nuse crate::j;";
        let names: Vec<_> = named_paths(code);
        let expected = [(1, "a::b"), (1, "a::c::D"), (1, "e"), (1, "g"), (2, "h::i"), (3, "j")];
        let expected: Vec<_> = expected.map(|(line, path)| (line, path.to_string())).into();
        assert_eq!(names, expected);
    }

    #[test]
    fn imports_point_down() {
        assert!(breach("hypercall", "mm::types").is_none());
        assert!(breach("sched", "mm").is_none());
        assert!(breach("mm", "sched::yield_now").is_some());
        assert!(breach("mm", "hypercall::dispatch").is_some());
        assert!(breach("mm", "hypercall::Args").is_none());
        assert!(breach("evtchn", "trap").is_some());
        assert!(breach("sched", "arch::x86_64::cpu").unwrap().contains("only main.rs"));
        assert!(breach("arch", "arch::x86_64").is_none());
        assert!(breach("cmdline", "hypercall").is_none());
    }

    #[test]
    fn dependencies_are_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\npv-abi.workspace = true\n# no\n\
            spin = \"1\"\n[target.'cfg(x)'.dependencies]\nx86_64 = { version = \"1\" }\n[features]\na = []\n";
        assert_eq!(dependencies(manifest), ["pv-abi", "spin", "x86_64"]);
    }
}
