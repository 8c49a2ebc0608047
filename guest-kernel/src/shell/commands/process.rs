//! `run`, `ps`, `kill`, `wait`, and programs by their name.

use core::fmt::{self, Write};

use heapless::String;

use super::{Context, FAILED, NOT_FOUND, NOT_RUNNABLE, OK, USAGE};
use crate::shell::kernel::{Errno, ExitStatus, Ground, Pid, ProcessState};

/// The signals that have names here.
const SIGNALS: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("KILL", 9),
    ("SEGV", 11),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// The longest path of a program.
const PATH_MAX: usize = 256;

/// A signal in words.
struct Signal(u8);

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            2 => "interrupted",
            4 => "illegal instruction",
            5 => "trap",
            6 => "aborted",
            7 => "bus error",
            8 => "arithmetic error",
            9 => "killed",
            11 => "segmentation fault",
            15 => "terminated",
            number => return write!(f, "killed by signal {number}"),
        };
        write!(f, "{text} (signal {})", self.0)
    }
}

pub fn run(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let Some(&name) = words.first() else { return USAGE };
    match run_program(context, name, words) {
        Ok(status) => status,
        Err(Errno::ENOENT) => {
            context.line(format_args!("{name}: no such command or program; try `help`, `ls /bin`"));
            NOT_FOUND
        }
        Err(error) => {
            context.line(format_args!("{name}: {error}"));
            NOT_RUNNABLE
        }
    }
}

/// Starts `program` with these words, and waits for it unless it is to run in the background.
pub fn run_program(context: &mut Context<'_>, program: &str, words: &[&str]) -> Result<u8, Errno> {
    let mut path: String<PATH_MAX> = String::new();
    let prefix = if program.contains('/') { "" } else { "/bin/" };
    write!(path, "{prefix}{program}").map_err(|_| Errno::new(36))?;
    let ground = if context.background { Ground::Back } else { Ground::Fore };
    let pid = context.kernel.spawn(&path, words, ground)?;
    if context.background {
        context.line(format_args!("[{pid}] started"));
        return Ok(OK);
    }
    let status = context.kernel.wait(pid)?;
    if !matches!(status, ExitStatus::Exited(_)) && !context.terminal.at_line_start() {
        context.line(format_args!(""));
    }
    match status {
        ExitStatus::Exited(_) => {}
        ExitStatus::Killed(signal) => context.line(format_args!("{program}: {}", Signal(signal))),
        ExitStatus::Stopped(_) => announce(context, pid, status),
    }
    Ok(status.code())
}

/// Says which background programs have ended.
pub fn announce_ended(context: &mut Context<'_>) {
    while let Some((pid, status)) = context.kernel.reap() {
        if !context.terminal.at_line_start() {
            context.line(format_args!(""));
        }
        announce(context, pid, status);
    }
}

fn announce(context: &mut Context<'_>, pid: Pid, status: ExitStatus) {
    match status {
        ExitStatus::Exited(status) => context.line(format_args!("[{pid}] ended, status {status}")),
        ExitStatus::Killed(signal) => context.line(format_args!("[{pid}] {}", Signal(signal))),
        ExitStatus::Stopped(signal) => {
            context
                .line(format_args!("[{pid}] stopped (signal {signal}); `wait {pid}` continues it"));
        }
    }
}

pub fn wait(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    if let Some(word) = arguments.first() {
        let Some(pid) = number(word) else {
            context.line(format_args!("wait: {word} is not a process number"));
            return USAGE;
        };
        return wait_for(context, Pid(pid));
    }
    // The lowest child first; the shell's children are those that the kernel lets it wait for.
    let mut last = Pid(0);
    loop {
        let mut next: Option<Pid> = None;
        context.kernel.processes(&mut |process| {
            if process.ring == 3 && process.pid > last && next.is_none_or(|pid| process.pid < pid) {
                next = Some(process.pid);
            }
        });
        let Some(pid) = next else { return OK };
        last = pid;
        if let Ok(status) = context.kernel.wait(pid) {
            announce(context, pid, status);
        }
    }
}

fn wait_for(context: &mut Context<'_>, pid: Pid) -> u8 {
    match context.kernel.wait(pid) {
        Ok(status) => {
            announce(context, pid, status);
            status.code()
        }
        Err(error) => {
            context.line(format_args!("wait: {pid}: {error}"));
            FAILED
        }
    }
}

pub fn kill(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    let (mut signal, mut pids) = (15, arguments);
    if let Some((first, rest)) = arguments.split_first()
        && let Some(name) = first.strip_prefix('-')
    {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        let known = SIGNALS.iter().find(|(known, _)| *known == name).map(|&(_, number)| number);
        let Some(number) = known.or_else(|| name.parse().ok().filter(|&n| (1..32).contains(&n)))
        else {
            context.line(format_args!("kill: no signal {name}; see `help kill`"));
            return USAGE;
        };
        (signal, pids) = (number, rest);
    }
    if pids.is_empty() {
        context.line(format_args!("usage: kill [-SIGNAL] PID..."));
        return USAGE;
    }
    let mut status = OK;
    for word in pids {
        let Some(pid) = number(word) else {
            context.line(format_args!("kill: {word} is not a process number"));
            status = USAGE;
            continue;
        };
        if let Err(error) = context.kernel.kill(Pid(pid), signal) {
            context.line(format_args!("kill: {pid}: {error}"));
            status = FAILED;
        }
    }
    status
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok().filter(|&number| number > 0)
}

pub fn ps(context: &mut Context<'_>, _: &[&str]) -> u8 {
    context.line(format_args!("  PID  PPID RING STATE         TIME  PAGES NAME"));
    context.kernel.processes(&mut |process| {
        let state = match process.state {
            ProcessState::Running => "running",
            ProcessState::Ready => "ready",
            ProcessState::Sleeping => "sleeping",
            ProcessState::Stopped => "stopped",
            ProcessState::Zombie => "ended",
        };
        let _ = writeln!(
            context.terminal,
            "{:>5} {:>5} {:>4} {:<8} {:>5}.{:03} {:>6} {}",
            process.pid.0,
            process.parent.0,
            process.ring,
            state,
            process.cpu_ns / 1_000_000_000,
            process.cpu_ns / 1_000_000 % 1000,
            process.frames,
            process.name
        );
    });
    OK
}
