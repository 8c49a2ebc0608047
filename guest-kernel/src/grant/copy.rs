//! Copies from and to pages that another domain granted, made by the hypervisor.
//!
//! A copy does not cross a page on either side. The peer's side is one page by what a [`Piece`] is;
//! ours is cut where its pages end, since pages that are side by side here are not in the machine.
#![allow(unsafe_code)] // UNSAFETY: the hypervisor writes to memory of this program.

use crate::mm::table::kernel_frame;
use crate::mm::{PAGE, p2m};
use heapless::Vec;
use pv_abi::errno::Errno;
use pv_abi::grant_table::{GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF};
use pv_abi::types::{DOMID_SELF, DomId};
use ring1::{abi, grants};
use xenbus::access::{Local, Piece};

/// Copies in one crossing.
const BATCH: usize = 32;

/// Copies in the making, each with the number of its piece.
struct Batch(Vec<abi::GnttabCopy, BATCH>, Vec<usize, BATCH>);

/// Copies each piece, and says in it what became of it.
pub fn copy(with: DomId, pieces: &mut [Piece<'_>]) {
    let mut batch = Batch(Vec::new(), Vec::new());
    for number in 0..pieces.len() {
        let Some(piece) = pieces.get_mut(number) else { break };
        piece.done = Ok(());
        let (mut at, length) = match &mut piece.local {
            Local::Into(bytes) => (bytes.as_mut_ptr().expose_provenance(), bytes.len()),
            Local::From(bytes) => (bytes.as_ptr().expose_provenance(), bytes.len()),
        };
        let reads = matches!(piece.local, Local::Into(_));
        let end = usize::from(piece.offset).saturating_add(length);
        if end > PAGE as usize {
            piece.done = Err(Errno::EINVAL);
            continue;
        }
        let (grant, mut offset) = (piece.grant, piece.offset);
        while usize::from(offset) < end {
            let Some(pfn) = kernel_frame(at as u32) else {
                if let Some(piece) = pieces.get_mut(number) {
                    piece.done = Err(Errno::EFAULT);
                }
                break;
            };
            let within = at as u32 % PAGE;
            let rest = (end - usize::from(offset)) as u32;
            let len = rest.min(PAGE - within) as u16;
            let theirs = abi::GnttabCopyPtr { u: grant.raw(), domid: with, offset, _pad: [] };
            let ours = abi::GnttabCopyPtr {
                u: p2m::mfn(pfn).raw() as u32,
                domid: DomId::new(DOMID_SELF),
                offset: within as u16,
                _pad: [],
            };
            let (source, dest, flags) = if reads {
                (theirs, ours, GNTCOPY_SOURCE_GREF)
            } else {
                (ours, theirs, GNTCOPY_DEST_GREF)
            };
            let element = abi::GnttabCopy { source, dest, len, flags, status: 0, _pad: [0; 2] };
            if batch.0.is_full() {
                batch.make(pieces);
            }
            let _ = (batch.0.push(element), batch.1.push(number));
            at += usize::from(len);
            offset += len;
        }
    }
    batch.make(pieces);
}

impl Batch {
    /// Makes the copies, and tells the pieces of those that failed.
    fn make(&mut self, pieces: &mut [Piece<'_>]) {
        // SAFETY: 1. Destinations among our frames are bytes of the pieces' own buffers, which are
        // borrowed for writing.
        let made = unsafe { grants::copy(&mut self.0) };
        for (element, number) in self.0.iter().zip(&self.1) {
            let done = made.and_then(|()| grants::status(element.status));
            if let (Err(errno), Some(piece)) = (done, pieces.get_mut(*number)) {
                piece.done = Err(errno);
            }
        }
        self.0.clear();
        self.1.clear();
    }
}
