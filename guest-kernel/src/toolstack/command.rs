//! `xl` at domain 0's own shell: the verbs over this machine, the shell's terminal, and the files of
//! the ramdisk.

use super::machine::Machine;
use super::{churn, holdings, lifecycle};
use crate::fs;
use crate::shell;
use crate::shell::kernel::Account;
use crate::task::scheduler::CONSOLE;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use xl::terminal::{
    Blob, ENTER_SCREEN, FileError, Files, Input, InputMode, LEAVE_SCREEN, Size, Stream, Terminal,
};
use xl::verbs::{self, Session};

/// Files of domains that are made when the shell starts, as in Xen.
const AUTO: &str = "/etc/xen/auto";
/// Files by which they are made where those ask for what the machine lacks.
const FALLBACK: &str = "/etc/xen/fallback";
/// The window of a serial terminal, of which nobody tells the size.
const WINDOW: Size = Size { rows: 24, columns: 80 };

/// Carries out what was typed behind `xl`; its exit status.
pub fn run(words: &[&str], terminal: &mut dyn shell::Terminal) -> u8 {
    let mut machine = Machine::new(CONSOLE);
    let mut typed = Typed { terminal, screen: false };
    let mut session =
        Session { toolstack: &mut machine, terminal: &mut typed, files: &mut Ramdisk };
    verbs::run(&mut session, words)
}

/// Has all other domains shut down, for this one is about to; none is made again.
pub fn halt(terminal: &mut dyn shell::Terminal) {
    lifecycle::make_no_more();
    let mut machine = Machine::new(CONSOLE);
    let mut typed = Typed { terminal, screen: false };
    let mut session =
        Session { toolstack: &mut machine, terminal: &mut typed, files: &mut Ramdisk };
    verbs::halt(&mut session);
}

/// Makes and ends domains ([`churn()`]); the exit status.
pub fn churn(rounds: u32, alive: u32, terminal: &mut dyn shell::Terminal) -> u8 {
    match churn::run(rounds, alive, terminal) {
        Ok(true) => verbs::OK,
        Ok(false) => verbs::FAILED,
        Err(error) => {
            let _ = writeln!(terminal, "churn: {error}");
            verbs::FAILED
        }
    }
}

/// Tells, keeps or compares what is held ([`holdings`]); the exit status.
pub fn account(account: Account, terminal: &mut dyn shell::Terminal) -> u8 {
    match holdings::account(account, terminal) {
        Ok(true) => verbs::OK,
        Ok(false) => verbs::FAILED,
        Err(error) => {
            let _ = writeln!(terminal, "holdings: {error}");
            verbs::FAILED
        }
    }
}

/// Makes the domains whose files lie in the folder for that.
pub fn start_automatic(terminal: &mut dyn shell::Terminal) {
    let Some(folder) = fs::initrd().find(AUTO).filter(crate::initrd::Member::is_directory) else {
        return;
    };
    let mut files: Vec<_> = fs::initrd().list(folder.path).collect();
    files.sort_unstable_by_key(|file| file.path);
    for file in files {
        // It says itself what went wrong.
        if run(&["create", file.path], terminal) == verbs::OK {
            continue;
        }
        let fallback = format!("{FALLBACK}/{}", file.name());
        if fs::initrd().find(&fallback).is_some() {
            let _ = run(&["create", &fallback], terminal);
        }
    }
}

/// The shell's terminal, as verbs want it.
struct Typed<'a> {
    terminal: &'a mut dyn shell::Terminal,
    /// It shows another screen.
    screen: bool,
}

impl Terminal for Typed<'_> {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        self.terminal.write_bytes(bytes);
    }

    fn read(&mut self, into: &mut [u8]) -> Input {
        let mut count = 0;
        for place in into.iter_mut() {
            if !self.terminal.has_input() {
                break;
            }
            let Some(byte) = self.terminal.read_byte() else { return Input::Gone };
            *place = byte;
            count += 1;
        }
        if count > 0 { Input::Bytes(count) } else { Input::Nothing }
    }

    fn has_input(&mut self) -> bool {
        self.terminal.has_input()
    }

    /// The shell takes keys one by one, and echoes none, while a verb runs.
    fn set_input_mode(&mut self, mode: InputMode) {
        let screen = mode == InputMode::Screen;
        if screen != self.screen {
            let change = if screen { ENTER_SCREEN } else { LEAVE_SCREEN };
            self.terminal.write_bytes(change.as_bytes());
            self.screen = screen;
        }
    }

    fn size(&self) -> Option<Size> {
        Some(WINDOW)
    }
}

/// The files of the ramdisk.
struct Ramdisk;

impl Files for Ramdisk {
    fn open(&mut self, name: &str) -> Result<Box<dyn Blob>, FileError> {
        match fs::initrd().find(name) {
            Some(file) if file.is_file() => Ok(Box::new(Contents(file.bytes))),
            Some(_) => Err(FileError("Is a directory".into())),
            None => Err(FileError("No such file or directory".into())),
        }
    }
}

/// A file's bytes, where they lie.
pub(super) struct Contents(pub &'static [u8]);

impl Blob for Contents {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn as_slice(&self) -> Option<&[u8]> {
        Some(self.0)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(from..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        count
    }
}
