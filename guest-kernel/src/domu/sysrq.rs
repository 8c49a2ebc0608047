//! "Magic SysRq": keys that domain 0 presses (`xl sysrq`), with Linux's meanings.
//!
//! Left out is what would say nothing here: registers and stacks (`p`, `l`) are those of the task that was
//! woken to read the key.

use crate::fs;
use crate::services::{Serial, Services};
use crate::shell::{self, Script};
use crate::signal::{Info, SIGKILL, SIGTERM};
use crate::task::signal;
use pv_abi::sched;
use ring1::abi::StartInfo;
use ring1::calls;
use ring1::{console, println};

/// What a key does.
#[derive(Clone, Copy)]
enum Act {
    /// Ends the domain with this reason.
    ShutDown(u32),
    /// Runs a command of the shell.
    Show(&'static str),
    /// Sends a signal to all processes.
    Signal(u32),
    /// Writes out what files have not yet.
    Sync,
    Help,
}

/// Every key, and what is said as it is pressed.
const KEYS: [(char, &str, Act); 9] = [
    ('b', "reboot", Act::ShutDown(sched::SHUTDOWN_REBOOT)),
    ('c', "crash", Act::ShutDown(sched::SHUTDOWN_CRASH)),
    ('e', "terminate all processes", Act::Signal(SIGTERM)),
    ('h', "help", Act::Help),
    ('i', "kill all processes", Act::Signal(SIGKILL)),
    ('m', "show memory", Act::Show("mem")),
    ('o', "power off", Act::ShutDown(sched::SHUTDOWN_POWEROFF)),
    ('s', "sync", Act::Sync),
    ('t', "show tasks", Act::Show("ps")),
];

/// Does what a key is for.
pub fn press(key: &str, start_info: &'static StartInfo) {
    if !console::at_line_start() {
        println!();
    }
    let mut typed = key.chars();
    let known = typed.next().and_then(|key| KEYS.iter().find(|(known, ..)| *known == key));
    let Some((_, what, act)) = known.filter(|_| typed.next().is_none()) else {
        return help();
    };
    println!("sysrq: {what}");
    match *act {
        Act::ShutDown(reason) => {
            console::flush();
            calls::shutdown(reason)
        }
        Act::Show(command) => {
            shell::exec(&mut Services::new(start_info), &mut Serial, command, Script::Plain);
        }
        Act::Signal(number) => {
            // There may be none.
            let _ = signal::send_all(Info::kernel(number));
        }
        Act::Sync => {
            if let Err(errno) = fs::root::sync() {
                println!("sysrq: sync: {errno}");
            }
        }
        Act::Help => help(),
    }
}

fn help() {
    for (key, what, _) in KEYS {
        println!("sysrq: {key}: {what}");
    }
}
