//! Which tests are about a command: found in their sources by the name of its constant.
//!
//! A test is about a command if it names the constant, or calls what names it: a function of
//! its own file or of `channels`, a method of the simulated guest, or a wrapper of the guest kernel's. Sources
//! are read as words; that is coarse, but nobody has to keep a list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A micro-guest without a verdict.
const NO_TEST: &str = "bench";

/// Every test, and what tests call.
pub struct Sources {
    /// The simulated guest's methods.
    methods: Vec<Item>,
    /// The functions of `channels`.
    channels: Vec<Item>,
    /// Functions of the guest kernel and of what micro-guests share: `module::name`.
    wrappers: Vec<Item>,
    host: Vec<TestFile>,
    guests: Vec<TestFile>,
}

/// A file of tests, or a micro-guest.
struct TestFile {
    name: String,
    /// Words of its imports: how it may name what it calls.
    imports: BTreeSet<String>,
    items: Vec<Item>,
}

/// A function or a constant, and the words in it.
struct Item {
    name: String,
    is_test: bool,
    words: BTreeSet<String>,
}

impl Item {
    fn names(&self, any: &BTreeSet<String>) -> bool {
        !self.words.is_disjoint(any)
    }
}

impl Sources {
    /// Reads the sources of the checkout that this was built from.
    pub fn read() -> Sources {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = |path: &PathBuf| fs::read_to_string(path).expect("a readable source");
        let test_files = |folder: &str| {
            let folder = root.join(folder);
            let read = |path: PathBuf| TestFile {
                name: name_of(&folder, &path),
                imports: imports(&file(&path)),
                items: items(&file(&path)),
            };
            rust_files(&folder).into_iter().map(read).collect::<Vec<_>>()
        };
        let methods = rust_files(&root.join("src/guest"));
        let mut wrappers = rust_files(&root.join("guests/src"));
        wrappers.retain(|path| !path.starts_with(root.join("guests/src/bin")));
        for folder in ["../guest-kernel/ring1/src", "../guest-kernel/src/control"] {
            wrappers.extend(rust_files(&root.join(folder)));
        }
        let wrapper = |path: &PathBuf| {
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let qualified =
                move |item: Item| Item { name: format!("{module}::{}", item.name), ..item };
            items(&file(path)).into_iter().map(qualified).collect::<Vec<_>>()
        };
        Sources {
            channels: items(&file(&root.join("src/channels.rs"))),
            methods: methods.iter().flat_map(|path| items(&file(path))).collect(),
            wrappers: wrappers.iter().flat_map(wrapper).collect(),
            host: test_files("tests"),
            guests: test_files("guests/src/bin")
                .into_iter()
                .filter(|guest| !guest.name.starts_with(NO_TEST))
                .collect(),
        }
    }

    /// The tests about `constant`, those that name it themselves first.
    pub fn covering(&self, constant: &str) -> Vec<String> {
        let itself = BTreeSet::from([constant.to_owned()]);
        let methods = reaching(&self.methods, itself.clone(), |name| vec![format!(".{name}")]);
        let wrappers = reaching(&self.wrappers, itself.clone(), |name| vec![name.to_owned()]);
        let mut found = Vec::new();
        let channels = reaching(&self.channels, methods.clone(), |name| vec![name.to_owned()]);
        for file in &self.host {
            let imported = file.imports.contains("channels");
            let wanted = if imported { channels.clone() } else { methods.clone() };
            let reached = reaching(&file.items, wanted, |name| vec![name.to_owned()]);
            for test in file.items.iter().filter(|item| item.is_test && item.names(&reached)) {
                found.push((!test.names(&itself), format!("{}::{}", file.name, test.name)));
            }
        }
        for guest in &self.guests {
            let imported = |name: &String| {
                let (module, function) = name.split_once("::")?;
                let both = guest.imports.contains(module) && guest.imports.contains(function);
                both.then(|| function.to_owned())
            };
            let mut wanted = wrappers.clone();
            wanted.extend(wrappers.iter().filter_map(imported));
            if guest.items.iter().any(|item| item.names(&wanted)) {
                let direct = guest.items.iter().any(|item| item.names(&itself));
                found.push((!direct, format!("guest {}", guest.name)));
            }
        }
        found.sort();
        found.dedup();
        found.into_iter().map(|(_, name)| name).collect()
    }
}

