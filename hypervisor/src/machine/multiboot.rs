//! The boot loader's information block (Multiboot Specification 0.6.96, section 3.3).
//!
//! Everything is copied out at once, with bounds: the block and what it points to lie
//! anywhere in low memory, in frames that are free again afterwards. Physical memory is read
//! through a function, so that a test can play the boot loader.

use heapless::{String, Vec};

use super::ranges::{MemoryKind, MemoryMap, MemoryRange};

/// Longest command line that is taken, in bytes; what a PV guest can be given is 1023.
pub const MAX_COMMAND_LINE: usize = 1023;
/// Most modules that are looked at: a kernel, an initrd, and two to complain about.
pub const MAX_MODULES: usize = 4;

/// A command line.
pub type CommandLine = String<MAX_COMMAND_LINE>;

/// What the boot loader told us.
#[derive(Debug, Default)]
pub struct BootInfo {
    /// The hypervisor's arguments, without the name of its file.
    pub command_line: CommandLine,
    /// Files that were loaded beside the hypervisor, in order.
    pub modules: Vec<Module, MAX_MODULES>,
    /// The firmware's memory map, as it came: unsorted, perhaps overlapping.
    pub memory: MemoryMap,
    /// Where ACPI's root pointer is, if the boot loader says so.
    pub root_pointer: Option<u64>,
}

/// A file that the boot loader put into memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Physical address of the first byte.
    pub start: u64,
    /// Physical address after the last byte.
    pub end: u64,
    /// Its arguments, without the name of the file.
    pub command_line: CommandLine,
}

/// Why the information cannot be used. The text is for the person at the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootInfoError {
    /// The block, or what it points to, is not in memory that can be read.
    Unreadable(&'static str),
    /// A command line is longer than [`MAX_COMMAND_LINE`].
    CommandLineTooLong(&'static str),
    /// A command line is not UTF-8.
    CommandLineNotText(&'static str),
    /// A module ends before it starts.
    ModuleBackwards,
    /// There is no memory map.
    NoMemoryMap,
}

impl core::fmt::Display for BootInfoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unreadable(what) => write!(f, "the boot loader's {what} cannot be read"),
            Self::CommandLineTooLong(whose) => {
                write!(f, "the {whose} command line is longer than {MAX_COMMAND_LINE} bytes")
            }
            Self::CommandLineNotText(whose) => {
                write!(f, "the {whose} command line is not UTF-8 text")
            }
            Self::ModuleBackwards => write!(f, "a boot module ends before it starts"),
            Self::NoMemoryMap => write!(f, "the boot loader gave no memory map"),
        }
    }
}

const FLAG_MEMORY: u32 = 1 << 0;
const FLAG_COMMAND_LINE: u32 = 1 << 2;
const FLAG_MODULES: u32 = 1 << 3;
const FLAG_MEMORY_MAP: u32 = 1 << 6;
const FLAG_LOADER_NAME: u32 = 1 << 9;

/// Bytes of the block that are read: up to and with `boot_loader_name`.
const BLOCK_SIZE: usize = 68;

/// Reads `buffer.len()` bytes of physical memory at an address; false if there are none.
pub type ReadPhysical<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

/// Copies out what the block at physical address `address` says.
pub fn parse(address: u32, read: ReadPhysical<'_>) -> Result<BootInfo, BootInfoError> {
    let mut block = [0; BLOCK_SIZE];
    if !read(u64::from(address), &mut block) {
        return Err(BootInfoError::Unreadable("information block"));
    }
    let word = |offset: usize| u32_at(&block, offset);
    let flags = word(0);
    let named = flags & FLAG_LOADER_NAME == 0 || !loader_omits_names(word(64).into(), read);

    let mut info = BootInfo::default();
    if flags & FLAG_COMMAND_LINE != 0 {
        info.command_line = command_line(word(16).into(), "hypervisor's", named, read)?;
    }
    if flags & FLAG_MODULES != 0 {
        for index in 0..word(20).min(MAX_MODULES as u32) {
            let mut entry = [0; 16];
            if !read(u64::from(word(24)) + 16 * u64::from(index), &mut entry) {
                return Err(BootInfoError::Unreadable("list of modules"));
            }
            let (start, end) = (u32_at(&entry, 0), u32_at(&entry, 4));
            if end < start {
                return Err(BootInfoError::ModuleBackwards);
            }
            let command_line = match u32_at(&entry, 8) {
                0 => CommandLine::new(),
                text => command_line(text.into(), "module's", named, read)?,
            };
            let module = Module { start: start.into(), end: end.into(), command_line };
            // The loop ends at the capacity.
            let _ = info.modules.push(module);
        }
    }
    if flags & FLAG_MEMORY_MAP != 0 {
        memory_map(word(48), word(44), read, &mut info.memory)?;
    } else if flags & FLAG_MEMORY != 0 {
        let (lower, upper) = (u64::from(word(4)) << 10, u64::from(word(8)) << 10);
        info.memory.add(MemoryRange { start: 0, end: lower, kind: MemoryKind::Ram });
        let end = 0x10_0000 + upper;
        info.memory.add(MemoryRange { start: 0x10_0000, end, kind: MemoryKind::Ram });
    } else {
        return Err(BootInfoError::NoMemoryMap);
    }
    Ok(info)
}

