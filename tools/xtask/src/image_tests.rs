//! Tests of the flattening, on ELF64 files written by hand.

use super::*;

const BASE: u64 = 0xffff_8200_0000_0000;
const STRINGS: &[u8] = b"\0multiboot_entry\0__image_end\0_ZN4core3fmt5write17h0123456789abcdefE\0.text\0.symtab\0.strtab\0.shstrtab\0";

fn name_at(name: &[u8]) -> u32 {
    let with_nul: Vec<u8> = name.iter().copied().chain([0]).collect();
    STRINGS.windows(with_nul.len()).position(|w| w == with_nul).unwrap() as u32
}

/// Load segments: (virtual, physical, data, size in memory).
type Load<'a> = (u64, u64, &'a [u8], u64);

/// An ELF64 file with these load segments, one executable section and three symbols.
fn linked(loads: &[Load<'_>], entry: u64, end: u64) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::new();
    let mut headers: Vec<u8> = Vec::new();
    let data_at = 64 + 56 * loads.len() as u64;
    for (address, physical, bytes, size) in loads {
        headers.extend(1u32.to_le_bytes());
        headers.extend(5u32.to_le_bytes());
        headers.extend((data_at + data.len() as u64).to_le_bytes());
        headers.extend(address.to_le_bytes());
        headers.extend(physical.to_le_bytes());
        headers.extend((bytes.len() as u64).to_le_bytes());
        headers.extend(size.to_le_bytes());
        headers.extend(4096u64.to_le_bytes());
        data.extend(*bytes);
    }
    let symbols_at = data_at + data.len() as u64;
    let mut symbols = vec![0u8; 24];
    let mut symbol = |name: &[u8], value: u64, section: u16| {
        symbols.extend(name_at(name).to_le_bytes());
        symbols.extend([0x12, 0]); // a global function
        symbols.extend(section.to_le_bytes());
        symbols.extend(value.to_le_bytes());
        symbols.extend(0u64.to_le_bytes());
    };
    symbol(b"multiboot_entry", entry, 1);
    symbol(b"__image_end", end, 0xfff1); // absolute
    symbol(b"_ZN4core3fmt5write17h0123456789abcdefE", entry + 0x20, 1);
    let strings_at = symbols_at + symbols.len() as u64;
    let sections_at = strings_at + STRINGS.len() as u64;

    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2u16.to_le_bytes());
    file.extend(62u16.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    file.extend(64u64.to_le_bytes());
    file.extend(sections_at.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, loads.len() as u16, 64, 4, 3] {
        file.extend(half.to_le_bytes());
    }
    file.extend(headers);
    file.extend(data);
    file.extend(&symbols);
    file.extend(STRINGS);
    let mut section =
        |name: &[u8], kind: u32, flags: u64, at: u64, size: u64, link: u32, each: u64| {
            file.extend(if name.is_empty() { 0 } else { name_at(name) }.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            file.extend(loads.first().map_or(0, |load| load.0).to_le_bytes());
            file.extend(at.to_le_bytes());
            file.extend(size.to_le_bytes());
            file.extend(link.to_le_bytes());
            file.extend(1u32.to_le_bytes());
            file.extend(1u64.to_le_bytes());
            file.extend(each.to_le_bytes());
        };
    section(b"", 0, 0, 0, 0, 0, 0);
    section(b".text", 1, 6, data_at, loads.first().map_or(0, |load| load.2.len() as u64), 0, 0);
    section(b".symtab", 2, 0, symbols_at, symbols.len() as u64, 3, 24);
    section(b".strtab", 3, 0, strings_at, STRINGS.len() as u64, 0, 0);
    file
}

/// A Multiboot1 header and some bytes.
fn text() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [MULTIBOOT1_MAGIC, 3, 0u32.wrapping_sub(MULTIBOOT1_MAGIC + 3)] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0x90; 52]);
    bytes
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn segments_land_at_their_physical_addresses() {
    let text = text();
    let file = linked(
        &[(BASE + 0x10_0000, 0x10_0000, &text, 64), (BASE + 0x10_1000, 0x10_1000, b"data", 0x1234)],
        BASE + 0x10_0010,
        BASE + 0x10_2234,
    );
    let image = flatten(&file).unwrap();
    assert_eq!(&image[..7], b"\x7fELF\x01\x01\x01");
    assert_eq!(word(&image, 16), 0x0003_0002); // ET_EXEC, EM_386
    assert_eq!(word(&image, 24), 0x10_0010); // e_entry
    assert_eq!(image[44], 3); // e_phnum: two and the symbols
    assert_eq!(word(&image, 52 + 12), 0x10_0000); // p_paddr
    let second = 52 + 32;
    assert_eq!(word(&image, second + 8), 0x10_1000);
    assert_eq!((word(&image, second + 16), word(&image, second + 20)), (4, 0x1234));
    let at = word(&image, second + 4) as usize;
    assert_eq!(&image[at..at + 4], b"data");
    assert_eq!(at % 4096, 0);
}

