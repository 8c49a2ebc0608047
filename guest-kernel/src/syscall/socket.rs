//! System calls about sockets: each has a number of its own, and one of `socketcall`, whose arguments
//! are in memory.
//!
//! There are IPv4 streams and datagrams, and raw sockets. Control messages are neither sent nor
//! received.

mod option;

use super::errno::{
    EAFNOSUPPORT, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, ENOTSOCK, EOPNOTSUPP, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
};
use super::{Call, Result, enough_memory};
use crate::fs::file::{Flags, Open};
use crate::socket::address::{self, AF_INET, AF_UNSPEC};
use crate::socket::file::{Manner, Socket};
use crate::socket::stack::{Kind, Shutdown};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use ring1::uaccess::{copy_from_user, copy_to_user, read_user, write_user};

pub use option::{getsockopt, setsockopt};

/// `SOCK_NONBLOCK`, `SOCK_CLOEXEC`, and the bits of a type that say the kind.
const NONBLOCK: u32 = 0o4000;
const CLOSE_ON_EXEC: u32 = 0o2_000_000;
const KIND: u32 = 0xf;

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

const MSG_OOB: u32 = 0x1;
const MSG_PEEK: u32 = 0x2;
const MSG_TRUNC: u32 = 0x20;
const MSG_DONTWAIT: u32 = 0x40;
const MSG_WAITALL: u32 = 0x100;
const MSG_NOSIGNAL: u32 = 0x4000;

/// Bytes that one call moves at most: those of the longest datagram.
const LARGEST: u32 = 64 << 10;
/// Most parts of a message (`UIO_MAXIOV`).
const PARTS: u32 = 1024;

/// Up to six arguments.
type Arguments = [u32; 6];

impl Call<'_> {
    fn arguments(&self) -> Arguments {
        [self.a(), self.b(), self.c(), self.d(), self.e(), self.f()]
    }

    /// Does `f` with the socket that a descriptor is.
    fn with_socket<R>(&self, fd: u32, f: impl FnOnce(&Socket, Flags) -> Result<R>) -> Result<R> {
        let open = self.open_file(fd)?;
        f(open.file.as_kind::<Socket>().ok_or(ENOTSOCK)?, open.flags())
    }

    fn add_socket(&self, socket: Socket, flags: u32) -> Result {
        let nonblock = if flags & NONBLOCK != 0 { Flags::NONBLOCK } else { Flags::empty() };
        let open = Arc::new(Open::new(Arc::new(socket), Flags::READ_WRITE | nonblock));
        self.process.files.borrow().add(open, 0, flags & CLOSE_ON_EXEC != 0)
    }
}

/// The calls, each by its own number and through `socketcall`.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident => $function:ident;)*) => {
        $($(#[$doc])* pub fn $name(call: &mut Call<'_>) -> Result {
            $function(call, call.arguments())
        })*
    };
}

calls! {
    /// `socket(family, type, protocol)`.
    socket => open;
    /// `bind(fd, *address, length)`.
    bind => do_bind;
    /// `connect(fd, *address, length)`.
    connect => do_connect;
    /// `listen(fd, backlog)`.
    listen => do_listen;
    /// `accept4(fd, *address, *length, flags)`.
    accept4 => do_accept;
    /// `getsockname(fd, *address, *length)`.
    getsockname => local;
    /// `getpeername(fd, *address, *length)`.
    getpeername => peer;
    /// `sendto(fd, *bytes, count, flags, *address, length)`.
    sendto => send;
    /// `recvfrom(fd, *bytes, count, flags, *address, *length)`.
    recvfrom => receive;
    /// `sendmsg(fd, *message, flags)`.
    sendmsg => send_message;
    /// `recvmsg(fd, *message, flags)`.
    recvmsg => receive_message;
    /// `shutdown(fd, how)`.
    shutdown => do_shutdown;
}

/// `socketcall(number, *arguments)`.
pub fn socketcall(call: &mut Call<'_>) -> Result {
    /// Arguments of each call, by its number.
    const COUNTS: [u8; 19] = [0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4, 6, 6, 2, 5, 5, 3, 3, 4];
    let count = *COUNTS.get(call.a() as usize).ok_or(EINVAL)?;
    let mut arguments = [0; 6];
    for (index, argument) in (0..u32::from(count)).zip(&mut arguments) {
        *argument = read_user(call.b().checked_add(index * 4).ok_or(EFAULT)?)?;
    }
    match call.a() {
        1 => open(call, arguments),
        2 => do_bind(call, arguments),
        3 => do_connect(call, arguments),
        4 => do_listen(call, arguments),
        5 | 18 => do_accept(call, arguments),
        6 => local(call, arguments),
        7 => peer(call, arguments),
        // Without an address.
        9 | 11 => send(call, arguments),
        10 | 12 => receive(call, arguments),
        13 => do_shutdown(call, arguments),
        14 => option::set(call, arguments),
        15 => option::get(call, arguments),
        16 => send_message(call, arguments),
        17 => receive_message(call, arguments),
        // socketpair: of local sockets only, which there are none of.
        8 => Err(EAFNOSUPPORT),
        _ => Err(EINVAL),
    }
}

