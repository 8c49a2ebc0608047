//! Programs: from an ELF32 file to regions, and the stack that a program starts with.
//!
//! Static executables (`ET_EXEC`) and static position-independent ones (`ET_DYN` without interpreter,
//! which relocate themselves) for the i386. A `PT_LOAD` becomes one region whose pages come from the
//! file on demand and are zero behind it. Nothing of the file is trusted: sizes wrap nowhere, and
//! segments must lie in user space without sharing a page.
//!
//! The first stack is Linux's (System V ABI, Intel386 supplement, "process initialization"; Linux
//! `fs/binfmt_elf.c`): from esp up `argc`, `argv[]`, 0, `envp[]`, 0, auxiliary vector, then strings.

use crate::fs::image::Image;
use crate::regions::{Access, Kind, Region, Source};
use alloc::vec::Vec;
use elf::ElfBytes;
use elf::abi::{EM_386, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;

/// Bytes of a page.
const PAGE: u32 = 4096;
/// Lowest address of a program: the page of null pointers stays out.
pub const LOWEST: u32 = 0x1_0000;
/// Address after the highest of a program's segments; stack and mappings lie above.
pub const HIGHEST: u32 = 0x6000_0000;
/// Where position-independent programs go.
const DYNAMIC_BASE: u32 = 0x0040_0000;
/// Most segments of a program.
const SEGMENTS: usize = 32;

/// Why a file is not a program that can be started. One error to its callers (`ENOEXEC`), several to
/// those who look for the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Not an ELF file, or cut off.
    NotElf,
    /// For another machine, or of another class.
    Machine,
    /// An object or core file, or one that needs an interpreter.
    NotStatic,
    /// Segments outside user space, overlapping, beyond the file, or none.
    Segments,
}

/// A program as it is to be laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Its segments, in order of addresses.
    pub regions: Vec<Region>,
    /// First instruction.
    pub entry: u32,
    /// Where its program headers lie in its memory; 0: nowhere.
    pub headers: u32,
    /// Number of program headers.
    pub header_count: u32,
    /// Address after the last segment, page aligned: where `brk` begins.
    pub end: u32,
}

/// Reads the headers of the file.
pub fn parse(file: &Image) -> Result<Program, Refusal> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Refusal::NotElf)?;
    if elf.ehdr.class != Class::ELF32 || elf.ehdr.e_machine != EM_386 {
        return Err(Refusal::Machine);
    }
    let base = match elf.ehdr.e_type {
        ET_EXEC => 0,
        ET_DYN => DYNAMIC_BASE,
        _ => return Err(Refusal::NotStatic),
    };
    let headers = elf.segments().ok_or(Refusal::Segments)?;
    if headers.len() > SEGMENTS {
        return Err(Refusal::Segments);
    }
    let header_offset = elf.ehdr.e_phoff;
    let mut program = Program {
        regions: Vec::new(),
        entry: base.wrapping_add(elf.ehdr.e_entry as u32),
        headers: 0,
        header_count: headers.len() as u32,
        end: 0,
    };
    for header in headers.iter() {
        match header.p_type {
            PT_INTERP => return Err(Refusal::NotStatic),
            PT_LOAD if header.p_memsz > 0 => {}
            _ => continue,
        }
        let number = |value: u64| u32::try_from(value).map_err(|_| Refusal::Segments);
        let (offset, file_size) = (number(header.p_offset)?, number(header.p_filesz)?);
        let file_end = offset.checked_add(file_size).ok_or(Refusal::Segments)?;
        let bytes = file.part(offset as usize..file_end as usize).ok_or(Refusal::Segments)?;
        let at = base.checked_add(number(header.p_vaddr)?).ok_or(Refusal::Segments)?;
        let end = at.checked_add(number(header.p_memsz)?).ok_or(Refusal::Segments)?;
        if at < LOWEST || end > HIGHEST || header.p_filesz > header.p_memsz {
            return Err(Refusal::Segments);
        }
        let (start, end) = (at & !(PAGE - 1), end.next_multiple_of(PAGE));
        if start < program.end {
            return Err(Refusal::Segments);
        }
        if u64::from(offset) <= header_offset && header_offset < u64::from(file_end) {
            program.headers = at + (header_offset as u32 - offset);
        }
        let access = Access {
            read: header.p_flags & PF_R != 0,
            write: header.p_flags & PF_W != 0,
            execute: header.p_flags & PF_X != 0,
        };
        let source = Source::File { bytes, at };
        program.regions.push(Region { start, end, access, source, kind: Kind::Mapping });
        program.end = end;
    }
    if program.regions.is_empty() {
        return Err(Refusal::Segments);
    }
    Ok(program)
}

