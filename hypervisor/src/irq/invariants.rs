//! What must be true of interrupts between any two operations.

use super::line::Source;
use super::pirq::NR_PIRQS;
use super::{IRQS, VECTORS};
use crate::platform::Platform;
use crate::system::System;

/// Checks all of it; the answer is what is wrong.
///
/// - Q1: a vector belongs to an irq if and only if that irq has it.
/// - Q2: a binding names a domain that exists and has the irq mapped to the pirq it says.
/// - Q3: a port is bound to a pirq whose irq is bound to it, or to one that was unmapped since.
/// - Q4: only what is bound and a level waits for an end.
/// - Q5: only MSIs lie above the inputs, only inputs below; a free number has no vector.
/// - Q6: a mapped irq exists, and its domain has permission for it.
pub fn check<P: Platform>(sys: &System<P>) -> Result<(), &'static str> {
    for vector in 0..=u8::MAX {
        if let Some(irq) = sys.irqs.vectors.irq(vector) {
            let line = sys.irqs.line(irq).ok_or("Q1: a vector of no line")?;
            if line.lock().vector != Some(vector) || !VECTORS.contains(&vector) {
                return Err("Q1: a vector whose line has another");
            }
        }
    }
    for (irq, line) in sys.irqs.lines() {
        let line = line.lock();
        if line.vector.is_some_and(|vector| sys.irqs.vectors.irq(vector) != Some(irq)) {
            return Err("Q1: a line whose vector is another's");
        }
        if line.awaits_end && (line.binding.is_none() || !line.needs_end()) {
            return Err("Q4: a line that waits for nobody");
        }
        let is_input = irq < sys.irq_inputs();
        match line.source {
            Source::Nothing if line.vector.is_none() && line.binding.is_none() => {}
            Source::Own(_) | Source::Input(_) if is_input => {}
            Source::Message(_) if !is_input && line.vector.is_some() => {}
            _ => return Err("Q5: a line that cannot be"),
        }
        let binding = line.binding;
        drop(line);
        if let Some(binding) = binding {
            let domain = sys.domain(binding.domain).ok_or("Q2: a binding of no domain")?;
            let mapped = domain.pirqs.get(binding.pirq).and_then(|entry| entry.irq());
            if mapped != Some(irq) {
                return Err("Q2: a binding that is not mapped");
            }
            if domain.events.pirq_port(binding.pirq).is_none() {
                return Err("Q3: a binding without a port");
            }
        }
    }
    for domain in sys.domains.iter() {
        for entry in (0..NR_PIRQS).filter_map(|pirq| domain.pirqs.get(pirq)) {
            let Some(irq) = entry.irq() else { continue };
            if irq as usize >= IRQS || irq == 0 {
                return Err("Q6: a mapped irq that cannot be");
            }
        }
    }
    Ok(())
}
