//! Frames, and finding them in a stream that may be broken off at any byte.
//!
//! [`Framer`] is either in step, and reads one frame after the other, or out of step, and drops
//! everything up to a run of padding of the longest frame's length. A frame is handed out only
//! when its last byte came: what padding has completed never reaches a channel.

use alloc::vec::Vec;

use crate::{MAX_CHANNELS, MAX_PAYLOAD, MAX_SERVICE, WINDOW};

/// Bytes before the payload.
pub const HEADER: usize = 8;
/// Bytes of the longest frame.
pub const MAX_FRAME: usize = HEADER + MAX_PAYLOAD + 1;
/// Padding before a RESET: it completes a frame that was cut off, and is still longer than anything
/// in a frame.
pub const RESET_PADDING: usize = 2 * MAX_FRAME;

const PADDING: u8 = 0;
const OPEN: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;
const CLOSE: u8 = 4;
const RESET: u8 = 5;
/// The last byte of each frame.
const END: u8 = 0xfe;
/// What a RESET begins with: the protocol and its version.
const PROTOCOL: [u8; 8] = *b"ferrule\x01";

/// A frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// A channel to a service begins.
    Open {
        /// Its number, which was free.
        channel: u16,
        /// The service's name.
        service: &'a str,
    },
    /// Bytes of a channel.
    Data {
        /// Its number.
        channel: u16,
        /// The bytes: some, but at most [`MAX_PAYLOAD`].
        bytes: &'a [u8],
    },
    /// As many more bytes may be sent.
    Credit {
        /// In this channel.
        channel: u16,
        /// From 1 to [`WINDOW`].
        bytes: u32,
    },
    /// The last frame of a channel in this direction.
    Close {
        /// Its number.
        channel: u16,
    },
    /// Everything begins anew; see [`crate::session`].
    Reset(Reset),
}

/// Who begins, and what it knows of the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// The sender's epoch, not 0.
    pub epoch: u32,
    /// The receiver's epoch as far as the sender has heard; 0: it has heard of none.
    pub heard: u32,
}

/// The stream holds something that is no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

impl Frame<'_> {
    /// Appends the frame to `output`; a RESET with the padding that belongs before it.
    ///
    /// Payloads are within the protocol's limits: the callers in this crate see to that.
    pub fn encode(&self, output: &mut Vec<u8>) {
        match self {
            Self::Open { channel, service } => put(output, OPEN, *channel, &[service.as_bytes()]),
            Self::Data { channel, bytes } => put(output, DATA, *channel, &[bytes]),
            Self::Credit { channel, bytes } => {
                put(output, CREDIT, *channel, &[&bytes.to_le_bytes()]);
            }
            Self::Close { channel } => put(output, CLOSE, *channel, &[]),
            Self::Reset(reset) => {
                output.resize(output.len() + RESET_PADDING, PADDING);
                let (epoch, heard) = (reset.epoch.to_le_bytes(), reset.heard.to_le_bytes());
                put(output, RESET, 0, &[&PROTOCOL, &epoch, &heard]);
            }
        }
    }
}

fn put(output: &mut Vec<u8>, kind: u8, channel: u16, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    output.extend([kind, !kind]);
    output.extend(channel.to_le_bytes());
    output.extend((length as u32).to_le_bytes());
    payload.iter().for_each(|part| output.extend_from_slice(part));
    output.push(END);
}

/// Finds the frames in a stream.
pub struct Framer {
    /// The frame that is coming in; a whole one until the next call.
    frame: Vec<u8>,
    /// Out of step: length of the run of padding that was seen last.
    padding: Option<usize>,
}

impl Framer {
    /// Out of step: frames are found from the next RESET on.
    pub fn new() -> Self {
        Self { frame: Vec::with_capacity(MAX_FRAME), padding: Some(0) }
    }

    /// Drops everything up to the next RESET.
    pub fn lose_step(&mut self) {
        self.frame.clear();
        self.padding = Some(0);
    }

