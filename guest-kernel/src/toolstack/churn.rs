//! Making and ending domains, many times: what it costs, and whether anything is left behind.
//!
//! The domains are small ones of the kernel in `/boot`, and never run. Between them may stand others
//! that live, so that it shows what making one costs beside many. All that a domain takes is compared
//! before and after ([`Holdings`]).

use super::holdings::Holdings;
use super::machine::Machine;
use crate::mm::frames::{self, Use};
use crate::task::scheduler::CONSOLE;
use crate::{fs, time};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use pv_abi::types::DomId;
use xl::config::DomainConfig;
use xl::toolstack::{Creation, Error, Toolstack};

use super::command::Contents;

/// Where the kernel is.
const KERNEL: &str = "boot/guest-kernel";
/// Memory of each domain, KiB: what the kernel needs to start, and no ramdisk.
const MEMORY_KIB: u64 = 4096;
/// How often a long run says how far it is, in rounds.
const PROGRESS: u32 = 1000;

/// What rounds took, nanoseconds.
#[derive(Default)]
struct Times {
    rounds: u32,
    making: u64,
    ending: u64,
    longest: u64,
}

impl Times {
    /// Makes a domain and ends it.
    fn round(&mut self, machine: &mut Machine, number: u32) -> Result<(), Error> {
        let start = time::now();
        let id = make(machine, number)?;
        let made = time::now();
        machine.destroy(id)?;
        self.rounds += 1;
        self.making += made - start;
        self.ending += time::now() - made;
        self.longest = self.longest.max(made - start);
        Ok(())
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |total: u64| total / u64::from(self.rounds.max(1)) / 1000;
        let (make, longest, end) = (each(self.making), self.longest / 1000, each(self.ending));
        write!(f, "{make} us each to make (longest {longest}), {end} us to end")
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
    let mut times = Times::default();
    for number in 0..rounds {
        if number > 0 && number.is_multiple_of(PROGRESS) {
            // What its own tables and the like have grown to; it does not shrink.
            let heap = frames::counts().of(Use::Heap);
            let _ = writeln!(out, "{number} of {rounds}: {times}, domain 0's heap {heap} pages");
        }
        times.round(&mut machine, alive + number)?;
    }
    let _ = writeln!(out, "{rounds} domains made and ended beside {alive}: {times}");
    for id in others {
        machine.destroy(id)?;
    }
    let after = Holdings::now()?;
    Ok(Holdings::compare(before, after, out))
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
