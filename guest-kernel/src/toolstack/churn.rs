//! Making and ending domains, many times: what it costs, and whether anything is left behind.
//!
//! The domains are small ones of the kernel in `/boot`, and never run. Between them may stand others
//! that live, so that it shows what making one costs beside many.

use super::machine::Machine;
use crate::arch::{calls, shared, sysctl};
use crate::mm::foreign;
use crate::task::scheduler::CONSOLE;
use crate::{fs, time};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use pv_abi::event_channel::EVTCHNSTAT_CLOSED;
use pv_abi::types::{DomId, Port};
use xl::config::DomainConfig;
use xl::toolstack::{Creation, Error, Toolstack};

use super::command::Contents;

/// Where the kernel is.
const KERNEL: &str = "boot/guest-kernel";
/// Memory of each domain, KiB: what the kernel needs to start, and no ramdisk.
const MEMORY_KIB: u64 = 4096;

/// What domains take of the machine and of domain 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holdings {
    free_pages: u64,
    ports: u32,
    mapped: u32,
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free_pages, ports, mapped } = self;
        write!(f, "{free_pages} free pages, {ports} ports, {mapped} pages of others mapped")
    }
}

impl Holdings {
    fn now() -> Result<Holdings, Error> {
        let info = sysctl::physinfo().map_err(super::domains::refused("sysctl physinfo"))?;
        let open = |port: &u32| {
            calls::evtchn_status(Port::new(*port)).is_ok_and(|status| status != EVTCHNSTAT_CLOSED)
        };
        let ports = (1..shared::PORTS).filter(open).count() as u32;
        Ok(Holdings { free_pages: info.free_pages, ports, mapped: foreign::mapped() })
    }
}

/// Makes and ends `rounds` domains beside `alive` others, and tells; whether nothing was left.
pub fn run(rounds: u32, alive: u32, out: &mut dyn fmt::Write) -> Result<bool, Error> {
    let mut machine = Machine::new(CONSOLE);
    // What is taken once and kept (tasks, page tables of windows, tables of ports) is taken first.
    let first = (0..=alive).map(|n| make(&mut machine, n)).collect::<Result<Vec<DomId>, _>>()?;
    for id in first {
        machine.destroy(id)?;
    }
    let before = Holdings::now()?;
    let others = (0..alive).map(|n| make(&mut machine, n)).collect::<Result<Vec<DomId>, _>>()?;
    let (mut making, mut ending, mut longest) = (0, 0, 0);
    for number in 0..rounds {
        let start = time::now();
        let id = make(&mut machine, alive + number)?;
        let made = time::now();
        machine.destroy(id)?;
        making += made - start;
        ending += time::now() - made;
        longest = longest.max(made - start);
    }
    let each = |total: u64| total / u64::from(rounds.max(1)) / 1000;
    let _ = writeln!(
        out,
        "{rounds} domains made and ended beside {alive}: {} us each to make (longest {}), {} us to end",
        each(making),
        longest / 1000,
        each(ending),
    );
    for id in others {
        machine.destroy(id)?;
    }
    let after = Holdings::now()?;
    let same = before == after;
    if same {
        let _ = writeln!(out, "nothing is left of them: {after}");
    } else {
        let _ = writeln!(out, "before: {before}\nafter:  {after}");
    }
    Ok(same)
}

fn make(machine: &mut Machine, number: u32) -> Result<DomId, Error> {
    let file = fs::initrd().find(KERNEL);
    let kernel = file.ok_or_else(|| Error::Image(format!("there is no /{KERNEL}")))?;
    machine.create(Creation {
        config: DomainConfig {
            name: format!("churn-{number}"),
            memory_kib: MEMORY_KIB,
            max_memory_kib: MEMORY_KIB,
            vcpus: 1,
            max_vcpus: 1,
            ..DomainConfig::default()
        },
        kernel: Box::new(Contents(kernel.bytes)),
        ramdisk: None,
    })
}
