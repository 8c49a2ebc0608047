//! What `ifconfig` shows, and how it reads what it is to change.

use super::link::Counters;
use super::plan::{NAME_SERVERS, Plan, Settings, Wrong};
use super::{Stack, network};
use core::fmt::{self, Write};

/// Writes what there is to know of the host's network.
///
/// # Errors
/// Those of `out`.
pub fn write(stack: &Stack, out: &mut dyn Write) -> fmt::Result {
    let link = stack.link();
    let (outside, inside) = link.counters();
    if link.has_interface() {
        let [a, b, c, d, e, f] = link.mac();
        let state = if link.is_up() { "up" } else { "down" };
        write!(out, "eth0  {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}  ")?;
        writeln!(out, "link {state}, {} bytes a packet", link.mtu())?;
        match stack.settings() {
            Some(settings) => write_settings(settings, stack.plan(), out)?,
            None if *stack.plan() == Plan::Dhcp => writeln!(out, "      waits for DHCP")?,
            None => writeln!(out, "      no address")?,
        }
        write_counters(&outside, out)?;
    } else {
        writeln!(out, "no network device")?;
    }
    writeln!(out, "lo    {}/{}", network::LOOPBACK, network::LOOPBACK_PREFIX)?;
    write_counters(&inside, out)?;
    writeln!(out, "{} connections", stack.connections())
}

fn write_settings(settings: &Settings, plan: &Plan, out: &mut dyn Write) -> fmt::Result {
    let origin = if *plan == Plan::Dhcp { "by DHCP" } else { "as said" };
    write!(out, "      {}/{} {origin}", settings.address, settings.prefix)?;
    if let Some(gateway) = settings.gateway {
        write!(out, ", gateway {gateway}")?;
    }
    for server in &settings.name_servers {
        write!(out, ", names from {server}")?;
    }
    writeln!(out)
}

fn write_counters(counters: &Counters, out: &mut dyn Write) -> fmt::Result {
    let Counters { frames_in, bytes_in, frames_out, bytes_out } = counters;
    writeln!(out, "      received {frames_in} frames, {bytes_in} bytes")?;
    writeln!(out, "      sent {frames_out} frames, {bytes_out} bytes")
}

/// The plan that the words behind `ifconfig` say: one of the kernel's command line, or
/// `ADDRESS/PREFIX [GATEWAY [NAME-SERVER...]]`.
///
/// # Errors
/// They are not one.
pub fn parse(words: &[&str]) -> Result<Plan, Wrong> {
    let [first, rest @ ..] = words else { return Err(Wrong::Method) };
    let plan = Plan::parse(first)?;
    let Plan::Static(mut settings) = plan else {
        return if rest.is_empty() { Ok(plan) } else { Err(Wrong::Method) };
    };
    if let Some((gateway, servers)) = rest.split_first() {
        settings.set_gateway(gateway.parse().map_err(|_| Wrong::Gateway)?)?;
        for server in servers.iter().take(NAME_SERVERS) {
            let server = server.parse().map_err(|_| Wrong::NameServer)?;
            // As many as are kept were taken.
            let _ = settings.name_servers.push(server);
        }
    }
    Ok(Plan::Static(settings))
}
