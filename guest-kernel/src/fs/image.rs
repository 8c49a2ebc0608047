//! The bytes of a file as programs and mappings keep them: for as long as they need them, and without
//! copies of their own.
//!
//! What lies in memory for good, as files of the initrd do, is used in place. The whole of any other
//! file is read once, and shared by all who have it mapped.

use super::file::Result;
use super::lock::Mutex;
use crate::errno::{EFBIG, ENOMEM};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::{Deref, Range};

/// Longest file that is read for that, bytes.
const LONGEST: u64 = 32 << 20;
/// Bytes of a page.
const PAGE: usize = 4096;

#[derive(Clone, Debug)]
enum Whole {
    Lasting(&'static [u8]),
    Shared(Arc<Vec<u8>>),
}

/// Bytes of a file.
#[derive(Clone, Debug)]
pub struct Image {
    whole: Whole,
    range: Range<usize>,
}

impl Image {
    /// Bytes that lie in memory for good.
    pub fn lasting(bytes: &'static [u8]) -> Self {
        Self { whole: Whole::Lasting(bytes), range: 0..bytes.len() }
    }

    fn shared(bytes: Arc<Vec<u8>>) -> Self {
        let range = 0..bytes.len();
        Self { whole: Whole::Shared(bytes), range }
    }

    /// A part of it. None: it does not reach so far.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        let fits = start <= end && end <= self.range.end;
        fits.then(|| Self { whole: self.whole.clone(), range: start..end })
    }

    /// The page from `offset` on, if it lies in memory for good, and there as a page of its own.
    pub fn lasting_page(&self, offset: usize) -> Option<&'static [u8; PAGE]> {
        let Whole::Lasting(bytes) = self.whole else { return None };
        let start = self.range.start.checked_add(offset)?;
        let end = start.checked_add(PAGE).filter(|end| *end <= self.range.end)?;
        let page: &[u8; PAGE] = bytes.get(start..end)?.try_into().ok()?;
        page.as_ptr().addr().is_multiple_of(PAGE).then_some(page)
    }
}

impl Deref for Image {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let whole = match &self.whole {
            Whole::Lasting(bytes) => bytes,
            Whole::Shared(bytes) => bytes.as_slice(),
        };
        whole.get(self.range.clone()).unwrap_or_default()
    }
}

/// The same bytes, not equal ones: comparing them would take long.
impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq::<[u8]>(&**self, &**other)
    }
}

impl Eq for Image {}

/// Which file, and which state of it: mount, inode, length, time of the last write.
pub type Key = (u32, u64, u64, u32);

/// Images that somebody has.
static IMAGES: Mutex<Vec<(Key, Weak<Vec<u8>>)>> = Mutex::new(Vec::new());

/// The image of a file of `length` bytes, which `read` reads from a position on, unless somebody has
/// it already.
pub fn load(
    key: Key,
    length: u64,
    read: impl Fn(u64, &mut [u8]) -> Result<usize>,
) -> Result<Image> {
    if length > LONGEST {
        return Err(EFBIG);
    }
    let mut images = IMAGES.lock();
    images.retain(|(_, image)| image.strong_count() > 0);
    let known = images.iter().find(|(other, _)| *other == key);
    if let Some(bytes) = known.and_then(|(_, image)| image.upgrade()) {
        return Ok(Image::shared(bytes));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| ENOMEM)?;
    bytes.resize(length as usize, 0);
    let count = read(0, &mut bytes)?;
    bytes.truncate(count);
    let bytes = Arc::new(bytes);
    images.push((key, Arc::downgrade(&bytes)));
    Ok(Image::shared(bytes))
}

/// A file is about to change: who maps it from now on sees that, who has it mapped does not.
pub fn forget(mount: u32, inode: u64) {
    IMAGES.lock().retain(|(key, _)| (key.0, key.1) != (mount, inode));
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn an_image_is_read_once_while_somebody_has_it() {
        let reads = Cell::new(0);
        let read = |_: u64, into: &mut [u8]| {
            reads.set(reads.get() + 1);
            into.fill(7);
            Ok(into.len())
        };
        let key = (900, 1, 10, 0);
        let first = load(key, 10, read).unwrap();
        let second = load(key, 10, read).unwrap();
        assert_eq!((reads.get(), &first[..], &second[..]), (1, &[7; 10][..], &[7; 10][..]));
        let part = second.part(2..5).unwrap();
        assert_eq!((part.len(), part.part(1..3).unwrap().len()), (3, 2));
        assert!(part.part(1..4).is_none() && part.part(4..5).is_none());
        assert!(part == part.clone() && part != first);
        drop((first, second));
        assert_eq!(load(key, 10, read).map(|image| image.len()), Ok(10));
        assert_eq!(reads.get(), 1, "a part keeps it");
        drop(part);
        let kept = load(key, 10, read).unwrap();
        assert_eq!(reads.get(), 2);
        forget(900, 1);
        let changed = load(key, 10, read).unwrap();
        assert!(reads.get() == 3 && kept != changed, "a file that changed is read anew");
        assert_eq!(load(key, LONGEST + 1, read), Err(EFBIG));
    }

    #[test]
    fn a_page_is_used_in_place_where_it_is_whole_and_aligned() {
        #[repr(align(4096))]
        struct Aligned([u8; 3 * PAGE]);
        static BYTES: Aligned = Aligned([7; 3 * PAGE]);
        let image = Image::lasting(&BYTES.0);
        let at = |image: &Image, offset| image.lasting_page(offset).map(|page| page.as_ptr());
        assert_eq!(at(&image, PAGE), Some(BYTES.0[PAGE..].as_ptr()));
        assert_eq!(at(&image, PAGE + 16), None, "not a page of its own");
        assert_eq!(at(&image, 3 * PAGE), None);
        assert_eq!(at(&image, usize::MAX - 8), None);
        let part = image.part(100..3 * PAGE - 1).unwrap();
        assert_eq!(at(&part, PAGE - 100), Some(BYTES.0[PAGE..].as_ptr()));
        assert_eq!(at(&part, 2 * PAGE - 100), None, "its last byte is not part of the file");
        let shared = load((901, 1, 4096, 0), 4096, |_, into| Ok(into.len())).unwrap();
        assert_eq!(at(&shared, 0), None, "it may go");
    }
}
