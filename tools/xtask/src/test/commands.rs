//! Tests of what a person types: `run` with its exit codes, and keys at a terminal.
//!
//! The program under test is this one, started again. The terminal is one that
//! util-linux's `script` makes; keys are typed once the text before them has come.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Group;
use super::boot::Builds;
use super::runner::{Ended, Test};
use crate::build::Part;
use crate::scratch::Scratch;
use crate::toolchain::program_in_path;
use crate::trace::perfetto;

/// How long any of them may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A use of `run`: name, arguments, exit code, and what standard output or error has in it.
type Case = (&'static str, &'static [&'static str], i32, &'static str);

const CASES: &[Case] = &[
    ("exec", &["--exec", "cat /etc/motd; echo two words"], 0, "two words"),
    ("exec-state", &["--exec", "no-such-command"], 127, "no-such-command"),
    ("exec-crash", &["--exec", "crash"], 12, "domain 0 crashed"),
    ("exec-reboot", &["--exec", "reboot"], 10, "domain 0 rebooted"),
    ("timeout", &["--timeout", "3"], 124, "the time was up"),
    ("icount", &["--icount", "--exec", "echo counted"], 0, "counted"),
    ("four-cpus", &["--cpus", "4", "--vcpus", "2", "--exec", "echo four"], 0, "four"),
    ("large-memory", &["--memory", "5120", "--exec", "echo large"], 0, "large"),
    ("bad-option", &["--hypervisor-args", "frobnicate"], 21, "frobnicate"),
    ("not-elf", &["--kernel", "/etc/passwd"], 2, "not an ELF file"),
    ("no-guest", &["--kernel", "/bin/true"], 21, "refused"),
    ("no-file", &["--kernel", "/no/such/file"], 2, "cannot read /no/such/file"),
    ("too-many", &["--icount", "--cpus", "2"], 2, "one CPU"),
];

/// Text to wait for, then keys to type.
type Dialogue = &'static [(&'static str, &'static str)];

/// The guest's prompt comes after this.
const READY: &str = "# ";

const TERMINAL: &[(&str, Dialogue, i32)] = &[
    ("poweroff", &[(READY, "echo a b\r"), ("\na b", "poweroff\r")], 0),
    // Ctrl-a x is a QEMU monitor's; here it is just two keys.
    ("ctrl-a-x", &[(READY, "\x01x\x15"), ("", "poweroff\r")], 0),
    ("debug-key", &[(READY, "\x01\x01\x01"), ("", "h"), ("quit", "Q")], 0),
    ("escape", &[(READY, "\x1d\x1d\x1d")], 130),
];

/// What every boot of the default guest has in its trace.
const TRACED: &[&str] = &[
    "set_trap_table",
    "set_callbacks",
    "console_io write",
    "mmuext_op PIN_L3_TABLE",
    "event_channel_op bind_virq",
    "sched_op block",
    "sched_op shutdown",
    "VIRQ_TIMER",
    "upcall",
    "#PF",
    "int 0x80",
    "d0v0",
];

/// Every test of this kind.
pub fn all<'a>(builds: &'a Builds<'a>) -> Vec<Test<'a>> {
    let ready = move || {
        let parts = [Part::Hypervisor, Part::Guest];
        parts.iter().all(|part| builds.need(*part).is_ok())
    };
    let checked = move |done: &dyn Fn() -> Result<Ended>| {
        if !ready() {
            return Ended::failed("not run: the build failed".into());
        }
        done().unwrap_or_else(|error| Ended::failed(format!("{error:#}")))
    };
    let cases = CASES.iter().map(move |case| {
        Test::new(Group::Run, &format!("run-{}", case.0), move || checked(&|| case_ended(case)))
            .parallel()
    });
    let dialogues = TERMINAL.iter().map(move |(name, dialogue, code)| {
        Test::new(Group::Run, &format!("terminal-{name}"), move || {
            checked(&|| dialogue_ended(dialogue, *code))
        })
        .parallel()
    });
    let traced = Test::new(Group::Run, "trace", move || checked(&traced_ended)).parallel();
    let fair = Test::new(Group::Run, "fairness", move || checked(&fair_ended)).parallel();
    cases.chain(dialogues).chain([traced, fair]).collect()
}

/// Four busy vCPUs on two CPUs: a domain's, and two domains' with weights; one with a cap.
fn fair_ended() -> Result<Ended> {
    let output = Command::new(std::env::current_exe()?)
        .args(["fairness", "--ms", "2000", "--vcpus", "4"])
        .args(["--domains", "2x256+2x512,2x256/25+2x256"])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok(judge(output.status.code(), 0, &said, "deviation"))
}

/// A traced run whose hypercalls are known: a child that is made, runs and ends.
fn traced_ended() -> Result<Ended> {
    let scratch = Scratch::new()?;
    let file = scratch.path().join("trace.json");
    let output = Command::new(std::env::current_exe()?)
        .args(["trace", "--exec", "hello; sleeper 20", "--out"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let ended = judge(output.status.code(), 0, &said, "domain 0");
    if ended.failed > 0 {
        return Ok(ended);
    }
    let trace: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let faults = perfetto::faults(&trace);
    if let Some(fault) = faults.first() {
        return Ok(Ended::failed(format!("{} faults in the file: {fault}", faults.len())));
    }
    let events = trace["traceEvents"].as_array().context("no events")?;
    let has = |name: &str| events.iter().any(|event| event["name"] == *name);
    let missing: Vec<_> = TRACED.iter().filter(|name| !has(name)).collect();
    Ok(if missing.is_empty() {
        Ended::passed()
    } else {
        Ended::failed(format!("the trace lacks {missing:?}"))
    })
}

fn case_ended((_, arguments, code, text): &Case) -> Result<Ended> {
    let output = Command::new(std::env::current_exe()?)
        .arg("run")
        .args(*arguments)
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok(judge(output.status.code(), *code, &String::from_utf8_lossy(&said), text))
}

fn judge(got: Option<i32>, code: i32, said: &str, text: &str) -> Ended {
    let log: Vec<_> = said.lines().map(str::to_string).collect();
    let log = &log[log.len().saturating_sub(40)..];
    if got != Some(code) {
        return Ended::failed(format!("exit code {got:?}, expected {code}")).with_log(log);
    }
    if !said.contains(text) {
        return Ended::failed(format!("it did not say `{text}`")).with_log(log);
    }
    Ended::passed()
}

fn dialogue_ended(dialogue: Dialogue, code: i32) -> Result<Ended> {
    if program_in_path("script").is_none() {
        return Ok(Ended::skipped("no program `script` (util-linux) to make a terminal".into()));
    }
    let this = std::env::current_exe()?;
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command"])
        .arg(format!("'{}' run --timeout 100", this.display()))
        .arg("/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keys = child.stdin.take().context("no standard input")?;
    let mut output = child.stdout.take().context("no standard output")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(size @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..size].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut said = Vec::new();
    let mut from = 0;
    let mut steps = dialogue.iter();
    let mut step = steps.next();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some((text, typed)) = step {
            let new = String::from_utf8_lossy(&said[from..]).into_owned();
            if new.contains(text) {
                from = said.len();
                // A person does not type in the same instant either.
                thread::sleep(Duration::from_millis(300));
                keys.write_all(typed.as_bytes())?;
                step = steps.next();
                continue;
            }
        }
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => said.extend(bytes),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let status = child.wait()?;
    let said = String::from_utf8_lossy(&said).into_owned();
    if let Some((text, _)) = step {
        let ended = Ended::failed(format!("`{}` did not come", text.escape_debug()));
        return Ok(ended.with_log(&said.lines().map(str::to_string).collect::<Vec<_>>()));
    }
    Ok(judge(status.code(), code, &said, ""))
}