/// What runs a script, as its first line says: a path, and an argument that comes before the script's
/// own. None: it is no script.
pub fn interpreter(file: &[u8]) -> Option<(&str, Option<&str>)> {
    let line = file.strip_prefix(b"#!")?;
    let line = line.get(..LINE_MAX).unwrap_or(line);
    let line = line.split(|byte| *byte == b'\n').next()?;
    let line = core::str::from_utf8(line).ok()?.trim();
    let (path, argument) = match line.split_once([' ', '\t']) {
        Some((path, argument)) => (path, Some(argument.trim_start())),
        None => (line, None),
    };
    (!path.is_empty()).then_some((path, argument))
}

/// Most bytes of a script's first line that are read.
const LINE_MAX: usize = 254;

/// Most bytes of a first stack: arguments, environment and vectors.
pub const STACK_MAX: usize = 32 * PAGE as usize;

/// The bytes of the first stack, which end at address `top` (page aligned): what lies from the stack
/// pointer, `top` less their number, up. None when they are more than [`STACK_MAX`].
pub fn initial_stack(
    program: &Program,
    name: &[u8],
    arguments: &[&[u8]],
    environment: &[&[u8]],
    random: [u8; 16],
    top: u32,
) -> Option<Vec<u8>> {
    // Strings first, which lie highest; their addresses go into the vectors.
    let mut strings: Vec<u8> = Vec::new();
    let mut put = |bytes: &[u8], end: &[u8]| {
        strings.extend_from_slice(bytes);
        strings.extend_from_slice(end);
        strings.len() - bytes.len() - end.len()
    };
    let random_at = put(&random, b"");
    let platform_at = put(b"i686", b"\0");
    let name_at = put(name, b"\0");
    let argument_at: Vec<usize> = arguments.iter().map(|text| put(text, b"\0")).collect();
    let environment_at: Vec<usize> = environment.iter().map(|text| put(text, b"\0")).collect();
    if strings.len() > STACK_MAX {
        return None;
    }
    // An unused word at the very top, as Linux leaves one.
    let base = top.checked_sub(4 + strings.len() as u32)? & !15;
    let address = |offset: usize| base + offset as u32;

    let mut words: Vec<u32> = Vec::new();
    words.push(arguments.len() as u32);
    words.extend(argument_at.iter().map(|at| address(*at)));
    words.push(0);
    words.extend(environment_at.iter().map(|at| address(*at)));
    words.push(0);
    let auxiliary = [
        (3, program.headers),       // AT_PHDR
        (4, 32),                    // AT_PHENT
        (5, program.header_count),  // AT_PHNUM
        (6, PAGE),                  // AT_PAGESZ
        (7, 0),                     // AT_BASE: no interpreter
        (8, 0),                     // AT_FLAGS
        (9, program.entry),         // AT_ENTRY
        (11, 0),                    // AT_UID
        (12, 0),                    // AT_EUID
        (13, 0),                    // AT_GID
        (14, 0),                    // AT_EGID
        (15, address(platform_at)), // AT_PLATFORM
        (16, 0),                    // AT_HWCAP: what cpuid says, programs ask it themselves
        (17, 100),                  // AT_CLKTCK
        (23, 0),                    // AT_SECURE
        (25, address(random_at)),   // AT_RANDOM
        (31, address(name_at)),     // AT_EXECFN
        (0, 0),                     // AT_NULL
    ];
    words.extend(auxiliary.iter().flat_map(|(kind, value)| [*kind, *value]));

    let pointer = base.checked_sub(words.len() as u32 * 4)? & !15;
    let total = (top - pointer) as usize;
    if total > STACK_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(total);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize((base - pointer) as usize, 0);
    bytes.extend_from_slice(&strings);
    bytes.resize(total, 0);
    Some(bytes)
}

#[cfg(test)]
mod tests;
