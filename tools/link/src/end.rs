//! One end of the link.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::channel::{Channel, Due, Violation};
use crate::frame::{Frame, Framer, Reset};
use crate::output::Output;
use crate::session::Session;
use crate::{MAX_CHANNELS, MAX_PAYLOAD, MAX_SERVICE};

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opens channels.
    Host,
    /// Has the services.
    Domain0,
}

/// A channel of this end. Those of earlier sessions, or that were closed, name nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId {
    index: u16,
    life: u32,
}

/// What happened, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Both sides have found each other: channels can be opened.
    Up,
    /// The session is over: every channel is gone.
    Down,
    /// Domain 0 alone: the host opened a channel to this service. Who does not have it
    /// closes the channel.
    Opened(ChannelId, String),
    /// There are bytes to be received, where there were none.
    Readable(ChannelId),
    /// The other side has closed the channel. What it sent before can still be received; the
    /// channel is to be closed here, too.
    Closed(ChannelId),
}

/// Why a call did nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no session now.
    Down,
    /// [`MAX_CHANNELS`] are in use.
    TooMany,
    /// A service has a name of 1 to [`MAX_SERVICE`] bytes.
    Name,
    /// The channel is gone, or the other side has closed it.
    Closed,
    /// Domain 0 opens no channels.
    NotTheHost,
}

/// One end of the link: bytes in, bytes out, events.
///
/// After [`input`](Self::input) take the events and send the [`output`](Self::output). A
/// [`send`](Self::send) that took less than it was given can be tried again after either.
pub struct End {
    side: Side,
    framer: Framer,
    session: Session,
    channels: Vec<Option<Channel>>,
    /// Channels that may have a CREDIT or a CLOSE to send, each once.
    due: VecDeque<u16>,
    output: Output,
    events: VecDeque<Event>,
    next_life: u32,
}

impl End {
    /// An end that begins, and says so. `epoch` must not be that of an earlier start; a clock or
    /// random bits will do.
    pub fn new(side: Side, epoch: u32) -> Self {
        let mut end = Self {
            side,
            framer: Framer::new(),
            session: Session::new(epoch),
            channels: Vec::new(),
            due: VecDeque::new(),
            output: Output::default(),
            events: VecDeque::new(),
            next_life: 0,
        };
        end.channels.resize_with(MAX_CHANNELS, || None);
        end.say_reset();
        end
    }

    /// Whether there is a session.
    pub fn is_up(&self) -> bool {
        self.session.is_up()
    }

    /// Takes bytes that came from the other end.
    pub fn input(&mut self, mut bytes: &[u8]) {
        // The framer lends its frame while the rest of `self` acts on it.
        let mut framer = core::mem::take(&mut self.framer);
        while let Some(frame) = framer.next(&mut bytes) {
            let done = match frame {
                Ok(Frame::Reset(reset)) => {
                    self.hear_reset(reset);
                    Ok(())
                }
                // Of an earlier session.
                Ok(_) if !self.session.is_up() => Ok(()),
                Ok(frame) => self.hear(&frame),
                Err(_) => Err(Violation),
            };
            if done.is_err() {
                framer.lose_step();
                self.restart();
            }
        }
        self.framer = framer;
    }

    /// Bytes for the other end; say by [`sent`](Self::sent) how many were taken.
    pub fn output(&mut self) -> &[u8] {
        self.push_due();
        self.output.waiting()
    }

    /// So many bytes of the output have been taken.
    pub fn sent(&mut self, count: usize) {
        self.output.sent(count);
        self.push_due();
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Readable(id) = event
            && let Some(channel) = self.channel_mut(id)
        {
            channel.announced = false;
        }
        Some(event)
    }

    /// Opens a channel to a service; bytes can be sent at once.
    pub fn open(&mut self, service: &str) -> Result<ChannelId, Refused> {
        if self.side != Side::Host {
            return Err(Refused::NotTheHost);
        }
        if !self.session.is_up() {
            return Err(Refused::Down);
        }
        if !(1..=MAX_SERVICE).contains(&service.len()) {
            return Err(Refused::Name);
        }
        let free = self.channels.iter().position(Option::is_none).ok_or(Refused::TooMany)?;
        let channel = free as u16;
        self.output.push(&Frame::Open { channel, service });
        Ok(self.begin(channel))
    }

    /// Sends bytes: as many as credit and the buffer of output allow. How many.
    pub fn send(&mut self, id: ChannelId, bytes: &[u8]) -> Result<usize, Refused> {
        self.push_due();
        let mut sent = 0;
        while self.output.has_room() {
            let rest = bytes.get(sent..).unwrap_or_default();
            let open = self.channel_mut(id).filter(|channel| channel.is_open());
            let spent = open.ok_or(Refused::Closed)?.spend(rest.len().min(MAX_PAYLOAD));
            if spent == 0 {
                break;
            }
            self.output.push(&Frame::Data { channel: id.index, bytes: &rest[..spent] });
            sent += spent;
        }
        Ok(sent)
    }

