//! `image`: the linked hypervisor (ELF64) as a Multiboot image (ELF32).
//!
//! QEMU's `-kernel` and GRUB load 32-bit ELF files by their physical addresses;
//! the hypervisor is linked as ELF64 at its virtual address. The image is the
//! same bytes under new headers: every load segment at its physical address, the
//! entry at the physical address of `multiboot_entry`, and one segment more, at
//! the page after `__image_end`, that carries the symbols for backtraces
//! ([`crate::symbols`]).
//!
//! The Multiboot headers must lie within the first 8 KiB (version 1) and 32 KiB
//! (version 2) of the file: segment data starts at file offset 0x1000, in
//! order of physical addresses.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::elf::{EM_386, EM_X86_64, ET_EXEC, PF_R, PT_LOAD, SHF_EXECINSTR};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags};

use crate::{build, symbols};

const PAGE: u64 = 4096;
const ELF_HEADER: usize = 52;
const PROGRAM_HEADER: usize = 32;
/// First word of a Multiboot1 header (Multiboot Specification 0.6.96, section 3.1.1).
const MULTIBOOT1_MAGIC: u32 = 0x1bad_b002;
/// A Multiboot1 header lies within the first 8192 bytes of the file.
const MULTIBOOT1_SEARCH: usize = 8192;

/// A piece of the hypervisor: bytes at a physical address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    /// Where it is loaded, in bytes.
    physical: u64,
    /// Its bytes; the rest up to `size` is zero.
    data: Vec<u8>,
    /// Size in memory, in bytes.
    size: u64,
    /// `PF_*`.
    flags: u32,
}

/// Writes the Multiboot image of `linked` to `image`.
pub fn write(linked: &Path, image: &Path) -> Result<()> {
    let bytes = fs::read(linked).with_context(|| format!("cannot read {}", linked.display()))?;
    let out = flatten(&bytes).with_context(|| format!("{}", linked.display()))?;
    build::write_if_changed(image, &out)
}

/// The Multiboot image of a linked hypervisor.
pub fn flatten(linked: &[u8]) -> Result<Vec<u8>> {
    let file = ElfFile64::<Endianness>::parse(linked).context("not a 64-bit ELF file")?;
    ensure!(file.elf_header().e_machine.get(file.endian()) == EM_X86_64, "not an x86-64 ELF file");
    let (mut segments, base) = load_segments(&file, linked)?;
    let entry = physical(symbol(&file, "multiboot_entry")?, base);
    let end = physical(symbol(&file, "__image_end")?, base);
    for segment in &segments {
        ensure!(
            segment.physical + segment.size <= end,
            "the segment at {:#x} ends after __image_end ({end:#x})",
            segment.physical
        );
    }
    let blob = symbols::encode(&functions(&file, base))?;
    segments.push(Segment {
        physical: end.next_multiple_of(PAGE),
        size: blob.len() as u64,
        data: blob,
        flags: PF_R.0,
    });
    let image = elf32(&segments, entry)?;
    ensure!(
        has_multiboot1_header(&image),
        "no Multiboot header in the first {MULTIBOOT1_SEARCH} bytes of the image: \
         the linker script must put it first"
    );
    Ok(image)
}

/// The load segments in order of physical address, and virtual minus physical address.
fn load_segments(file: &ElfFile64<'_>, bytes: &[u8]) -> Result<(Vec<Segment>, u64)> {
    let endian = file.endian();
    let mut segments = Vec::new();
    let mut base = None;
    for header in file.elf_program_headers() {
        if header.p_type(endian) != PT_LOAD || header.p_memsz(endian) == 0 {
            continue;
        }
        let (address, physical) = (header.p_vaddr(endian), header.p_paddr(endian));
        // Boot code linked at its physical address is allowed beside the rest.
        let offset = address.wrapping_sub(physical);
        if offset != 0 && *base.get_or_insert(offset) != offset {
            bail!("load segments differ in virtual minus physical address (at {address:#x})");
        }
        let data = header
            .data(endian, bytes)
            .map_err(|()| anyhow::anyhow!("the segment at {address:#x} is outside of the file"))?;
        segments.push(Segment {
            physical,
            data: data.to_vec(),
            size: header.p_memsz(endian),
            flags: header.p_flags(endian).0,
        });
    }
    ensure!(!segments.is_empty(), "no load segments");
    segments.sort_by_key(|segment| segment.physical);
    for pair in segments.windows(2) {
        ensure!(
            pair[0].physical + pair[0].size <= pair[1].physical,
            "the segments at {:#x} and {:#x} overlap",
            pair[0].physical,
            pair[1].physical
        );
    }
    Ok((segments, base.unwrap_or(0)))
}

fn symbol(file: &ElfFile64<'_>, name: &str) -> Result<u64> {
    file.symbol_by_name(name)
        .map(|symbol| symbol.address())
        .with_context(|| format!("no symbol {name}"))
}

/// An address as linked, virtual or low, as a physical one.
fn physical(address: u64, base: u64) -> u64 {
    if address >= base { address - base } else { address }
}

