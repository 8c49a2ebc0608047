//! What the debug keys print about guests and memory.

use core::fmt::{self, Write};
use core::sync::atomic::Ordering;

use crate::debug_keys::DebugKey;
use crate::evtchn;
use crate::mm::frame::Type;
use crate::platform::Platform;
use crate::sched;
use crate::system::System;

/// The keys of the library: `q`, `m`, `e`, `r`.
pub const fn keys<P: Platform>() -> [DebugKey<System<P>>; 4] {
    [
        DebugKey { key: b'q', help: "domains and vCPUs", report: domains },
        DebugKey { key: b'm', help: "memory and frame types", report: memory },
        DebugKey { key: b'e', help: "event channels", report: evtchn::report::ports },
        DebugKey { key: b'r', help: "run queues", report: sched::report::queues },
    ]
}

fn domains<P: Platform>(sys: &System<P>, out: &mut dyn Write) -> fmt::Result {
    for domain in sys.domains.iter() {
        let pages = domain.pages.load(Ordering::Relaxed);
        let max = domain.max_pages.load(Ordering::Relaxed);
        write!(out, "{}: {:?}, {pages} of {max} pages", domain.id, domain.width())?;
        match domain.shutdown_reason() {
            Some(reason) => writeln!(out, ", shut down ({reason})")?,
            None => writeln!(out)?,
        }
        for vcpu in domain.vcpus() {
            let pending = vcpu.upcall_pending(&sys.platform);
            let masked = vcpu.upcall_masked(&sys.platform);
            write!(out, "  {}{}: {:?}", domain.id, vcpu.id, vcpu.run.state())?;
            writeln!(out, ", upcall pending {pending}, masked {masked}")?;
        }
    }
    Ok(())
}

fn memory<P: Platform>(sys: &System<P>, out: &mut dyn Write) -> fmt::Result {
    let (free, total) = sys.memory.free_and_total();
    writeln!(
        out,
        "heap: {free} of {total} frames free; frame table: {}",
        sys.memory.frame_count()
    )?;
    for domain in sys.domains.iter() {
        write!(out, "{}:", domain.id)?;
        for (kind, count) in Type::ALL.into_iter().zip(sys.memory.count_types(domain.id)) {
            if count > 0 {
                write!(out, " {} {count}", kind.name())?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
