//! Reads the preprocessed headers for what `pv-abi` does not state.
//!
//! Comparing what is stated cannot find what was forgotten: a command that the
//! header has and we do not, or a member that sits in what we call padding. So
//! the macros, the tagged structures and the members that the headers define are
//! listed, and each must be stated, or be in [`super::omitted`] with a reason.

use super::compile::{Bits, HEADERS, preprocess};
use super::omitted::{MACROS, MEMBERS, STRUCTS};
use super::rows::by_hand;
use pv_abi::manifest::{TABLES, Table, Width};
use std::collections::{BTreeMap, BTreeSet};

/// A structure or union with a tag.
struct Structure {
    tag: String,
    members: Vec<Member>,
}

/// Names of the same bytes: one, or all that a nameless union within a structure
/// gives them.
type Member = Vec<String>;

/// Numbers that are neither stated nor omitted, and omissions out of date.
pub fn missing_macros() -> Vec<String> {
    let mut defined = BTreeSet::new();
    let mut stated = BTreeSet::new();
    for bits in [Bits::B32, Bits::B64] {
        defined.extend(macros(&preprocess(bits)));
        let constants = tables(bits).flat_map(|table| table.constants);
        stated.extend(constants.flat_map(|constant| identifiers(constant.c)));
        stated.extend(by_hand(bits).iter().flat_map(|row| identifiers(&row.c)));
    }
    unexplained("macro", &defined, &stated, MACROS)
}

/// Structures that are neither stated nor omitted, and omissions out of date.
pub fn missing_structs() -> Vec<String> {
    let mut defined = BTreeSet::new();
    let mut stated = BTreeSet::new();
    for bits in [Bits::B32, Bits::B64] {
        defined.extend(structures(&preprocess(bits)).into_iter().map(|s| s.tag));
        let layouts = tables(bits).flat_map(|table| table.layouts);
        stated.extend(layouts.filter_map(|layout| tag(layout.c)));
    }
    unexplained("struct", &defined, &stated, STRUCTS)
}

/// Members of stated structures that no field has in its paths.
pub fn missing_members() -> Vec<String> {
    let mut faults = BTreeSet::new();
    let mut used = BTreeSet::new();
    for bits in [Bits::B32, Bits::B64] {
        let structures = structures(&preprocess(bits));
        let by_tag: BTreeMap<_, _> = structures.iter().map(|s| (&s.tag, &s.members)).collect();
        for layout in tables(bits).flat_map(|table| table.layouts) {
            let Some(members) = tag(layout.c).and_then(|tag| by_tag.get(&tag).copied()) else {
                continue; // typedefs and members: named by path, compared by size.
            };
            let paths: Vec<_> = layout.fields.iter().flat_map(|field| field.c).collect();
            for member in members {
                let full = format!("{}.{}", layout.c, member.join("|"));
                let head = |path: &str| path.split('.').next().map(str::to_owned);
                if paths.iter().any(|path| head(path).is_some_and(|h| member.contains(&h))) {
                    continue;
                }
                match MEMBERS.iter().find(|(path, _)| *path == full) {
                    Some((path, _)) => drop(used.insert(*path)),
                    None => drop(faults.insert(format!("{full} ({bits:?})"))),
                }
            }
        }
    }
    let stale = MEMBERS.iter().filter(|(path, _)| !used.contains(path));
    faults.extend(stale.map(|(path, _)| format!("{path} is omitted but not missing")));
    faults.into_iter().collect()
}

/// Names that are defined, not stated and not omitted; omissions that fit none.
/// An omission ending in `*` fits all names that begin like it.
fn unexplained(
    what: &str,
    defined: &BTreeSet<String>,
    stated: &BTreeSet<String>,
    omitted: &[(&str, &str)],
) -> Vec<String> {
    let fits = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    let missing: Vec<_> = defined.difference(stated).collect();
    let unexplained = missing
        .iter()
        .filter(|name| !omitted.iter().any(|(pattern, _)| fits(pattern, name)))
        .map(|name| format!("{what} {name}"));
    let stale = omitted
        .iter()
        .filter(|(pattern, _)| !missing.iter().any(|name| fits(pattern, name)))
        .map(|(pattern, _)| format!("{what} {pattern} is omitted but not missing"));
    unexplained.chain(stale).collect()
}

/// The tables that hold for a width.
fn tables(bits: Bits) -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(move |t| t.width == Width::Both || t.width == bits.width())
}

