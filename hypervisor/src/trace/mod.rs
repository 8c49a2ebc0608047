//! What happened, CPU by CPU, for whoever looks at it later.
//!
//! With `trace` on the command line each CPU has a [`ring`] of records: hypercalls with begin
//! and end, traps, upcalls, virtual and physical interrupts, and which vCPU ran. Only its own
//! CPU writes to a ring, with no lock and no atomic instruction; when it is full the oldest
//! records go. The format is the crate `trace-format`'s.
//!
//! Nothing copies the records out while the machine runs: they lie in memory, described by a
//! frame that begins with a mark. An emulator whose memory is a file has them there at the end,
//! however it ends, and `cargo xtask trace` takes them from it.
//!
//! With `perfc` the same events are counted for each domain ([`counters`]), kept or not.
//!
//! # What it costs when it is off
//!
//! Nothing on the ways that are measured: `arch` gives hypercalls, `int $0x80` and page
//! faults other entries when tracing is on, and only those come by
//! `hypercall::traced` and `trap::traced`. On slower ways (a switch of vCPUs, an interrupt,
//! another exception) it is a test of one byte.

pub mod counters;
pub mod ring;

use core::sync::atomic::{AtomicU8, Ordering};

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, VcpuId};
use spin::Once;
pub use trace_format::What;
use trace_format::{MAGIC, NO_DOMAIN, Record, header};

use crate::mm::frame::Owner;
use crate::platform::Platform;
use crate::sched::MAX_CPUS;
use crate::system::System;
use ring::Ring;

/// Events are written to the rings.
const RECORDS: u8 = 1 << 0;
/// Events are counted.
const COUNTS: u8 = 1 << 1;

/// The rings of all CPUs, if there are any.
pub struct Trace {
    /// Of [`RECORDS`] and [`COUNTS`].
    on: AtomicU8,
    rings: [Once<Ring>; MAX_CPUS],
}

impl Trace {
    /// Off.
    pub const fn new() -> Trace {
        Trace { on: AtomicU8::new(0), rings: [const { Once::new() }; MAX_CPUS] }
    }

    /// Whether anybody wants to know of events.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed) != 0
    }

    /// Whether records are kept.
    pub fn keeps_records(&self) -> bool {
        self.on.load(Ordering::Relaxed) & RECORDS != 0
    }

    /// Whether events are counted.
    pub fn counts(&self) -> bool {
        self.on.load(Ordering::Relaxed) & COUNTS != 0
    }

    /// Counts events from now on.
    pub fn count(&self) {
        self.on.fetch_or(COUNTS, Ordering::Release);
    }

    /// Lets records be kept again. `EINVAL`: there is no place for them.
    pub fn go_on(&self) -> Result<(), Errno> {
        self.rings.first().and_then(Once::get).ok_or(Errno::EINVAL)?;
        self.on.fetch_or(RECORDS, Ordering::Release);
        Ok(())
    }

    /// Keeps no more records; what there are stay.
    pub fn stop(&self) {
        self.on.fetch_and(!RECORDS, Ordering::Release);
    }

    /// A CPU's ring.
    pub fn ring(&self, cpu: u32) -> Option<&Ring> {
        self.rings.get(cpu as usize)?.get()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

/// Begins to trace, with at most `bytes` for each CPU that is up.
///
/// `ENOMEM` if there is not so much memory.
pub fn begin<P: Platform>(sys: &System<P>, bytes: u64) -> Result<(), Errno> {
    // A frame for the count, and one for records.
    let frames = (bytes >> 12).max(2);
    let order = frames.ilog2() as u8;
    let frames = 1 << order;
    let description = sys.memory.allocate(Owner::Hypervisor, 0)?;
    sys.platform.zero(description);
    let words = sys.platform.words(description);
    let put = |index: usize, value: u64| {
        if let Some(word) = words.get(index) {
            word.store(value, Ordering::Relaxed);
        }
    };
    for (cpu, slot) in (0..sys.platform.count()).zip(&sys.trace.rings) {
        let base = sys.memory.allocate(Owner::Hypervisor, order)?;
        // The count; what is beyond it is never read.
        sys.platform.zero(base);
        slot.call_once(|| Ring { base, frames });
        put(header::RINGS + cpu as usize, base.raw());
    }
    let clock = sys.platform.pvclock();
    put(header::CPUS, sys.platform.count().into());
    put(header::FRAMES, frames);
    put(header::TIMESTAMP, clock.tsc_timestamp);
    put(header::SYSTEM_TIME, clock.system_time);
    put(header::MUL_FRAC, clock.tsc_to_system_mul.into());
    put(header::SHIFT, i64::from(clock.tsc_shift) as u64);
    put(header::MAGIC, MAGIC);
    sys.trace.go_on()
}

/// Notes what happened to a vCPU, on the CPU we are on, if tracing is on.
#[inline(always)]
pub fn note<P: Platform>(sys: &System<P>, domain: DomId, vcpu: VcpuId, what: What) {
    if sys.trace.is_on() {
        write(sys, domain.raw(), vcpu.raw() as u16, what);
    }
}

/// Notes what happened to the CPU we are on.
#[inline(always)]
pub fn note_cpu<P: Platform>(sys: &System<P>, what: What) {
    if sys.trace.is_on() {
        write(sys, NO_DOMAIN, 0, what);
    }
}

#[cold]
#[inline(never)]
fn write<P: Platform>(sys: &System<P>, domain: u16, vcpu: u16, what: What) {
    if sys.trace.counts()
        && let Some(domain) = sys.domain(DomId::new(domain))
    {
        domain.counters.count(&what);
    }
    let ring = sys.trace.ring(sys.platform.this_cpu()).filter(|_| sys.trace.keeps_records());
    let Some(ring) = ring else { return };
    ring.write(&sys.platform, &Record { tsc: sys.platform.ticks(), domain, vcpu, what });
}
