//! Sockets of the host with itself: streams, datagrams, raw; blocking and not; wrong and hostile
//! arguments. Each call by its own number, and some by `socketcall`.
//!
//! Expected: only `ok` lines; status 0.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls with buffers lent to them, and wild arguments.

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended, Errno, Result, nr};

guest_programs::entry!(main);

const SOCKETCALL: usize = 102;
const FCNTL64: usize = 221;
const SOCKET: usize = 359;
const BIND: usize = 361;
const CONNECT: usize = 362;
const LISTEN: usize = 363;
const ACCEPT4: usize = 364;
const GETSOCKOPT: usize = 365;
const SETSOCKOPT: usize = 366;
const GETSOCKNAME: usize = 367;
const GETPEERNAME: usize = 368;
const SENDTO: usize = 369;
const SENDMSG: usize = 370;
const RECVFROM: usize = 371;
const RECVMSG: usize = 372;
const SHUTDOWN: usize = 373;

const INET: usize = 2;
const STREAM: usize = 1;
const DATAGRAM: usize = 2;
const RAW: usize = 3;
const NONBLOCK: usize = 0o4000;
const NOSIGNAL: usize = 0x4000;
const PEEK: usize = 2;
const KERNEL: usize = 0x8010_0000;

const EDESTADDRREQ: Errno = Errno(89);
const EPROTONOSUPPORT: Errno = Errno(93);
const EAFNOSUPPORT: Errno = Errno(97);
const EADDRINUSE: Errno = Errno(98);
const ENOTSOCK: Errno = Errno(88);
const ENOPROTOOPT: Errno = Errno(92);
const ENOTCONN: Errno = Errno(107);
const ECONNREFUSED: Errno = Errno(111);

/// More than both buffers of a connection hold.
const BYTES: usize = 300_000;

fn call(nr: usize, arguments: &[usize]) -> Result {
    // SAFETY: 1. Where a call here may write is either a buffer that the caller lends, or must be
    // refused by the kernel.
    unsafe { sys::call(nr, arguments) }
}

fn place<T: ?Sized>(value: &mut T) -> usize {
    core::ptr::from_mut(value).expose_provenance()
}

