//! A frame, and what cannot be seen in its bytes.

use alloc::vec;
use alloc::vec::Vec;

use pv_abi::io::netif::{NetifExtraInfo, XEN_NETIF_GSO_TYPE_TCPV6};
use pv_abi::io::netif::{XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_GSO_TYPE_TCPV4};

use super::{HEADER, checksum, segment};

/// A device's address on its network.
pub type Mac = [u8; 6];

/// The address that a text says: `00:16:3e:01:02:03`.
#[must_use]
pub fn parse_mac(text: &str) -> Option<Mac> {
    let mut mac = Mac::default();
    let mut parts = text.trim().split(':');
    for byte in &mut mac {
        let is_hex = |part: &&str| part.bytes().all(|digit| digit.is_ascii_hexdigit());
        let part = parts.next().filter(|part| part.len() <= 2).filter(is_hex)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// How it is about the checksum of a frame's TCP or UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It stands in the frame; nobody has compared it.
    #[default]
    Unchecked,
    /// The bytes are as they were sent: nobody needs to compare.
    Valid,
    /// In its place is the sum of the pseudo header alone. The bytes are as they were sent.
    Blank,
}

/// An IP, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A frame with more of a TCP stream than fits a wire's frames: it is cut before it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The IP below.
    pub family: Family,
    /// Bytes of the stream in each segment but the last: not 0.
    pub size: u16,
}

impl Segments {
    /// What extra information says; none where it means nothing.
    pub(super) fn decode(extra: &NetifExtraInfo) -> Option<Segments> {
        let [low, high, kind, ..] = extra.u;
        let family = match kind {
            XEN_NETIF_GSO_TYPE_TCPV4 => Family::V4,
            XEN_NETIF_GSO_TYPE_TCPV6 => Family::V6,
            _ => return None,
        };
        let size = u16::from_le_bytes([low, high]);
        (size != 0).then_some(Segments { family, size })
    }

    /// The extra information that says so.
    pub(super) fn encode(self) -> NetifExtraInfo {
        let [low, high] = self.size.to_le_bytes();
        let kind = match self.family {
            Family::V4 => XEN_NETIF_GSO_TYPE_TCPV4,
            Family::V6 => XEN_NETIF_GSO_TYPE_TCPV6,
        };
        NetifExtraInfo { r#type: XEN_NETIF_EXTRA_TYPE_GSO, flags: 0, u: [low, high, kind, 0, 0, 0] }
    }
}

/// What who gets a frame copes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copes {
    /// Several slots: frames of more than a page.
    pub scatter: bool,
    /// Checksums left out, over IPv4.
    pub blank_v4: bool,
    /// Checksums left out, over IPv6.
    pub blank_v6: bool,
    /// Segments in one, over IPv4.
    pub segments_v4: bool,
    /// Segments in one, over IPv6.
    pub segments_v6: bool,
}

impl Copes {
    /// With everything: who is in the same memory.
    pub const ALL: Copes = Copes {
        scatter: true,
        blank_v4: true,
        blank_v6: true,
        segments_v4: true,
        segments_v6: true,
    };
    /// With what may be on a wire.
    pub const WIRE: Copes = Copes {
        scatter: true,
        blank_v4: false,
        blank_v6: false,
        segments_v4: false,
        segments_v6: false,
    };

    fn with_segments(self, family: Family) -> bool {
        match family {
            Family::V4 => self.segments_v4,
            Family::V6 => self.segments_v6,
        }
    }

    fn with_blank(self, family: Option<Family>) -> bool {
        match family {
            Some(Family::V4) => self.blank_v4,
            Some(Family::V6) => self.blank_v6,
            None => false,
        }
    }
}

/// A frame: its bytes, from the destination's address on, and what is not in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How it is about its checksum.
    pub checksum: Checksum,
    /// If it is several in one.
    pub segments: Option<Segments>,
}

impl Frame {
    /// A frame as it is on a wire.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Frame {
        Frame { bytes, ..Frame::default() }
    }

    /// The address that it is for, and the one that it is from. None: it is too short to be one.
    #[must_use]
    pub fn addresses(&self) -> Option<(Mac, Mac)> {
        let (to, rest) = self.bytes.split_first_chunk::<6>()?;
        let (from, _) = rest.split_first_chunk::<6>()?;
        (self.bytes.len() >= HEADER).then_some((*to, *from))
    }

    /// Whether its checksum is right, or need not be compared.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.checksum != Checksum::Unchecked || checksum::is_right(&self.bytes)
    }

    /// Makes of it what somebody copes with: itself, or the segments in it, with their checksums
    /// where they are wanted. Nothing is left of a frame that is not what it says, or that cannot
    /// be made fit.
    #[must_use]
    pub fn suit(mut self, copes: Copes) -> Vec<Frame> {
        if let Some(segments) = self.segments
            && !copes.with_segments(segments.family)
        {
            return segment::cut(&self, segments).unwrap_or_default();
        }
        let family = checksum::family(&self.bytes);
        if self.checksum == Checksum::Blank && !copes.with_blank(family) {
            if !checksum::fill(&mut self.bytes) {
                return Vec::new();
            }
            self.checksum = Checksum::Valid;
        }
        if !copes.scatter && self.bytes.len() > super::PAGE {
            return Vec::new();
        }
        vec![self]
    }
}

/// A number that is the same for all frames of a flow, and different for most others.
#[must_use]
pub fn flow(bytes: &[u8]) -> u32 {
    let ends = checksum::ends(bytes).or_else(|| bytes.get(..12)).unwrap_or(bytes);
    // FNV-1a; its low bits are the weakest.
    let step = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = ends.iter().fold(0x811c_9dc5, step);
    hash ^ hash >> 16
}
