//! Files that came from the host, in pieces of a size that a fragmented heap still has.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::terminal::{Blob, FileError, Files};

const PIECE: usize = 64 << 10;

/// There is no memory for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

/// The bytes of a file: all pieces but the last are full.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    len: u64,
}

impl Pieces {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), OutOfMemory> {
        while !bytes.is_empty() {
            let full = self.pieces.last().is_none_or(|piece| piece.len() == PIECE);
            if full {
                let mut piece = Vec::new();
                piece.try_reserve_exact(PIECE).map_err(|_| OutOfMemory)?;
                self.pieces.try_reserve(1).map_err(|_| OutOfMemory)?;
                self.pieces.push(piece);
            }
            let Some(piece) = self.pieces.last_mut() else { return Err(OutOfMemory) };
            let count = (PIECE - piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            piece.extend_from_slice(now);
            self.len += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }
}

struct Shared(Arc<Pieces>);

impl Blob for Shared {
    fn len(&self) -> u64 {
        self.0.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        let Ok(offset) = usize::try_from(offset) else { return 0 };
        let (mut index, mut start, mut copied) = (offset / PIECE, offset % PIECE, 0);
        while let Some(from) = self.0.pieces.get(index).and_then(|piece| piece.get(start..)) {
            let room = into.get_mut(copied..).unwrap_or_default();
            let count = from.len().min(room.len());
            if let (Some(room), Some(from)) = (room.get_mut(..count), from.get(..count)) {
                room.copy_from_slice(from);
            }
            copied += count;
            if copied == into.len() {
                break;
            }
            (index, start) = (index + 1, 0);
        }
        copied
    }
}

/// The files of one verb.
#[derive(Default)]
pub struct Received {
    coming: Vec<Pieces>,
    files: Vec<(String, Arc<Pieces>)>,
}

impl Received {
    /// Takes the next bytes of the file at a place.
    pub fn push(&mut self, index: usize, bytes: &[u8]) -> Result<(), OutOfMemory> {
        while self.coming.len() <= index {
            self.coming.push(Pieces::default());
        }
        self.coming.get_mut(index).map_or(Ok(()), |file| file.push(bytes))
    }

    /// Gives them the names by which they can be opened.
    pub fn complete(&mut self, names: impl Iterator<Item = String>) {
        let mut coming = core::mem::take(&mut self.coming).into_iter();
        let mut next = || Arc::new(coming.next().unwrap_or_default());
        self.files = names.map(|name| (name, next())).collect();
    }
}

impl Files for Received {
    fn open(&mut self, name: &str) -> Result<Box<dyn Blob>, FileError> {
        let file = self.files.iter().find(|(known, _)| known == name);
        match file {
            Some((_, pieces)) => Ok(Box::new(Shared(pieces.clone()))),
            None => Err(FileError("it did not come along from the host".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn pieces_are_read_across_their_borders() {
        let bytes: Vec<u8> = (0..PIECE * 2 + 10).map(|index| (index % 251) as u8).collect();
        let mut received = Received::default();
        for part in bytes.chunks(1000) {
            received.push(1, part).unwrap();
        }
        received.complete(["empty", "k"].map(Into::into).into_iter());
        let kernel = received.open("k").unwrap();
        assert_eq!(kernel.len(), bytes.len() as u64);
        for (offset, count) in [(0, 10), (PIECE - 5, 10), (5, PIECE * 2), (PIECE * 2, 10)] {
            let mut into = vec![0; count];
            assert_eq!(kernel.read_at(offset as u64, &mut into), count);
            assert_eq!(into, bytes[offset..offset + count]);
        }
        let mut into = [0; 20];
        assert_eq!(kernel.read_at(bytes.len() as u64 - 3, &mut into), 3);
        assert_eq!(kernel.read_at(bytes.len() as u64, &mut into), 0);
        assert_eq!(kernel.read_at(u64::MAX, &mut into), 0);
        assert!(received.open("empty").unwrap().is_empty());
        assert!(received.open("other").is_err());
    }
}