/// `struct sockaddr_in` of a port of 127.0.0.1.
fn address(port: u16) -> [u8; 16] {
    let [high, low] = port.to_be_bytes();
    [2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn with_address(nr: usize, fd: usize, port: u16) -> Result {
    call(nr, &[fd, place(&mut address(port)), 16])
}

/// The port that a call tells.
fn port_of(nr: usize, fd: usize) -> Result<u16> {
    let (mut told, mut length) = ([0u8; 16], 16u32);
    call(nr, &[fd, place(&mut told), place(&mut length)])?;
    if length == 16 && told[..2] == [2, 0] {
        return Ok(u16::from_be_bytes([told[2], told[3]]));
    }
    Err(Errno(0))
}

fn option(fd: usize, level: usize, name: usize) -> Result<u32> {
    let (mut value, mut length) = (0u32, 4u32);
    call(GETSOCKOPT, &[fd, level, name, place(&mut value), place(&mut length)])?;
    Ok(value)
}

fn listener() -> Result<(usize, u16)> {
    let fd = call(SOCKET, &[INET, STREAM, 0])?;
    call(LISTEN, &[fd, 5])?;
    Ok((fd, port_of(GETSOCKNAME, fd)?))
}

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    kinds(&mut checks);
    match listener() {
        Ok((fd, port)) => {
            streams(&mut checks, fd, port);
            nonblocking(&mut checks, fd, port);
            let _ = sys::close(fd);
            let client = call(SOCKET, &[INET, STREAM, 0]).unwrap_or(0);
            checks.same(with_address(CONNECT, client, port), Err(ECONNREFUSED), "nobody listens");
            let _ = sys::close(client);
        }
        Err(errno) => checks.that(false, format_args!("a listener: {errno:?}")),
    }
    datagrams(&mut checks);
    by_socketcall(&mut checks);
    checks.status()
}

fn kinds(checks: &mut Checks) {
    checks.same(call(SOCKET, &[10, STREAM, 0]), Err(EAFNOSUPPORT), "no IPv6");
    checks.same(call(SOCKET, &[INET, STREAM, 17]), Err(EPROTONOSUPPORT), "no UDP stream");
    checks.same(call(SOCKET, &[INET, RAW, 0]), Err(EPROTONOSUPPORT), "no raw socket of nothing");
    checks.same(call(SOCKET, &[INET, STREAM | 0x100, 0]), Err(Errno::EINVAL), "no such flag");
    checks.same(call(LISTEN, &[1, 5]), Err(ENOTSOCK), "the terminal is no socket");
    checks.same(call(LISTEN, &[77, 5]), Err(Errno::EBADF), "nor is nothing");
    let fd = call(SOCKET, &[INET, STREAM, 6]).unwrap_or(0);
    checks.same(call(BIND, &[fd, KERNEL, 16]), Err(Errno::EFAULT), "an address of the kernel's");
    checks.same(call(BIND, &[fd, 0x1000, 0x1000]), Err(Errno::EINVAL), "an address too long");
    checks.same(call(BIND, &[fd, place(&mut address(0)), 8]), Err(Errno::EINVAL), "one too short");
    checks.same(port_of(GETPEERNAME, fd), Err(ENOTCONN), "no peer");
    checks.same(call(SHUTDOWN, &[fd, 2]), Err(ENOTCONN), "nothing to shut");
    checks.same(call(SHUTDOWN, &[fd, 3]), Err(Errno::EINVAL), "no such half");
    checks.same(option(fd, 1, 3), Ok(1), "SO_TYPE");
    checks.same(option(fd, 1, 4), Ok(0), "SO_ERROR");
    checks.same(option(fd, 1, 999), Err(ENOPROTOOPT), "no such option");
    checks.same(call(SETSOCKOPT, &[fd, 1, 2, KERNEL, 4]), Err(Errno::EFAULT), "an option there");
    checks.same(call(SETSOCKOPT, &[fd, 1, 2, place(&mut 1u32), 4]), Ok(0), "SO_REUSEADDR");
    checks.same(option(fd, 1, 2), Ok(1), "SO_REUSEADDR is set");
    // SAFETY: 1. It changes no memory.
    let seek = unsafe { sys::call(nr::LSEEK, &[fd, 0, 0]) };
    checks.same(seek, Err(Errno::ESPIPE), "a socket has no position");
    checks.same(sys::close(fd), Ok(0), "close");
}

fn streams(checks: &mut Checks, listener: usize, port: u16) {
    let child = match sys::fork() {
        Ok(0) => sys::exit(u8::from(!serve(listener))),
        other => other.unwrap_or(0),
    };
    let client = call(SOCKET, &[INET, STREAM, 0]).unwrap_or(0);
    checks.same(with_address(CONNECT, client, port), Ok(0), "connect");
    checks.same(port_of(GETPEERNAME, client), Ok(port), "the peer's port");
    let mut all = true;
    for at in (0..BYTES).step_by(3000) {
        let mut part = [0; 3000];
        part.iter_mut().zip(at..).for_each(|(byte, at)| *byte = (at % 251) as u8);
        all &= sys::write(client, &part) == Ok(3000);
    }
    checks.that(all, format_args!("300000 bytes are written"));
    checks.same(call(SHUTDOWN, &[client, 1]), Ok(0), "half a close");
    let mut answer = [0; 16];
    checks.same(sys::read(client, &mut answer), Ok(3), "the other half lives");
    checks.same(sys::read(client, &mut answer), Ok(0), "and ends");
    checks.same(sys::wait(child), Ok(Ended::Exited(0)), "they arrive in order");
    let broken = || u8::from(sys::write(client, b"x") == Err(Errno::EPIPE));
    checks.child(broken, Ended::Killed(13), "SIGPIPE");
    let quiet = call(SENDTO, &[client, place(&mut answer), 1, NOSIGNAL, 0, 0]);
    checks.same(quiet, Err(Errno::EPIPE), "or none");
    let _ = sys::close(client);
}

/// Accepts a connection, reads all that comes, and answers.
fn serve(listener: usize) -> bool {
    let (mut from, mut length) = ([0u8; 16], 16u32);
    let accept = [listener, place(&mut from), place(&mut length), 0];
    let Ok(fd) = call(ACCEPT4, &accept) else { return false };
    let mut count = 0;
    let mut buffer = [0; 1000];
    loop {
        match sys::read(fd, &mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let good = buffer[..length]
                    .iter()
                    .zip(count..)
                    .all(|(byte, at)| *byte == (at % 251) as u8);
                if !good {
                    return false;
                }
                count += length;
            }
            Err(_) => return false,
        }
    }
    count == BYTES && from[4..8] == [127, 0, 0, 1] && sys::write(fd, b"end") == Ok(3)
}

