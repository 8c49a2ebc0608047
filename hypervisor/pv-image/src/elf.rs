//! What of a kernel's ELF file goes where, checked.
//!
//! The file comes from whoever typed the boot loader's command line: it is not hostile as a
//! guest is, but it may be anything. Nothing here trusts a number in it. Every refusal says
//! which number was wrong.
//!
//! Holding a [`KernelFile`] proves: each of its segments lies inside of the file, takes at
//! least as much memory as it has bytes, does not wrap around the end of the address space,
//! and overlaps no other.
#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::section::{SectionHeader, SectionHeaderTable};
use elf::segment::{ProgramHeader, SegmentTable};

use crate::width::Width;

/// Segments to be loaded that a file may have.
pub const MAX_SEGMENTS: usize = 16;
/// Bytes that identify a file as ELF.
const IDENT_LEN: usize = 16;

/// A part of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Its number among the file's program headers.
    pub number: u16,
    /// Where it wants to lie (`p_paddr`), in the kernel's own idea of physical addresses.
    pub address: u64,
    /// Its bytes.
    pub data: &'a [u8],
    /// Bytes that it takes in memory; those past `data` are zero.
    pub memory_size: u64,
}

impl Segment<'_> {
    /// The first address past it. It does not wrap: that was checked.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_size)
    }
}

/// A checked ELF file.
pub struct KernelFile<'a> {
    /// The kind of guest, by the file's class and machine.
    pub width: Width,
    /// `e_entry`.
    pub entry: u64,
    /// What is to be loaded, by address; never empty.
    pub segments: heapless::Vec<Segment<'a>, MAX_SEGMENTS>,
    file: &'a [u8],
    header: FileHeader<LittleEndian>,
}

/// Why a file cannot be a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // `Display` words each; the fields are what it prints.
pub enum ElfError {
    Empty,
    NotElf,
    HeaderTruncated { length: usize },
    ByteOrder { data: u8 },
    Class { class: u8 },
    Machine { class: &'static str, machine: u16 },
    NotExecutable { kind: u16 },
    HeaderSize { size: u16 },
    HeadersOutside { offset: u64, count: u16 },
    NothingToLoad,
    TooManySegments,
    SegmentOutside { number: u16, offset: u64, size: u64, length: usize },
    SegmentShrinks { number: u16, file_size: u64, memory_size: u64 },
    SegmentWraps { number: u16, address: u64, memory_size: u64 },
    SegmentsOverlap { number: u16, other: u16 },
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => write!(f, "the file is empty"),
            Self::NotElf => write!(f, "it is not an ELF file"),
            Self::HeaderTruncated { length } => {
                write!(f, "the file ends within the ELF header, after {length} bytes")
            }
            Self::ByteOrder { data } => write!(f, "it is not little-endian (EI_DATA {data})"),
            Self::Class { class } => {
                write!(f, "its ELF class is {class}, neither 32-bit nor 64-bit")
            }
            Self::Machine { class, machine } => {
                write!(f, "it is {class} but for machine {machine}, not for x86")
            }
            Self::NotExecutable { kind } => {
                write!(f, "it is not an executable (e_type {kind}, not 2)")
            }
            Self::HeaderSize { size } => {
                write!(f, "its program headers have {size} bytes each, which is not their size")
            }
            Self::HeadersOutside { offset, count } => {
                write!(f, "its {count} program headers at {offset:#x} lie outside of the file")
            }
            Self::NothingToLoad => write!(f, "it has no segment that is to be loaded"),
            Self::TooManySegments => {
                write!(f, "it has more than {MAX_SEGMENTS} segments that are to be loaded")
            }
            Self::SegmentOutside { number, offset, size, length } => write!(
                f,
                "segment {number} lies outside of the file \
                 (offset {offset:#x}, size {size:#x}, file {length:#x})"
            ),
            Self::SegmentShrinks { number, file_size, memory_size } => write!(
                f,
                "segment {number} has more bytes in the file ({file_size:#x}) \
                 than in memory ({memory_size:#x})"
            ),
            Self::SegmentWraps { number, address, memory_size } => write!(
                f,
                "segment {number} reaches past the end of the address space \
                 (address {address:#x}, size {memory_size:#x})"
            ),
            Self::SegmentsOverlap { number, other } => {
                write!(f, "segments {number} and {other} overlap in memory")
            }
        }
    }
}

impl<'a> KernelFile<'a> {
    /// Reads and checks `file`.
    pub fn parse(file: &'a [u8]) -> Result<KernelFile<'a>, ElfError> {
        let header = parse_header(file)?;
        let width = width(&header)?;
        if header.e_type != abi::ET_EXEC {
            return Err(ElfError::NotExecutable { kind: header.e_type });
        }
        let mut segments = heapless::Vec::new();
        for (number, p) in program_headers(file, &header)?
            .filter(|(_, p)| p.p_type == abi::PT_LOAD && p.p_memsz != 0)
        {
            let segment = check_segment(file, width, number, &p)?;
            segments.push(segment).map_err(|_| ElfError::TooManySegments)?;
        }
        segments.sort_unstable_by_key(|s| s.address);
        for pair in segments.windows(2) {
            if let [low, high] = pair
                && low.end() > high.address
            {
                let (number, other) = (low.number.min(high.number), low.number.max(high.number));
                return Err(ElfError::SegmentsOverlap { number, other });
            }
        }
        if segments.is_empty() {
            return Err(ElfError::NothingToLoad);
        }
        Ok(KernelFile { width, entry: header.e_entry, segments, file, header })
    }

    /// Where the kernel lies in its own physical addresses: `[start, end)`.
    pub fn extent(&self) -> (u64, u64) {
        let start = self.segments.first().map_or(0, |s| s.address);
        (start, self.segments.iter().map(Segment::end).max().unwrap_or(start))
    }

    /// The contents of each PT_NOTE segment, as far as the file has them.
    pub fn note_segments(&self) -> impl Iterator<Item = &'a [u8]> {
        let file = self.file;
        program_headers(file, &self.header)
            .into_iter()
            .flatten()
            .filter(|(_, p)| p.p_type == abi::PT_NOTE)
            .map(move |(_, p)| clamped(file, p.p_offset, p.p_filesz))
    }

