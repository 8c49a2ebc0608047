//! `create`: from a file to a running domain.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::arguments::{Arguments, Flag};
use super::shutdown::{Until, wait};
use super::{Failure, Outcome, Session, console, describe};
use crate::config::{self, DomainConfig, Source};
use crate::terminal::{Blob, FileError, Files, Stream, Terminal};
use crate::toolstack::Creation;

pub const FLAGS: &[Flag] = &[
    Flag::plain('p', "", "Leave the domain paused after it is created."),
    Flag::plain('c', "", "Connect to the console after the domain is created."),
    Flag::with('f', "defconfig", "FILE", "Use the given configuration file."),
    Flag::plain('q', "quiet", "Quiet."),
    Flag::plain('n', "dryrun", "Dry run - prints the resulting configuration"),
    Flag::plain('F', "", "Run in foreground until death of the domain."),
    Flag::plain('e', "", "Accepted for compatibility: restarts are domain 0's business."),
];

/// A domain file may have this many bytes.
const FILE_MAX: u64 = 1 << 20;
/// The file that is empty: everything is said on the command line.
const NO_FILE: &str = "/dev/null";
/// What settings on the command line are called in messages.
const COMMAND_LINE: &str = "command line";
/// libxl's ERROR_FAIL and ERROR_INVAL, as xl's exit statuses.
const ERROR_FAIL: u8 = 3;
const ERROR_INVAL: u8 = 6;

/// What `create` was asked to read.
struct Invocation<'a> {
    file: &'a str,
    /// Settings that override the file's.
    overrides: Vec<&'a str>,
}

impl<'a> Invocation<'a> {
    /// Tells the file from the settings.
    fn of(arguments: &Arguments<'a>) -> Result<Self, String> {
        let (overrides, mut files): (Vec<&str>, Vec<&str>) =
            arguments.operands.iter().partition(|word| word.contains('='));
        files.extend(arguments.value('f'));
        match files[..] {
            [file] => Ok(Self { file, overrides }),
            [] => Err("Config file not specified: xl create FILE".into()),
            _ => Err("One config file is wanted: other words are KEY=VALUE".into()),
        }
    }

    /// Reads the file and what overrides it: the domain, and what is to be told about it.
    fn read(&self, files: &mut dyn Files) -> Result<(Option<DomainConfig>, String), FileError> {
        let text = match self.file {
            NO_FILE => String::new(),
            file => text(&*files.open(file)?)?,
        };
        let mut sources = vec![Source { name: self.file, text: &text }];
        sources.extend(self.overrides.iter().map(|text| Source { name: COMMAND_LINE, text }));
        let reading = config::read(&sources);
        let told = reading.diagnostics.iter().map(|wrong| wrong.render(&sources)).collect();
        Ok((reading.domain, told))
    }
}

/// The text of a domain file.
fn text(file: &dyn Blob) -> Result<String, FileError> {
    if file.len() > FILE_MAX {
        return Err(FileError(format!("more than {} KiB: that is no domain file", FILE_MAX >> 10)));
    }
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or(0)];
    let count = file.read_at(0, &mut bytes);
    bytes.truncate(count);
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or(&[]);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        FileError(format!("line {line} is not UTF-8"))
    })
}

/// Whether `create` is to print the domain only.
pub fn is_dry_run(arguments: &Arguments<'_>) -> bool {
    arguments.has('n')
}

/// Reads the domain that `create` is to make, and tells what is to be told about its file. The host
/// does it, too, to know which files the domain needs, and to refuse a wrong one at once. The error
/// is the exit status; the name of the file comes along, if there is one.
pub fn domain_to_create<'a>(
    terminal: &mut dyn Terminal,
    files: &mut dyn Files,
    arguments: &Arguments<'a>,
) -> Result<(DomainConfig, Option<&'a str>), u8> {
    read(terminal, files, arguments).map_err(|failure| super::end(terminal, Err(failure)))
}

fn read<'a>(
    terminal: &mut dyn Terminal,
    files: &mut dyn Files,
    arguments: &Arguments<'a>,
) -> Result<(DomainConfig, Option<&'a str>), Failure> {
    let invocation =
        Invocation::of(arguments).map_err(|why| Failure::new(why).status(ERROR_INVAL))?;
    let (quiet, file) = (arguments.has('q'), invocation.file);
    if !quiet {
        super::print(terminal, Stream::Err, format_args!("Parsing config from {file}\n"));
    }
    let read = invocation.read(files).map_err(|error| {
        Failure::new(format_args!("Failed to read config file: {file}: {error}")).status(ERROR_FAIL)
    });
    let (config, told) = read?;
    if config.is_none() || !quiet {
        terminal.write(Stream::Err, told.as_bytes());
    }
    let config = config.ok_or_else(|| Failure::silent(super::FAILED))?;
    if is_dry_run(arguments) {
        terminal.write(Stream::Out, describe::domain_json(&config).as_bytes());
    }
    Ok((config, Some(file).filter(|file| *file != NO_FILE)))
}

pub fn create(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let (config, _) = read(session.terminal, session.files, arguments)?;
    if is_dry_run(arguments) {
        return Ok(());
    }
    let kernel = open(session, "kernel", &config.kernel)?;
    let ramdisk = match &config.ramdisk {
        Some(name) => Some(open(session, "ramdisk", name)?),
        None => None,
    };
    let name = config.name.to_string();
    let created = session.toolstack.create(Creation { config, kernel, ramdisk });
    let domain = created.map_err(|error| {
        Failure::because(format_args!("cannot create domain {name}"), &error).status(ERROR_FAIL)
    })?;
    let mut attached = arguments.has('c');
    if attached && let Err(failure) = console::open(session, domain) {
        // As with xl, no reason to stop a domain that is there.
        super::end(session.terminal, Err(failure));
        attached = false;
    }
    if !arguments.has('p') {
        session
            .toolstack
            .unpause(domain)
            .map_err(|error| Failure::because("unpause failed", &error).status(ERROR_FAIL))?;
    }
    if attached {
        console::attach(session, domain)?;
    }
    if arguments.has('F') {
        wait(session, &[domain], Until::Gone)?;
    }
    Ok(())
}

fn open(session: &mut Session<'_>, what: &str, name: &str) -> Result<Box<dyn Blob>, Failure> {
    session.files.open(name).map_err(|error| {
        Failure::new(format_args!("cannot read the {what}: {name}: {error}")).status(ERROR_FAIL)
    })
}
