//! The hypervisor's own command line.
//!
//! Words separated by blanks; every word must be known. A typing error must not be taken for
//! a default, so the first unknown word or bad value is an error that names it, and the
//! hypervisor stops with that sentence.
//!
//! | word | meaning | default |
//! |---|---|---|
//! | `console=com1` / `none` | where the log and domain 0's console go | `com1` |
//! | `loglvl=error` … `debug` | least important level that is shown | `info` |
//! | `maxcpus=N` | CPUs to bring up, 1 or more | all |
//! | `dom0_mem=SIZE` | domain 0's memory: `M` or `G`, else KiB as in Xen | all that is free |
//! | `dom0_max_vcpus=N` | domain 0's vCPUs; only the first can run yet | 1 |
//! | `trace`, `trace=SIZE` | keep records of what happens, so much of them for each CPU | off; 1M |
//! | `perfc` | count what happens to each domain (`XEN_SYSCTL_perfc_op`) | off |
//! | `noreboot` | after a panic or domain 0's end, stop instead of restarting the machine | off |
//! | `debug-exit` | tell QEMU's `isa-debug-exit` device how it ended | off |

use log::LevelFilter;

/// Where the log and domain 0's console go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleTarget {
    /// The first serial port, 115200 8n1.
    #[default]
    Com1,
    /// Nowhere.
    None,
}

/// What to do when there is nothing left to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtEnd {
    /// Restart the machine.
    #[default]
    Reboot,
    /// Stop the CPUs and leave the last lines on the screen.
    Stop,
}

/// Whether QEMU's `isa-debug-exit` device is told how the hypervisor ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugExit {
    /// There may be no such device.
    #[default]
    Off,
    /// Write the code to I/O port 0xf4.
    On,
}

/// Whether what happens to each domain is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counters {
    /// Not: it costs a little on every way into the hypervisor.
    #[default]
    Off,
    /// It is.
    On,
}

/// The command line, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `console=`
    pub console: ConsoleTarget,
    /// `loglvl=`
    pub log_level: LevelFilter,
    /// `maxcpus=`
    pub max_cpus: Option<u32>,
    /// `dom0_mem=`, in bytes.
    pub dom0_memory: Option<u64>,
    /// `dom0_max_vcpus=`
    pub dom0_max_vcpus: Option<u32>,
    /// `trace`, in bytes for each CPU.
    pub trace: Option<u64>,
    /// `perfc`
    pub counters: Counters,
    /// `noreboot`
    pub at_end: AtEnd,
    /// `debug-exit`
    pub debug_exit: DebugExit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            console: ConsoleTarget::default(),
            log_level: LevelFilter::Info,
            max_cpus: None,
            dom0_memory: None,
            dom0_max_vcpus: None,
            trace: None,
            counters: Counters::default(),
            at_end: AtEnd::default(),
            debug_exit: DebugExit::default(),
        }
    }
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandLineError<'a> {
    /// No option has this name.
    Unknown(&'a str),
    /// The option's value is not one it takes.
    BadValue {
        /// The whole word.
        word: &'a str,
        /// What it should look like.
        wanted: &'static str,
    },
}

impl core::fmt::Display for CommandLineError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unknown(word) => write!(f, "command line: unknown option '{word}'"),
            Self::BadValue { word, wanted } => {
                write!(f, "command line: '{word}': the value must be {wanted}")
            }
        }
    }
}

/// Reads the options that `line` gives. Later words win.
pub fn parse(line: &str) -> Result<Options, CommandLineError<'_>> {
    let mut options = Options::default();
    for word in line.split_ascii_whitespace() {
        apply(&mut options, word)?;
    }
    Ok(options)
}

/// How the machine is to end, taken from a line of which other words may be wrong: the
/// complaint about those must reach the test runner, too.
pub fn parse_end(line: &str) -> (AtEnd, DebugExit) {
    let mut options = Options::default();
    for word in line.split_ascii_whitespace() {
        if matches!(word, "noreboot" | "debug-exit") {
            let _ = apply(&mut options, word);
        }
    }
    (options.at_end, options.debug_exit)
}