    /// Takes bytes from the front of `input` up to the end of a frame. None: there was no end.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Result<Frame<'_>, Broken>> {
        self.find_step(input);
        if self.padding.is_some() {
            return None;
        }
        if self.frame.len() == self.wanted() {
            self.frame.clear();
        }
        if self.frame.is_empty() {
            let padding = input.iter().take_while(|byte| **byte == PADDING).count();
            *input = &input[padding..];
        }
        loop {
            let missing = self.wanted() - self.frame.len();
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.frame.extend_from_slice(taken);
            *input = rest;
            if taken.len() < missing {
                return None;
            }
            if self.frame.len() == HEADER && header(&self.frame).is_none() {
                return Some(Err(Broken));
            }
            if self.frame.len() > HEADER {
                return Some(decode(&self.frame).ok_or(Broken));
            }
        }
    }

    /// The length that the frame will have, so far as is known.
    fn wanted(&self) -> usize {
        match header(&self.frame) {
            Some((_, _, length)) => HEADER + length + 1,
            None => HEADER,
        }
    }

    /// Out of step: takes bytes up to what follows a long enough run of padding.
    fn find_step(&mut self, input: &mut &[u8]) {
        let Some(mut run) = self.padding else { return };
        while let Some((byte, rest)) = input.split_first() {
            match (*byte, run) {
                (PADDING, _) => run = run.saturating_add(1),
                (_, MAX_FRAME..) => {
                    self.padding = None;
                    return;
                }
                _ => run = 0,
            }
            *input = rest;
        }
        self.padding = Some(run);
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

/// Kind, channel and length; none of an incomplete header, or one that no frame has.
fn header(frame: &[u8]) -> Option<(u8, u16, usize)> {
    let [kind, check, c0, c1, l0, l1, l2, l3] = *frame.first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let fits = length <= MAX_PAYLOAD && check == !kind;
    fits.then_some((kind, u16::from_le_bytes([c0, c1]), length))
}

/// A whole frame.
fn decode(frame: &[u8]) -> Option<Frame<'_>> {
    let (kind, channel, length) = header(frame)?;
    let payload = frame.get(HEADER..HEADER + length)?;
    if frame.get(HEADER + length) != Some(&END) || usize::from(channel) >= MAX_CHANNELS {
        return None;
    }
    match kind {
        OPEN if (1..=MAX_SERVICE).contains(&length) => {
            Some(Frame::Open { channel, service: core::str::from_utf8(payload).ok()? })
        }
        DATA if length > 0 => Some(Frame::Data { channel, bytes: payload }),
        CREDIT => {
            let bytes = u32::from_le_bytes(payload.try_into().ok()?);
            (1..=WINDOW as u32).contains(&bytes).then_some(Frame::Credit { channel, bytes })
        }
        CLOSE if length == 0 => Some(Frame::Close { channel }),
        RESET if channel == 0 => {
            let (epoch, heard) = payload.strip_prefix(&PROTOCOL)?.split_at_checked(4)?;
            let epoch = u32::from_le_bytes(epoch.try_into().ok()?);
            let heard = u32::from_le_bytes(heard.try_into().ok()?);
            (epoch != 0).then_some(Frame::Reset(Reset { epoch, heard }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const FIRST: Frame<'_> = Frame::Reset(Reset { epoch: 7, heard: 0 });

    fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        bytes
    }

    /// The frames in `bytes`, written out, a broken one as "broken".
    fn found(framer: &mut Framer, mut bytes: &[u8]) -> Vec<std::string::String> {
        let mut all = Vec::new();
        while let Some(frame) = framer.next(&mut bytes) {
            all.push(match frame {
                Ok(frame) => std::format!("{frame:?}"),
                Err(Broken) => "broken".into(),
            });
        }
        assert!(bytes.is_empty());
        all
    }

    #[test]
    fn each_frame_comes_out_as_it_went_in_however_it_is_split() {
        let long = vec![0xfe; MAX_PAYLOAD];
        let frames = [
            FIRST,
            Frame::Open { channel: 3, service: "xenstore" },
            Frame::Data { channel: 3, bytes: b"x" },
            Frame::Data { channel: 255, bytes: &long },
            Frame::Credit { channel: 3, bytes: WINDOW as u32 },
            Frame::Close { channel: 3 },
        ];
        let expected: Vec<_> = frames.iter().map(|frame| std::format!("{frame:?}")).collect();
        let bytes = encoded(&frames);
        for size in [1, 2, 3, 7, 8, 9, 100, 4096, bytes.len()] {
            let mut framer = Framer::new();
            let all: Vec<_> =
                bytes.chunks(size).flat_map(|chunk| found(&mut framer, chunk)).collect();
            assert_eq!(all, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_anywhere_is_not_delivered_and_the_reset_behind_it_is() {
        let long = vec![0; MAX_PAYLOAD];
        for frame in [
            Frame::Data { channel: 1, bytes: &long },
            Frame::Data { channel: 1, bytes: b"short" },
            Frame::Close { channel: 0 },
            Frame::Open { channel: 1, service: "xl" },
            FIRST,
        ] {
            let whole = encoded(&[frame]);
            let ends = whole.len().saturating_sub(40);
            for cut in (1..whole.len()).filter(|cut| *cut < 40 || *cut > ends || cut % 397 == 0) {
                let mut framer = Framer::new();
                assert_eq!(found(&mut framer, &encoded(&[FIRST])).len(), 1);
                let mut bytes = whole[..cut].to_vec();
                FIRST.encode(&mut bytes);
                let mut rest = &bytes[..];
                let mut resets = 0;
                while let Some(frame) = framer.next(&mut rest) {
                    match frame {
                        Ok(frame) => {
                            assert_eq!(frame, FIRST);
                            resets += 1;
                        }
                        Err(Broken) => framer.lose_step(),
                    }
                }
                assert_eq!(resets, 1, "cut after {cut} bytes");
            }
        }
    }

    #[test]
    fn out_of_step_no_payload_is_taken_for_a_reset() {
        // A file that holds a RESET with nearly all the padding that belongs to it.
        let reset = encoded(&[FIRST]);
        let file = &reset[reset.len() - MAX_PAYLOAD..];
        assert_eq!(file[0], PADDING);
        let mut framer = Framer::new();
        let bytes = encoded(&[Frame::Data { channel: 0, bytes: file }]);
        assert!(found(&mut framer, &bytes).is_empty());
        assert_eq!(found(&mut framer, &reset).len(), 1);
    }

    #[test]
    fn what_is_no_frame_is_broken() {
        let broken = |bytes: &[u8]| {
            let mut framer = Framer::new();
            found(&mut framer, &encoded(&[FIRST]));
            let mut rest = bytes;
            assert_eq!(framer.next(&mut rest), Some(Err(Broken)), "{bytes:x?}");
        };
        broken(&[2, 2, 0, 0, 1, 0, 0, 0]);
        broken(&[2, !2, 0, 0, 1, 16, 0, 0]);
        broken(&[2, !2, 0, 0, 255, 255, 255, 255]);
        broken(&[6, !6, 0, 0, 0, 0, 0, 0, END]);
        broken(&[4, !4, 0, 0, 0, 0, 0, 0, 0]);
        broken(&[4, !4, 0, 1, 0, 0, 0, 0, END]);
        broken(&[4, !4, 0, 0, 1, 0, 0, 0, 0, END]);
        broken(&[2, !2, 0, 0, 0, 0, 0, 0, END]);
        broken(&[1, !1, 0, 0, 0, 0, 0, 0, END]);
        broken(&[1, !1, 0, 0, 1, 0, 0, 0, 0xff, END]);
        broken(&[3, !3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, END]);
        broken(&[3, !3, 0, 0, 4, 0, 0, 0, 1, 0, 1, 0, END]);
        broken(&[3, !3, 0, 0, 3, 0, 0, 0, 1, 0, 1, END]);
        broken(&[5, !5, 0, 0, 4, 0, 0, 0, 1, 0, 1, 0, END]);
        broken(&encoded(&[Frame::Reset(Reset { epoch: 0, heard: 1 })])[RESET_PADDING..]);
    }
}