/// `wanted`, and the names (by `called`) of all items that lead to one of them.
fn reaching(
    items: &[Item],
    mut wanted: BTreeSet<String>,
    called: impl Fn(&str) -> Vec<String>,
) -> BTreeSet<String> {
    loop {
        let before = wanted.len();
        for item in items.iter().filter(|item| !item.is_test) {
            if item.names(&wanted) {
                wanted.extend(called(&item.name));
            }
        }
        if wanted.len() == before {
            return wanted;
        }
    }
}

/// The functions and constants of a source. What is nested belongs to what it is in.
fn items(text: &str) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        is_test |= line == "#[test]";
        if let Some(name) = declared(line) {
            found.push(Item { name, is_test, words: BTreeSet::new() });
            is_test = false;
        }
        if let Some(item) = found.last_mut() {
            words(line, &mut item.words);
            let own = [item.name.clone(), format!(".{}", item.name)];
            item.words.retain(|word| !own.contains(word));
        }
    }
    found
}

/// The name that a line declares.
fn declared(line: &str) -> Option<String> {
    let mut words = line.split(|c: char| c.is_whitespace());
    let name = loop {
        match words.next()? {
            "fn" | "const" | "static" => match words.next()? {
                "fn" => break words.next()?,
                name => break name,
            },
            word if word.starts_with("pub") => {}
            "unsafe" | "extern" | "\"C\"" => {}
            _ => return None,
        }
    };
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}

/// Identifiers of a line, each also as `.name` or `module::name` where it stands so.
fn words(line: &str, found: &mut BTreeSet<String>) {
    let code = line.split(" //").next().unwrap_or(line);
    let mut last: Option<(&str, usize)> = None;
    let mut at = 0;
    while let Some(begin) = code[at..].find(|c: char| c.is_alphanumeric() || c == '_') {
        let start = at + begin;
        let rest = &code[start..];
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = &rest[..length];
        found.insert(word.to_owned());
        if code[..start].ends_with('.') {
            found.insert(format!(".{word}"));
        }
        if let Some((module, end)) = last
            && &code[end..start] == "::"
        {
            found.insert(format!("{module}::{word}"));
        }
        last = Some((word, start + length));
        at = start + length;
    }
}

/// Words of the `use` declarations.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line.starts_with("use ");
        if inside {
            words(line, &mut found);
        }
        inside &= !line.contains(';');
    }
    found
}

/// A test file's name as in the output of the tests: the path without `mod` and `.rs`.
fn name_of(folder: &Path, path: &Path) -> String {
    let within = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let parts = within.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect::<Vec<_>>().join("::")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_their_words() {
        let found = items(
            "use x::Y;\nconst CASES: &[u32] = &[FIRST];\n\
             #[test]\nfn works() {\n    // SECOND\n    helper(nr::THIRD).go();\n}\nfn helper() { 1 }",
        );
        let names: Vec<_> = found.iter().map(|item| (item.name.as_str(), item.is_test)).collect();
        assert_eq!(names, [("CASES", false), ("works", true), ("helper", false)]);
        for word in ["helper", "THIRD", "nr::THIRD", ".go"] {
            assert!(found[1].words.contains(word), "{word}");
        }
        assert!(!found[1].words.contains("SECOND"), "comments are not code");
    }

    #[test]
    fn what_is_called_counts() {
        let found = items("fn low() { FIRST }\nfn high() { low() }\n#[test]\nfn test() { high() }");
        let wanted = BTreeSet::from(["FIRST".to_owned()]);
        let reached = reaching(&found, wanted, |name| vec![name.to_owned()]);
        assert!(found[2].names(&reached));
    }

    #[test]
    fn known_tests_are_found() {
        let sources = Sources::read();
        let send = sources.covering("EVTCHNOP_SEND");
        assert!(send.iter().any(|test| test.starts_with("evtchn::")), "{send:?}");
        assert!(send.contains(&"guest events-delivery".into()), "by a wrapper: {send:?}");
        assert_eq!(sources.covering("NO_SUCH_CONSTANT"), [""; 0]);
    }
}
