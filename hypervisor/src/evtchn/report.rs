//! The ports of all domains in words, for the debug key.

use core::fmt::{self, Write};

use super::delivery;
use crate::platform::Platform;
use crate::system::System;

/// Writes every port in use: what it is bound to, and whether it is pending or masked.
pub fn ports<P: Platform>(sys: &System<P>, out: &mut dyn Write) -> fmt::Result {
    for domain in sys.domains.iter() {
        writeln!(
            out,
            "{}: event channels by {:?}, {} frames of table, pollers {:#x}",
            domain.id,
            domain.events.abi(),
            domain.events.frames(),
            domain.events.pollers()
        )?;
        for (port, channel) in domain.events.in_use(&sys.platform) {
            let pending = delivery::is_pending(sys, domain, port);
            let masked = delivery::is_masked(sys, domain, port);
            writeln!(
                out,
                "  {port} {channel}{}{}",
                if pending { " pending" } else { "" },
                if masked { " masked" } else { "" }
            )?;
        }
        for vcpu in domain.vcpus() {
            writeln!(
                out,
                "  {} upcall{}{}{}",
                vcpu.id,
                if vcpu.upcall_pending(&sys.platform) { " pending" } else { "" },
                if vcpu.upcall_masked(&sys.platform) { " masked" } else { "" },
                if vcpu.upcall_due(&sys.platform) { " due" } else { "" },
            )?;
        }
    }
    Ok(())
}
