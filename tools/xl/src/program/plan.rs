//! What is to be done about typed words: nothing more, or a verb to carry to domain 0 with files.

use super::files::{HostFile, HostFiles};
use xl::terminal::{Blob, Stream, Terminal};
use xl::verbs::{self, Asked};

/// The exit status of xl when a file cannot be read (libxl's ERROR_FAIL).
const NO_FILE: u8 = 3;

/// What is to be done.
pub enum Plan {
    /// Nothing: it has been answered. The exit status.
    Done(u8),
    /// The verb is domain 0's.
    Carry(Freight),
    /// A shell wants to know what words could become.
    Complete,
}

/// What is carried to domain 0.
pub struct Freight {
    /// The words.
    pub words: Vec<String>,
    /// The files, by the names that the words and the domain file have for them.
    pub files: Vec<(String, HostFile)>,
}

impl Freight {
    /// A verb that needs no files.
    pub fn of(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| (*word).into()).collect(), files: Vec::new() }
    }
}

/// Looks at the words, answers what needs no machine, and opens the files that the verb needs.
pub fn plan(terminal: &mut dyn Terminal, words: &[&str]) -> Plan {
    let (verb, arguments) = match verbs::understand(terminal, words) {
        Asked::Nothing(status) => return Plan::Done(status),
        Asked::Verb(verb, arguments) => (verb, arguments),
    };
    let mut freight = Freight::of(words);
    match verb.name {
        "complete" => return Plan::Complete,
        "create" => {}
        _ => return Plan::Carry(freight),
    }
    let read = verbs::domain_to_create(terminal, &mut HostFiles, &arguments);
    let (config, file) = match read {
        Ok(_) if verbs::is_dry_run(&arguments) => return Plan::Done(verbs::OK),
        Ok(read) => read,
        Err(status) => return Plan::Done(status),
    };
    let ramdisk = config.ramdisk.as_deref();
    for (what, name) in
        [("config file", file), ("kernel", Some(&*config.kernel)), ("ramdisk", ramdisk)]
    {
        let Some(name) = name else { continue };
        if freight.files.iter().any(|(known, _)| known == name) {
            continue;
        }
        match HostFile::open(name) {
            Ok(opened) => freight.files.push((name.into(), opened)),
            Err(error) => {
                let message = format!("cannot read the {what}: {name}: {error}\n");
                terminal.write(Stream::Err, message.as_bytes());
                return Plan::Done(NO_FILE);
            }
        }
    }
    // What there is to say about the file has been said here. The option goes behind the verb.
    let verb = verbs::skip_global_options(words).map_or(0, |rest| words.len() - rest.len());
    freight.words.insert(verb + 1, "--quiet".into());
    Plan::Carry(freight)
}

impl Freight {
    /// How many bytes of files there are.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|(_, file)| file.len()).sum()
    }
}
