//! The run queues in words, for the debug key.

use core::fmt::{self, Write};

use crate::platform::Platform;
use crate::system::System;

/// Writes who runs and who lives on each CPU.
pub fn queues<P: Platform>(sys: &System<P>, out: &mut dyn Write) -> fmt::Result {
    let now_ns = sys.platform.now_ns();
    writeln!(out, "Run queues, at {} us:", now_ns / 1000)?;
    for cpu in 0..sys.platform.count() {
        let Some(glance) = sys.scheduler.glance(cpu) else { continue };
        write!(out, "cpu {cpu}: ")?;
        match glance.current {
            Some(vcpu) => write!(out, "runs {vcpu}")?,
            None => write!(out, "idle")?,
        }
        write!(out, ", {} waiting, {} settled, timer ", glance.waiting, glance.residents)?;
        match glance.timer_ns {
            Some(due_ns) => writeln!(out, "in {} us", due_ns.saturating_sub(now_ns) / 1000)?,
            None => writeln!(out, "off")?,
        }
    }
    for vcpu in sys.domains.iter().flat_map(|domain| domain.vcpus()) {
        write!(out, "{}{} {:?}", vcpu.domain, vcpu.id, vcpu.run.state())?;
        if let Some(cpu) = vcpu.run.cpu() {
            write!(out, " on cpu {cpu}")?;
        }
        let [running, runnable, blocked, offline] =
            vcpu.run.runstate(now_ns).time_ns.map(|ns| ns / 1_000_000);
        write!(
            out,
            ", ms running {running} runnable {runnable} blocked {blocked} offline {offline}"
        )?;
        let timers = [("single-shot", vcpu.time.single_shot_ns()), ("poll", vcpu.time.poll_ns())];
        for (name, due_ns) in timers {
            if let Some(due_ns) = due_ns {
                write!(out, ", {name} in {} us", due_ns.saturating_sub(now_ns) / 1000)?;
            }
        }
        if let Some(period_ns) = vcpu.time.period_ns() {
            write!(out, ", periodic {} us", period_ns / 1000)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