/// Whether command lines come without the name of the file in front.
///
/// Multiboot says nothing on that. GRUB 0.97 and QEMU put the name there; GRUB 2, which
/// names itself `GRUB 2…`, does not.
pub(super) fn loader_omits_names(name: u64, read: ReadPhysical<'_>) -> bool {
    let mut start = [0; 6];
    read(name, &mut start) && start.starts_with(b"GRUB ") && start[5] != b'0'
}

fn memory_map(
    start: u32,
    length: u32,
    read: ReadPhysical<'_>,
    map: &mut MemoryMap,
) -> Result<(), BootInfoError> {
    let (mut at, end) = (u64::from(start), u64::from(start) + u64::from(length));
    while at + 24 <= end {
        let mut entry = [0; 24];
        if !read(at, &mut entry) {
            return Err(BootInfoError::Unreadable("memory map"));
        }
        let (base, bytes) = (u64_at(&entry, 4), u64_at(&entry, 12));
        let kind = MemoryKind::from_firmware(u32_at(&entry, 20));
        map.add(MemoryRange { start: base, end: base.saturating_add(bytes), kind });
        // The size field does not count itself.
        at += u64::from(u32_at(&entry, 0)).max(20) + 4;
    }
    Ok(())
}

pub(super) fn command_line(
    address: u64,
    whose: &'static str,
    named: bool,
    read: ReadPhysical<'_>,
) -> Result<CommandLine, BootInfoError> {
    let mut bytes: Vec<u8, MAX_COMMAND_LINE> = Vec::new();
    // The name does not count: a deep folder must not eat the guest's arguments.
    let mut in_name = named;
    let mut at = address;
    loop {
        let mut byte = [0];
        if !read(at, &mut byte) {
            return Err(BootInfoError::Unreadable("command line"));
        }
        match byte[0] {
            0 => break,
            b' ' if in_name => in_name = false,
            _ if in_name => {}
            byte => {
                bytes.push(byte).map_err(|_| BootInfoError::CommandLineTooLong(whose))?;
            }
        }
        at += 1;
    }
    let text =
        core::str::from_utf8(&bytes).map_err(|_| BootInfoError::CommandLineNotText(whose))?;
    CommandLine::try_from(text.trim()).map_err(|_| BootInfoError::CommandLineTooLong(whose))
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    if let Some(source) = bytes.get(offset..offset + 4) {
        word.copy_from_slice(source);
    }
    u32::from_le_bytes(word)
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String as Text;
    use std::vec::Vec as List;

    /// Low memory with an information block at 0.
    struct Memory(List<u8>);

    impl Memory {
        fn new(flags: u32) -> Self {
            let mut memory = Self(std::vec![0; 0x4000]);
            memory.put32(0, flags);
            memory
        }
        fn put32(&mut self, at: usize, value: u32) {
            self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        fn put(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }
        fn parse(&self) -> Result<BootInfo, BootInfoError> {
            parse(0, &|at, buffer| {
                let at = usize::try_from(at).unwrap();
                match self.0.get(at..at + buffer.len()) {
                    Some(bytes) => {
                        buffer.copy_from_slice(bytes);
                        true
                    }
                    None => false,
                }
            })
        }
        fn with_map(mut self) -> Self {
            self.put32(44, 48);
            self.put32(48, 0x200);
            for (at, base, length, kind) in
                [(0x200, 0u32, 0x9fc00, 1), (0x218, 0x10_0000, 0x1ff0_0000, 1)]
            {
                self.put32(at, 20);
                self.put32(at + 4, base);
                self.put32(at + 12, length);
                self.put32(at + 20, kind);
            }
            self
        }
    }

    const MAP: u32 = FLAG_MEMORY_MAP;

    #[test]
    fn the_memory_map_is_copied() {
        let info = Memory::new(MAP).with_map().parse().unwrap();
        let ranges: List<_> = info.memory.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, [(0, 0x9fc00), (0x10_0000, 0x2000_0000)]);
        assert!(info.modules.is_empty() && info.command_line.is_empty());
    }

    #[test]
    fn sizes_stand_in_for_a_map() {
        let mut memory = Memory::new(FLAG_MEMORY);
        memory.put32(4, 640);
        memory.put32(8, 1024);
        let info = memory.parse().unwrap();
        let ranges: List<_> = info.memory.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, [(0, 0xa_0000), (0x10_0000, 0x20_0000)]);
        assert_eq!(Memory::new(0).parse().unwrap_err(), BootInfoError::NoMemoryMap);
    }

    #[test]
    fn the_name_of_the_file_is_dropped() {
        let mut memory = Memory::new(MAP | FLAG_COMMAND_LINE | FLAG_MODULES).with_map();
        memory.put32(16, 0x1000);
        memory.put(0x1000, b"/boot/ferrule loglvl=debug  noreboot \0");
        memory.put32(20, 1);
        memory.put32(24, 0x1800);
        memory.put32(0x1800, 0x10_0000);
        memory.put32(0x1804, 0x10_2000);
        memory.put32(0x1808, 0x1900);
        memory.put(0x1900, b"kernel\0");
        let info = memory.parse().unwrap();
        assert_eq!(info.command_line.as_str(), "loglvl=debug  noreboot");
        assert_eq!((info.modules[0].start, info.modules[0].end), (0x10_0000, 0x10_2000));
        assert_eq!(info.modules[0].command_line.as_str(), "");
    }

    #[test]
    fn grub_2_gives_no_name() {
        let mut memory = Memory::new(MAP | FLAG_COMMAND_LINE | FLAG_LOADER_NAME).with_map();
        memory.put32(16, 0x1000);
        memory.put(0x1000, b"loglvl=debug noreboot\0");
        memory.put32(64, 0x1100);
        memory.put(0x1100, b"GRUB 2.06\0");
        assert_eq!(memory.parse().unwrap().command_line.as_str(), "loglvl=debug noreboot");
        memory.put(0x1100, b"GRUB 0.97\0");
        assert_eq!(memory.parse().unwrap().command_line.as_str(), "noreboot");
    }

    #[test]
    fn long_and_wild_command_lines_are_refused() {
        let mut memory = Memory::new(MAP | FLAG_COMMAND_LINE).with_map();
        memory.put32(16, 0x1000);
        let line = |length: usize| -> Text { core::iter::repeat_n('x', length).collect() };
        let exact = line(MAX_COMMAND_LINE);
        memory.put(0x1000, std::format!("name {exact}\0").as_bytes());
        assert_eq!(memory.parse().unwrap().command_line.as_str(), exact);
        memory.put(0x1000, std::format!("name {exact}x\0").as_bytes());
        assert_eq!(memory.parse().unwrap_err(), BootInfoError::CommandLineTooLong("hypervisor's"));
        memory.put(0x1000, b"name \xff\0");
        assert_eq!(memory.parse().unwrap_err(), BootInfoError::CommandLineNotText("hypervisor's"));
        memory.put32(16, 0xffff_ffff);
        assert_eq!(memory.parse().unwrap_err(), BootInfoError::Unreadable("command line"));
    }

    #[test]
    fn a_module_cannot_end_before_it_starts() {
        let mut memory = Memory::new(MAP | FLAG_MODULES).with_map();
        memory.put32(20, 1);
        memory.put32(24, 0x1800);
        memory.put32(0x1800, 0x2000);
        memory.put32(0x1804, 0x1000);
        assert_eq!(memory.parse().unwrap_err(), BootInfoError::ModuleBackwards);
        memory.put32(20, 0xffff_ffff);
        memory.put32(0x1804, 0x2000);
        memory.put32(24, 0x3fff);
        assert_eq!(memory.parse().unwrap_err(), BootInfoError::Unreadable("list of modules"));
    }
}