    /// Received bytes of a channel, some of them if there are any.
    pub fn received(&self, id: ChannelId) -> &[u8] {
        self.channel(id).map_or(&[], Channel::received)
    }

    /// The program has dealt with the first `count` received bytes.
    pub fn consume(&mut self, id: ChannelId, count: usize) {
        if let Some(channel) = self.channel_mut(id) {
            channel.consume(count);
            self.note_due(id.index);
        }
    }

    /// Lets go of a channel: what was sent arrives, what was received is dropped.
    pub fn close(&mut self, id: ChannelId) {
        if let Some(channel) = self.channel_mut(id) {
            channel.release();
            self.note_due(id.index);
            self.free_if_over(id.index);
        }
    }

    fn channel(&self, id: ChannelId) -> Option<&Channel> {
        let channel = self.channels.get(usize::from(id.index))?.as_ref();
        channel.filter(|channel| channel.life == id.life && !channel.released)
    }

    fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        let channel = self.channels.get_mut(usize::from(id.index))?.as_mut();
        channel.filter(|channel| channel.life == id.life && !channel.released)
    }

    /// A channel begins in a free place.
    fn begin(&mut self, index: u16) -> ChannelId {
        let life = self.next_life;
        self.next_life = life.wrapping_add(1);
        if let Some(place) = self.channels.get_mut(usize::from(index)) {
            *place = Some(Channel::new(life));
        }
        ChannelId { index, life }
    }

    /// A frame of this session.
    fn hear(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let index = match *frame {
            Frame::Open { channel, service } => return self.hear_open(channel, service),
            Frame::Data { channel, .. }
            | Frame::Credit { channel, .. }
            | Frame::Close { channel } => channel,
            Frame::Reset(_) => return Ok(()),
        };
        let place = self.channels.get_mut(usize::from(index)).and_then(Option::as_mut);
        let channel = place.filter(|channel| !channel.peer_closed).ok_or(Violation)?;
        let id = ChannelId { index, life: channel.life };
        match *frame {
            Frame::Data { bytes, .. } => {
                channel.take_in(bytes)?;
                if !channel.released && !core::mem::replace(&mut channel.announced, true) {
                    self.events.push_back(Event::Readable(id));
                }
            }
            Frame::Credit { bytes, .. } => channel.earn(bytes)?,
            _ => {
                channel.peer_closed = true;
                if !channel.released {
                    self.events.push_back(Event::Closed(id));
                }
                self.free_if_over(index);
            }
        }
        Ok(())
    }

    fn hear_open(&mut self, index: u16, service: &str) -> Result<(), Violation> {
        let free = self.channels.get(usize::from(index)).is_some_and(Option::is_none);
        if self.side == Side::Host || !free {
            return Err(Violation);
        }
        let id = self.begin(index);
        self.events.push_back(Event::Opened(id, service.into()));
        Ok(())
    }

    fn hear_reset(&mut self, reset: Reset) {
        let was_up = self.session.is_up();
        let heard = self.session.hear(reset);
        if heard.anew {
            self.forget(was_up);
        }
        if heard.answer {
            self.say_reset();
        }
        if heard.anew && self.session.is_up() {
            self.events.push_back(Event::Up);
        }
    }

    /// Begins anew after the other side broke a rule.
    fn restart(&mut self) {
        let was_up = self.session.is_up();
        self.session.restart();
        self.forget(was_up);
        self.say_reset();
    }

    /// Drops everything of the session before. An `Up` that nobody has seen is dropped with it, a
    /// `Down` is not.
    fn forget(&mut self, was_up: bool) {
        let told = self.events.iter().any(|event| *event == Event::Down);
        self.events.clear();
        if was_up || told {
            self.events.push_back(Event::Down);
        }
        self.channels.iter_mut().for_each(|place| *place = None);
        self.due.clear();
    }

    /// Frames that wait mean nothing any more, even if one was sent in part.
    fn say_reset(&mut self) {
        self.output.clear();
        self.output.push(&Frame::Reset(self.session.reset()));
    }

    fn note_due(&mut self, index: u16) {
        let place = self.channels.get(usize::from(index)).and_then(Option::as_ref);
        if place.is_some_and(Channel::is_due) && !self.due.contains(&index) {
            self.due.push_back(index);
        }
    }

    /// Turns what is due into frames as long as there is room.
    fn push_due(&mut self) {
        while self.output.has_room() {
            let Some(index) = self.due.pop_front() else { break };
            let place = self.channels.get_mut(usize::from(index)).and_then(Option::as_mut);
            match place.and_then(Channel::take_due) {
                Some(Due::Credit(bytes)) => {
                    self.output.push(&Frame::Credit { channel: index, bytes });
                }
                Some(Due::Close) => self.output.push(&Frame::Close { channel: index }),
                None => {}
            }
            self.free_if_over(index);
        }
    }

    fn free_if_over(&mut self, index: u16) {
        if let Some(place) = self.channels.get_mut(usize::from(index))
            && place.as_ref().is_some_and(Channel::is_over)
        {
            *place = None;
        }
    }
}
