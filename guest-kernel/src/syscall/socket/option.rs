//! `getsockopt` and `setsockopt`.
//!
//! Options that only advise (sizes of buffers, priorities) are taken and forgotten, as Linux may;
//! what is not here is `ENOPROTOOPT`.

use super::{Arguments, Call, Result};
use crate::socket::file::Socket;
use crate::socket::options::Options;
use crate::socket::stack::Kind;
use crate::socket::stream::BUFFER;
use crate::syscall::errno::{EDOM, EINVAL, ENOPROTOOPT};
use crate::syscall::microseconds;
use ring1::uaccess::{copy_to_user, read_user, write_user};

const SOL_SOCKET: u32 = 1;
const SO_REUSEADDR: u32 = 2;
const SO_TYPE: u32 = 3;
const SO_ERROR: u32 = 4;
const SO_DONTROUTE: u32 = 5;
const SO_BROADCAST: u32 = 6;
const SO_SNDBUF: u32 = 7;
const SO_RCVBUF: u32 = 8;
const SO_KEEPALIVE: u32 = 9;
const SO_PRIORITY: u32 = 12;
const SO_LINGER: u32 = 13;
const SO_REUSEPORT: u32 = 15;
const SO_RCVTIMEO: u32 = 20;
const SO_SNDTIMEO: u32 = 21;
const SO_ACCEPTCONN: u32 = 30;
const SO_SNDBUFFORCE: u32 = 32;
const SO_RCVBUFFORCE: u32 = 33;
const SO_PROTOCOL: u32 = 38;
const SO_DOMAIN: u32 = 39;
const IPPROTO_IP: u32 = 0;
const IP_TOS: u32 = 1;
const IP_TTL: u32 = 2;
const IP_MULTICAST_TTL: u32 = 33;
const IPPROTO_TCP: u32 = 6;
const TCP_NODELAY: u32 = 1;
const TCP_KEEPIDLE: u32 = 4;
const TCP_KEEPCNT: u32 = 6;

/// `getsockopt(fd, level, option, *value, *length)`.
pub fn getsockopt(call: &mut Call<'_>) -> Result {
    get(call, call.arguments())
}

/// `setsockopt(fd, level, option, *value, length)`.
pub fn setsockopt(call: &mut Call<'_>) -> Result {
    set(call, call.arguments())
}

/// The options of a socket, and a change to them.
fn change(socket: &Socket, f: impl FnOnce(&mut Options)) -> Result<()> {
    socket.with(|stack, id| {
        f(stack.options(id)?);
        stack.follow_options(id);
        Ok(())
    })
}

pub(super) fn set(call: &mut Call<'_>, [fd, level, option, at, length, _]: Arguments) -> Result {
    if length < 4 {
        return Err(EINVAL);
    }
    let value: u32 = read_user(at)?;
    let is_on = value != 0;
    call.with_socket(fd, |socket, _| match (level, option) {
        (SOL_SOCKET, SO_REUSEADDR) => change(socket, |options| options.reuse_address = is_on),
        (SOL_SOCKET, SO_BROADCAST) => change(socket, |options| options.broadcast = is_on),
        (SOL_SOCKET, SO_KEEPALIVE) => change(socket, |options| options.keep_alive = is_on),
        (SOL_SOCKET, SO_LINGER) => {
            let [_, seconds]: [u32; 2] = read_user(at)?;
            change(socket, |options| options.reset_on_close = is_on && seconds == 0)
        }
        (SOL_SOCKET, SO_RCVTIMEO) => {
            let timeout = read_timeout(at, length)?;
            change(socket, |options| options.receive_timeout_ns = timeout)
        }
        (SOL_SOCKET, SO_SNDTIMEO) => {
            let timeout = read_timeout(at, length)?;
            change(socket, |options| options.send_timeout_ns = timeout)
        }
        (
            SOL_SOCKET,
            SO_DONTROUTE | SO_SNDBUF | SO_RCVBUF | SO_PRIORITY | SO_REUSEPORT | SO_SNDBUFFORCE
            | SO_RCVBUFFORCE,
        ) => Ok(()),
        (IPPROTO_IP, IP_TTL) => {
            let hops = match value.cast_signed() {
                -1 => None,
                hops => Some(u8::try_from(hops).ok().filter(|hops| *hops > 0).ok_or(EINVAL)?),
            };
            change(socket, |options| options.hop_limit = hops)
        }
        (IPPROTO_IP, IP_TOS | IP_MULTICAST_TTL) => Ok(()),
        (IPPROTO_TCP, TCP_NODELAY) if socket.kind() == Kind::Stream => {
            change(socket, |options| options.no_delay = is_on)
        }
        (IPPROTO_TCP, TCP_KEEPIDLE..=TCP_KEEPCNT) if socket.kind() == Kind::Stream => Ok(()),
        _ => Err(ENOPROTOOPT),
    })?;
    Ok(0)
}

