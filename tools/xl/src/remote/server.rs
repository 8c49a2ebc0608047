//! Domain 0's half: who gets bytes of the host and says what to do.

use alloc::string::String;
use alloc::vec::Vec;

use super::frame::{Decoder, Item, Kind, Sender, Violation, take};
use super::outbox::Outbox;
use super::{FILES_MAX, VERSION};
use crate::terminal::{InputMode, Size, Stream};

/// A verb that the host wants carried out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// What was typed behind `xl`.
    pub words: Vec<String>,
    /// The window; `None` if output is no terminal.
    pub size: Option<Size>,
    /// Files that will come, in order: names and sizes in bytes.
    pub files: Vec<(String, u64)>,
}

impl Request {
    /// The payload of a Start frame; `None` if it does not fit into one.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let count = |count: usize| u16::try_from(count).ok();
        let mut bytes = Vec::new();
        let size = self.size.unwrap_or(Size { rows: 0, columns: 0 });
        for number in
            [VERSION, size.rows, size.columns, count(self.words.len())?, count(self.files.len())?]
        {
            bytes.extend(number.to_le_bytes());
        }
        for text in self.words.iter().chain(self.files.iter().map(|(name, _)| name)) {
            bytes.extend(count(text.len())?.to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        for (_, size) in &self.files {
            bytes.extend(size.to_le_bytes());
        }
        (bytes.len() <= super::frame::FRAME_MAX && self.files.len() <= FILES_MAX).then_some(bytes)
    }

    fn decode(payload: &[u8]) -> Result<Self, Violation> {
        let mut rest = payload;
        let malformed = Violation::Malformed(Kind::Start);
        let version = number(&mut rest).ok_or(malformed)?;
        if version != VERSION {
            return Err(Violation::Version(version));
        }
        let request = Self::decode_rest(&mut rest).filter(|_| rest.is_empty());
        request.filter(|request| request.files.len() <= FILES_MAX).ok_or(malformed)
    }

    fn decode_rest(rest: &mut &[u8]) -> Option<Self> {
        let (rows, columns) = (number(rest)?, number(rest)?);
        let (words, files) = (number(rest)?, number(rest)?);
        let words = (0..words).map(|_| text(rest)).collect::<Option<Vec<_>>>()?;
        let names = (0..files).map(|_| text(rest)).collect::<Option<Vec<_>>>()?;
        let mut files = Vec::new();
        for name in names {
            files.push((name, u64::from_le_bytes(take(rest, 8).try_into().ok()?)));
        }
        Some(Self { words, size: window(rows, columns), files })
    }
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(take(rest, 2).try_into().ok()?))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::from(number(rest)?);
    let bytes = take(rest, length);
    if bytes.len() < length {
        return None;
    }
    String::from_utf8(bytes.to_vec()).ok()
}

/// A window of no lines or no columns is none.
fn window(rows: u16, columns: u16) -> Option<Size> {
    (rows > 0 && columns > 0).then_some(Size { rows, columns })
}

/// What the host says.
#[derive(PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// It wants a verb carried out: to be accepted, or ended.
    Start(Request),
    /// The next bytes of the file at this place in the request.
    File(usize, &'a [u8]),
    /// All files are complete: the verb can run.
    Ready,
    /// Keys.
    Input(&'a [u8]),
    /// There will be no more keys.
    InputEnd,
    /// The window has another size.
    Resize(Option<Size>),
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    New,
    /// The request waits for an answer.
    Offered { sizes: Vec<u64> },
    /// Files come: how much is missing of each, and which is next.
    Files { missing: Vec<u64>, next: usize },
    /// The verb can run.
    Running,
}

/// The half in domain 0.
#[derive(Debug)]
pub struct Server {
    decoder: Decoder,
    state: State,
    /// What is to be sent to the host.
    pub outbox: Outbox,
}

impl Default for Server {
    fn default() -> Self {
        let decoder = Decoder::new(Sender::Host);
        Self { decoder, state: State::New, outbox: Outbox::default() }
    }
}

impl Server {
    /// The next event, whose bytes are taken off the front of `input`; `None` when more bytes are
    /// needed. To be asked once more after [`Server::accept`], even without bytes.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, Violation> {
        if let State::Files { missing, next } = &mut self.state {
            while missing.get(*next) == Some(&0) {
                *next += 1;
            }
            if *next == missing.len() {
                self.state = State::Running;
                return Ok(Some(Event::Ready));
            }
            // A part of a frame may end one file and begin the next: files are frames of their own.
        }
        let Some(item) = self.decoder.next(input)? else { return Ok(None) };
        match item {
            Item::Part(Kind::File, bytes) => self.file(bytes),
            Item::Part(kind, bytes) => match self.state {
                State::Running => Ok(Some(Event::Input(bytes))),
                _ => Err(Violation::OutOfOrder(kind)),
            },
            Item::Whole(kind, payload) => self.whole(kind, &payload),
        }
    }

    fn file<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Event<'a>>, Violation> {
        let State::Files { missing, next } = &mut self.state else {
            return Err(Violation::OutOfOrder(Kind::File));
        };
        let left = missing.get_mut(*next).ok_or(Violation::OutOfOrder(Kind::File))?;
        let rest = left.checked_sub(bytes.len() as u64);
        *left = rest.ok_or(Violation::Malformed(Kind::File))?;
        Ok(Some(Event::File(*next, bytes)))
    }

    fn whole(&mut self, kind: Kind, payload: &[u8]) -> Result<Option<Event<'static>>, Violation> {
        let malformed = Violation::Malformed(kind);
        match (kind, &self.state) {
            (Kind::Start, State::New) => {
                let request = Request::decode(payload)?;
                let sizes = request.files.iter().map(|(_, size)| *size).collect();
                self.state = State::Offered { sizes };
                Ok(Some(Event::Start(request)))
            }
            (Kind::InputEnd, State::Running) if payload.is_empty() => Ok(Some(Event::InputEnd)),
            (Kind::InputEnd, State::Running) => Err(malformed),
            (Kind::Resize, State::Offered { .. } | State::Files { .. } | State::Running) => {
                let mut rest = payload;
                let size = number(&mut rest).zip(number(&mut rest)).filter(|_| rest.is_empty());
                let (rows, columns) = size.ok_or(malformed)?;
                Ok(Some(Event::Resize(window(rows, columns))))
            }
            _ => Err(Violation::OutOfOrder(kind)),
        }
    }

    /// Lets the files come. Nothing happens unless a request waits.
    pub fn accept(&mut self) {
        if let State::Offered { sizes } = &mut self.state {
            self.state = State::Files { missing: core::mem::take(sizes), next: 0 };
            self.outbox.push(Kind::Accept, &[]);
        }
    }

    /// Shows bytes.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let kind = match stream {
            Stream::Out => Kind::Out,
            Stream::Err => Kind::Err,
        };
        self.outbox.push(kind, bytes);
    }

    /// Says how keys are wanted.
    pub fn set_input_mode(&mut self, mode: InputMode) {
        let mode = match mode {
            InputMode::Line => 0,
            InputMode::Raw => 1,
            InputMode::Screen => 2,
        };
        self.outbox.push(Kind::Mode, &[mode]);
    }

    /// Says that the verb has ended, and how; nothing is sent after it.
    pub fn exit(&mut self, status: u8) {
        self.outbox.push(Kind::Exit, &[status]);
    }
}
