//! Isolation, point 1: no access of a pv32 kernel reaches 4 GiB, straddling ones included.
//!
//! Intel SDM 3A 5.3 (limit checks; flat 4 GiB segments: an access past 0xffff_ffff is #GP, through
//! SS #SS) and 3.3 (compatibility mode forms 32-bit linear addresses). An emulator without limit
//! checks walks on to 4 GiB, where the root's entries 4 to 511 are zero: #PF. Expected: loads,
//! stores, pushes, string operations and a fetch end in a fault.
#![no_std]
#![no_main]
use pv_guests::expect::{GP, PF, SS};
use pv_guests::user::User;
use pv_guests::{Outcome, StartInfo, check, code, guest};
use ring1::probe::probe;

guest!(run);

code! {
    load(at: u32): "mov ecx, [esp + 4]", "mov eax, [ecx]", "ret";
    store(at: u32): "mov ecx, [esp + 4]", "mov dword ptr [ecx], -1", "ret";
    load8(at: u32): "mov ecx, [esp + 4]", "fild qword ptr [ecx]", "fstp st(0)", "ret";
    exchange(at: u32): "mov ecx, [esp + 4]", "lock add dword ptr [ecx], 1", "ret";
    string_store(at: u32): "push edi", "mov edi, [esp + 8]", "mov ecx, 4", "rep stosd",
        "pop edi", "ret";
    string_load(at: u32): "push esi", "mov esi, [esp + 8]", "mov ecx, 16", "rep lodsb",
        "pop esi", "ret";
    string_down(at: u32): "push edi", "mov edi, [esp + 8]", "mov ecx, 4", "std", "rep stosd",
        "cld", "pop edi", "ret";
    fetch(at: u32): "mov ecx, [esp + 4]", "call ecx", "ret";
    // In Ring 3, with ecx as the address and esp as the stack.
    user_load: "mov eax, [ecx]", "int 0x80";
    user_store: "mov [ecx], eax", "int 0x80";
    user_fetch: "jmp ecx";
    user_push: "push eax", "int 0x80";
    user_pop: "pop eax", "int 0x80";
    user_call: "call 1f", "1: int 0x80";
    user_pushes: "pushad", "int 0x80";
    user_return: "ret";
}

/// Forms in Ring 1. (Stack forms are Ring 3's: a trap needs Ring 1's own stack.)
const KERNEL: [(&str, extern "C" fn(u32)); 8] = [
    ("load", load),
    ("store", store),
    ("8-byte load", load8),
    ("locked add", exchange),
    ("rep stosd", string_store),
    ("rep lodsb", string_load),
    ("std; rep stosd", string_down),
    ("fetch", fetch),
];

const USER: [(&str, extern "C" fn()); 8] = [
    ("load", user_load),
    ("store", user_store),
    ("jump", user_fetch),
    ("push", user_push),
    ("pop", user_pop),
    ("call", user_call),
    ("pushad", user_pushes),
    ("ret", user_return),
];

fn run(_: &'static StartInfo) -> Outcome {
    const TOP: [u32; 6] =
        [0xffff_fffc, 0xffff_fffd, 0xffff_fffe, 0xffff_ffff, 0xffff_fff9, 0xffff_fff0];
    for at in TOP {
        for (name, form) in KERNEL {
            match probe(|| form(at)) {
                Ok(()) => check!(false, "{name} at {at:#x} went through"),
                Err(fault) => {
                    check!([GP, SS, PF].contains(&fault.vector), "{name} at {at:#x}: {fault:x?}")
                }
            }
        }
    }
    let user = User::new()?;
    // A push below 4 wraps: the upper part of the word ends at the very top.
    for at in TOP.into_iter().chain([0, 1, 2, 3]) {
        for (name, code) in USER {
            let frame = user.run_with(code, |registers| {
                registers.ecx = at;
                registers.esp = at;
            });
            check!(
                [GP, SS, PF].contains(&frame.vector),
                "Ring 3: {name} at {at:#x}: vector {}",
                frame.vector
            );
        }
    }
    Ok(())
}