/// Reads the address that a program names.
fn read_address(at: u32, length: u32) -> Result<Vec<u8>> {
    if length as usize > address::LARGEST {
        return Err(EINVAL);
    }
    let mut bytes = alloc::vec![0; length as usize];
    copy_from_user(&mut bytes, at)?;
    Ok(bytes)
}

/// Writes an address where a program wants it, cut to the room that it has, with its length.
fn write_address(from: Option<SocketAddrV4>, at: u32, length_at: u32) -> Result<()> {
    if at == 0 {
        return Ok(());
    }
    let room: u32 = read_user(length_at)?;
    if room.cast_signed() < 0 {
        return Err(EINVAL);
    }
    let bytes = from.map(address::encode);
    let bytes = bytes.as_ref().map_or(&[][..], |bytes| &bytes[..]);
    copy_to_user(at, &bytes[..bytes.len().min(room as usize)])?;
    write_user(length_at, &(bytes.len() as u32))?;
    Ok(())
}

fn open(call: &mut Call<'_>, [family, kind, protocol, ..]: Arguments) -> Result {
    enough_memory()?;
    if family != u32::from(AF_INET) {
        return Err(EAFNOSUPPORT);
    }
    if kind & !(KIND | NONBLOCK | CLOSE_ON_EXEC) != 0 {
        return Err(EINVAL);
    }
    let socket = match (kind & KIND, protocol) {
        (1, 0 | IPPROTO_TCP) => Kind::Stream,
        (2, 0 | IPPROTO_UDP) => Kind::Datagram,
        (3, 1..=255) => Kind::Raw(protocol as u8),
        (1..=3, _) => return Err(EPROTONOSUPPORT),
        _ => return Err(ESOCKTNOSUPPORT),
    };
    call.add_socket(Socket::new(socket)?, kind)
}

fn do_bind(call: &mut Call<'_>, [fd, at, length, ..]: Arguments) -> Result {
    let address = address::decode(&read_address(at, length)?)?;
    enough_memory()?;
    call.with_socket(fd, |socket, _| socket.with(|stack, id| stack.bind(id, address)))?;
    Ok(0)
}

fn do_connect(call: &mut Call<'_>, [fd, at, length, ..]: Arguments) -> Result {
    let address = read_address(at, length)?;
    enough_memory()?;
    call.with_socket(fd, |socket, flags| {
        if address::family(&address)? == AF_UNSPEC {
            return socket.with(|stack, id| stack.disconnect(id));
        }
        socket.connect(address::decode(&address)?, flags)
    })?;
    Ok(0)
}

fn do_listen(call: &mut Call<'_>, [fd, backlog, ..]: Arguments) -> Result {
    // A negative backlog is a large one, as in Linux.
    call.with_socket(fd, |socket, _| socket.with(|stack, id| stack.listen(id, backlog as usize)))?;
    Ok(0)
}

fn do_accept(call: &mut Call<'_>, [fd, at, length_at, flags, ..]: Arguments) -> Result {
    if flags & !(NONBLOCK | CLOSE_ON_EXEC) != 0 {
        return Err(EINVAL);
    }
    enough_memory()?;
    let (socket, peer) = call.with_socket(fd, Socket::accept)?;
    write_address(Some(peer), at, length_at)?;
    call.add_socket(socket, flags)
}

fn local(call: &mut Call<'_>, [fd, at, length_at, ..]: Arguments) -> Result {
    let address = call.with_socket(fd, |socket, _| socket.with(|stack, id| stack.local(id)))?;
    write_address(Some(address), at, length_at)?;
    Ok(0)
}

fn peer(call: &mut Call<'_>, [fd, at, length_at, ..]: Arguments) -> Result {
    let address = call.with_socket(fd, |socket, _| socket.with(|stack, id| stack.peer(id)))?;
    write_address(Some(address), at, length_at)?;
    Ok(0)
}

fn do_shutdown(call: &mut Call<'_>, [fd, how, ..]: Arguments) -> Result {
    let how = match how {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Err(EINVAL),
    };
    call.with_socket(fd, |socket, _| socket.shutdown(how))?;
    Ok(0)
}

/// How a call with these flags, on a socket opened so, is to go.
fn manner(flags: u32, open: Flags) -> Result<Manner> {
    // Nothing urgent is ever sent or received.
    if flags & MSG_OOB != 0 {
        return Err(EOPNOTSUPP);
    }
    Ok(Manner {
        is_nonblocking: open.is_nonblocking() || flags & MSG_DONTWAIT != 0,
        peek: flags & MSG_PEEK != 0,
        whole: flags & MSG_WAITALL != 0,
        is_quiet: flags & MSG_NOSIGNAL != 0,
    })
}

/// A buffer in the kernel for a process's bytes.
fn buffer(length: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| ENOBUFS)?;
    bytes.resize(length as usize, 0);
    Ok(bytes)
}