/// The tag in `struct tag` or `union tag`.
fn tag(c: &str) -> Option<String> {
    let tag = c.strip_prefix("struct ").or_else(|| c.strip_prefix("union "))?;
    Some(tag.to_owned())
}

fn identifiers(c: &str) -> Vec<String> {
    let words = c.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.map(str::to_owned).collect()
}

/// The lines of the preprocessed text that come from Xen's headers.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut ours = false;
    text.lines().filter(move |line| {
        let Some(marker) = line.strip_prefix("# ") else { return ours };
        ours = marker.split('"').nth(1).is_some_and(|file| file.starts_with(HEADERS));
        false
    })
}

/// Names of the macros without arguments that stand for something and are not
/// undefined again.
fn macros(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in lines(text) {
        if let Some(definition) = line.strip_prefix("#define ") {
            let (name, value) = definition.split_once(' ').unwrap_or((definition, ""));
            if !name.contains('(') && !value.trim().is_empty() {
                names.insert(name.to_owned());
            }
        } else if let Some(name) = line.strip_prefix("#undef ") {
            names.remove(name.trim());
        }
    }
    names
}

/// All structures and unions with a tag, nested ones, too.
fn structures(text: &str) -> Vec<Structure> {
    let code: String =
        lines(text).filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match rest.find(|c| !word(c)) {
            Some(0) => first.len_utf8(),
            Some(length) => length,
            None => rest.len(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match body(&tokens, at) {
            Some((tag, open)) => at = members(&tokens, open, tag, &mut found).1,
            None => at += 1,
        }
    }
    found
}

/// The head of a structure or union with a body.
#[derive(Clone, Copy)]
struct Head<'a> {
    union: bool,
    tag: Option<&'a str>,
}

/// If such a head is here: it and the place after `{`.
fn body<'a>(tokens: &[&'a str], at: usize) -> Option<(Head<'a>, usize)> {
    let union = match *tokens.get(at)? {
        "struct" => false,
        "union" => true,
        _ => return None,
    };
    match tokens.get(at + 1..)? {
        ["{", ..] => Some((Head { union, tag: None }, at + 2)),
        [tag, "{", ..] => Some((Head { union, tag: Some(tag) }, at + 3)),
        _ => None,
    }
}

/// Reads members up to the closing brace; returns them and the place after it,
/// and adds the structure to `found` if it has a tag.
fn members(
    tokens: &[&str],
    mut at: usize,
    head: Head<'_>,
    found: &mut Vec<Structure>,
) -> (Vec<Member>, usize) {
    let mut all: Vec<Member> = Vec::new();
    // What the declaration has yielded so far: its last word, and the members
    // of a body that may turn out to be nameless.
    let (mut last, mut inner, mut closed) = (None, Vec::new(), 0);
    while let Some(&token) = tokens.get(at) {
        if let Some((inner_head, open)) = body(tokens, at) {
            (inner, at) = members(tokens, open, inner_head, found);
            if inner_head.union {
                inner = vec![inner.concat()];
            }
            last = None;
            continue;
        }
        at += 1;
        match token {
            "}" => break,
            "(" | "[" => closed += 1,
            ")" | "]" => closed -= 1,
            "," | ";" if closed == 0 => {
                match last.take() {
                    Some(name) => all.push(vec![name]),
                    None => all.append(&mut inner),
                }
                if token == ";" {
                    inner.clear();
                }
            }
            // The width of a bit-field is no name.
            ":" => at += 1,
            word if closed == 0 && word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                last = Some(word.to_owned());
            }
            _ => {}
        }
    }
    if let Some(tag) = head.tag {
        found.push(Structure { tag: tag.to_owned(), members: all.clone() });
    }
    (all, at)
}

#[test]
fn members_of_every_shape_are_found() {
    let text = "# 1 \"/usr/include/xen/x.h\"\n#define A 1\n#define B\n#define C(x) x\n\
        struct s { int a, b[4]; union { int c; struct t { int d; } e; }; struct { int f; } g; \
        uint64_t __attribute__((aligned(8))) h; unsigned i:1; struct u *j; \
        struct { int k, l; }; };\n\
        # 2 \"/usr/include/other.h\"\n#define D 1\nstruct v { int m; };\n";
    assert_eq!(macros(text), BTreeSet::from(["A".to_owned()]));
    let found: Vec<_> = structures(text)
        .iter()
        .map(|s| {
            format!(
                "{}: {}",
                s.tag,
                s.members.iter().map(|m| m.join("|")).collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    assert_eq!(found, ["t: d", "s: a b c|e g h i j k l"]);
}
