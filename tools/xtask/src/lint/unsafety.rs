//! The unsafe budget: how much of it there is, where, and why.
//!
//! `unsafe_code` is denied in the workspace; a module opts in with
//! `#![allow(unsafe_code)]` and must say why in an `// UNSAFETY:` comment beside
//! it. The compiler does not count naked functions as unsafe code, so they
//! are found here. The counts are printed, so that growth is seen in review.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};

use super::source::{self, SourceFile};
use crate::workspace::Workspace;

/// What one file holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    blocks: usize,
    functions: usize,
    naked: usize,
    reason: Option<String>,
    opted_in: bool,
}

/// Counts, reports, and fails where a module gives no reason.
pub fn check(ws: &Workspace) -> Result<String> {
    let mut report = String::new();
    let mut wrong = String::new();
    let mut totals = BTreeMap::<String, [usize; 4]>::new();
    for file in source::rust_files(ws.root())? {
        let count = count(&file);
        if count.blocks + count.functions + count.naked == 0 && !count.opted_in {
            continue;
        }
        let part = file.path.split("/src/").next().unwrap_or(&file.path).to_string();
        for name in [part, "all".to_string()] {
            let total = totals.entry(name).or_default();
            let one = [count.blocks, count.functions, count.naked, 1];
            total.iter_mut().zip(one).for_each(|(sum, more)| *sum += more);
        }
        match &count.reason {
            Some(reason) => writeln!(
                report,
                "      {:3} blocks {:3} fns {:2} naked  {}: {}",
                count.blocks, count.functions, count.naked, file.path, reason
            )?,
            None => writeln!(wrong, "  {}: unsafe code without an UNSAFETY: comment", file.path)?,
        }
    }
    if !wrong.is_empty() {
        bail!("{wrong}say why the module needs it: #![allow(unsafe_code)] // UNSAFETY: because …");
    }
    for (name, [blocks, functions, naked, modules]) in totals {
        writeln!(
            report,
            "      {blocks:3} blocks {functions:3} fns {naked:2} naked  in {modules} modules: {name}"
        )?;
    }
    Ok(report)
}

fn count(file: &SourceFile) -> Count {
    let code = source::code_only(&file.text);
    let words: Vec<&str> = code
        .split(|c: char| c.is_whitespace() || "(){}[]#!,;".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let naked = code.matches("unsafe(naked)").count();
    let attributes = code.matches("unsafe(").count();
    let functions = words
        .windows(2)
        .filter(|pair| pair[0] == "unsafe" && matches!(pair[1], "fn" | "impl" | "extern" | "trait"))
        .count();
    let all = words.iter().filter(|word| **word == "unsafe").count();
    let reason =
        file.text.lines().zip(file.text.lines().skip(1).chain([""])).find_map(|(line, next)| {
            let (_, reason) = line.split_once("// UNSAFETY:")?;
            let more = next.trim().strip_prefix("// ").filter(|_| !reason.trim().ends_with('.'));
            Some(format!("{} {}", reason.trim(), more.unwrap_or("")).trim().to_string())
        });
    Count {
        blocks: all.saturating_sub(functions + attributes),
        functions,
        naked,
        reason,
        opted_in: code.contains("allow(unsafe_code)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Count {
        count(&SourceFile { path: "x.rs".into(), text: text.into() })
    }

    #[test]
    fn every_form_is_found() {
        let text = "//! Not unsafe.\n#![allow(unsafe_code)] // UNSAFETY: ports are\n// like that.\n\
            unsafe extern \"C\" { fn f(); }\nunsafe impl Send for X {}\n#[unsafe(naked)]\nfn n() {}\n\
            #[unsafe(no_mangle)]\nfn m() { unsafe { f() }; let x = unsafe{ f() }; }\n\
            unsafe fn g() {}\n";
        let count = counted(text);
        assert_eq!((count.blocks, count.functions, count.naked), (2, 3, 1));
        assert_eq!(count.reason.as_deref(), Some("ports are like that."));
        assert!(count.opted_in);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_code() {
        let count = counted("// unsafe { }\nlet x = \"unsafe fn\";\nunsafe_op();\n");
        assert_eq!(count, Count::default());
    }
}