fn apply<'a>(options: &mut Options, word: &'a str) -> Result<(), CommandLineError<'a>> {
    let bad = |wanted| CommandLineError::BadValue { word, wanted };
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    match (name, value) {
        ("console", Some("com1")) => options.console = ConsoleTarget::Com1,
        ("console", Some("none")) => options.console = ConsoleTarget::None,
        ("console", _) => return Err(bad("com1 or none")),
        ("loglvl", value) => {
            options.log_level =
                value.and_then(log_level).ok_or_else(|| bad("error, warning, info or debug"))?;
        }
        ("maxcpus", value) => options.max_cpus = Some(count(value).ok_or_else(|| bad(COUNT))?),
        ("dom0_max_vcpus", value) => {
            options.dom0_max_vcpus = Some(count(value).ok_or_else(|| bad(COUNT))?);
        }
        ("dom0_mem", value) => {
            options.dom0_memory = Some(value.and_then(size).ok_or_else(|| bad(SIZE))?);
        }
        ("trace", None) => options.trace = Some(TRACE_BYTES),
        ("trace", value) => options.trace = Some(value.and_then(size).ok_or_else(|| bad(SIZE))?),
        ("perfc", None) => options.counters = Counters::On,
        ("noreboot", None) => options.at_end = AtEnd::Stop,
        ("debug-exit", None) => options.debug_exit = DebugExit::On,
        ("perfc" | "noreboot" | "debug-exit", Some(_)) => return Err(bad("left out")),
        _ => return Err(CommandLineError::Unknown(word)),
    }
    Ok(())
}

const COUNT: &str = "a number, 1 or more";
const SIZE: &str = "a size such as 256M or 1G";

/// What `trace` alone asks for.
const TRACE_BYTES: u64 = 1 << 20;

fn log_level(value: &str) -> Option<LevelFilter> {
    match value {
        "error" => Some(LevelFilter::Error),
        "warning" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        _ => None,
    }
}

fn count(value: Option<&str>) -> Option<u32> {
    value?.parse().ok().filter(|&count| count > 0)
}

/// A size in bytes; without a suffix the number is KiB, as in Xen's `dom0_mem`.
fn size(value: &str) -> Option<u64> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'G' | b'g' => (value.get(..value.len() - 1)?, 30),
        b'M' | b'm' => (value.get(..value.len() - 1)?, 20),
        b'K' | b'k' => (value.get(..value.len() - 1)?, 10),
        _ => (value, 10),
    };
    let number: u64 = digits.parse().ok().filter(|&number| number > 0)?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(parse(""), Ok(Options::default()));
        assert_eq!(parse("   "), Ok(Options::default()));
    }

    #[test]
    fn every_option_is_understood() {
        let options = parse(
            "console=none loglvl=debug maxcpus=2 dom0_mem=96M dom0_max_vcpus=3 trace=2M perfc \
             noreboot debug-exit",
        );
        let wanted = Options {
            console: ConsoleTarget::None,
            log_level: LevelFilter::Debug,
            max_cpus: Some(2),
            dom0_memory: Some(96 << 20),
            dom0_max_vcpus: Some(3),
            trace: Some(2 << 20),
            counters: Counters::On,
            at_end: AtEnd::Stop,
            debug_exit: DebugExit::On,
        };
        assert_eq!(options, Ok(wanted));
    }

    #[test]
    fn later_words_win() {
        assert_eq!(parse("maxcpus=4 maxcpus=1").unwrap().max_cpus, Some(1));
        assert_eq!(parse("console=none console=com1").unwrap().console, ConsoleTarget::Com1);
        assert_eq!(parse("trace").unwrap().trace, Some(1 << 20));
        assert_eq!(parse("perfc").unwrap().counters, Counters::On);
        assert!(parse("perfc=1").is_err());
    }

    #[test]
    fn sizes_take_suffixes() {
        for (text, bytes) in
            [("1G", 1 << 30), ("512m", 512 << 20), ("2048K", 2 << 20), ("64", 64 << 10)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "0M", "-1M", "1T", "1.5G", "99999999999999999999G", "20000000000G"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_words_are_named() {
        assert_eq!(parse("noreboot frobnicate"), Err(CommandLineError::Unknown("frobnicate")));
        assert_eq!(
            parse("com1=115200").unwrap_err().to_string(),
            "command line: unknown option 'com1=115200'"
        );
    }

    #[test]
    fn bad_values_are_named() {
        for line in [
            "console=vga",
            "console",
            "loglvl=loud",
            "loglvl",
            "maxcpus=0",
            "maxcpus=many",
            "maxcpus",
            "dom0_mem=",
            "dom0_mem=lots",
            "dom0_max_vcpus=-1",
            "trace=much",
            "noreboot=yes",
            "debug-exit=1",
        ] {
            match parse(line) {
                Err(CommandLineError::BadValue { word, .. }) => assert_eq!(word, line),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_end_is_known_in_spite_of_errors() {
        assert_eq!(parse_end("nonsense debug-exit"), (AtEnd::Reboot, DebugExit::On));
        assert_eq!(parse_end("noreboot maxcpus=x"), (AtEnd::Stop, DebugExit::Off));
    }
}
