//! Frames: a byte of kind, four of length (little-endian), the payload.
//!
//! Contents of files, keys and output are handed on as they come, in parts that need not be whole
//! frames: no half ever holds more than one short frame.

use alloc::vec::Vec;
use core::fmt;

/// The most bytes of a payload.
pub const FRAME_MAX: usize = 64 << 10;
const HEADER: usize = 5;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// From the host: the verb, see `Request`.
    Start = 1,
    /// From the host: bytes of the next file that is not complete.
    File = 2,
    /// From the host: what was typed.
    Input = 3,
    /// From the host: nothing will be typed any more.
    InputEnd = 4,
    /// From the host: the window's lines and columns, two bytes each.
    Resize = 5,
    /// From domain 0: the files may come.
    Accept = 16,
    /// From domain 0: standard output.
    Out = 17,
    /// From domain 0: standard error.
    Err = 18,
    /// From domain 0: how keys are wanted, 0 line by line, 1 raw.
    Mode = 19,
    /// From domain 0: the exit status; the last frame.
    Exit = 20,
}

impl Kind {
    const OF_HOST: [Self; 5] = [Self::Start, Self::File, Self::Input, Self::InputEnd, Self::Resize];
    const OF_DOMAIN_0: [Self; 5] = [Self::Accept, Self::Out, Self::Err, Self::Mode, Self::Exit];

    /// Whether its payload is handed on in parts.
    fn streams(self) -> bool {
        matches!(self, Self::File | Self::Input | Self::Out | Self::Err)
    }
}

/// Who sends the frames that are decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// The host.
    Host,
    /// Domain 0.
    Domain0,
}

/// How the other half broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A frame of a kind that it does not send.
    UnknownKind(u8),
    /// A frame longer than [`FRAME_MAX`].
    TooLong(u32),
    /// A payload that is not what its kind has.
    Malformed(Kind),
    /// A frame that has no place here.
    OutOfOrder(Kind),
    /// Another version of the protocol.
    Version(u16),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(kind) => write!(f, "a frame of kind {kind} is not known"),
            Self::TooLong(length) => write!(f, "a frame of {length} bytes is too long"),
            Self::Malformed(kind) => write!(f, "a malformed frame ({kind:?})"),
            Self::OutOfOrder(kind) => write!(f, "a frame out of order ({kind:?})"),
            Self::Version(version) => {
                write!(f, "version {version} of the protocol; this is version {}", super::VERSION)
            }
        }
    }
}

/// What bytes come to.
#[derive(PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// The next bytes of a stream; not empty.
    Part(Kind, &'a [u8]),
    /// A frame's payload.
    Whole(Kind, Vec<u8>),
}

/// Takes bytes of one sender apart.
#[derive(Debug)]
pub struct Decoder {
    kinds: &'static [Kind],
    header: Vec<u8>,
    /// The frame that has begun, and how much of it is missing.
    frame: Option<(Kind, usize)>,
    payload: Vec<u8>,
    /// Set for good by the first violation of the framing.
    broken: Option<Violation>,
}

impl Decoder {
    /// At the start of a stream.
    pub fn new(sender: Sender) -> Self {
        let kinds = match sender {
            Sender::Host => &Kind::OF_HOST,
            Sender::Domain0 => &Kind::OF_DOMAIN_0,
        };
        Self { kinds, header: Vec::new(), frame: None, payload: Vec::new(), broken: None }
    }

    /// The next item, whose bytes are taken off the front of `input`; `None` when all are taken and
    /// more are needed. After a violation there is nothing but that.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, Violation> {
        if let Some(violation) = self.broken {
            return Err(violation);
        }
        let item = self.take(input);
        self.broken = item.as_ref().err().copied();
        item
    }

    fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, Violation> {
        loop {
            let Some((kind, missing)) = self.frame else {
                if !self.begin(input)? {
                    return Ok(None);
                }
                continue;
            };
            let part = take(input, missing);
            let missing = missing - part.len();
            self.frame = (missing > 0).then_some((kind, missing));
            if kind.streams() {
                // An empty frame of a stream says nothing.
                if !part.is_empty() {
                    return Ok(Some(Item::Part(kind, part)));
                }
            } else {
                self.payload.extend(part);
                if missing == 0 {
                    return Ok(Some(Item::Whole(kind, core::mem::take(&mut self.payload))));
                }
            }
            if missing > 0 {
                return Ok(None);
            }
        }
    }

    /// Reads a header; false if it is not all there.
    fn begin(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        self.header.extend(take(input, HEADER - self.header.len()));
        let [kind, length @ ..] = self.header.as_slice() else { return Ok(false) };
        let Ok(length) = <[u8; 4]>::try_from(length) else { return Ok(false) };
        let (kind, length) = (*kind, u32::from_le_bytes(length));
        self.header.clear();
        let known = self.kinds.iter().copied().find(|known| *known as u8 == kind);
        let known = known.ok_or(Violation::UnknownKind(kind))?;
        let missing = usize::try_from(length).ok().filter(|length| *length <= FRAME_MAX);
        self.frame = Some((known, missing.ok_or(Violation::TooLong(length))?));
        Ok(true)
    }
}

/// Takes at most `count` bytes off the front.
pub fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at_checked(count).unwrap_or((*input, &[]));
    *input = rest;
    taken
}
