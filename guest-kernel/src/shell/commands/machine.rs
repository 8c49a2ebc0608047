//! `mem`, `cpu`, `uptime`, `hypercalls`, `sensitive`, `devices`, `holdings`, `poweroff`, `reboot`, `crash`.

use super::{Context, FAILED, OK, USAGE, run_program};
use crate::shell::kernel::{Account, Errno, Shutdown};

/// The Ring 3 half of `sensitive`.
const SENSITIVE_RING3: &str = "sensitive3";

pub fn mem(context: &mut Context<'_>, _: &[&str]) -> u8 {
    let memory = context.kernel.memory();
    let [l1, l2, l3] = memory.page_tables;
    let rows = [
        ("kernel code, data, stacks", memory.kernel),
        ("laid out at boot: p2m, start info, initrd", memory.boot),
        ("kernel heap", memory.heap),
        ("processes", memory.user),
        ("page tables, L1", l1),
        ("page tables, L2", l2),
        ("page tables, L3", l3),
        ("free", memory.free),
    ];
    context.line(format_args!("   FRAMES       KIB USED FOR"));
    let mut sum = 0u32;
    for (name, frames) in rows {
        sum = sum.saturating_add(frames);
        row(context, frames, name);
    }
    if sum != memory.total {
        // Never expected: it would mean that the kernel has lost track of a frame.
        let lost = i64::from(memory.total) - i64::from(sum);
        context.line(format_args!("{lost:>9}           not accounted for"));
    }
    row(context, memory.total, "the whole domain");
    context.line(format_args!(
        "{} address spaces; {} frames shared until written",
        memory.address_spaces, memory.copy_on_write
    ));
    context.line(format_args!(
        "page faults resolved: {} by a zeroed frame, {} by a copy",
        memory.demand_zero_faults, memory.copy_faults
    ));
    if sum == memory.total { OK } else { FAILED }
}

fn row(context: &mut Context<'_>, frames: u32, name: &str) {
    context.line(format_args!("{frames:>9} {:>9} {name}", u64::from(frames) * 4));
}

pub fn cpu(context: &mut Context<'_>, _: &[&str]) -> u8 {
    context.kernel.cpu(&mut |name, value| {
        let _ = writeln!(context.terminal, "{name:<14} {value}");
    });
    OK
}

pub fn uptime(context: &mut Context<'_>, _: &[&str]) -> u8 {
    let uptime = context.kernel.uptime();
    let seconds = |ns: u64| (ns / 1_000_000_000, ns / 1_000_000 % 1000);
    let (up, up_ms) = seconds(uptime.up_ns);
    let (idle, idle_ms) = seconds(uptime.idle_ns);
    context.line(format_args!("up {up}.{up_ms:03} s, of it idle {idle}.{idle_ms:03} s"));
    context.line(format_args!(
        "{} timer events, {} task switches",
        uptime.timer_events, uptime.context_switches
    ));
    OK
}

pub fn hypercalls(context: &mut Context<'_>, _: &[&str]) -> u8 {
    context.line(format_args!(" NR NAME                      CALLS   NS/CALL    TOTAL US"));
    let (mut calls, mut total_ns) = (0u64, 0u64);
    context.kernel.hypercalls(&mut |stat| {
        calls = calls.saturating_add(stat.calls);
        total_ns = total_ns.saturating_add(stat.total_ns);
        let each = stat.total_ns / stat.calls.max(1);
        let _ = writeln!(
            context.terminal,
            "{:>3} {:<20} {:>10} {:>9} {:>11}",
            stat.number,
            stat.name,
            stat.calls,
            each,
            stat.total_ns / 1000
        );
    });
    let (each, total_us) = (total_ns / calls.max(1), total_ns / 1000);
    context.line(format_args!("    {:<20} {calls:>10} {each:>9} {total_us:>11}", "all"));
    OK
}

pub fn sensitive(context: &mut Context<'_>, _: &[&str]) -> u8 {
    let ring1 = context.kernel.sensitive(&mut *context.terminal);
    let ring3 = match run_program(context, SENSITIVE_RING3, &[SENSITIVE_RING3]) {
        Ok(status) => status == OK,
        Err(Errno::ENOENT) => {
            context.line(format_args!("/bin/{SENSITIVE_RING3} is missing: no rows for Ring 3"));
            false
        }
        Err(error) => {
            context.failed(SENSITIVE_RING3, error);
            false
        }
    };
    if ring1 && ring3 { OK } else { FAILED }
}

pub fn xl(context: &mut Context<'_>, words: &[&str]) -> u8 {
    context.kernel.xl(words, &mut *context.terminal)
}

pub fn xenstore(context: &mut Context<'_>, words: &[&str]) -> u8 {
    context.kernel.xenstore(words, &mut *context.terminal)
}

pub fn churn(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let mut numbers = words.iter().map(|word| word.parse());
    match (numbers.next(), numbers.next().unwrap_or(Ok(0))) {
        (Some(Ok(rounds)), Ok(alive)) => {
            context.kernel.churn(rounds, alive, &mut *context.terminal)
        }
        _ => {
            context.line(format_args!("churn: ROUNDS and BESIDE are numbers"));
            USAGE
        }
    }
}

pub fn holdings(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let account = match words {
        [] => Account::Tell,
        ["keep"] => Account::Keep,
        ["compare"] => Account::Compare,
        _ => {
            context.line(format_args!("holdings: keep, compare, or nothing"));
            return USAGE;
        }
    };
    context.kernel.account(account, &mut *context.terminal)
}

pub fn devices(context: &mut Context<'_>, words: &[&str]) -> u8 {
    match words {
        [] => {
            context.kernel.devices(&mut |path| {
                let _ = writeln!(context.terminal, "{path}");
            });
            OK
        }
        ["restart", path] => match context.kernel.restart_device(path) {
            Ok(()) => OK,
            Err(error) => {
                context.failed(path, error);
                FAILED
            }
        },
        _ => {
            context.line(format_args!("devices: restart PATH, or nothing"));
            USAGE
        }
    }
}

pub fn poweroff(context: &mut Context<'_>, words: &[&str]) -> u8 {
    stop(context, "poweroff", words, Shutdown::Poweroff)
}

pub fn reboot(context: &mut Context<'_>, words: &[&str]) -> u8 {
    stop(context, "reboot", words, Shutdown::Reboot)
}

fn stop(context: &mut Context<'_>, name: &str, words: &[&str], how: Shutdown) -> u8 {
    match words {
        [] => context.kernel.halt_domains(context.terminal),
        ["-f"] => {}
        _ => {
            context.line(format_args!("{name}: -f, or nothing"));
            return USAGE;
        }
    }
    if context.scripted && how == Shutdown::Poweroff {
        super::super::exit_state(context.terminal, OK);
    }
    context.kernel.shutdown(how);
    OK
}

pub fn crash(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    let how = match arguments.first() {
        None | Some(&"panic") => Shutdown::Panic,
        Some(&"fault") => Shutdown::Fault,
        Some(&"stack") => Shutdown::LoseStack,
        Some(word) => {
            context.line(format_args!("crash: {word}? One of panic, fault, stack"));
            return USAGE;
        }
    };
    context.kernel.shutdown(how);
    OK
}
