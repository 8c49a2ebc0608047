//! Lines on standard error: `xenstored: LEVEL: sentence`, the level left out for information.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // mio has trace messages of its own.
        metadata.target().starts_with("xenstored")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info | Level::Debug | Level::Trace => "",
        };
        // In one piece, so that lines of several programs stay lines. Nobody reads it: then nobody
        // misses it.
        let line = format!("xenstored: {level}{}\n", record.args());
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// From now on messages up to a level are printed. The first call in a process counts.
pub fn start(most: LevelFilter) {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(most);
    }
}
