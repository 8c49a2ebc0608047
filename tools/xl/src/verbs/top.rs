//! `top`: the machine and its domains, again and again, as xentop shows them.
//!
//! Rates are those since the last look. At the first there is none: then they are averages over
//! each domain's life, which a single look (`-b -i 1`) is asked for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::arguments::{Arguments, Flag};
use super::host::clock;
use super::list;
use super::numbers::{Seconds, Tenths, decimal};
use super::{Failure, Outcome, Session};
use crate::terminal::{Input, InputMode, Size, Stream};
use crate::toolstack::{Activity, DomId, DomainInfo, Error, HostInfo, Wake};

pub const FLAGS: &[Flag] = &[
    Flag::with('d', "delay", "SECONDS", "seconds between updates (default 3)"),
    Flag::plain('b', "batch", "output in batch mode, no user input accepted"),
    Flag::with('i', "iterations", "N", "number of iterations before exiting"),
];

const DEFAULT_DELAY_S: u64 = 3;
/// Keys that end it: q, Q, Ctrl-C.
const QUIT: [u8; 3] = [b'q', b'Q', 3];
/// Another, when it comes alone: arrows and others begin with it.
const ESCAPE: u8 = 0x1b;
/// Keys for who does not want to wait: the space bar, Enter.
const NOW: [u8; 2] = [b' ', b'\r'];

/// One look at the machine.
struct Look {
    host: HostInfo,
    domains: Vec<(DomainInfo, Option<Activity>)>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    /// It is time for another look.
    Look,
    /// The window has changed.
    Draw,
    Quit,
}

pub fn top(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let number = |flag: char, what: &str| match arguments.value(flag) {
        None => Ok(None),
        Some(text) => match decimal::<u64>(text).filter(|number| (1..=86_400).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::new(format_args!("{text} is no {what}: 1 to 86400 are"))),
        },
    };
    let delay_s = number('d', "delay in seconds")?.unwrap_or(DEFAULT_DELAY_S);
    let iterations = number('i', "number of iterations")?;
    let live = session.terminal.size().is_some() && !arguments.has('b');
    if live {
        session.terminal.set_input_mode(InputMode::Screen);
    }
    let ended = look_again(session, live, delay_s, iterations);
    if live {
        session.terminal.set_input_mode(InputMode::Line);
    }
    ended.map_err(|error| Failure::because("cannot look at the machine", &error))
}

fn look_again(
    session: &mut Session<'_>,
    live: bool,
    delay_s: u64,
    iterations: Option<u64>,
) -> Result<(), Error> {
    let mut before: Option<Look> = None;
    let mut count = 0;
    loop {
        let now = look(session)?;
        let text = table(&now, before.as_ref());
        let mut drawn = draw(session, &text, live);
        count += 1;
        if iterations == Some(count) {
            return Ok(());
        }
        let until_ns = now.host.up_ns.saturating_add(delay_s * 1_000_000_000);
        before = Some(now);
        loop {
            match sleep(session, until_ns, drawn)? {
                Next::Look => break,
                Next::Draw => drawn = draw(session, &text, live),
                Next::Quit => return Ok(()),
            }
        }
    }
}

/// Shows the table; returns the window that it was cut for.
fn draw(session: &mut Session<'_>, text: &str, live: bool) -> Option<Size> {
    let size = session.terminal.size();
    match size.filter(|_| live) {
        Some(size) => session.terminal.write(Stream::Out, screen(text, size).as_bytes()),
        None => session.terminal.write(Stream::Out, text.as_bytes()),
    }
    size
}

fn look(session: &mut Session<'_>) -> Result<Look, Error> {
    let host = session.toolstack.host()?;
    let mut domains = Vec::new();
    for domain in session.toolstack.domains()? {
        let activity = match session.toolstack.activity(domain.id) {
            Ok(activity) => Some(activity),
            Err(Error::Unsupported(_) | Error::NoSuchDomain) => None,
            Err(error) => return Err(error),
        };
        domains.push((domain, activity));
    }
    Ok(Look { host, domains })
}

/// Waits until the machine's clock says so, the window is another than `drawn`, or somebody does not
/// want to wait.
fn sleep(session: &mut Session<'_>, until_ns: u64, drawn: Option<Size>) -> Result<Next, Error> {
    loop {
        let mut keys = [0; 16];
        match session.terminal.read(&mut keys) {
            Input::Gone => return Ok(Next::Quit),
            Input::Bytes(count) => match keys.get(..count).unwrap_or(&keys) {
                [ESCAPE] => return Ok(Next::Quit),
                [ESCAPE, ..] => {}
                keys if keys.iter().any(|key| QUIT.contains(key)) => return Ok(Next::Quit),
                keys if keys.iter().any(|key| NOW.contains(key)) => return Ok(Next::Look),
                _ => {}
            },
            Input::Nothing | Input::End => {}
        }
        if session.terminal.size() != drawn {
            return Ok(Next::Draw);
        }
        let left_ns = until_ns.saturating_sub(session.toolstack.host()?.up_ns);
        if left_ns == 0 {
            return Ok(Next::Look);
        }
        session.toolstack.wait(Wake::Key, left_ns, session.terminal);
    }
}

