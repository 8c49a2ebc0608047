//! The boot loader's information in its second version (Multiboot2 Specification 2.0,
//! section 3.6): a list of tags.
//!
//! The same facts as version 1's, and one more that UEFI machines need: a copy of ACPI's root
//! pointer. Tags that are not known are passed over; a list that leaves its bounds is an error.

use super::multiboot::{
    BootInfo, BootInfoError, CommandLine, MAX_MODULES, Module, ReadPhysical, command_line,
    loader_omits_names, u32_at, u64_at,
};
use super::ranges::{MemoryKind, MemoryRange};

const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const LOADER_NAME: u32 = 2;
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const ACPI_1: u32 = 14;
const ACPI_2: u32 = 15;

/// More than any loader has to say.
const MAX_BLOCK: u32 = 1 << 20;

/// A tag: its number, and where it lies.
#[derive(Clone, Copy)]
struct Tag {
    kind: u32,
    start: u64,
    end: u64,
}

/// Copies out what the block at physical address `address` says.
pub fn parse(address: u32, read: ReadPhysical<'_>) -> Result<BootInfo, BootInfoError> {
    let mut info = BootInfo::default();
    let mut map_seen = false;
    // Whether command lines begin with a name depends on a tag that may come late.
    let named = !tags(address, read)?.any(|tag| {
        matches!(tag, Ok(tag) if tag.kind == LOADER_NAME
            && loader_omits_names(tag.start + 8, read))
    });
    for tag in tags(address, read)? {
        let tag = tag?;
        match tag.kind {
            COMMAND_LINE => {
                info.command_line = command_line(tag.start + 8, "hypervisor's", named, read)?;
            }
            MODULE if info.modules.len() < MAX_MODULES => {
                // The list has room: checked.
                let _ = info.modules.push(module(tag, named, read)?);
            }
            MEMORY_MAP => {
                memory_map(tag, read, &mut info)?;
                map_seen = true;
            }
            ACPI_1 if info.root_pointer.is_none() => info.root_pointer = Some(tag.start + 8),
            ACPI_2 => info.root_pointer = Some(tag.start + 8),
            _ => {}
        }
    }
    if map_seen { Ok(info) } else { Err(BootInfoError::NoMemoryMap) }
}

/// The block's tags, in order, without the one that ends it; ends after the first error.
fn tags<'a>(
    address: u32,
    read: ReadPhysical<'a>,
) -> Result<impl Iterator<Item = Result<Tag, BootInfoError>> + 'a, BootInfoError> {
    let broken = BootInfoError::Unreadable("information block");
    let mut head = [0; 8];
    if !read(address.into(), &mut head) || u32_at(&head, 0) > MAX_BLOCK {
        return Err(broken);
    }
    let end = u64::from(address) + u64::from(u32_at(&head, 0));
    let mut next = Some(u64::from(address) + 8);
    Ok(core::iter::from_fn(move || {
        let start = next.take()?;
        let mut head = [0; 8];
        if start + 8 > end || !read(start, &mut head) {
            return Some(Err(broken));
        }
        let (kind, size) = (u32_at(&head, 0), u64::from(u32_at(&head, 4)));
        if size < 8 || start + size > end {
            return Some(Err(broken));
        }
        if kind == END {
            return None;
        }
        next = Some(start + size.next_multiple_of(8));
        Some(Ok(Tag { kind, start, end: start + size }))
    }))
}

fn module(tag: Tag, named: bool, read: ReadPhysical<'_>) -> Result<Module, BootInfoError> {
    let mut place = [0; 8];
    if tag.end < tag.start + 16 || !read(tag.start + 8, &mut place) {
        return Err(BootInfoError::Unreadable("list of modules"));
    }
    let (start, end) = (u32_at(&place, 0), u32_at(&place, 4));
    if end < start {
        return Err(BootInfoError::ModuleBackwards);
    }
    let command_line = match tag.end - tag.start {
        16 => CommandLine::new(),
        _ => command_line(tag.start + 16, "module's", named, read)?,
    };
    Ok(Module { start: start.into(), end: end.into(), command_line })
}

