//! Each refusal, in the words that a person sees.

use pv_abi::elfnote as note;
use pv_tests::elf::{KernelElf, Segment};

use super::{request, try_build};

/// Changes a good kernel, and expects this refusal.
fn refused(change: impl FnOnce(&mut KernelElf), sentence: &str) {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    change(&mut kernel);
    refused_file(&kernel.file(), sentence);
}

fn refused_file(file: &[u8], sentence: &str) {
    let error = try_build(&request(file)).err().expect("it is refused");
    assert_eq!(error.to_string(), format!("domain 0's kernel is refused: {sentence}"));
}

#[test]
fn files_that_are_no_kernels() {
    refused_file(b"", "the file is empty");
    refused_file(b"#!/bin/sh\n", "it is not an ELF file");
    refused_file(b"\x7fEL", "the file ends within the ELF header, after 3 bytes");
    let file = KernelElf::pv32(0).file();
    refused_file(&file[..40], "the file ends within the ELF header, after 40 bytes");
    refused(|k| k.class = 3, "its ELF class is 3, neither 32-bit nor 64-bit");
    refused(|k| k.machine = 40, "it is 32-bit but for machine 40, not for x86");
    refused(|k| k.machine = 62, "it is 32-bit but for machine 62, not for x86");
    refused(|k| k.kind = 1, "it is not an executable (e_type 1, not 2)");
    let mut big = KernelElf::pv32(0).file();
    big[5] = 2;
    refused_file(&big, "it is not little-endian (EI_DATA 2)");
}

#[test]
fn a_64_bit_kernel_cannot_run_yet() {
    refused(
        |k| (k.class, k.machine) = (2, 62),
        "it is a 64-bit kernel, and only 32-bit ones can run so far",
    );
}

#[test]
fn program_headers() {
    let good = KernelElf::pv32(0xc000_0000).file();
    let mut file = good.clone();
    file[28..32].copy_from_slice(&0xffff_0000_u32.to_le_bytes());
    refused_file(&file, "its 3 program headers at 0xffff0000 lie outside of the file");
    let mut file = good.clone();
    file[42] = 56;
    refused_file(&file, "its program headers have 56 bytes each, which is not their size");
    let mut file = good;
    file[44] = 0;
    refused_file(&file, "it has no segment that is to be loaded");
    refused(|k| k.segments.clear(), "it has no segment that is to be loaded");
    let small = |i: u64| Segment { address: 0x20_0000 + i * 4096, data: vec![1], memory_size: 1 };
    refused(
        |k| k.segments.extend((0..20).map(small)),
        "it has more than 16 segments that are to be loaded",
    );
}

#[test]
fn segments() {
    let mut file = KernelElf::pv32(0xc000_0000).file();
    let length = file.len();
    file[52 + 32 + 4..][..4].copy_from_slice(&0x9000_u32.to_le_bytes());
    refused_file(
        &file,
        &format!(
            "segment 1 lies outside of the file (offset 0x9000, size 0xffd, file {length:#x})"
        ),
    );
    refused(
        |k| k.segments[1].memory_size = 0x800,
        "segment 1 has more bytes in the file (0xffd) than in memory (0x800)",
    );
    refused(
        |k| k.segments[1].address = 0xffff_f000,
        "segment 1 reaches past the end of the address space \
         (address 0xfffff000, size 0x2800)",
    );
    refused(|k| k.segments[1].address = 0x10_0fff, "segments 0 and 1 overlap in memory");
}

