//! Files that nobody would have written.

use proptest::prelude::*;
use pv_abi::elfnote as note;
use pv_tests::check;
use pv_tests::elf::KernelElf;

use super::{request, try_build};

/// Builds from `file`; whatever comes of it, the machine is in order.
fn survives(file: &[u8]) {
    match try_build(&request(file)) {
        Ok(sys) => check::invariants(&sys),
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.contains("a bug"), "{sentence}");
        }
    }
}

#[test]
fn every_truncation() {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    // A small one: each length is tried.
    kernel.segments.truncate(1);
    kernel.segments[0].data.truncate(300);
    let file = kernel.file();
    for length in 0..file.len() {
        survives(&file[..length]);
    }
    assert!(try_build(&request(&file)).is_ok());
}

#[test]
fn a_truncation_inside_of_a_loaded_segment_is_always_refused() {
    let file = KernelElf::pv32(0xc000_0000).file();
    let notes = 0x1ffd + 52 + 3 * 32;
    for length in (0..notes).step_by(61) {
        assert!(try_build(&request(&file[..length])).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn grubs_truncated_last_note_is_taken_as_far_as_it_goes() {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    kernel.remove(note::XEN_ELFNOTE_PAE_MODE);
    kernel.set(note::XEN_ELFNOTE_PAE_MODE, b"yes\0\0\0\0\0\0\0\0\0".to_vec());
    kernel.notes_cut = 8;
    assert!(try_build(&request(&kernel.file())).is_ok());
    // Two bytes of "yes" are left: that is another word.
    kernel.notes_cut = 10;
    let error = try_build(&request(&kernel.file())).err().expect("refused");
    assert!(error.to_string().contains("without PAE"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A few bytes are something else.
    #[test]
    fn corruption(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut file = KernelElf::pv32(0xc000_0000).file();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        survives(&file);
    }

    /// The headers are something else: more likely to be believed than noise is.
    #[test]
    fn corrupted_headers(changes in prop::collection::vec((0_usize..148, any::<u8>()), 1..6)) {
        let mut file = KernelElf::pv32(0xc000_0000).file();
        for (at, byte) in changes {
            file[at] = byte;
        }
        survives(&file);
    }

    /// A word of a program header is extreme.
    #[test]
    fn extreme_words(word in 0_usize..24, value in prop::sample::select(vec![
        0_u32, 1, 0xfff, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffff,
    ])) {
        let mut file = KernelElf::pv32(0xc000_0000).file();
        file[52 + 4 * word..][..4].copy_from_slice(&value.to_le_bytes());
        survives(&file);
    }

    /// Any notes at all.
    #[test]
    fn strange_notes(
        notes in prop::collection::vec((0_u32..20, prop::collection::vec(any::<u8>(), 0..12)), 0..12),
        cut in 0_usize..20,
    ) {
        let mut kernel = KernelElf::pv32(0xc000_0000);
        for (kind, desc) in notes {
            kernel.set(kind, desc);
        }
        kernel.notes_cut = cut;
        survives(&kernel.file());
    }

    /// Numbers in notes that are wrong, not malformed.
    #[test]
    fn strange_numbers(notes in prop::collection::vec((1_u32..18, any::<u32>()), 1..4)) {
        let mut kernel = KernelElf::pv32(0xc000_0000);
        for (kind, number) in notes {
            kernel.set_number(kind, number & 0xffff_f000);
        }
        survives(&kernel.file());
    }

    /// The older section, with anything in it.
    #[test]
    fn strange_sections(text in "[A-Z_]{0,12}=[0-9a-fx]{0,18}(,[A-Z_]{0,12}=[a-z0-9.-]{0,10}){0,4}") {
        let mut kernel = KernelElf::pv32(0xc000_0000);
        kernel.notes.clear();
        kernel.xen_guest = Some(text);
        survives(&kernel.file());
    }
}
