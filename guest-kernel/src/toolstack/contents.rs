//! Writing into a new domain's memory by its future virtual addresses.
//!
//! What is not written is zero: the hypervisor gives a domain zeroed frames.

use super::build::BuildError;
use crate::mm::foreign::{Access, Foreign};
use alloc::vec::Vec;
use pv_abi::types::{DomId, Mfn};
use pv_image::layout::PAGE;
use xl::terminal::Blob;

/// Pages that are mapped at a time.
const CHUNK: usize = 256;

/// A new domain's memory, at the addresses that it will see.
pub struct Contents<'a> {
    /// Whose it is.
    pub domain: DomId,
    /// Its frames by pseudo-physical number.
    pub frames: &'a [u32],
    /// The virtual address of the first one.
    pub start: u64,
}

impl Contents<'_> {
    /// The machine frame that will be mapped at `address`.
    pub fn frame(&self, address: u64) -> Result<Mfn, BuildError> {
        let index = address.checked_sub(self.start).map(|offset| offset / PAGE);
        let frame = index.and_then(|index| self.frames.get(usize::try_from(index).ok()?));
        frame.map(|mfn| Mfn::new(u64::from(*mfn))).ok_or(BuildError::Outside { address })
    }

    /// Maps the pages from `address` (a page's) on, `count` of them.
    pub fn map(&self, address: u64, count: usize) -> Result<Foreign, BuildError> {
        let pages = (address..).step_by(PAGE as usize).take(count);
        let frames = pages.map(|page| self.frame(page)).collect::<Result<Vec<Mfn>, _>>()?;
        Foreign::map(self.domain, &frames, Access::Write)
            .map_err(BuildError::call("mapping a new domain's memory"))
    }

    /// Copies bytes to `address` and on.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), BuildError> {
        let (mut address, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let offset = (address % PAGE) as usize;
            let room = CHUNK * PAGE as usize - offset;
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let pages = (offset + now.len()).div_ceil(PAGE as usize);
            self.map(address - offset as u64, pages)?.write(offset, now);
            (address, rest) = (address + now.len() as u64, later);
        }
        Ok(())
    }

    /// Copies a file to `address`, a page's, and on.
    pub fn write_file(&self, address: u64, file: &dyn Blob) -> Result<(), BuildError> {
        if let Some(bytes) = file.as_slice() {
            return self.write(address, bytes);
        }
        let mut page = alloc::vec![0; PAGE as usize];
        let mut done = 0;
        while done < file.len() {
            let pages = (file.len() - done).div_ceil(PAGE).min(CHUNK as u64) as usize;
            let mapped = self.map(address + done, pages)?;
            for index in 0..pages {
                let count = file.read_at(done, &mut page);
                mapped.write(index * PAGE as usize, page.get(..count).unwrap_or(&page));
                done += PAGE;
            }
        }
        Ok(())
    }
}