#[test]
fn the_symbols_follow_the_image() {
    let text = text();
    let file =
        linked(&[(BASE + 0x10_0000, 0x10_0000, &text, 64)], BASE + 0x10_0010, BASE + 0x10_2234);
    let image = flatten(&file).unwrap();
    let header = 52 + 32;
    assert_eq!(word(&image, header + 12), 0x10_3000); // the page after __image_end
    let at = word(&image, header + 4) as usize;
    let blob = &image[at..];
    assert_eq!(&blob[..8], crate::symbols::MAGIC);
    assert_eq!(word(blob, 8), 2); // __image_end is no function
    assert_eq!(word(blob, 12) as usize, blob.len());
    assert_eq!(word(blob, 16), 0x10_0010);
    assert!(blob.windows(17).any(|w| w == b"core::fmt::write\0"));
}

#[test]
fn a_missing_header_or_symbol_is_named() {
    let error = |file: &[u8]| format!("{:#}", flatten(file).unwrap_err());
    let file = linked(&[(BASE + 0x10_0000, 0x10_0000, b"none", 4)], BASE, BASE + 0x10_1000);
    assert!(error(&file).contains("no Multiboot header"));
    assert!(error(b"#!/bin/sh").contains("not a 64-bit ELF file"));
    let text = text();
    let file = linked(&[(BASE + 0x10_0000, 0x10_0000, &text, 64)], BASE, BASE + 0x10_0020);
    assert!(error(&file).contains("ends after __image_end"));
}

#[test]
fn segments_must_agree_on_the_base_and_not_overlap() {
    let error = |file: &[u8]| format!("{:#}", flatten(file).unwrap_err());
    let text = text();
    let entry = BASE + 0x10_0000;
    let file = linked(
        &[(entry, 0x10_0000, &text, 64), (entry + 0x2000, 0x10_1000, b"x", 1)],
        entry,
        entry + 0x3000,
    );
    assert!(error(&file).contains("differ in virtual minus physical"));
    let file = linked(
        &[(entry, 0x10_0000, &text, 64), (entry + 0x20, 0x10_0020, b"x", 1)],
        entry,
        entry + 0x3000,
    );
    assert!(error(&file).contains("overlap"));
}

#[test]
fn low_boot_code_may_be_linked_at_its_physical_address() {
    let text = text();
    let file = linked(
        &[(0x10_0000, 0x10_0000, &text, 64), (BASE + 0x10_1000, 0x10_1000, b"data", 4)],
        0x10_0010,
        BASE + 0x10_2000,
    );
    let image = flatten(&file).unwrap();
    assert_eq!(word(&image, 24), 0x10_0010);
    assert_eq!(word(&image, 52 + 12), 0x10_0000);
}

#[test]
fn stripping_keeps_what_a_loader_reads() {
    let text = text();
    let file = linked(&[(BASE, 0x10_0000, &text, 64)], BASE, BASE + 0x1000);
    let stripped = strip(&file).unwrap();
    assert_eq!(stripped.len(), 64 + 56 + text.len());
    assert!(stripped.ends_with(&text));
    let parsed = ElfFile64::<Endianness>::parse(&*stripped).unwrap();
    assert_eq!(parsed.sections().count(), 0);
    assert!(strip(b"\x7fELF\x01").is_err());
    assert!(strip(b"text").is_err());
}
