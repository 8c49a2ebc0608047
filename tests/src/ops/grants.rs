//! Random grant table operations, and what guests write into their tables.

use pv_abi::grant_table::*;
use pv_abi::hypercall::GRANT_TABLE_OP;
use serde::{Deserialize, Serialize};

use super::call::{Call, Field};
use super::mm::FrameName;
use super::source::Source;

/// What a guest puts into its grant table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which frame of the table, in the order in which `setup_table` tells them.
    pub table: u8,
    /// Which 8 bytes of it.
    pub slot: u16,
    /// `GTF_*`.
    pub flags: u16,
    /// The grantee.
    pub domid: u16,
    /// In the next 8 bytes, too (version 2): `page_off`, `length`.
    pub piece: Option<(u16, u16)>,
    /// What is granted.
    pub frame: FrameName,
}

impl Entry {
    /// An entry.
    pub fn decode(from: &mut Source<'_>) -> Entry {
        let kinds = [
            GTF_PERMIT_ACCESS,
            GTF_PERMIT_ACCESS,
            GTF_PERMIT_ACCESS,
            GTF_PERMIT_ACCESS | GTF_READONLY,
            GTF_PERMIT_ACCESS | GTF_SUB_PAGE,
            GTF_ACCEPT_TRANSFER,
            GTF_TRANSITIVE,
            GTF_INVALID,
        ];
        let flags = from.one_of(&kinds) | if from.below(9) == 0 { from.half() } else { 0 };
        Entry {
            table: from.below(2) as u8,
            slot: from.below(24) as u16,
            flags,
            domid: from.below(4) as u16,
            piece: (from.below(2) == 0).then(|| (from.half() % 4097, from.half() % 4097)),
            frame: FrameName::data(from),
        }
    }
}

fn gref(from: &mut Source<'_>) -> u32 {
    if from.below(8) == 0 { from.number() } else { from.below(16) as u32 }
}

fn handle(from: &mut Source<'_>) -> Field {
    Field::B4(if from.below(8) == 0 { from.number() } else { from.below(8) as u32 })
}

/// Where a grant is mapped: an address, or an entry that maps it.
fn place(from: &mut Source<'_>) -> Field {
    let page = 8 + from.below(40) as u16;
    match from.below(8) {
        0 => Field::Entry8(FrameName::FirstTable(from.below(6) as u8), from.half(), from.byte()),
        1 => Field::B8(from.number().into()),
        _ => Field::Va8(page, 0),
    }
}

fn end_of_copy(from: &mut Source<'_>) -> Vec<Field> {
    let offset = from.one_of(&[0, 0, 8, 2048, 4088, 4096, 0xffff]);
    let what = if from.below(2) == 0 {
        Field::B4(gref(from))
    } else {
        Field::Mfn4(FrameName::decode(from))
    };
    vec![what, Field::domain(from), Field::B2(offset)]
}

fn one(from: &mut Source<'_>, cmd: u32) -> Vec<Field> {
    let status = [Field::B2(1), Field::B2(0)];
    match cmd {
        GNTTABOP_MAP_GRANT_REF => {
            let flags = match from.below(8) {
                0 => from.word(),
                1 => GNTMAP_HOST_MAP | GNTMAP_CONTAINS_PTE,
                2 => GNTMAP_HOST_MAP | GNTMAP_DEVICE_MAP,
                3 => GNTMAP_DEVICE_MAP,
                4 => GNTMAP_HOST_MAP | GNTMAP_READONLY,
                _ => GNTMAP_HOST_MAP,
            };
            let to = [place(from), Field::B4(flags), Field::B4(gref(from)), Field::domain(from)];
            to.into_iter().chain([Field::Zeros(14)]).collect()
        }
        GNTTABOP_UNMAP_GRANT_REF | GNTTABOP_UNMAP_AND_REPLACE => {
            let second = if cmd == GNTTABOP_UNMAP_AND_REPLACE || from.below(8) == 0 {
                place(from)
            } else {
                Field::B8(0)
            };
            [place(from), second, handle(from)].into_iter().chain(status).collect()
        }
        GNTTABOP_COPY => {
            let (source, dest) = (end_of_copy(from), end_of_copy(from));
            let len = from.one_of(&[0, 1, 64, 2048, 4096, 4097, 0xffff]);
            let flags = Field::B2(from.below(5) as u16);
            source.into_iter().chain(dest).chain([Field::B2(len), flags]).chain(status).collect()
        }
        GNTTABOP_TRANSFER => {
            let what = [Field::Mfn4(FrameName::data(from)), Field::domain(from), Field::B2(0)];
            what.into_iter().chain([Field::B4(gref(from))]).chain(status).collect()
        }
        GNTTABOP_SETUP_TABLE => {
            let frames = if from.below(6) == 0 { from.number() } else { from.below(4) as u32 };
            let list = Field::Pointer(vec![Field::Zeros(64)]);
            vec![Field::domain(from), Field::B2(0), Field::B4(frames), Field::B4(1), list]
        }
        GNTTABOP_GET_STATUS_FRAMES => {
            let list = Field::Pointer(vec![Field::Zeros(64)]);
            vec![Field::B4(from.number()), Field::domain(from), Field::B2(1), list, Field::B4(0)]
        }
        GNTTABOP_SET_VERSION => vec![Field::B4(from.below(4) as u32)],
        GNTTABOP_SWAP_GRANT_REF => {
            vec![Field::B4(gref(from)), Field::B4(gref(from)), Field::B4(1)]
        }
        GNTTABOP_CACHE_FLUSH => {
            let what = if from.below(2) == 0 {
                Field::Mfn8(FrameName::decode(from))
            } else {
                Field::B8(gref(from).into())
            };
            let (offset, length) = (Field::B2(from.half() % 5000), Field::B2(from.half() % 5000));
            vec![what, offset, length, Field::B4(from.one_of(&[1, 2, 3, 1 << 31 | 1, 0, 8]))]
        }
        _ => vec![Field::domain(from), Field::B2(0), Field::Zeros(12)],
    }
}

/// One operation, of one to three arguments.
pub fn decode(from: &mut Source<'_>) -> Call {
    let cmd = match from.below(24) {
        0..7 => GNTTABOP_MAP_GRANT_REF,
        7..12 => GNTTABOP_UNMAP_GRANT_REF,
        12..16 => GNTTABOP_COPY,
        16 => GNTTABOP_TRANSFER,
        17 => GNTTABOP_UNMAP_AND_REPLACE,
        18 | 19 => GNTTABOP_SETUP_TABLE,
        20 => GNTTABOP_SET_VERSION,
        _ => from.below(14) as u32,
    };
    let count = if from.below(16) == 0 { from.number() } else { 1 + from.below(3) as u32 };
    let single = [GNTTABOP_SETUP_TABLE, GNTTABOP_SET_VERSION, GNTTABOP_GET_STATUS_FRAMES];
    let count = if single.contains(&cmd) { 1 } else { count };
    let list = Field::array(count.min(3).into(), || one(from, cmd));
    Call { number: GRANT_TABLE_OP, args: vec![Field::B4(cmd), list, Field::B4(count)] }
}