/// Every function: offset from the virtual base, and demangled name.
fn functions(file: &ElfFile64<'_>, base: u64) -> Vec<(u32, String)> {
    let executable: Vec<_> = file
        .sections()
        .filter(|section| {
            matches!(section.flags(), SectionFlags::Elf { sh_flags, .. }
                if sh_flags.0 & SHF_EXECINSTR.0 != 0)
        })
        .map(|section| section.index())
        .collect();
    file.symbols()
        .filter(|symbol| symbol.section_index().is_some_and(|index| executable.contains(&index)))
        .filter_map(|symbol| {
            let name =
                symbol.name().ok().filter(|name| !name.is_empty() && !name.starts_with('.'))?;
            let offset = u32::try_from(physical(symbol.address(), base)).ok()?;
            Some((offset, format!("{:#}", rustc_demangle::demangle(name))))
        })
        .collect()
}

/// An `ET_EXEC` file for i386 that loads `segments` where they belong.
fn elf32(segments: &[Segment], entry: u64) -> Result<Vec<u8>> {
    let narrow = |what: &str, value: u64| {
        u32::try_from(value).with_context(|| format!("{what} {value:#x} is not below 4 GiB"))
    };
    let mut image = Vec::new();
    image.extend(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |image: &mut Vec<u8>, value: u16| image.extend(value.to_le_bytes());
    let word = |image: &mut Vec<u8>, value: u32| image.extend(value.to_le_bytes());
    half(&mut image, ET_EXEC.0);
    half(&mut image, EM_386.0);
    word(&mut image, 1); // e_version
    word(&mut image, narrow("the entry", entry)?);
    word(&mut image, ELF_HEADER as u32); // e_phoff
    word(&mut image, 0); // e_shoff: no sections
    word(&mut image, 0); // e_flags
    half(&mut image, ELF_HEADER as u16);
    half(&mut image, PROGRAM_HEADER as u16);
    half(&mut image, u16::try_from(segments.len())?);
    half(&mut image, 40); // e_shentsize
    half(&mut image, 0);
    half(&mut image, 0);

    let mut offset = PAGE;
    let mut offsets = Vec::new();
    for segment in segments {
        // Congruent to the address, as readers that map files expect.
        offset = offset.next_multiple_of(PAGE) + segment.physical % PAGE;
        offsets.push(offset);
        let address = narrow("a load address", segment.physical)?;
        narrow("the end of a segment", segment.physical + segment.size)?;
        word(&mut image, PT_LOAD.0);
        word(&mut image, narrow("a file offset", offset)?);
        word(&mut image, address); // p_vaddr
        word(&mut image, address); // p_paddr
        word(&mut image, segment.data.len() as u32);
        word(&mut image, segment.size as u32);
        word(&mut image, segment.flags);
        word(&mut image, PAGE as u32);
        offset += segment.data.len() as u64;
    }
    for (segment, offset) in segments.iter().zip(offsets) {
        image.resize(offset as usize, 0);
        image.extend(&segment.data);
    }
    Ok(image)
}

/// Whether the Multiboot1 magic is where a loader looks for it, with its checksum right.
fn has_multiboot1_header(image: &[u8]) -> bool {
    let words: Vec<u32> = image[..image.len().min(MULTIBOOT1_SEARCH)]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    words.windows(3).any(|header| {
        header[0] == MULTIBOOT1_MAGIC
            && header[0].wrapping_add(header[1]).wrapping_add(header[2]) == 0
    })
}

/// An ELF file cut down to what a loader reads: headers and segments, no sections.
///
/// Debug information makes files many times larger, and they are loaded into an
/// emulator's memory at every boot.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let wide = match elf.get(..5) {
        Some(b"\x7fELF\x01") => false,
        Some(b"\x7fELF\x02") => true,
        _ => bail!("not an ELF file"),
    };
    // Field offsets in Elf32_Ehdr and Elf64_Ehdr, Elf32_Phdr and Elf64_Phdr.
    let (phoff_at, shoff_at, width, phnum_at, p_offset, p_filesz) =
        if wide { (32, 40, 8, 56, 8, 32) } else { (28, 32, 4, 44, 4, 16) };
    let number = |at: usize, width: usize| -> Result<usize> {
        let bytes = elf.get(at..at + width).context("the ELF file is cut short")?;
        let mut value = [0u8; 8];
        value[..width].copy_from_slice(bytes);
        Ok(usize::try_from(u64::from_le_bytes(value))?)
    };
    let table = number(phoff_at, width)?;
    let (entry_size, count) = (number(phnum_at - 2, 2)?, number(phnum_at, 2)?);
    let mut end = table + entry_size * count;
    for header in (0..count).map(|index| table + index * entry_size) {
        end = end.max(number(header + p_offset, width)? + number(header + p_filesz, width)?);
    }
    let mut out = elf.get(..end).context("a segment is outside of the file")?.to_vec();
    out[shoff_at..shoff_at + width].fill(0);
    out[phnum_at + 4..phnum_at + 8].fill(0); // e_shnum, e_shstrndx
    Ok(out)
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
