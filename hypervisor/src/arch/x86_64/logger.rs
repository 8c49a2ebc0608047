//! The `log` crate's records on the console, as `(FR) [seconds.milliseconds] text`.
//!
//! Information, which is most of it, carries no word for its level; the others do. Lines
//! that concern a domain name it first (`d0`, `d0v1`): that is the caller's text.

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::{clock, serial};

struct ConsoleLog;

static CONSOLE_LOG: ConsoleLog = ConsoleLog;

impl Log for ConsoleLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
            Level::Trace => "trace: ",
        };
        let time = Timestamp::now();
        serial::write_fmt(format_args!("(FR) [{time}] {level}{}\n", record.args()));
    }

    fn flush(&self) {}
}

/// Makes the console the target of `log`; information and worse is shown.
pub fn init() {
    // A second call finds the logger set, which is what it wanted.
    let _ = log::set_logger(&CONSOLE_LOG);
    log::set_max_level(LevelFilter::Info);
}

/// Time since the hypervisor's first instruction in Rust, as the log shows it.
pub struct Timestamp {
    milliseconds: u64,
}

impl Timestamp {
    /// The current time; zero until the clock is calibrated.
    pub fn now() -> Self {
        Self { milliseconds: clock::now_ns() / 1_000_000 }
    }
}

impl core::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:03}", self.milliseconds / 1000, self.milliseconds % 1000)
    }
}
