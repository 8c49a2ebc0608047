//! Frames, checksums and segments: what the bytes say, against sums made another way.

use super::super::checksum;
use super::super::{Checksum, Copes, Family, Frame, Segments, flow, leave_blank, parse_mac};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const V4: u8 = 4;
const V6: u8 = 6;

/// A frame with TCP or UDP over IP, its checksums zero.
pub fn packet(ip: u8, protocol: u8, data: &[u8]) -> Vec<u8> {
    let header: &[u8] = if protocol == 6 {
        &[0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x99, 0xff, 0, 0, 0, 0, 0]
    } else {
        let length = (data.len() + 8) as u16;
        &[&[0x12, 0x34, 0, 53][..], &length.to_be_bytes(), &[0, 0]].concat()
    };
    let body = (header.len() + data.len()) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if ip == V4 {
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((body + 20).to_be_bytes());
        frame.extend([0xff, 0xff, 0x40, 0, 64, protocol, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2]);
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(body.to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend((0..32).map(|n| n * 7));
    }
    frame.extend(header);
    frame.extend(data);
    frame
}

/// Whether the checksum of TCP or UDP is right: with it, all sums to ones.
fn is_right(frame: &[u8]) -> bool {
    let v4 = frame[12] == 8;
    let (addresses, body) = if v4 { (26..34, 34) } else { (22..54, 54) };
    let protocol = if v4 { frame[23] } else { frame[20] };
    let mut bytes = frame[addresses].to_vec();
    bytes.extend([0, protocol]);
    bytes.extend(((frame.len() - body) as u16).to_be_bytes());
    bytes.extend(&frame[body..]);
    ones(&bytes) == 0xffff
}

/// The sum in ones' complement, carry by carry.
fn ones(bytes: &[u8]) -> u16 {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(2), 0);
    padded.chunks(2).fold(0u16, |sum, pair| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([pair[0], pair[1]]));
        sum + u16::from(carry)
    })
}

