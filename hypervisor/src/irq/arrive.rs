//! A vector arrives.

use super::line::{Line, Source};
use crate::evtchn;
use crate::platform::Platform;
use crate::system::System;

/// A device's `vector` arrived at this CPU; the local APIC has not been told of its end yet.
///
/// If the source has to be quiet for a while because it comes too often, the answer is until
/// when: the CPU's timer has to call [`storm::let_go`](super::storm::let_go) then.
pub fn arrived<P: Platform>(sys: &System<P>, vector: u8) -> Option<u64> {
    let irqs = &sys.irqs;
    let mut line = irqs.line(irqs.vectors.irq(vector)?)?.lock();
    if line.vector != Some(vector) || line.binding.is_none() {
        // On its way when it was stopped.
        return None;
    }
    if line.needs_end() && matches!(line.source, Source::Input(_)) {
        line.mask(sys, true);
        line.awaits_end = true;
    }
    if let Some(until_ns) = line.storm.count(sys.platform.now_ns()) {
        line.hush(sys, true);
        irqs.calm.note(until_ns);
        return Some(until_ns);
    }
    ring(sys, &line);
    None
}

/// Rings the port of whoever has the source.
pub(super) fn ring<P: Platform>(sys: &System<P>, line: &Line) {
    if let Some(binding) = line.binding
        && let Some(domain) = sys.domain(binding.domain)
    {
        // If the port is just being closed the source is stopped next.
        evtchn::pirq::raise(sys, domain, binding.pirq);
    }
}