    /// The contents of the section `name`, as far as the file has them.
    pub fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let names = self.section_header(self.header.e_shstrndx.into())?;
        let names = clamped(self.file, names.sh_offset, names.sh_size);
        (0..usize::from(self.header.e_shnum))
            .filter_map(|i| self.section_header(i))
            .find(|s| {
                let found = usize::try_from(s.sh_name).ok().and_then(|at| names.get(at..));
                found.is_some_and(|f| {
                    f.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
                })
            })
            .map(|s| clamped(self.file, s.sh_offset, s.sh_size))
    }

    fn section_header(&self, index: usize) -> Option<SectionHeader> {
        let offset = usize::try_from(self.header.e_shoff).ok().filter(|o| *o != 0)?;
        let table = self.file.get(offset..)?;
        SectionHeaderTable::new(LittleEndian, self.header.class, table).get(index).ok()
    }
}

/// The part of `[offset, offset + size)` that the file has.
fn clamped(file: &[u8], offset: u64, size: u64) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = file.get(start..).unwrap_or(&[]);
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
    rest.get(..size).unwrap_or(&[])
}

fn parse_header(file: &[u8]) -> Result<FileHeader<LittleEndian>, ElfError> {
    let truncated = ElfError::HeaderTruncated { length: file.len() };
    if file.is_empty() {
        return Err(ElfError::Empty);
    }
    let magic = file.get(..abi::ELFMAGIC.len().min(file.len())).unwrap_or(&[]);
    if !abi::ELFMAGIC.starts_with(magic) {
        return Err(ElfError::NotElf);
    }
    let (ident, tail) = file.split_at_checked(IDENT_LEN).ok_or(truncated)?;
    let at = |index: usize| ident.get(index).copied().unwrap_or(0);
    if at(abi::EI_DATA) != abi::ELFDATA2LSB {
        return Err(ElfError::ByteOrder { data: at(abi::EI_DATA) });
    }
    if !matches!(at(abi::EI_CLASS), abi::ELFCLASS32 | abi::ELFCLASS64) {
        return Err(ElfError::Class { class: at(abi::EI_CLASS) });
    }
    let ident = parse_ident(ident).map_err(|_| ElfError::NotElf)?;
    FileHeader::parse_tail(ident, tail).map_err(|_| truncated)
}

fn width(header: &FileHeader<LittleEndian>) -> Result<Width, ElfError> {
    match (header.class, header.e_machine) {
        (Class::ELF32, abi::EM_386) => Ok(Width::Pv32),
        (Class::ELF64, abi::EM_X86_64) => Ok(Width::Pv64),
        (Class::ELF32, machine) => Err(ElfError::Machine { class: "32-bit", machine }),
        (Class::ELF64, machine) => Err(ElfError::Machine { class: "64-bit", machine }),
    }
}

/// The program headers with their numbers.
fn program_headers<'a>(
    file: &'a [u8],
    header: &FileHeader<LittleEndian>,
) -> Result<impl Iterator<Item = (u16, ProgramHeader)> + use<'a>, ElfError> {
    let size: u16 = match header.class {
        Class::ELF32 => 32,
        Class::ELF64 => 56,
    };
    if header.e_phnum == 0 {
        return Err(ElfError::NothingToLoad);
    }
    if header.e_phentsize != size {
        return Err(ElfError::HeaderSize { size: header.e_phentsize });
    }
    let outside = ElfError::HeadersOutside { offset: header.e_phoff, count: header.e_phnum };
    let length = usize::from(size).saturating_mul(header.e_phnum.into());
    let table = usize::try_from(header.e_phoff)
        .ok()
        .and_then(|start| file.get(start..)?.get(..length))
        .ok_or(outside)?;
    let table = SegmentTable::new(LittleEndian, header.class, table);
    Ok((0..header.e_phnum).map_while(move |n| Some((n, table.get(n.into()).ok()?))))
}

fn check_segment<'a>(
    file: &'a [u8],
    width: Width,
    number: u16,
    p: &ProgramHeader,
) -> Result<Segment<'a>, ElfError> {
    let outside = ElfError::SegmentOutside {
        number,
        offset: p.p_offset,
        size: p.p_filesz,
        length: file.len(),
    };
    let start = usize::try_from(p.p_offset).map_err(|_| outside)?;
    let size = usize::try_from(p.p_filesz).map_err(|_| outside)?;
    let data = file.get(start..).and_then(|rest| rest.get(..size)).ok_or(outside)?;
    if p.p_filesz > p.p_memsz {
        let (file_size, memory_size) = (p.p_filesz, p.p_memsz);
        return Err(ElfError::SegmentShrinks { number, file_size, memory_size });
    }
    let limit = match width {
        Width::Pv32 => 1 << 32,
        Width::Pv64 => u64::MAX,
    };
    if p.p_paddr.checked_add(p.p_memsz).is_none_or(|end| end > limit) {
        let (address, memory_size) = (p.p_paddr, p.p_memsz);
        return Err(ElfError::SegmentWraps { number, address, memory_size });
    }
    Ok(Segment { number, address: p.p_paddr, data, memory_size: p.p_memsz })
}
