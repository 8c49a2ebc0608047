//! Touching guest memory from Ring 0: the one path that may fault, and recovers.
//!
//! Each instruction that touches an address of the guest's has an entry in the exception
//! table: if it faults, execution goes on at the entry's second address with the failure
//! visible in a register. CR0.WP makes a read-only mapping read-only for us, too. Nothing
//! else in Ring 0 may use a guest's address.

// UNSAFETY: reads and writes at addresses that a guest chose.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::platform::GuestFault;

/// An instruction with an exception-table entry that leads to label 3.
macro_rules! guarded {
    ($($instruction:expr),+) => {
        concat!($(
            "2: ", $instruction, "\n",
            ".pushsection .ex_table, \"a\"\n",
            ".long 2b - ., 3f - .\n",
            ".popsection\n",
        )+)
    };
}

/// Stores of fixed sizes. A fault of one leads out of the function.
macro_rules! store {
    ([$($instruction:expr),+], $($operands:tt)*) => {{
        // SAFETY: 1. The table's entries catch a fault of each access to guest memory.
        //         2. The operands are registers.
        unsafe {
            asm!(
                $(concat!(
                    "2: ", $instruction, "\n",
                    ".pushsection .ex_table, \"a\"\n",
                    ".long 2b - ., {fault} - .\n",
                    ".popsection",
                ),)+
                $($operands)*
                fault = label { return Err(GuestFault) },
                options(nostack, preserves_flags),
            );
        }
        Ok(())
    }};
}

/// Loads of fixed sizes. `fail` is 1 before, and 0 if all of them succeeded.
macro_rules! access {
    ([$($instruction:expr),+], $($operands:tt)*) => {{
        let mut fail: u32 = 1;
        // SAFETY: 1. The table's entries catch a fault of each access to guest memory.
        //         2. The other operands are registers.
        unsafe {
            asm!(
                guarded!($($instruction),+),
                "xor {fail:e}, {fail:e}",
                "3:",
                fail = inout(reg) fail,
                $($operands)*
                options(nostack),
            );
        }
        if fail == 0 { Ok(()) } else { Err(GuestFault) }
    }};
}

/// Copies `to.len()` bytes from guest address `from`.
///
/// The caller has checked that the range is the guest's part of the address space. Lengths
/// that the ABI's small structures have are single instructions where they are constant.
#[inline(always)]
pub fn copy_from(from: u64, to: &mut [u8]) -> Result<(), GuestFault> {
    match to.len() {
        4 => {
            let mut a = 0u32;
            access!(["mov {a:e}, dword ptr [{at}]"], a = inout(reg) a, at = in(reg) from,)?;
            to.copy_from_slice(&a.to_le_bytes());
            Ok(())
        }
        8 => {
            let mut a = 0u64;
            access!(["mov {a}, qword ptr [{at}]"], a = inout(reg) a, at = in(reg) from,)?;
            to.copy_from_slice(&a.to_le_bytes());
            Ok(())
        }
        12 => {
            let (mut a, mut b) = (0u64, 0u32);
            access!(
                ["mov {a}, qword ptr [{at}]", "mov {b:e}, dword ptr [{at} + 8]"],
                a = inout(reg) a, b = inout(reg) b, at = in(reg) from,
            )?;
            let (low, high) = to.split_at_mut(8);
            low.copy_from_slice(&a.to_le_bytes());
            high.copy_from_slice(&b.to_le_bytes());
            Ok(())
        }
        16 => {
            let (mut a, mut b) = (0u64, 0u64);
            access!(
                ["mov {a}, qword ptr [{at}]", "mov {b}, qword ptr [{at} + 8]"],
                a = inout(reg) a, b = inout(reg) b, at = in(reg) from,
            )?;
            let (low, high) = to.split_at_mut(8);
            low.copy_from_slice(&a.to_le_bytes());
            high.copy_from_slice(&b.to_le_bytes());
            Ok(())
        }
        24 => {
            let (mut a, mut b, mut c) = (0u64, 0u64, 0u64);
            access!(
                [
                    "mov {a}, qword ptr [{at}]",
                    "mov {b}, qword ptr [{at} + 8]",
                    "mov {c}, qword ptr [{at} + 16]"
                ],
                a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, at = in(reg) from,
            )?;
            fill(to, &[a, b, c]);
            Ok(())
        }
        32 => {
            let (mut a, mut b, mut c, mut d) = (0u64, 0u64, 0u64, 0u64);
            access!(
                [
                    "mov {a}, qword ptr [{at}]",
                    "mov {b}, qword ptr [{at} + 8]",
                    "mov {c}, qword ptr [{at} + 16]",
                    "mov {d}, qword ptr [{at} + 24]"
                ],
                a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d,
                at = in(reg) from,
            )?;
            fill(to, &[a, b, c, d]);
            Ok(())
        }
        len => copy(from, to.as_mut_ptr() as u64, len),
    }
}

