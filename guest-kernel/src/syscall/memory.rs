//! System calls about memory.

use super::errno::{EACCES, EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM, EPERM};
use super::{Call, Result, enough_memory};
use crate::fs::file::Contents;
use crate::program::LOWEST;
use crate::regions::{Access, Kind, Region, Source};
use crate::task::process::{MAPPINGS_TOP, Memory};
use ring1::uaccess::USER_END;

const PAGE: u32 = 4096;

/// Whole pages of a length; None when that wraps.
fn pages(length: u32) -> Option<u32> {
    length.checked_next_multiple_of(PAGE)
}

/// The range of whole pages from a page's address on, in user space.
fn range(start: u32, length: u32) -> Option<(u32, u32)> {
    let end = start.checked_add(pages(length)?)?;
    (start.is_multiple_of(PAGE) && end <= USER_END).then_some((start, end))
}

const PROT_READ: u32 = 1;
const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;

fn access(protection: u32) -> Result<Access> {
    if protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
        return Err(EINVAL);
    }
    Ok(Access {
        // The i386 has no page that can be written and not read.
        read: protection & (PROT_READ | PROT_WRITE) != 0,
        write: protection & PROT_WRITE != 0,
        execute: protection & PROT_EXEC != 0,
    })
}

/// Lends the process's memory to `f`.
fn with<R>(call: &Call<'_>, f: impl FnOnce(&mut Memory) -> Result<R>) -> Result<R> {
    call.process.with_memory(f).ok_or(ENOMEM)?
}

/// `brk(address)`: the new end, or the old one when it cannot be.
pub fn brk(call: &mut Call<'_>) -> Result {
    let wanted = call.a();
    with(call, |memory| {
        let (Some(old_end), Some(new_end)) = (pages(memory.brk), pages(wanted)) else {
            return Ok(memory.brk);
        };
        if wanted < memory.brk_start || new_end > MAPPINGS_TOP {
            return Ok(memory.brk);
        }
        if new_end > old_end {
            if !memory.regions.is_free(old_end, new_end) {
                return Ok(memory.brk);
            }
            memory.regions.insert(Region {
                start: old_end,
                end: new_end,
                access: Access::READ_WRITE,
                source: Source::Zero,
                kind: Kind::Heap,
            });
        } else if new_end < old_end {
            memory.regions.remove(new_end, old_end);
            memory.space.unmap(new_end, old_end);
        }
        memory.brk = wanted;
        Ok(wanted)
    })
}

const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_TYPE: u32 = 0xf;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;

/// `mmap2(address, length, protection, flags, fd, page offset)`: private mappings of nothing or of
/// files of the initrd. Shared ones only of files that are not written: nothing can tell.
pub fn mmap2(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    let (address, length, flags) = (call.a(), call.b(), call.d());
    let access = access(call.c())?;
    let source = if flags & MAP_ANONYMOUS != 0 {
        if flags & MAP_TYPE == MAP_SHARED {
            return Err(ENODEV);
        }
        None
    } else {
        let open = call.open_file(call.e())?;
        if !open.flags().reads() {
            return Err(EACCES);
        }
        match open.file.contents()? {
            Contents::Bytes(_) if flags & MAP_TYPE == MAP_SHARED && access.write => {
                return Err(EACCES);
            }
            Contents::Bytes(bytes) => {
                let from = u64::from(call.f()) * u64::from(PAGE);
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                // No further than asked: the rest of the file is not part of the mapping.
                let end = from.saturating_add(length as usize).min(bytes.len());
                bytes.part(from..end)
            }
            Contents::Zero => None,
        }
    };
    if length == 0 || !matches!(flags & MAP_TYPE, MAP_SHARED | MAP_PRIVATE) {
        return Err(EINVAL);
    }
    let size = pages(length).filter(|size| *size <= USER_END).ok_or(ENOMEM)?;
    with(call, |memory| {
        if memory.regions.is_full() {
            return Err(ENOMEM);
        }
        let start = if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
            if !address.is_multiple_of(PAGE) {
                return Err(EINVAL);
            }
            let (start, end) = range(address, size).ok_or(ENOMEM)?;
            if start < LOWEST {
                return Err(EPERM);
            }
            if flags & MAP_FIXED_NOREPLACE != 0 && !memory.regions.is_free(start, end) {
                return Err(EEXIST);
            }
            start
        } else {
            let hint = address & !(PAGE - 1);
            match range(hint, size) {
                Some((start, end)) if start >= LOWEST && memory.regions.is_free(start, end) => {
                    start
                }
                _ => memory.regions.find_free(size, LOWEST, MAPPINGS_TOP).ok_or(ENOMEM)?,
            }
        };
        let end = start + size;
        if !memory.regions.is_free(start, end) {
            memory.regions.remove(start, end);
            memory.space.unmap(start, end);
        }
        let source = match source {
            None => Source::Zero,
            Some(bytes) => Source::File { bytes, at: start },
        };
        memory.regions.insert(Region { start, end, access, source, kind: Kind::Mapping });
        Ok(start)
    })
}