#[test]
fn every_sum_there_is_is_right() {
    for protocol in [6, 17] {
        for data in 0..=u16::MAX {
            let mut frame = packet(V4, protocol, &data.to_be_bytes());
            assert!(checksum::fill(&mut frame) && is_right(&frame), "{data}");
            assert!(Frame::new(frame).is_sound(), "{data}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn checksums_are_right(
        ip in prop::sample::select(vec![V4, V6]),
        protocol in prop::sample::select(vec![6u8, 17]),
        data in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let plain = packet(ip, protocol, &data);
        let mut frame = plain.clone();
        prop_assert!(leave_blank(&mut frame));
        let blank = Frame { bytes: frame, checksum: Checksum::Blank, segments: None };
        prop_assert_eq!(blank.clone().suit(Copes::ALL), vec![blank.clone()]);
        let filled = blank.suit(Copes::WIRE);
        prop_assert_eq!(filled.len(), 1);
        prop_assert!(is_right(&filled[0].bytes));
        prop_assert_eq!(filled[0].checksum, Checksum::Valid);
        let mut wire = Frame::new(filled[0].bytes.clone());
        prop_assert!(wire.is_sound());
        let last = wire.bytes.len() - 1;
        wire.bytes[last] ^= 1;
        prop_assert!(!wire.is_sound());
        prop_assert_eq!(flow(&plain), flow(&filled[0].bytes));
    }

    #[test]
    fn segments_are_the_stream(
        ip in prop::sample::select(vec![V4, V6]),
        data in prop::collection::vec(any::<u8>(), 1..4000),
        size in 64u16..1500,
    ) {
        let family = if ip == V4 { Family::V4 } else { Family::V6 };
        let segments = Some(Segments { family, size });
        let bytes = packet(ip, 6, &data);
        let body = bytes.len() - data.len();
        let whole = Frame { bytes, checksum: Checksum::Blank, segments };
        let cut = whole.suit(Copes::WIRE);
        prop_assert_eq!(cut.len(), data.len().div_ceil(usize::from(size)));
        let mut found = Vec::new();
        for (number, frame) in cut.iter().enumerate() {
            prop_assert!(is_right(&frame.bytes));
            prop_assert_eq!(frame.segments, None);
            let tcp = body - 20;
            let at = u32::from_be_bytes(frame.bytes[tcp + 4..tcp + 8].try_into().unwrap());
            prop_assert_eq!(at.wrapping_sub(0x0102_0304) as usize, found.len());
            let is_last = number + 1 == cut.len();
            let flags = frame.bytes[tcp + 13];
            prop_assert_eq!((flags & 0x09 != 0, flags & 0x80 != 0), (is_last, number == 0));
            if ip == V4 {
                prop_assert_eq!(ones(&frame.bytes[14..34]), 0xffff);
                let id = u16::from_be_bytes([frame.bytes[18], frame.bytes[19]]);
                prop_assert_eq!(id, 0xffffu16.wrapping_add(number as u16));
            }
            found.extend_from_slice(&frame.bytes[body..]);
        }
        prop_assert_eq!(found, data);
    }

    #[test]
    fn nonsense_is_no_transport(mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0usize..3) {
        // With a type that is looked at, most of the time.
        let kinds = [[8, 0], [0x86, 0xdd], [0x81, 0]];
        if let Some(place) = bytes.get_mut(12..14) {
            place.copy_from_slice(&kinds[kind]);
        }
        if let Some(place) = bytes.get_mut(14) {
            *place = [0x45, 0x60, 0][kind];
        }
        let _ = flow(&bytes);
        let _ = leave_blank(&mut bytes.clone());
        for segments in [None, Some(Segments { family: Family::V4, size: 1 })] {
            let frame = Frame { bytes: bytes.clone(), checksum: Checksum::Blank, segments };
            let _ = frame.suit(Copes::WIRE);
        }
    }
}

#[test]
fn addresses_are_read() {
    assert_eq!(parse_mac("00:16:3e:01:0A:ff"), Some([0, 0x16, 0x3e, 1, 10, 0xff]));
    assert_eq!(parse_mac("0:16:3e:1:a:ff\n"), Some([0, 0x16, 0x3e, 1, 10, 0xff]));
    for text in [
        "",
        "00:16:3e:01:02",
        "00:16:3e:01:02:03:04",
        "00:16:3e:01:02:100",
        "::::::",
        "0:1:2:3:4:+5",
    ] {
        assert_eq!(parse_mac(text), None, "{text}");
    }
}

#[test]
fn an_udp_checksum_of_zero_is_written_as_ones() {
    // Some data makes the sum all ones.
    let zero = (0..=0xffffu16).find_map(|data| {
        let mut frame = packet(V4, 17, &data.to_be_bytes());
        checksum::fill(&mut frame);
        (frame[40..42] == [0xff, 0xff]).then_some(frame)
    });
    assert!(is_right(&zero.expect("one of all sums")));
}

#[test]
fn fragments_and_others_have_no_transport() {
    let udp = packet(V4, 17, b"data");
    let changed = |at: usize, value: u8| {
        let mut frame = udp.clone();
        frame[at] = value;
        leave_blank(&mut frame)
    };
    assert!(changed(0, 2), "the frame as it is");
    assert!(!changed(20, 0x20), "more fragments");
    assert!(!changed(21, 1), "a later fragment");
    assert!(!changed(23, 1), "ICMP");
    assert!(!changed(14, 0x44), "a header that is too short");
    assert!(!changed(14, 0x65), "another IP");
    assert!(!changed(17, 200), "more than there is");
    assert!(!changed(12, 9), "no IP");
    // What cannot be completed does not get onto a wire; what needs no completion does.
    let frame = Frame { checksum: Checksum::Blank, ..Frame::new(vec![0; 60]) };
    assert!(frame.clone().suit(Copes::WIRE).is_empty() && frame.suit(Copes::ALL).is_empty());
    assert_eq!(Frame::new(vec![0; 60]).suit(Copes::default()).len(), 1);
    assert_eq!(Frame::new(vec![0; 5000]).suit(Copes::default()).len(), 0);
}

#[test]
fn a_frame_is_not_cut_into_too_many() {
    let frame = |size| Frame {
        bytes: packet(V4, 6, &[7; 4096]),
        checksum: Checksum::Blank,
        segments: Some(Segments { family: Family::V4, size }),
    };
    assert_eq!(frame(32).suit(Copes::WIRE).len(), 128);
    assert_eq!(frame(31).suit(Copes::WIRE).len(), 0);
    let mut other = frame(1000);
    other.segments = Some(Segments { family: Family::V6, size: 1000 });
    assert_eq!(other.suit(Copes::WIRE).len(), 0, "it is not what it says");
}

#[test]
fn a_tag_and_options_are_looked_past() {
    let plain = packet(V6, 17, b"data");
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    assert!(leave_blank(&mut tagged));
    let mut with_options = plain;
    with_options[20] = 0;
    with_options[19] += 8;
    with_options.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    assert!(leave_blank(&mut with_options));
}