/// Sends all that a process has at these places: a stream waits for room again and again.
fn send_parts(
    call: &Call<'_>,
    fd: u32,
    parts: &[[u32; 2]],
    flags: u32,
    to: Option<SocketAddrV4>,
) -> Result {
    enough_memory()?;
    call.with_socket(fd, |socket, open| {
        let manner = manner(flags, open)?;
        if socket.kind() != Kind::Stream {
            let bytes = gather(parts)?;
            return socket.send(&bytes, to, manner).map(|count| count as u32);
        }
        let mut total = 0u32;
        let mut send_all = || {
            for [at, length] in parts {
                let mut done = 0;
                while done < *length {
                    let mut bytes = buffer((length - done).min(LARGEST))?;
                    copy_from_user(&mut bytes, at.checked_add(done).ok_or(EFAULT)?)?;
                    let mut rest = bytes.as_slice();
                    while !rest.is_empty() {
                        let count = socket.send(rest, to, manner)?;
                        rest = rest.get(count..).unwrap_or_default();
                        done += count as u32;
                        total = total.saturating_add(count as u32);
                    }
                }
            }
            Ok(())
        };
        let result = send_all();
        if total > 0 { Ok(total) } else { result.map(|()| 0) }
    })
}

/// A datagram's bytes, from all places where a process has them.
fn gather(parts: &[[u32; 2]]) -> Result<Vec<u8>> {
    let total = parts.iter().try_fold(0u32, |sum, [_, length]| sum.checked_add(*length));
    let total = total.filter(|total| *total <= LARGEST).ok_or(EMSGSIZE)?;
    let mut bytes = buffer(total)?;
    let mut rest = bytes.as_mut_slice();
    for [at, length] in parts {
        let Some((part, more)) = rest.split_at_mut_checked(*length as usize) else { break };
        copy_from_user(part, *at)?;
        rest = more;
    }
    Ok(bytes)
}

/// Receives into all these places: how many bytes there were, whether some were cut, from whom.
fn receive_parts(
    call: &Call<'_>,
    fd: u32,
    parts: &[[u32; 2]],
    flags: u32,
) -> Result<(u32, bool, Option<SocketAddrV4>)> {
    let total = parts.iter().fold(0u32, |sum, [_, length]| sum.saturating_add(*length));
    let mut bytes = buffer(total.min(LARGEST))?;
    let (count, from) =
        call.with_socket(fd, |socket, open| socket.receive(&mut bytes, manner(flags, open)?))?;
    let mut rest = bytes.get(..count).unwrap_or(&bytes);
    for [at, length] in parts {
        let (part, more) = rest.split_at((*length as usize).min(rest.len()));
        copy_to_user(*at, part)?;
        rest = more;
    }
    let is_cut = count > bytes.len();
    let told = if flags & MSG_TRUNC != 0 { count } else { count.min(bytes.len()) };
    Ok((told as u32, is_cut, from))
}

fn send(call: &mut Call<'_>, [fd, at, count, flags, to, to_length]: Arguments) -> Result {
    let to = destination(to, to_length)?;
    send_parts(call, fd, &[[at, count]], flags, to)
}

/// The address that a message is for, if one is named.
fn destination(at: u32, length: u32) -> Result<Option<SocketAddrV4>> {
    if at == 0 || length == 0 {
        return Ok(None);
    }
    address::decode(&read_address(at, length)?).map(Some)
}

fn receive(call: &mut Call<'_>, [fd, at, count, flags, from_at, length_at]: Arguments) -> Result {
    enough_memory()?;
    let (count, _, from) = receive_parts(call, fd, &[[at, count]], flags)?;
    write_address(from, from_at, length_at)?;
    Ok(count)
}

/// `struct msghdr`: name, its length, parts, how many, control, its length, flags.
type Message = [u32; 7];

/// Reads where the parts of a message are.
fn parts(message: &Message) -> Result<Vec<[u32; 2]>> {
    let [_, _, at, count, ..] = *message;
    if count > PARTS {
        return Err(EMSGSIZE);
    }
    (0..count).map(|index| Ok(read_user(at.checked_add(index * 8).ok_or(EFAULT)?)?)).collect()
}

fn send_message(call: &mut Call<'_>, [fd, at, flags, ..]: Arguments) -> Result {
    let message: Message = read_user(at)?;
    if message[5] != 0 {
        return Err(EOPNOTSUPP);
    }
    let to = destination(message[0], message[1])?;
    send_parts(call, fd, &parts(&message)?, flags, to)
}

fn receive_message(call: &mut Call<'_>, [fd, at, flags, ..]: Arguments) -> Result {
    enough_memory()?;
    let message: Message = read_user(at)?;
    let (count, is_cut, from) = receive_parts(call, fd, &parts(&message)?, flags)?;
    write_address(from, message[0], at.checked_add(4).ok_or(EFAULT)?)?;
    let told = if is_cut { MSG_TRUNC } else { 0 };
    // No control messages, and the flags.
    write_user(at.checked_add(20).ok_or(EFAULT)?, &[0, told])?;
    Ok(count)
}
