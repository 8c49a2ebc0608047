//! The host's half: who sends a verb and shows what comes back.

use alloc::vec::Vec;

use super::frame::{Decoder, Item, Kind, Sender, Violation};
use super::outbox::Outbox;
use super::server::Request;
use crate::terminal::{InputMode, Size, Stream};

/// What domain 0 says.
#[derive(PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The files may be sent.
    Accepted,
    /// Something is to be shown.
    Output(Stream, &'a [u8]),
    /// How keys are wanted from now on.
    InputMode(InputMode),
    /// The verb has ended with this exit status.
    Exit(u8),
}

/// The half on the host.
#[derive(Debug)]
pub struct Client {
    decoder: Decoder,
    /// How much is missing of each file.
    missing: Vec<u64>,
    accepted: bool,
    ended: bool,
    /// What is to be sent to domain 0.
    pub outbox: Outbox,
}

impl Client {
    /// Begins with a request; `None` if its words and names are too long.
    pub fn new(request: &Request) -> Option<Self> {
        let mut outbox = Outbox::default();
        outbox.push(Kind::Start, &request.encode()?);
        let missing = request.files.iter().map(|(_, size)| *size).collect();
        let decoder = Decoder::new(Sender::Domain0);
        Some(Self { decoder, missing, accepted: false, ended: false, outbox })
    }

    /// The next event, whose bytes are taken off the front of `input`; `None` when more bytes are
    /// needed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Violation> {
        let Some(item) = self.decoder.next(input)? else { return Ok(None) };
        let event = match item {
            Item::Part(kind, _) if self.ended => return Err(Violation::OutOfOrder(kind)),
            Item::Part(Kind::Err, bytes) => Event::Output(Stream::Err, bytes),
            Item::Part(_, bytes) => Event::Output(Stream::Out, bytes),
            Item::Whole(kind, payload) => match (kind, payload[..].as_ref()) {
                _ if self.ended => return Err(Violation::OutOfOrder(kind)),
                (Kind::Accept, []) if !self.accepted => {
                    self.accepted = true;
                    Event::Accepted
                }
                (Kind::Accept, []) => return Err(Violation::OutOfOrder(kind)),
                (Kind::Mode, [0]) => Event::InputMode(InputMode::Line),
                (Kind::Mode, [1]) => Event::InputMode(InputMode::Raw),
                (Kind::Mode, [2]) => Event::InputMode(InputMode::Screen),
                (Kind::Exit, [status]) => {
                    self.ended = true;
                    Event::Exit(*status)
                }
                _ => return Err(Violation::Malformed(kind)),
            },
        };
        Ok(Some(event))
    }

    /// The file that is to be sent now, by its place in the request, and how many of its bytes are
    /// missing; `None` if none may be sent, or all have been.
    pub fn wants_file(&self) -> Option<(usize, u64)> {
        let mut missing = self.missing.iter().copied().enumerate();
        missing.find(|(_, missing)| *missing > 0).filter(|_| self.accepted)
    }

    /// Sends bytes of the file that is wanted, as many of them as it misses; returns how many.
    pub fn file(&mut self, bytes: &[u8]) -> usize {
        let Some((index, missing)) = self.wants_file() else { return 0 };
        let count = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
        let (bytes, _) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        if let Some(missing) = self.missing.get_mut(index) {
            *missing -= bytes.len() as u64;
        }
        self.outbox.push(Kind::File, bytes);
        count
    }

    /// Whether keys may be sent: the verb runs, or is about to.
    pub fn wants_input(&self) -> bool {
        self.accepted && !self.ended && self.wants_file().is_none()
    }

    /// Sends keys.
    pub fn input(&mut self, bytes: &[u8]) {
        self.outbox.push(Kind::Input, bytes);
    }

    /// Says that there will be no more keys.
    pub fn end_input(&mut self) {
        self.outbox.push(Kind::InputEnd, &[]);
    }

    /// Says that the window has another size.
    pub fn resize(&mut self, size: Size) {
        let [a, b] = size.rows.to_le_bytes();
        let [c, d] = size.columns.to_le_bytes();
        self.outbox.push(Kind::Resize, &[a, b, c, d]);
    }
}