fn memory_map(tag: Tag, read: ReadPhysical<'_>, info: &mut BootInfo) -> Result<(), BootInfoError> {
    let broken = BootInfoError::Unreadable("memory map");
    let mut size = [0; 4];
    if !read(tag.start + 8, &mut size) {
        return Err(broken);
    }
    let size = u64::from(u32::from_le_bytes(size));
    if size < 24 {
        return Err(broken);
    }
    let mut at = tag.start + 16;
    while at + size <= tag.end {
        let mut entry = [0; 24];
        if !read(at, &mut entry) {
            return Err(broken);
        }
        let (start, bytes) = (u64_at(&entry, 0), u64_at(&entry, 8));
        let kind = MemoryKind::from_firmware(u32_at(&entry, 16));
        info.memory.add(MemoryRange { start, end: start.saturating_add(bytes), kind });
        at += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[derive(Default)]
    struct Block(Vec<u8>);

    impl Block {
        fn tag(mut self, kind: u32, body: &[u8]) -> Self {
            if self.0.is_empty() {
                self.0.resize(8, 0);
            }
            self.0.extend_from_slice(&kind.to_le_bytes());
            self.0.extend_from_slice(&(8 + body.len() as u32).to_le_bytes());
            self.0.extend_from_slice(body);
            self.0.resize(self.0.len().next_multiple_of(8), 0);
            let size = self.0.len() as u32;
            self.0[..4].copy_from_slice(&size.to_le_bytes());
            self
        }
        fn map(self) -> Self {
            let mut body = Vec::new();
            for word in [24u32, 0, 0x10_0000, 0, 0x10_0000, 0, 1, 0] {
                body.extend_from_slice(&word.to_le_bytes());
            }
            self.tag(MEMORY_MAP, &body)
        }
        fn parse(&self) -> Result<BootInfo, BootInfoError> {
            parse(0, &|at, buffer| {
                let at = usize::try_from(at).unwrap();
                let bytes = self.0.get(at..at + buffer.len());
                bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
            })
        }
    }

    fn full() -> Block {
        let mut kernel = Vec::new();
        kernel.extend_from_slice(&0x20_0000u32.to_le_bytes());
        kernel.extend_from_slice(&0x20_1000u32.to_le_bytes());
        kernel.extend_from_slice(b"quiet exec=ls\0");
        Block::default()
            .tag(COMMAND_LINE, b"noreboot maxcpus=1\0")
            .tag(LOADER_NAME, b"GRUB 2.06\0")
            .tag(MODULE, &kernel)
            .map()
            .tag(99, b"whatever")
            .tag(ACPI_1, &[0; 20])
            .tag(END, &[])
    }

    #[test]
    fn every_tag_is_understood() {
        let info = full().parse().unwrap();
        assert_eq!(info.command_line.as_str(), "noreboot maxcpus=1");
        assert_eq!((info.modules[0].start, info.modules[0].end), (0x20_0000, 0x20_1000));
        assert_eq!(info.modules[0].command_line.as_str(), "quiet exec=ls");
        assert_eq!(info.memory.iter().next().map(|range| range.end), Some(0x20_0000));
        assert!(info.root_pointer.is_some());
    }

    #[test]
    fn the_newer_root_pointer_is_preferred() {
        let block =
            Block::default().tag(ACPI_2, &[0; 36]).tag(ACPI_1, &[0; 20]).map().tag(END, &[]);
        assert_eq!(block.parse().unwrap().root_pointer, Some(16));
    }

    #[test]
    fn other_loaders_give_names() {
        let block = Block::default().tag(COMMAND_LINE, b"ferrule noreboot\0").map().tag(END, &[]);
        assert_eq!(block.parse().unwrap().command_line.as_str(), "noreboot");
    }

    #[test]
    fn a_truncated_list_is_an_error_and_ends() {
        let whole = full();
        for length in 0..whole.0.len() {
            let mut block = Block(whole.0[..length].to_vec());
            if length >= 4 {
                block.0[..4].copy_from_slice(&(length as u32).to_le_bytes());
            }
            assert!(block.parse().is_err(), "{length}");
        }
        assert_eq!(Block::default().tag(END, &[]).parse().unwrap_err(), BootInfoError::NoMemoryMap);
    }

    #[test]
    fn sizes_cannot_lie() {
        for size in [0u32, 7, 0xffff_fff8] {
            let mut block = full();
            block.0[12..16].copy_from_slice(&size.to_le_bytes());
            assert!(block.parse().is_err(), "{size}");
        }
    }
}
