//! Reads `pv-abi`'s sources for what the manifest cannot know of.

use pv_abi::manifest::TABLES;
use std::fs;
use std::path::{Path, PathBuf};

/// Public items that are declared without the macros, and why they may be.
const BY_HAND: &[(&str, &str, &str)] = &[
    ("manifest.rs", "enum Width", "the table itself"),
    ("manifest.rs", "struct Table", "the table itself"),
    ("manifest.rs", "struct Constant", "the table itself"),
    ("manifest.rs", "struct Layout", "the table itself"),
    ("manifest.rs", "struct Field", "the table itself"),
    ("manifest.rs", "const TABLES", "the table itself"),
    ("declare.rs", "const $name", "the macro `constants`"),
    ("declare.rs", "struct $name", "the macro `layouts`"),
    ("errno.rs", "struct Errno", "an integer; numbers come from the macro `errnos`"),
    ("errno.rs", "const $name", "the macro `errnos`"),
    ("cpuid.rs", "const EMULATE_PREFIX", "bytes; compared in rows.rs"),
    ("hypercall.rs", "const PAGE_SLOT_BYTES", "the headers say it in a comment only"),
    ("io/protocols.rs", "const XEN_IO_PROTO_ABI_X86_32", "a string; compared in rows.rs"),
    ("io/protocols.rs", "const XEN_IO_PROTO_ABI_X86_64", "a string; compared in rows.rs"),
    ("io/xs_wire.rs", "const XS_WRITE_NONE", "a string; compared in rows.rs"),
    ("io/xs_wire.rs", "const XS_WRITE_CREATE", "a string; compared in rows.rs"),
    ("io/xs_wire.rs", "const XS_WRITE_CREATE_EXCL", "a string; compared in rows.rs"),
    ("commands.rs", "struct Family", "which of the numbers are commands"),
    ("commands.rs", "const FAMILIES", "which of the numbers are commands"),
    ("memory.rs", "struct E820Entry", "the header refers to the BIOS"),
    ("memory.rs", "const E820_RAM", "the BIOS's, by the ACPI specification"),
    ("memory.rs", "const E820_RESERVED", "the BIOS's, by the ACPI specification"),
    ("memory.rs", "const E820_ACPI", "the BIOS's, by the ACPI specification"),
    ("memory.rs", "const E820_NVS", "the BIOS's, by the ACPI specification"),
    ("memory.rs", "const E820_UNUSABLE", "the BIOS's, by the ACPI specification"),
    ("types.rs", "struct $name", "newtypes of integers; sizes are compared in rows.rs"),
    ("types.rs", "struct U64A4", "compared as x86_32::U64 in rows.rs"),
    ("types.rs", "const SELF", "made of DOMID_SELF"),
    ("types.rs", "const IO", "made of DOMID_IO"),
    ("types.rs", "const XEN", "made of DOMID_XEN"),
    ("types.rs", "const INVALID", "made of DOMID_INVALID"),
    ("x86_32.rs", "type ULong", "compared in rows.rs"),
    ("x86_32.rs", "type Handle", "compared in rows.rs"),
    ("x86_32.rs", "type U64", "compared in rows.rs"),
    ("x86_64.rs", "type ULong", "compared in rows.rs"),
    ("x86_64.rs", "type Handle", "compared in rows.rs"),
    ("x86_64.rs", "type U64", "compared in rows.rs"),
    ("x86_64/registers.rs", "type Callback", "compared in rows.rs"),
];

/// Public constants and types that neither a macro declares nor [`BY_HAND`]
/// knows, and entries of that list which are out of date.
pub fn undeclared() -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        if file == "vectors.rs" {
            continue; // The processor's, not Xen's; the module says so.
        }
        for line in text.lines() {
            if let Some(item) = public_item(line) {
                found.push((file.clone(), item));
            }
        }
    }
    let known = |file: &str, item: &str| BY_HAND.iter().any(|k| (k.0, k.1) == (file, item));
    let unknown = found
        .iter()
        .filter(|(file, item)| !known(file, item))
        .map(|(file, item)| format!("{file}: `pub {item}`: use `constants!` or `layouts!`"));
    let stale = BY_HAND
        .iter()
        .filter(|known| !found.iter().any(|(file, item)| (known.0, known.1) == (file, item)))
        .map(|known| format!("{}: `pub {}` is listed here but gone", known.0, known.1));
    unknown.chain(stale).collect()
}

/// `const NAME` and the like, if the line begins a public item with a value or
/// a layout. Methods and modules are neither.
fn public_item(line: &str) -> Option<String> {
    let words = line.trim().strip_prefix("pub ")?;
    let mut words = words.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    let kind = words.next()?;
    let name = words.find(|word| !word.is_empty())?;
    let kinds = ["const", "static", "struct", "enum", "union", "type"];
    (kinds.contains(&kind) && name != "fn").then(|| format!("{kind} {name}"))
}

/// Modules whose source declares something and which the tables do not have.
pub fn unlisted() -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        let stem = file.trim_end_matches(".rs").replace('/', "::");
        let modules = match stem.strip_prefix("layout::") {
            Some(name) => vec![format!("x86_32::{name}"), format!("x86_64::{name}")],
            None => vec![stem],
        };
        let constants = uses(&text, "constants!") || uses(&text, "errnos!");
        let layouts = uses(&text, "layouts!");
        for module in modules {
            let tables: Vec<_> = TABLES.iter().filter(|table| table.module == module).collect();
            if constants && tables.iter().all(|table| table.constants.is_empty()) {
                faults.push(format!("the constants of {module}"));
            }
            if layouts && tables.iter().all(|table| table.layouts.is_empty()) {
                faults.push(format!("the layouts of {module}"));
            }
        }
    }
    faults
}

/// Whether a line of the source begins with the macro's use.
fn uses(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.starts_with(name))
}

/// Path within `src` and text of every source file.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pv-abi/src");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("pv-abi's sources are beside this package");
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("it is below the root");
                let name = name.to_str().expect("an ASCII name").to_owned();
                files.push((name, fs::read_to_string(&path).expect("a readable source")));
            }
        }
    }
    assert!(files.len() > 10, "pv-abi's sources are in {}", root.display());
    files.sort();
    files
}
