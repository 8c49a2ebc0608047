//! `ifconfig`, `netio` and `ping`.

use super::{Context, OK, USAGE};
use crate::net::traffic::Order;
use core::net::Ipv4Addr;

/// Requests that `ping` sends unless told otherwise.
const REQUESTS: u16 = 4;

pub fn ifconfig(context: &mut Context<'_>, words: &[&str]) -> u8 {
    context.kernel.ifconfig(words, &mut *context.terminal)
}

pub fn netio(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let [interface, numbers @ ..] = words else { return USAGE };
    let Some(order) = Order::parse(numbers) else {
        context.line(format_args!("netio: a MAC, and one to three numbers behind it"));
        return USAGE;
    };
    let begun = context.kernel.uptime().up_ns;
    let sent = context.kernel.send_frames(interface, &order);
    let us = context.kernel.uptime().up_ns.saturating_sub(begun) / 1000;
    match sent {
        Ok(lost) => {
            let Order { count, length, .. } = order;
            context.line(format_args!("{count} frames of {length} bytes in {us} us, {lost} lost"));
            OK
        }
        Err(errno) => context.failed(interface, errno),
    }
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