/// Reads a `struct timeval`; none is for ever.
fn read_timeout(at: u32, length: u32) -> Result<Option<u64>> {
    if length < 8 {
        return Err(EINVAL);
    }
    let [seconds, microseconds]: [u32; 2] = read_user(at)?;
    if microseconds >= 1_000_000 {
        return Err(EDOM);
    }
    let ns = u64::from(seconds) * 1_000_000_000 + u64::from(microseconds) * 1000;
    Ok((ns != 0 && seconds.cast_signed() >= 0).then_some(ns))
}

pub(super) fn get(call: &mut Call<'_>, [fd, level, option, at, length_at, _]: Arguments) -> Result {
    let room: u32 = read_user(length_at)?;
    if room.cast_signed() < 0 {
        return Err(EINVAL);
    }
    let words = call.with_socket(fd, |socket, _| words(socket, level, option))?;
    let bytes = words.map(u32::to_ne_bytes);
    let length = match (level, option) {
        (SOL_SOCKET, SO_LINGER | SO_RCVTIMEO | SO_SNDTIMEO) => 8,
        _ => 4,
    };
    let length = room.min(length);
    copy_to_user(at, &bytes.as_flattened()[..length as usize])?;
    write_user(length_at, &length)?;
    Ok(0)
}

/// The value of an option, in as many words as it has.
fn words(socket: &Socket, level: u32, option: u32) -> Result<[u32; 2]> {
    let options = socket.with(|stack, id| stack.options(id).copied())?;
    let timeout = |ns: Option<u64>| microseconds(ns.unwrap_or(0));
    let (kind, protocol) = match socket.kind() {
        Kind::Stream => (1, 6),
        Kind::Datagram => (2, 17),
        Kind::Raw(protocol) => (3, u32::from(protocol)),
    };
    Ok(match (level, option) {
        (SOL_SOCKET, SO_REUSEADDR) => [options.reuse_address.into(), 0],
        (SOL_SOCKET, SO_BROADCAST) => [options.broadcast.into(), 0],
        (SOL_SOCKET, SO_KEEPALIVE) => [options.keep_alive.into(), 0],
        (SOL_SOCKET, SO_LINGER) => [options.reset_on_close.into(), 0],
        (SOL_SOCKET, SO_RCVTIMEO) => timeout(options.receive_timeout_ns),
        (SOL_SOCKET, SO_SNDTIMEO) => timeout(options.send_timeout_ns),
        (SOL_SOCKET, SO_TYPE) => [kind, 0],
        (SOL_SOCKET, SO_PROTOCOL) => [protocol, 0],
        (SOL_SOCKET, SO_DOMAIN) => [2, 0],
        (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => [BUFFER as u32, 0],
        (SOL_SOCKET, SO_ACCEPTCONN) => [socket.with(|stack, id| stack.listens(id))?.into(), 0],
        (SOL_SOCKET, SO_ERROR) => {
            let error = socket.with(|stack, id| stack.take_error(id))?;
            [error.map_or(0, |errno| errno.raw().cast_unsigned()), 0]
        }
        (IPPROTO_IP, IP_TTL) => [options.hop_limit.unwrap_or(64).into(), 0],
        (IPPROTO_IP, IP_TOS) => [0, 0],
        (IPPROTO_TCP, TCP_NODELAY) if kind == 1 => [options.no_delay.into(), 0],
        _ => return Err(ENOPROTOOPT),
    })
}
