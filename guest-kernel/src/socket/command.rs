//! `ifconfig` and `ping` at the shell.

use super::file::{Manner, Socket};
use super::stack::Kind;
use super::{echo, report, task};
use crate::errno::EAGAIN;
use crate::shell::Terminal;
use crate::shell::commands::{FAILED, OK, USAGE};
use crate::task::scheduler;
use crate::{time, tty};
use alloc::string::String;
use core::net::{Ipv4Addr, SocketAddrV4};
use ring1::events::Masked;

/// `IPPROTO_ICMP`.
const ICMP: u8 = 1;
/// Nanoseconds between requests, and that a reply may take.
const PERIOD_NS: u64 = 1_000_000_000;
/// Nanoseconds between looks at the terminal while a reply is awaited.
const LOOK_NS: u64 = 100_000_000;

/// `ifconfig [dhcp | off | ADDRESS/PREFIX [GATEWAY [NAME-SERVER...]]]`.
pub fn ifconfig(words: &[&str], terminal: &mut dyn Terminal) -> u8 {
    if words.is_empty() {
        // The stack cannot be held while the terminal is written to.
        let mut text = String::new();
        let _ = task::with(|stack| report::write(stack, &mut text));
        let _ = terminal.write_str(&text);
        return OK;
    }
    match report::parse(words) {
        Ok(plan) => {
            task::change(|stack| stack.set_plan(plan));
            OK
        }
        Err(wrong) => {
            let _ = writeln!(terminal, "ifconfig: {wrong}");
            USAGE
        }
    }
}

/// `ping ADDRESS [COUNT]`: the status says whether all requests were answered.
pub fn ping(to: Ipv4Addr, count: u16, terminal: &mut dyn Terminal) -> u8 {
    let socket = match Socket::new(Kind::Raw(ICMP)) {
        Ok(socket) => socket,
        Err(errno) => {
            let _ = writeln!(terminal, "ping: {errno}");
            return FAILED;
        }
    };
    // Not another's: one of the clock's, which went on since.
    let identifier = (time::now() / 1000) as u16;
    let mut answered = 0;
    for sequence in 1..=count {
        let began = time::now();
        let request = echo::request(identifier, sequence);
        if let Err(errno) = socket.send(&request, Some(SocketAddrV4::new(to, 0)), Manner::default())
        {
            let _ = writeln!(terminal, "ping: {to}: {errno}");
            return FAILED;
        }
        match answer(&socket, identifier, sequence, began + PERIOD_NS) {
            Some(hops) => {
                answered += 1;
                let us = (time::now() - began) / 1000;
                let _ = writeln!(terminal, "{to} answers {sequence} in {us} us, ttl {hops}");
            }
            None => {
                let _ = writeln!(terminal, "{to} does not answer {sequence}");
            }
        }
        while sequence < count && time::now() < began + PERIOD_NS {
            if is_interrupted() {
                return FAILED;
            }
            // The terminal's input wakes.
            let _masked = Masked::new();
            scheduler::sleep(scheduler::CONSOLE, began + PERIOD_NS);
        }
    }
    let _ = writeln!(terminal, "{answered} of {count} answered");
    if answered == count { OK } else { FAILED }
}

/// Waits for the reply to a request: what its packet could still have passed. None: it does not come.
fn answer(socket: &Socket, identifier: u16, sequence: u16, deadline: u64) -> Option<u8> {
    let mut packet = [0; 128];
    loop {
        let left = deadline.checked_sub(time::now()).filter(|left| *left > 0)?;
        let timeout = left.min(LOOK_NS);
        socket
            .with(|stack, id| {
                stack.options(id)?.receive_timeout_ns = Some(timeout);
                Ok(())
            })
            .ok()?;
        match socket.receive(&mut packet, Manner::default()) {
            Ok((length, _)) => {
                let packet = packet.get(..length).unwrap_or(&packet);
                if let Some((number, hops)) = echo::reply(packet, identifier)
                    && number == sequence
                {
                    return Some(hops);
                }
            }
            Err(errno) if errno == EAGAIN && !is_interrupted() => {}
            Err(_) => return None,
        }
    }
}

fn is_interrupted() -> bool {
    tty::has_input() && tty::read_byte() == tty::CTRL_C
}
