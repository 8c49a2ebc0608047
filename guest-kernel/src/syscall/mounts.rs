//! System calls about whole file systems.

use super::errno::{EINVAL, ENOENT};
use super::path::{self, AT_FDCWD, Start, find};
use super::{Call, Result, enough_memory};
use crate::fs::place::Place;
use crate::fs::root;
use crate::fs::system::{NAME_MAX, Space};
use crate::fs::tree::Last;
use alloc::string::String;
use ring1::uaccess::copy_to_user;

const MS_RDONLY: u32 = 1;
/// `MS_REMOUNT`, `MS_BIND`, `MS_MOVE`: not a mount of something new.
const MS_OTHER: u32 = 0x20 | 0x1000 | 0x2000;
/// `ST_RDONLY`, and `ST_VALID`.
const ST_RDONLY: u32 = 1;
const ST_VALID: u32 = 0x20;

fn text(address: u32) -> Result<String> {
    String::from_utf8(path::read(address)?).map_err(|_| EINVAL)
}

/// `mount(source, path, type, flags, data)`: of disks and of memory; options in `data` are ignored.
pub fn mount(call: &mut Call<'_>) -> Result {
    enough_memory()?;
    let flags = call.d();
    if flags & MS_OTHER != 0 {
        return Err(EINVAL);
    }
    let source = if call.a() == 0 { String::from("none") } else { text(call.a())? };
    let kind = text(call.c())?;
    let on = find(call, AT_FDCWD, call.b(), 0)?;
    root::mount(&source, on, &kind, flags & MS_RDONLY != 0)?;
    Ok(0)
}

/// `umount2(path, flags)`: none of which make it happen while something is in use.
pub fn umount(call: &mut Call<'_>) -> Result {
    let start = Start::at(call, AT_FDCWD, call.a())?;
    if start.path.is_empty() {
        return Err(ENOENT);
    }
    start.find(Last::Follow)?;
    root::unmount(&start.from, &start.path)?;
    Ok(0)
}

/// `sync()`.
pub fn sync(_: &mut Call<'_>) -> Result {
    // As Linux has it, nobody hears of an error here.
    let _ = root::sync();
    Ok(0)
}

/// `syncfs(fd)`.
pub fn syncfs(call: &mut Call<'_>) -> Result {
    if let Some(place) = path::place(call, call.a())? {
        place.mount.system.sync()?;
    }
    Ok(0)
}

/// `struct statfs64` of i386, 84 bytes, or (not `wide`) `struct statfs`, 64.
fn encode(place: &Place, wide: bool) -> ([u8; 84], usize) {
    let space: Space = place.mount.system.space();
    let (mut out, mut at) = ([0; 84], 0);
    let mut put = |value: u64, bytes: usize| {
        // What does not fit is told as the most that does.
        let value = if bytes == 4 { value.min(u64::from(u32::MAX)) } else { value };
        out[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        at += bytes;
    };
    put(u64::from(space.magic), 4);
    put(u64::from(space.block), 4);
    let (free, count) = (space.free_blocks, if wide { 8 } else { 4 });
    for value in [space.blocks, free, free, space.files, space.free_files] {
        put(value, count);
    }
    put(u64::from(place.mount.number), 8);
    put(NAME_MAX as u64, 4);
    put(u64::from(space.block), 4);
    put(u64::from(ST_VALID | if place.mount.read_only { ST_RDONLY } else { 0 }), 4);
    (out, if wide { 84 } else { 64 })
}

fn tell(place: &Place, wide: bool, address: u32) -> Result {
    let (bytes, length) = encode(place, wide);
    copy_to_user(address, bytes.get(..length).unwrap_or_default())?;
    Ok(0)
}

/// The place of an open file, or the root for a file without one.
fn opened(call: &Call<'_>) -> Result<Place> {
    Ok(path::place(call, call.a())?.unwrap_or_else(|| root::tree().root()))
}

/// `statfs(path, *statfs)`.
pub fn statfs(call: &mut Call<'_>) -> Result {
    tell(&find(call, AT_FDCWD, call.a(), 0)?, false, call.b())
}

/// `fstatfs(fd, *statfs)`.
pub fn fstatfs(call: &mut Call<'_>) -> Result {
    tell(&opened(call)?, false, call.b())
}

/// `statfs64(path, size, *statfs)`.
pub fn statfs64(call: &mut Call<'_>) -> Result {
    if call.b() != 84 {
        return Err(EINVAL);
    }
    tell(&find(call, AT_FDCWD, call.a(), 0)?, true, call.c())
}

/// `fstatfs64(fd, size, *statfs)`.
pub fn fstatfs64(call: &mut Call<'_>) -> Result {
    if call.b() != 84 {
        return Err(EINVAL);
    }
    tell(&opened(call)?, true, call.c())
}
