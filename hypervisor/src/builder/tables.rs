//! Writing the page tables that the domain starts with.

use core::sync::atomic::Ordering;

use pv_abi::types::Mfn;
use pv_image::layout::Layout;
use pv_image::tables::Tables;

use super::BuildError;
use super::contents::Contents;
use crate::mm::pte;
use crate::platform::Platform;
use crate::width::Width;

/// Writes the page tables; returns the root.
pub fn write<P: Platform>(
    contents: &Contents<'_, P>,
    layout: &Layout,
    width: Width,
) -> Result<Mfn, BuildError> {
    for pfn in layout.table_pfns() {
        contents.platform.zero(contents.frame(pfn)?);
    }
    let tables = Tables::new(layout, width);
    tables.entries(|entry| {
        let words = contents.platform.words(contents.frame(entry.table)?);
        let target = contents.frame(entry.target)?;
        if let Some(word) = words.get(usize::from(entry.index)) {
            word.store(pte::make(target, entry.flags), Ordering::Relaxed);
        }
        Ok::<(), BuildError>(())
    })?;
    contents.frame(tables.root())
}
