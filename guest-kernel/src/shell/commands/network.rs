//! `ifconfig` and `ping`.

use super::{Context, USAGE};
use core::net::Ipv4Addr;

/// Requests that `ping` sends unless told otherwise.
const REQUESTS: u16 = 4;

pub fn ifconfig(context: &mut Context<'_>, words: &[&str]) -> u8 {
    context.kernel.ifconfig(words, &mut *context.terminal)
}

pub fn ping(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let [address, count @ ..] = words else { return USAGE };
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        context.line(format_args!("ping: {address} is no address (names are not looked up)"));
        return USAGE;
    };
    match count.first().map_or(Ok(REQUESTS), |count| count.parse()) {
        Ok(count) if count > 0 => context.kernel.ping(address, count, &mut *context.terminal),
        _ => {
            context.line(format_args!("ping: COUNT is a number from 1 to 65535"));
            USAGE
        }
    }
}
