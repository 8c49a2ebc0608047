//! `xenstored`: reads the command line, and serves until a signal ends it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use xenstored::daemon::Daemon;
use xenstored::options::Options;
use xenstored::wakeup::Wakeups;
use xenstored::{logging, state};

fn main() -> ExitCode {
    let options = Options::parse();
    logging::start(options.log_level.into());
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<()> {
    // Before there is anything to clean up, so that no signal is missed.
    let wakeups = Wakeups::from_signals()?;
    allow_many_clients();
    let daemon = Daemon::start(options)?;
    let pid_file = options.pid_file.as_deref().map(state::PidFile::write).transpose()?;
    // Whoever started us waits for this line; that it may not be read is no reason to end.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "ready").and_then(|()| stdout.flush());
    let served = daemon.run(wakeups).context("the daemon had to end");
    drop(pid_file);
    served
}

/// Takes as many file descriptors as this process may have: each client is one. Shells give it far
/// fewer to begin with, for the sake of programs that use `select`.
fn allow_many_clients() {
    let limit = getrlimit(Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        log::debug!("no more clients than the shell allows: {error}");
    }
}
