//! Tests of the loader over files made here.

use super::*;
use crate::fs::image::Image;
use std::boxed::Box;
use std::vec;

fn half(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn word(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// An executable with the given segments: (type, offset, address, file size, memory size, flags).
fn file(kind: u16, segments: &[[u32; 6]]) -> Vec<u8> {
    let mut out = vec![0; 0x3000];
    out[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    half(&mut out, 16, kind);
    half(&mut out, 18, EM_386);
    word(&mut out, 20, 1);
    word(&mut out, 24, 0x08049000);
    word(&mut out, 28, 52);
    half(&mut out, 40, 52);
    half(&mut out, 42, 32);
    half(&mut out, 44, segments.len() as u16);
    half(&mut out, 46, 40);
    for (index, [kind, offset, address, file_size, memory, flags]) in segments.iter().enumerate() {
        let at = 52 + index * 32;
        let fields = [*kind, *offset, *address, *address, *file_size, *memory, *flags, 0x1000];
        for (field, value) in fields.into_iter().enumerate() {
            word(&mut out, at + field * 4, value);
        }
    }
    out
}

const TEXT: [u32; 6] = [PT_LOAD, 0, 0x08048000, 0x1200, 0x1200, PF_R | PF_X];
const DATA: [u32; 6] = [PT_LOAD, 0x2010, 0x0804b010, 0x100, 0x2000, PF_R | PF_W];

fn read(bytes: Vec<u8>) -> Result<Program, Refusal> {
    parse(&Image::lasting(Box::leak(bytes.into_boxed_slice())))
}

#[test]
fn segments_become_regions() {
    let program = read(file(ET_EXEC, &[TEXT, DATA])).unwrap();
    let ranges: Vec<_> = program.regions.iter().map(|region| (region.start, region.end)).collect();
    assert_eq!(ranges, vec![(0x08048000, 0x0804a000), (0x0804b000, 0x0804e000)]);
    assert_eq!((program.entry, program.headers), (0x08049000, 0x08048034));
    assert_eq!((program.header_count, program.end), (2, 0x0804e000));
    assert!(program.regions[1].access.write && !program.regions[0].access.write);
    let mut page = [0xff; 4096];
    page.fill(0);
    program.regions[1].fill_page(0x0804b000, &mut page);
    assert_eq!(page, [0; 4096]);
}

#[test]
fn position_independent_programs_move() {
    let segment = [PT_LOAD, 0, 0, 0x1000, 0x1000, PF_R | PF_X];
    let program = read(file(ET_DYN, &[segment])).unwrap();
    assert_eq!(program.regions[0].start, DYNAMIC_BASE);
    assert_eq!(program.headers, DYNAMIC_BASE + 52);
}

#[test]
fn what_is_no_program_is_refused() {
    assert_eq!(read(vec![]), Err(Refusal::NotElf));
    assert_eq!(read(b"#!/bin/sh\n".to_vec()), Err(Refusal::NotElf));
    assert_eq!(read(file(1, &[TEXT])), Err(Refusal::NotStatic));
    assert_eq!(read(file(ET_EXEC, &[])), Err(Refusal::Segments));
    assert_eq!(read(file(ET_EXEC, &[TEXT, [PT_INTERP; 6]])), Err(Refusal::NotStatic));
    let mut other = file(ET_EXEC, &[TEXT]);
    half(&mut other, 18, 62);
    assert_eq!(read(other), Err(Refusal::Machine));
    for bad in [
        [PT_LOAD, 0, 0, 0x1000, 0x1000, PF_R], // the null page
        [PT_LOAD, 0, 0x8000_0000, 0x1000, 0x1000, PF_R], // the kernel
        [PT_LOAD, 0, 0xffff_f000, 0x1000, 0x2000, PF_R], // wraps
        [PT_LOAD, 0, 0x5fff_f000, 0x1000, 0xa000_0000, PF_R], // into the kernel
        [PT_LOAD, 0x2000, 0x0805_0000, 0x2000, 0x2000, PF_R], // beyond the file
        [PT_LOAD, 0xffff_f000, 0x0805_0000, 0x2000, 0x2000, PF_R],
        [PT_LOAD, 0, 0x0805_0000, 0x2000, 0x1000, PF_R], // larger in the file
        [PT_LOAD, 0, 0x0804_9800, 0x1000, 0x1000, PF_R], // shares a page with the text
    ] {
        assert_eq!(read(file(ET_EXEC, &[TEXT, bad])), Err(Refusal::Segments), "{bad:x?}");
    }
}

#[test]
fn every_truncation_and_corruption_is_survived() {
    let whole = file(ET_EXEC, &[TEXT, DATA]);
    for length in (0..200).chain((200..whole.len()).step_by(97)) {
        let cut: &'static [u8] = Box::leak(whole[..length].to_vec().into_boxed_slice());
        assert!(parse(&Image::lasting(cut)).is_err() || length >= 0x2110);
    }
    for index in 0..120 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[index] = value;
            if let Ok(program) = read(damaged) {
                for region in &program.regions {
                    assert!(LOWEST <= region.start + PAGE && region.end <= HIGHEST);
                    region.fill_page(region.start, &mut [0; 4096]);
                }
            }
        }
    }
}

fn stack_word(stack: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(stack[index * 4..index * 4 + 4].try_into().unwrap())
}

#[test]
fn the_first_stack_is_as_linux_lays_it_out() {
    let program = read(file(ET_EXEC, &[TEXT])).unwrap();
    let top = 0x7fff_f000;
    let stack =
        initial_stack(&program, b"/bin/x", &[b"x", b"one two"], &[b"A=b"], [9; 16], top).unwrap();
    let pointer = top - stack.len() as u32;
    assert_eq!(pointer % 16, 0);
    let text = |address: u32| {
        let from = &stack[(address - pointer) as usize..];
        from.split(|byte| *byte == 0).next().unwrap()
    };
    assert_eq!(stack_word(&stack, 0), 2);
    assert_eq!(text(stack_word(&stack, 1)), b"x");
    assert_eq!(text(stack_word(&stack, 2)), b"one two");
    assert_eq!(stack_word(&stack, 3), 0);
    assert_eq!(text(stack_word(&stack, 4)), b"A=b");
    assert_eq!(stack_word(&stack, 5), 0);
    let mut auxiliary = Vec::new();
    let mut index = 6;
    while stack_word(&stack, index) != 0 {
        auxiliary.push((stack_word(&stack, index), stack_word(&stack, index + 1)));
        index += 2;
    }
    assert!(auxiliary.contains(&(9, 0x08049000)) && auxiliary.contains(&(6, 4096)));
    let execfn = auxiliary.iter().find(|(kind, _)| *kind == 31).unwrap().1;
    assert_eq!(text(execfn), b"/bin/x");
}

#[test]
fn too_many_arguments_are_refused() {
    let program = read(file(ET_EXEC, &[TEXT])).unwrap();
    let long = vec![b'a'; STACK_MAX];
    assert_eq!(initial_stack(&program, b"x", &[&long], &[], [0; 16], 0x7fff_f000), None);
    let many: Vec<&[u8]> = vec![b""; STACK_MAX / 4];
    assert_eq!(initial_stack(&program, b"x", &many, &[], [0; 16], 0x7fff_f000), None);
}

#[test]
fn scripts_name_what_runs_them() {
    assert_eq!(interpreter(b"#!/bin/sh\necho"), Some(("/bin/sh", None)));
    assert_eq!(interpreter(b"#! /bin/awk  -f x \n"), Some(("/bin/awk", Some("-f x"))));
    assert_eq!(interpreter(b"#!/bin/sh"), Some(("/bin/sh", None)));
    for other in [&b"#!\n/bin/sh"[..], b"#!", b"\x7fELF", b"", b"#!\xff\n"] {
        assert_eq!(interpreter(other), None);
    }
    // What does not fit is cut off.
    let mut long = std::vec![b'a'; 1000];
    long[..2].copy_from_slice(b"#!");
    assert_eq!(interpreter(&long).map(|(path, _)| path.len()), Some(254));
}
