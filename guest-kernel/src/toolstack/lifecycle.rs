//! What becomes of a domain that shuts down: as its file says.
//!
//! The hypervisor rings (`VIRQ_DOM_EXC`) when a domain has shut down, crashed or gone; it does not
//! say which. So this task asks about all domains, many in one hypercall, and does with each that has
//! shut down and was not seen to yet what its file says for the reason that it gives: takes it away,
//! makes it anew, or leaves it for somebody to look at. What ends again and again as soon as it has
//! started is not made for ever ([`crate::restarts`]).

use super::records::{self, Record};
use super::{consoles, domains, given, store, turn, watchers};
use crate::control::{domctl, sysctl};
use crate::restarts::{ENOUGH, SHORT_NS, ShortLives};
use crate::store::Fate;
use crate::task::scheduler::{self, LIFECYCLE};
use crate::{ports, time};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use pv_abi::domctl::{XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWNMASK, XEN_DOMINF_SHUTDOWNSHIFT};
use pv_abi::sched;
use pv_abi::types::DomId;
use ring1::calls;
use ring1::events::{self, Masked};
use ring1::println;
use xl::config::model::{Action, Actions};
use xl::toolstack::Creation;

/// The hypervisor has rung since domains were looked at.
static RUNG: AtomicBool = AtomicBool::new(false);

/// The machine is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);

/// From now on no domain is made in the place of one that has ended.
pub fn make_no_more() {
    ENDS.store(true, Ordering::Relaxed);
}

/// Starts the task.
pub fn start() {
    match calls::evtchn_bind_virq(pv_abi::virq::VIRQ_DOM_EXC) {
        Ok(port) => {
            ports::set(port, rung);
            events::unmask_port(port);
        }
        Err(errno) => println!("no word of domains that end: {errno}"),
    }
    if scheduler::start_kernel("lifecycle", task, 0).is_none() {
        println!("no memory for the task that sees to domains that end");
    }
}

fn rung() {
    RUNG.store(true, Ordering::Relaxed);
    scheduler::wake(LIFECYCLE);
}

extern "C" fn task(_: u32) -> ! {
    loop {
        {
            let _masked = Masked::new();
            while !RUNG.swap(false, Ordering::Relaxed) {
                scheduler::sleep(LIFECYCLE, 0);
            }
        }
        for (id, reason) in shut_down() {
            see_to(id, reason);
        }
        watchers::wake();
    }
}

/// Why a domain has shut down: a `SHUTDOWN_*`. None: it has not.
pub fn reason(flags: u32) -> Option<u8> {
    let reason = flags >> XEN_DOMINF_SHUTDOWNSHIFT & XEN_DOMINF_SHUTDOWNMASK;
    (flags & XEN_DOMINF_SHUTDOWN != 0).then_some(reason as u8)
}

/// What a file says about this reason.
fn action(actions: &Actions, reason: u8) -> Action {
    if ENDS.load(Ordering::Relaxed) {
        return Action::Destroy;
    }
    match u32::from(reason) {
        sched::SHUTDOWN_POWEROFF => actions.poweroff,
        sched::SHUTDOWN_REBOOT => actions.reboot,
        sched::SHUTDOWN_WATCHDOG => actions.watchdog,
        sched::SHUTDOWN_SOFT_RESET => actions.soft_reset,
        // A suspended domain waits for its toolstack; here nobody asked for that.
        _ => actions.crash,
    }
}

/// A reason, in words that follow the domain's name.
fn said(reason: u8) -> &'static str {
    match u32::from(reason) {
        sched::SHUTDOWN_POWEROFF => "has powered off",
        sched::SHUTDOWN_REBOOT => "wants to reboot",
        sched::SHUTDOWN_SUSPEND => "has suspended itself",
        sched::SHUTDOWN_CRASH => "has crashed",
        sched::SHUTDOWN_WATCHDOG => "was ended by its watchdog",
        sched::SHUTDOWN_SOFT_RESET => "wants to be reset",
        _ => "has shut down",
    }
}

/// The domains that have shut down, and why.
fn shut_down() -> Vec<(DomId, u8)> {
    let all = sysctl::all_domains().unwrap_or_default();
    all.iter().filter_map(|info| Some((info.domain, reason(info.flags)?))).collect()
}

/// Sees to a domain that has shut down, unless somebody has.
fn see_to(id: DomId, reason: u8) {
    let _turn = turn::take();
    let first = records::with(id, |record| !core::mem::replace(&mut record.ended, true));
    if first != Some(true) {
        return;
    }
    let Some(Ended { name, action, lives }) =
        records::with(id, |record| Ended::of(record, reason, time::now()))
    else {
        return;
    };
    crate::store::tell(id, Fate::ShutDown);
    let core = match action {
        Action::CoredumpDestroy | Action::CoredumpRestart => " (there is nowhere to write a core)",
        _ => "",
    };
    consoles::note(format_args!("{id} ({name}) {}: {}{core}", said(reason), action.name()));
    match action {
        Action::Destroy | Action::CoredumpDestroy => end(id),
        Action::Preserve => {}
        _ if lives.are_enough() => println!(
            "{name} has ended {ENOUGH} times in a row within {} s: it is not made again, but kept",
            SHORT_NS / 1_000_000_000
        ),
        Action::Restart | Action::CoredumpRestart => restart(id, lives),
        Action::RenameRestart => rename_and_restart(id, &name, lives),
    }
}

/// A domain that has shut down.
struct Ended {
    name: String,
    /// What its file says about that.
    action: Action,
    /// With the one that ended.
    lives: ShortLives,
}

impl Ended {
    fn of(record: &Record, reason: u8, now_ns: u64) -> Ended {
        Ended {
            name: record.config.name.clone(),
            action: action(&record.config.on, reason),
            lives: record.short_lives.after(now_ns.saturating_sub(record.made_ns)),
        }
    }
}

fn end(id: DomId) {
    if let Err(error) = domains::destroy(id) {
        println!("domain {} cannot be destroyed: {error}", id.raw());
    }
}

/// Makes a domain anew, with another number.
fn restart(id: DomId, lives: ShortLives) {
    let Some(again) = records::with(id, Record::again) else { return };
    end(id);
    make(again, lives);
}

/// Leaves a domain for somebody to look at, under another name, and makes one in its place.
fn rename_and_restart(id: DomId, name: &str, lives: ShortLives) {
    let again = records::with(id, |record| {
        let again = record.again();
        record.config.name = format!("{name}-{}", id.raw());
        (again, record.config.name.clone(), record.uuid)
    });
    let Some((again, renamed, uuid)) = again else { return };
    if let Err(error) = store::rename(id, uuid, &renamed) {
        println!("{renamed}: {error}");
    }
    given::lose(id, name);
    make(again, lives);
}

/// Makes the next of a domain's lives.
fn make(creation: Creation, lives: ShortLives) {
    let name = creation.config.name.clone();
    let made = domains::create(creation).and_then(|id| {
        records::with(id, |record| record.short_lives = lives);
        domctl::unpause(id).map_err(domains::refused("domctl unpausedomain"))
    });
    if let Err(error) = made {
        println!("{name} cannot be made again: {error}");
    }
}