/// `munmap(address, length)`.
pub fn munmap(call: &mut Call<'_>) -> Result {
    let (start, end) = range(call.a(), call.b()).ok_or(EINVAL)?;
    if start == end {
        return Err(EINVAL);
    }
    with(call, |memory| {
        if memory.regions.is_full() {
            return Err(ENOMEM);
        }
        memory.regions.remove(start, end);
        memory.space.unmap(start, end);
        Ok(0)
    })
}

/// `mprotect(address, length, protection)`.
pub fn mprotect(call: &mut Call<'_>) -> Result {
    if !call.a().is_multiple_of(PAGE) {
        return Err(EINVAL);
    }
    enough_memory()?;
    let access = access(call.c())?;
    let (start, end) = range(call.a(), call.b()).ok_or(ENOMEM)?;
    with(call, |memory| {
        if memory.regions.is_full() || !memory.regions.covers(start, end) {
            return Err(ENOMEM);
        }
        memory.regions.protect(start, end, access);
        memory.space.protect(start, end, access);
        Ok(0)
    })
}

/// `mlock(…)` and its like: nothing is ever swapped out.
pub fn mlock(_: &mut Call<'_>) -> Result {
    Ok(0)
}

const MADV_DONTNEED: u32 = 4;

/// `madvise(address, length, advice)`: of all advice only what changes contents is heeded.
pub fn madvise(call: &mut Call<'_>) -> Result {
    let (start, end) = range(call.a(), call.b()).ok_or(EINVAL)?;
    with(call, |memory| {
        if !memory.regions.covers(start, end) {
            return Err(ENOMEM);
        }
        if call.c() == MADV_DONTNEED {
            // The first contents come back when it is touched.
            memory.space.unmap(start, end);
        }
        Ok(0)
    })
}

const MREMAP_MAYMOVE: u32 = 1;

/// `mremap(address, old length, new length, flags)`: shrinks, or grows where it is. What would have to
/// move is refused with `ENOMEM`, and C libraries copy.
pub fn mremap(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    if call.d() & !MREMAP_MAYMOVE != 0 || call.c() == 0 {
        return Err(EINVAL);
    }
    let (start, old_end) = range(call.a(), call.b()).ok_or(EINVAL)?;
    let (_, new_end) = range(call.a(), call.c()).ok_or(ENOMEM)?;
    with(call, |memory| {
        if start == old_end || !memory.regions.covers(start, old_end) {
            return Err(EFAULT);
        }
        if memory.regions.is_full() {
            return Err(ENOMEM);
        }
        if new_end <= old_end {
            memory.regions.remove(new_end, old_end);
            memory.space.unmap(new_end, old_end);
            return Ok(start);
        }
        let last = memory.regions.find(old_end - 1).cloned().ok_or(EFAULT)?;
        let is_plain = last.source == Source::Zero && last.kind == Kind::Mapping;
        if !is_plain || new_end > MAPPINGS_TOP || !memory.regions.is_free(old_end, new_end) {
            return Err(ENOMEM);
        }
        memory.regions.insert(Region { start: old_end, end: new_end, ..last });
        Ok(start)
    })
}