/// Writes words to a buffer of their size.
#[inline(always)]
fn fill(to: &mut [u8], words: &[u64]) {
    for (chunk, word) in to.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}

/// Word `index` of `bytes`.
#[inline(always)]
fn word(bytes: &[u8], index: usize) -> u32 {
    match bytes.get(4 * index..4 * index + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// Copies bytes to guest address `to`; as [`copy_from`]. Trap frames have 3 to 6 words.
#[inline(always)]
pub fn copy_to(to: u64, from: &[u8]) -> Result<(), GuestFault> {
    let w = |index| word(from, index);
    match from.len() {
        2 => {
            let value = match from {
                &[a, b] => u16::from_le_bytes([a, b]),
                _ => 0,
            };
            store!(["mov word ptr [{at}], {a:x}"], a = in(reg) value, at = in(reg) to,)
        }
        4 => store!(["mov dword ptr [{at}], {a:e}"], a = in(reg) w(0), at = in(reg) to,),
        8 => store!(
            ["mov dword ptr [{at}], {a:e}", "mov dword ptr [{at} + 4], {b:e}"],
            a = in(reg) w(0), b = in(reg) w(1), at = in(reg) to,
        ),
        12 => store!(
            [
                "mov dword ptr [{at}], {a:e}",
                "mov dword ptr [{at} + 4], {b:e}",
                "mov dword ptr [{at} + 8], {c:e}"
            ],
            a = in(reg) w(0), b = in(reg) w(1), c = in(reg) w(2), at = in(reg) to,
        ),
        16 => store!(
            [
                "mov dword ptr [{at}], {a:e}",
                "mov dword ptr [{at} + 4], {b:e}",
                "mov dword ptr [{at} + 8], {c:e}",
                "mov dword ptr [{at} + 12], {d:e}"
            ],
            a = in(reg) w(0), b = in(reg) w(1), c = in(reg) w(2), d = in(reg) w(3),
            at = in(reg) to,
        ),
        20 => store!(
            [
                "mov dword ptr [{at}], {a:e}",
                "mov dword ptr [{at} + 4], {b:e}",
                "mov dword ptr [{at} + 8], {c:e}",
                "mov dword ptr [{at} + 12], {d:e}",
                "mov dword ptr [{at} + 16], {e:e}"
            ],
            a = in(reg) w(0), b = in(reg) w(1), c = in(reg) w(2), d = in(reg) w(3),
            e = in(reg) w(4), at = in(reg) to,
        ),
        24 => store!(
            [
                "mov dword ptr [{at}], {a:e}",
                "mov dword ptr [{at} + 4], {b:e}",
                "mov dword ptr [{at} + 8], {c:e}",
                "mov dword ptr [{at} + 12], {d:e}",
                "mov dword ptr [{at} + 16], {e:e}",
                "mov dword ptr [{at} + 20], {f:e}"
            ],
            a = in(reg) w(0), b = in(reg) w(1), c = in(reg) w(2), d = in(reg) w(3),
            e = in(reg) w(4), f = in(reg) w(5), at = in(reg) to,
        ),
        32 => {
            let q = |index: usize| {
                u64::from(word(from, 2 * index)) | u64::from(word(from, 2 * index + 1)) << 32
            };
            store!(
                [
                    "mov qword ptr [{at}], {a}",
                    "mov qword ptr [{at} + 8], {b}",
                    "mov qword ptr [{at} + 16], {c}",
                    "mov qword ptr [{at} + 24], {d}"
                ],
                a = in(reg) q(0), b = in(reg) q(1), c = in(reg) q(2), d = in(reg) q(3),
                at = in(reg) to,
            )
        }
        len => copy(from.as_ptr() as u64, to, len),
    }
}

/// Copies `len` bytes; one of the two addresses is a guest's, the other our own buffer.
#[inline(always)]
fn copy(from: u64, to: u64, len: usize) -> Result<(), GuestFault> {
    let (mut left, mut source, mut target) = (len / 8, from, to);
    // SAFETY: 1. The table's entries catch a fault of either string instruction; what is left
    //            is in rcx then. 2. One side is a buffer of `len` bytes that the caller borrowed
    //            for this, the other a guest's range. 3. DF is clear in Ring 0 (entry code).
    unsafe {
        asm!(
            "2: rep movsq",
            "3:",
            ".pushsection .ex_table, \"a\"",
            ".long 2b - ., 3b - .",
            ".popsection",
            inout("rcx") left, inout("rsi") source, inout("rdi") target,
            options(nostack, preserves_flags),
        );
    }
    if left != 0 {
        return Err(GuestFault);
    }
    let mut tail = len % 8;
    if tail != 0 {
        // SAFETY: as above.
        unsafe {
            asm!(
                "2: rep movsb",
                "3:",
                ".pushsection .ex_table, \"a\"",
                ".long 2b - ., 3b - .",
                ".popsection",
                inout("rcx") tail, inout("rsi") source => _, inout("rdi") target => _,
                options(nostack, preserves_flags),
            );
        }
    }
    if tail == 0 { Ok(()) } else { Err(GuestFault) }
}

/// Loads a data segment register with a guest's selector; a bad one leaves it null.
macro_rules! load_segment {
    ($name:ident, $register:literal) => {
        #[doc = concat!("Loads ", $register, "; returns whether the selector was good.")]
        #[inline(always)]
        pub fn $name(selector: u16) -> bool {
            let mut fail: u32 = 1;
            // SAFETY: 1. Ring 0 uses neither base nor limit of a data segment. 2. A fault is
            //            caught, and the register is null then.
            unsafe {
                asm!(
                    concat!("2: mov ", $register, ", {selector:e}"),
                    "xor {fail:e}, {fail:e}",
                    "3:",
                    ".pushsection .ex_table, \"a\"",
                    ".long 2b - ., 3b - .",
                    ".popsection",
                    "test {fail:e}, {fail:e}",
                    "jz 4f",
                    "xor {selector:e}, {selector:e}",
                    concat!("mov ", $register, ", {selector:e}"),
                    "4:",
                    selector = inout(reg) u32::from(selector) => _,
                    fail = inout(reg) fail,
                    options(nostack),
                );
            }
            fail == 0
        }
    };
}

load_segment!(load_ds, "ds");
load_segment!(load_es, "es");
load_segment!(load_fs, "fs");
load_segment!(load_gs, "gs");

/// Reads a model-specific register; `None` if the processor has none of that number.
pub fn read_msr(index: u32) -> Option<u64> {
    let (low, high): (u32, u32);
    let mut fail: u32 = 1;
    // SAFETY: 1. Reading changes nothing. 2. A fault is caught.
    unsafe {
        asm!(
            guarded!("rdmsr"),
            "xor {fail:e}, {fail:e}",
            "3:",
            fail = inout(reg) fail,
            inout("eax") 0 => low,
            inout("edx") 0 => high,
            in("ecx") index,
            options(nostack),
        );
    }
    (fail == 0).then_some(u64::from(high) << 32 | u64::from(low))
}

/// The selectors in ds, es, fs and gs.
pub fn segments() -> [u16; 4] {
    let (ds, es, fs, gs): (u16, u16, u16, u16);
    // SAFETY: 1. Reads registers.
    unsafe {
        asm!(
            "mov {0:x}, ds", "mov {1:x}, es", "mov {2:x}, fs", "mov {3:x}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
            options(nomem, nostack, preserves_flags),
        );
    }
    [ds, es, fs, gs]
}