#[test]
fn notes() {
    refused(
        |k| k.notes.clear(),
        "it has neither Xen ELF notes nor a __xen_guest section: it is no PV kernel",
    );
    refused(
        |k| k.remove(note::XEN_ELFNOTE_XEN_VERSION),
        "its notes lack XEN_VERSION, so it is no PV kernel",
    );
    refused(
        |k| k.set_text(note::XEN_ELFNOTE_XEN_VERSION, "xen-2.0"),
        "its note XEN_VERSION names an ABI other than xen-3.0",
    );
    refused(
        |k| k.set_text(note::XEN_ELFNOTE_LOADER, "mine"),
        "its note LOADER is not `generic`: it needs a loader of its own",
    );
    for no in ["no", "", "maybe"] {
        refused(
            |k| k.set_text(note::XEN_ELFNOTE_PAE_MODE, no),
            "it is a 32-bit kernel without PAE page tables",
        );
    }
    refused(
        |k| k.set_number(note::XEN_ELFNOTE_SUPPORTED_FEATURES, 1),
        "its note SUPPORTED_FEATURES says that it cannot be domain 0",
    );
    refused(
        |k| k.set_text(note::XEN_ELFNOTE_FEATURES, "dom0|!auto_translated_physmap"),
        "it needs the feature auto_translated_physmap, which PV guests do not get",
    );
}

#[test]
fn addresses() {
    refused(
        |k| k.set_number(note::XEN_ELFNOTE_PADDR_OFFSET, 0x20_0000),
        "a segment's address 0x100000 is below its note PADDR_OFFSET (0x200000)",
    );
    refused(
        |k| k.set_number(note::XEN_ELFNOTE_VIRT_BASE, 0xc000_0123),
        "its note VIRT_BASE (0xc0000123) is not the address of a page",
    );
    refused(
        |k| k.set_number(note::XEN_ELFNOTE_VIRT_BASE, 0xffff_f000),
        "mapped at VIRT_BASE (0xfffff000) it reaches past the last address",
    );
    for entry in [0xc000_0000, 0xc010_3800, 0] {
        refused(
            |k| k.set_number(note::XEN_ELFNOTE_ENTRY, entry),
            &format!("its entry point {entry:#x} lies outside of it (0xc0100000 to 0xc0103800)"),
        );
    }
    for page in [0xc010_0800_u32, 0xc010_3000, 0xc00f_f000, 0xffff_f000] {
        refused(
            |k| k.set_number(note::XEN_ELFNOTE_HYPERCALL_PAGE, page),
            &format!(
                "its hypercall page {page:#x} is not a page inside of it \
                 (0xc0100000 to 0xc0103800)"
            ),
        );
    }
    refused(
        |k| k.set_number(note::XEN_ELFNOTE_HV_START_LOW, 0xfc00_0000),
        "its note HV_START_LOW (0xfc000000) leaves the hypervisor less than it needs \
         (from 0xf5800000)",
    );
}

#[test]
fn sizes() {
    let file = KernelElf::pv32(0xc000_0000).file();
    let say = |request: &super::Request<'_>| try_build(request).err().expect("refused").to_string();
    assert_eq!(
        say(&super::Request { memory_bytes: Some(2 << 20), ..request(&file) }),
        "domain 0 does not fit: its start takes 4096 KiB of memory, and it has 2048 KiB"
    );
    let initrd = vec![0; 15 << 20];
    let sentence = say(&super::Request { initrd: &initrd, ..request(&file) });
    assert!(sentence.starts_with("domain 0 does not fit: its start takes "), "{sentence}");
    let line = [b'x'; 1024];
    assert_eq!(
        say(&super::Request { command_line: &line, ..request(&file) }),
        "domain 0's command line is too long: 1024 bytes, at most 1023 are passed on"
    );
    let high = KernelElf::pv32(0xf570_0000).file();
    assert_eq!(
        say(&request(&high)),
        "domain 0 does not fit: kernel, initrd and p2m list reach up to 0xf5c00000, \
         but the hypervisor's addresses begin at 0xf5800000"
    );
}

#[test]
fn a_second_domain_0() {
    let file = KernelElf::pv32(0xc000_0000).file();
    let sys = try_build(&super::Request { memory_bytes: Some(8 << 20), ..request(&file) })
        .unwrap_or_else(|error| panic!("{error}"));
    let error = super::build(&sys, &request(&file)).err().expect("refused");
    assert_eq!(error.to_string(), "there is a domain 0 already");
    pv_tests::check::invariants(&sys);
}
