//! One verb of the host, from the first byte of its channel to the last: what a task of domain 0
//! does for each channel that the host opens.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::received::Received;
use super::server::{Event, Request, Server};
use super::{Outbox, Violation};
use crate::terminal::{Input, InputMode, Size, Stream, Terminal};
use crate::toolstack::Toolstack;
use crate::verbs::{self, Session};

/// The exit status when domain 0 does not even begin.
const REFUSED: u8 = 3;
/// Keys that wait for a verb to read them: beyond that they stay in the channel.
const KEYS_MAX: usize = 4096;

/// What a channel has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing any more: the host has closed it, or is gone.
    Closed,
}

/// A stream of bytes to the host and back.
pub trait Channel {
    /// Takes bytes that have come, as much as `into` (not empty) has room for; does not wait.
    fn receive(&mut self, into: &mut [u8]) -> Incoming;

    /// Whether [`Self::receive`] would return anything but [`Incoming::Nothing`].
    fn has_incoming(&mut self) -> bool;

    /// Sends bytes, as many as there is credit for after waiting for some; returns how many, 0 only
    /// if the channel is closed.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// Waits until [`Self::has_incoming`].
    fn wait(&mut self);
}

/// Carries out the verb that comes over a channel. `room` is how many bytes of files domain 0 can
/// hold at the moment. The channel can be closed afterwards.
pub fn serve(channel: &mut dyn Channel, toolstack: &mut dyn Toolstack, room: u64) {
    let mut remote = Remote {
        channel,
        server: Server::default(),
        keys: VecDeque::new(),
        input_ended: false,
        gone: false,
        size: None,
    };
    let status = match remote.prepare(room) {
        Ok((request, mut files)) => {
            let words: Vec<&str> = request.words.iter().map(|word| word.as_str()).collect();
            verbs::run(&mut Session { toolstack, terminal: &mut remote, files: &mut files }, &words)
        }
        Err(status) => status,
    };
    remote.server.exit(status);
    remote.flush();
}

/// The host as who typed a verb.
struct Remote<'a> {
    channel: &'a mut dyn Channel,
    server: Server,
    keys: VecDeque<u8>,
    input_ended: bool,
    gone: bool,
    size: Option<Size>,
}

impl Remote<'_> {
    /// Takes the request and its files; the error is the exit status.
    fn prepare(&mut self, room: u64) -> Result<(Request, Received), u8> {
        let mut request = Request::default();
        let mut files = Received::default();
        // Not on the stack, which is a small one in domain 0.
        let mut bytes = vec![0; 4096];
        loop {
            let count = match self.channel.receive(&mut bytes) {
                Incoming::Bytes(count) => count,
                Incoming::Closed => return Err(REFUSED),
                Incoming::Nothing => {
                    self.channel.wait();
                    continue;
                }
            };
            let mut input = bytes.get(..count).unwrap_or(&bytes);
            while let Some(event) = self.server.next(&mut input).map_err(|v| self.violated(v))? {
                match event {
                    Event::Start(new) => {
                        let wanted = new.files.iter().map(|(_, size)| *size);
                        let wanted = wanted.fold(0, u64::saturating_add);
                        if wanted > room {
                            return Err(self.refuse(&format!(
                                "{} KiB of files are too many: domain 0 has room for {} KiB\n",
                                wanted.div_ceil(1024),
                                room / 1024
                            )));
                        }
                        self.size = new.size;
                        request = new;
                        self.server.accept();
                        self.flush();
                    }
                    Event::File(index, bytes) => {
                        let kept = files.push(index, bytes);
                        kept.map_err(|_| self.refuse("domain 0 has run out of memory\n"))?;
                    }
                    Event::Ready => {
                        files.complete(request.files.iter().map(|(name, _)| name.clone()));
                        self.keep_input(input);
                        return Ok((request, files));
                    }
                    Event::Resize(size) => self.size = size,
                    // The server lets them through when the verb can run only.
                    Event::Input(_) | Event::InputEnd => {}
                }
            }
        }
    }

    fn violated(&mut self, violation: Violation) -> u8 {
        self.gone = true;
        self.refuse(&format!(
            "the host's xl and domain 0 do not understand each other: {violation}\n"
        ))
    }

    fn refuse(&mut self, why: &str) -> u8 {
        self.server.write(Stream::Err, why.as_bytes());
        REFUSED
    }

    /// Takes what has come while the verb runs, unless enough keys wait already.
    fn pump(&mut self) {
        while !self.gone && self.keys.len() < KEYS_MAX {
            let mut bytes = [0; 512];
            match self.channel.receive(&mut bytes) {
                Incoming::Nothing => return,
                Incoming::Closed => self.gone = true,
                Incoming::Bytes(count) => self.keep_input(bytes.get(..count).unwrap_or(&bytes)),
            }
        }
    }

    fn keep_input(&mut self, mut input: &[u8]) {
        loop {
            match self.server.next(&mut input) {
                Ok(None) => return,
                Ok(Some(Event::Input(bytes))) => self.keys.extend(bytes),
                Ok(Some(Event::InputEnd)) => self.input_ended = true,
                Ok(Some(Event::Resize(size))) => self.size = size,
                // Nothing else comes once the verb can run.
                Ok(Some(Event::Start(_) | Event::File(..) | Event::Ready)) => {}
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    fn flush(&mut self) {
        while !self.server.outbox.waiting().is_empty() {
            let sent = self.channel.send(self.server.outbox.waiting());
            self.server.outbox.sent(sent);
            if sent == 0 {
                self.gone = true;
                self.server.outbox = Outbox::default();
            }
        }
    }
}

impl Terminal for Remote<'_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.gone && !bytes.is_empty() {
            self.server.write(stream, bytes);
            self.flush();
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Input {
        self.pump();
        let count = self.keys.len().min(into.len());
        for (place, key) in into.iter_mut().zip(self.keys.drain(..count)) {
            *place = key;
        }
        match (count, self.gone, self.input_ended) {
            (1.., ..) => Input::Bytes(count),
            (0, true, _) => Input::Gone,
            (0, false, true) => Input::End,
            (0, false, false) => Input::Nothing,
        }
    }

    fn has_input(&mut self) -> bool {
        !self.keys.is_empty() || self.gone || self.input_ended || self.channel.has_incoming()
    }

    fn set_input_mode(&mut self, mode: InputMode) {
        if !self.gone {
            self.server.set_input_mode(mode);
            self.flush();
        }
    }

    fn size(&self) -> Option<Size> {
        self.size
    }
}
