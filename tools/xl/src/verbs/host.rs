//! `dmesg`, `log`, `debug-keys`, `uptime`: the hypervisor and its clock.

use alloc::format;
use alloc::string::String;

use super::arguments::Arguments;
use super::{Failure, Outcome, Session, list};
use crate::terminal::Stream;
use crate::toolstack::Messages;

pub fn dmesg(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let keep = if arguments.has('c') { Messages::Clear } else { Messages::Keep };
    let terminal = &mut *session.terminal;
    let read = session.toolstack.messages(keep, &mut |bytes| terminal.write(Stream::Out, bytes));
    read.map_err(|error| Failure::because("cannot read the messages", &error))
}

pub fn log(session: &mut Session<'_>, _: &Arguments<'_>) -> Outcome {
    let terminal = &mut *session.terminal;
    let read = session.toolstack.domain_log(&mut |bytes| terminal.write(Stream::Out, bytes));
    read.map_err(|error| Failure::because("cannot read the log", &error))
}

pub fn debug_keys(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let keys = arguments.operand(0);
    let sent = session.toolstack.debug_keys(keys);
    sent.map_err(|error| Failure::because(format_args!("cannot send debug keys: {keys}"), &error))
}

pub fn uptime(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domains = list::chosen(session, arguments)?;
    let host = session.toolstack.host();
    let host = host.map_err(|error| Failure::because("Can not get Dom0 uptime", &error))?;
    let short = arguments.has('s');
    if !short {
        session.out(format_args!("{:<33} {:>4} {}\n", "Name", "ID", "Uptime"));
    }
    for domain in &domains {
        let (name, id) = (list::name(domain), domain.id.raw());
        let age_ns = if id == 0 { host.up_ns } else { domain.age_ns };
        let age_s = age_ns / 1_000_000_000;
        if short {
            let (now, up) = (clock(host.wall_s), up(age_s, Precision::Minutes));
            session.out(format_args!(" {now} up {up}, {name} ({id})\n"));
        } else {
            let up = up(age_s, Precision::Seconds);
            session.out(format_args!("{name:<33} {id:>4} {up}\n"));
        }
    }
    Ok(())
}

/// How exactly a time is told.
enum Precision {
    Minutes,
    Seconds,
}

/// `2 days,  3:04:05`.
fn up(seconds: u64, precision: Precision) -> String {
    let days = match seconds / 86400 {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    match precision {
        Precision::Minutes => format!("{days}{hours:>2}:{minutes:02}"),
        Precision::Seconds => format!("{days}{hours:>2}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// The time of day, UTC.
pub fn clock(wall_s: u64) -> String {
    format!("{:02}:{:02}:{:02}", wall_s / 3600 % 24, wall_s / 60 % 60, wall_s % 60)
}