fn table(now: &Look, before: Option<&Look>) -> String {
    let host = &now.host;
    let count =
        |is: fn(&DomainInfo) -> bool| now.domains.iter().filter(|(info, _)| is(info)).count();
    let mut text = format!(
        "xl top - {}   Xen {}.{}{}\n\
         {} domains: {} running, {} blocked, {} paused, {} crashed, {} dying, {} shutdown\n\
         Mem: {}k total, {}k used, {}k free    CPUs: {} @ {}MHz\n",
        clock(host.wall_s),
        host.xen_major,
        host.xen_minor,
        host.xen_extra,
        now.domains.len(),
        count(|info| info.running),
        count(|info| info.blocked),
        count(|info| info.paused),
        count(|info| info.shutdown == Some(pv_abi::sched::SHUTDOWN_CRASH as u8)),
        count(|info| info.dying),
        count(|info| info.shutdown.is_some()),
        host.total_kib,
        host.total_kib.saturating_sub(host.free_kib),
        host.free_kib,
        host.nr_cpus,
        host.cpu_khz / 1000,
    );
    text += &format!(
        "{:>10} {:>6} {:>10} {:>6} {:>9} {:>6} {:>5} {:>9} {:>10}\n",
        "NAME", "STATE", "CPU(sec)", "CPU(%)", "MEM(k)", "MEM(%)", "VCPUS", "EVENTS/s", "CALLS/s"
    );
    for (info, activity) in &now.domains {
        let (cpu_ns, done, ns) = since(info, *activity, now, before);
        // Tenths of a percent: a thousand of them are the whole.
        let cpu = cpu_ns / (ns / 1000).max(1);
        let memory = info.memory_kib * 1000 / host.total_kib.max(1);
        let name: String = list::name(info).chars().take(10).collect();
        text += &format!(
            "{name:>10} {:>6} {:>10} {:>6} {:>9} {:>6} {:>5} {:>9} {:>10}\n",
            format!("{}", list::state(info)),
            Seconds(info.cpu_ns),
            Tenths(cpu),
            info.memory_kib,
            Tenths(memory),
            info.vcpus,
            per_second(done.map(|done| done.events), ns),
            per_second(done.map(|done| done.hypercalls), ns),
        );
    }
    text
}

/// What a domain ran and did, and in what time: since the look before, or else in its life.
fn since(
    info: &DomainInfo,
    activity: Option<Activity>,
    now: &Look,
    before: Option<&Look>,
) -> (u64, Option<Activity>, u64) {
    let find = |id: DomId| {
        let look = before?;
        let (old, done) =
            look.domains.iter().find(|(old, _)| old.id == id && old.uuid == info.uuid)?;
        Some((old, *done, now.host.up_ns.saturating_sub(look.host.up_ns)))
    };
    let Some((old, old_done, ns)) = find(info.id) else {
        return (info.cpu_ns, activity, info.age_ns);
    };
    let done = activity.zip(old_done).map(|(new, old)| Activity {
        events: new.events.saturating_sub(old.events),
        hypercalls: new.hypercalls.saturating_sub(old.hypercalls),
    });
    (info.cpu_ns.saturating_sub(old.cpu_ns), done, ns)
}

fn per_second(count: Option<u64>, ns: u64) -> String {
    match count {
        Some(count) => format!("{}", count.saturating_mul(1000) / (ns / 1_000_000).max(1)),
        None => "-".into(),
    }
}

/// The table as a whole screen, written over the last one.
fn screen(text: &str, size: Size) -> String {
    let mut screen = String::from("\x1b[H");
    let lines = text.lines().take(usize::from(size.rows));
    for (index, line) in lines.enumerate() {
        if index > 0 {
            screen += "\r\n";
        }
        screen.extend(line.chars().take(usize::from(size.columns)));
        // Behind the last column the cursor stays on it: what is cleared there is the character.
        if line.chars().count() < usize::from(size.columns) {
            screen += "\x1b[K";
        }
    }
    if text.lines().count() < usize::from(size.rows) {
        screen += "\r\n\x1b[J";
    }
    screen
}