fn nonblocking(checks: &mut Checks, listener: usize, port: u16) {
    checks.same(call(FCNTL64, &[listener, 4, NONBLOCK]), Ok(0), "O_NONBLOCK");
    checks.same(call(ACCEPT4, &[listener, 0, 0, 0]), Err(Errno::EAGAIN), "nobody came");
    let client = call(SOCKET, &[INET, STREAM | NONBLOCK, 0]).unwrap_or(0);
    checks.same(with_address(CONNECT, client, port), Err(Errno(115)), "on the way");
    let mut again = with_address(CONNECT, client, port);
    while again == Err(Errno(114)) {
        let _ = sys::sched_yield();
        again = with_address(CONNECT, client, port);
    }
    checks.same(again, Err(Errno(106)), "there");
    let server = call(ACCEPT4, &[listener, 0, 0, NONBLOCK]).unwrap_or(0);
    let mut buffer = [0; 8];
    checks.same(sys::read(server, &mut buffer), Err(Errno::EAGAIN), "nothing to read");
    let timeout = [0u32, 20_000];
    let time = [server, 1, 20, core::ptr::from_ref(&timeout).expose_provenance(), 8];
    checks.same(call(SETSOCKOPT, &time), Ok(0), "SO_RCVTIMEO");
    checks.same(call(FCNTL64, &[server, 4, 0]), Ok(0), "O_NONBLOCK no more");
    let begun = sys::now_ms();
    checks.same(sys::read(server, &mut buffer), Err(Errno::EAGAIN), "nothing in time");
    checks.that(sys::now_ms() >= begun + 20, format_args!("it waited"));
    let _ = sys::close(client);
    let _ = sys::close(server);
}

fn datagrams(checks: &mut Checks) {
    let (a, b) = (call(SOCKET, &[INET, DATAGRAM, 0]), call(SOCKET, &[INET, DATAGRAM, 0]));
    let (a, b) = (a.unwrap_or(0), b.unwrap_or(0));
    checks.same(with_address(BIND, a, 5353), Ok(0), "bind");
    checks.same(with_address(BIND, b, 5353), Err(EADDRINUSE), "taken");
    let mut text = *b"parts";
    let send = [b, place(&mut text), 5, 0];
    checks.same(call(SENDTO, &send), Err(EDESTADDRREQ), "to nobody");
    // A message of two parts.
    let base = place(&mut text) as u32;
    let mut parts = [[base, 2], [base + 2, 3]];
    let mut name = address(5353);
    let mut message = [place(&mut name) as u32, 16, place(&mut parts) as u32, 2, 0, 0, 0];
    checks.same(call(SENDMSG, &[b, place(&mut message), 0]), Ok(5), "sendmsg");
    let (mut first, mut second) = ([0; 4], [0; 4]);
    let mut room = [[place(&mut first) as u32, 4], [place(&mut second) as u32, 4]];
    let mut from = [0u8; 16];
    let mut message = [place(&mut from) as u32, 16, place(&mut room) as u32, 2, 0, 9, 9];
    checks.same(call(RECVMSG, &[a, place(&mut message), PEEK]), Ok(5), "a look");
    checks.same(call(RECVMSG, &[a, place(&mut message), 0]), Ok(5), "recvmsg");
    checks.that(&first == b"part" && &second == b"s\0\0\0", format_args!("in parts"));
    checks.same([message[5], message[6]], [0, 0], "no control messages, no flags");
    let port = u16::from_be_bytes([from[2], from[3]]);
    checks.same(port_of(GETSOCKNAME, b), Ok(port), "from whom");
    let receive = [a, KERNEL, 16, 0x40];
    checks.same(call(RECVFROM, &receive), Err(Errno::EAGAIN), "MSG_DONTWAIT");
    let _ = sys::close(a);
    let _ = sys::close(b);
}

/// The same calls by their older number.
fn by_socketcall(checks: &mut Checks) {
    let old = |number: usize, arguments: &mut [u32]| call(SOCKETCALL, &[number, place(arguments)]);
    let fd = old(1, &mut [2, 2, 0]).unwrap_or(0) as u32;
    let mut name = address(0);
    let at = place(&mut name) as u32;
    checks.same(old(2, &mut [fd, at, 16]), Ok(0), "socketcall bind");
    let port = port_of(GETSOCKNAME, fd as usize).unwrap_or(0);
    name = address(port);
    let mut text = *b"self";
    let bytes = place(&mut text) as u32;
    checks.same(old(11, &mut [fd, bytes, 4, 0, place(&mut name) as u32, 16]), Ok(4), "sendto");
    let mut buffer = [0u8; 8];
    let room = place(&mut buffer) as u32;
    checks.same(old(10, &mut [fd, room, 8, 0]), Ok(4), "recv");
    checks.that(&buffer[..4] == b"self", format_args!("what was sent"));
    checks.same(old(99, &mut []), Err(Errno::EINVAL), "no such call");
    checks.same(call(SOCKETCALL, &[1, KERNEL]), Err(Errno::EFAULT), "arguments of the kernel's");
    let _ = sys::close(fd as usize);
}
