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

/// One load or store with an exception-table entry: `$fail` is 1 before and 0 after success.
macro_rules! access {
    ($instruction:literal, $($operands:tt)*) => {{
        let mut fail: u32 = 1;
        // SAFETY: 1. The table's entry catches a fault of the one access to guest memory.
        //         2. The other operand is a register or our own memory of the right size.
        unsafe {
            asm!(
                concat!("2: ", $instruction),
                "xor {fail:e}, {fail:e}",
                "3:",
                ".pushsection .ex_table, \"a\"",
                ".long 2b - ., 3b - .",
                ".popsection",
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
/// The caller has checked that the range is the guest's part of the address space.
#[inline(always)]
pub fn copy_from(from: u64, to: &mut [u8]) -> Result<(), GuestFault> {
    match to.len() {
        4 => {
            let value: u32;
            let mut out = 0u32;
            access!("mov {out:e}, dword ptr [{at}]", out = inout(reg) out, at = in(reg) from,)?;
            value = out;
            to.copy_from_slice(&value.to_le_bytes());
            Ok(())
        }
        8 => {
            let mut out = 0u64;
            access!("mov {out}, qword ptr [{at}]", out = inout(reg) out, at = in(reg) from,)?;
            to.copy_from_slice(&out.to_le_bytes());
            Ok(())
        }
        len => copy(from, to.as_mut_ptr() as u64, len),
    }
}

/// Copies bytes to guest address `to`; as [`copy_from`].
#[inline(always)]
pub fn copy_to(to: u64, from: &[u8]) -> Result<(), GuestFault> {
    match from.len() {
        4 => {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(from);
            let value = u32::from_le_bytes(bytes);
            access!("mov dword ptr [{at}], {value:e}", value = in(reg) value, at = in(reg) to,)
        }
        8 => {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(from);
            let value = u64::from_le_bytes(bytes);
            access!("mov qword ptr [{at}], {value}", value = in(reg) value, at = in(reg) to,)
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

