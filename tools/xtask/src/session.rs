//! A boot that a person watches: at the console, or through a transcript.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::Result;

use crate::addresses::Functions;
use crate::emulator::{Emulator, Watch};
use crate::outcome::{Outcome, Reason};
use crate::terminal::{self, Raw};
use crate::transcript::{Lines, Transcript};

/// Domain 0's console on the terminal, or from and to pipes.
pub fn console(mut emulator: Emulator, limit: Option<Duration>, linked: &Path) -> Result<ExitCode> {
    let piped = !io::stdout().is_terminal();
    if io::stdin().is_terminal() {
        eprintln!(
            "run: to leave: `poweroff` in the guest; Ctrl-a three times, then Q, at the \
             hypervisor; Ctrl-] three times kills the emulator"
        );
    }
    let (open, opened) = channel();
    let escaped = Arc::new(AtomicBool::new(false));
    if let Some(serial) = emulator.take_input() {
        let flag = Arc::clone(&escaped);
        terminal::forward_keys(serial, opened, move || flag.store(true, Ordering::Relaxed));
    }
    let raw = Raw::take();
    let mut out = io::stdout();
    let mut lines = Lines::default();
    let outcome = loop {
        // The receiver wakes up now and then to see whether the person wants out.
        let watched = emulator.watch_for(Duration::from_millis(200), limit, &mut |bytes| {
            let _ = open.send(());
            lines.feed(bytes, |_| {});
            if piped {
                let text: Vec<_> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
                out.write_all(&text)?;
            } else {
                out.write_all(bytes)?;
            }
            out.flush()?;
            Ok(Watch::On)
        })?;
        match watched {
            Some(outcome) => break outcome,
            None if escaped.load(Ordering::Relaxed) => break Outcome::Stopped,
            None => {}
        }
    };
    drop(emulator);
    drop(raw);
    if escaped.load(Ordering::Relaxed) {
        eprintln!("\nrun: the emulator was killed");
        return Ok(ExitCode::from(130));
    }
    if outcome != Outcome::Shutdown(Reason::Poweroff) {
        eprintln!("run: {}", outcome.describe());
    }
    if outcome == Outcome::Shutdown(Reason::Crash) {
        // The console showed addresses; here are their names, if the file has any.
        let functions = functions_of(linked);
        let lines = lines.tail();
        lines.iter().filter(|line| functions.annotate(line) != **line).for_each(|line| {
            eprintln!("  | {}", functions.annotate(line));
        });
    }
    Ok(ExitCode::from(outcome.exit_code()))
}

/// A transcript of the guest's shell.
pub fn exec(
    mut emulator: Emulator,
    limit: Option<Duration>,
    verbose: bool,
    linked: &Path,
) -> Result<ExitCode> {
    let mut transcript = Transcript::default();
    let mut out = io::stdout().lock();
    let mut rest: Box<dyn Write> =
        if verbose { Box::new(io::stderr()) } else { Box::new(io::sink()) };
    let outcome = emulator.watch(limit, &mut |bytes| {
        transcript.feed(bytes, &mut out, &mut rest)?;
        Ok(Watch::On)
    })?;
    match (&outcome, transcript.state()) {
        (Outcome::Shutdown(Reason::Poweroff), Some(state)) => return Ok(ExitCode::from(state)),
        (Outcome::Shutdown(Reason::Poweroff), None) => {
            eprintln!("run: the guest powered off without telling an exit state");
        }
        _ => eprintln!("run: {}", outcome.describe()),
    }
    if !verbose {
        eprintln!("run: the console's last lines:");
        let functions = functions_of(linked);
        for line in transcript.tail() {
            eprintln!("  | {}", functions.annotate(&line));
        }
    }
    let unknown = outcome == Outcome::Shutdown(Reason::Poweroff);
    Ok(ExitCode::from(if unknown { 22 } else { outcome.exit_code() }))
}

/// The functions of a kernel file, none if it has no symbols.
fn functions_of(linked: &Path) -> Functions {
    let mut functions = Functions::default();
    let _ = functions.add(linked);
    functions
}
