//! QEMU's interface for plugins, as far as it is needed here.
//!
//! QEMU loads the library, looks whether [`qemu_plugin_version`] is one that it knows, and calls
//! [`qemu_plugin_install`]. Then it calls [`translated`] for each block of code that it translates, which
//! has it add the block's instructions to its side's whenever the block runs.
#![allow(unsafe_code)] // UNSAFETY: the interface is one of C functions, pointers and names.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use crate::counts::{self, Counts};
use crate::sides::Sides;

/// The version of the interface: QEMU 4.2 to 8.2 have it, and QEMU 9 up to 9.0 takes it.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// QEMU's number of this plugin.
type Id = u64;

/// A block of code in translation.
#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

/// One of its instructions.
#[repr(C)]
struct Instruction {
    _opaque: [u8; 0],
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
const ADD: c_int = 0;

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, call: extern "C" fn(Id, *mut Block));
    fn qemu_plugin_register_vcpu_tb_exec_inline(
        block: *mut Block,
        operation: c_int,
        number: *const AtomicU64,
        operand: u64,
    );
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, number: usize) -> *mut Instruction;
    fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    fn qemu_plugin_insn_haddr(instruction: *const Instruction) -> *mut c_void;
}

static SIDES: Mutex<Sides> = Mutex::new(Sides::new());
static COUNTS: Counts = Counts::new();

/// Called by QEMU once, with what stands behind the library's name at `-plugin`.
///
/// # Safety
/// 1. `words` are `count` C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _machine: *const c_void,
    count: c_int,
    words: *const *const c_char,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: 1. The caller says that there are so many; 2. they are C strings.
    let mut words = (0..count).map(|number| unsafe { CStr::from_ptr(*words.add(number)) });
    let socket = words.find_map(|word| word.to_bytes().strip_prefix(b"socket="));
    let Some(socket) = socket else {
        eprintln!("counter: no socket=PATH");
        return 1;
    };
    if let Err(error) = counts::tell(&COUNTS, Path::new(OsStr::from_bytes(socket))) {
        eprintln!("counter: no socket {}: {error}", String::from_utf8_lossy(socket));
        return 1;
    }
    // SAFETY: 1. The number is the one that QEMU gave us.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}

/// Called by QEMU with a block that it has translated.
extern "C" fn translated(_: Id, block: *mut Block) {
    // SAFETY: 1. The block is QEMU's, and lives as long as this call.
    let length = unsafe { qemu_plugin_tb_n_insns(block) };
    if length == 0 {
        return;
    }
    // SAFETY: 1. As above; 2. it has a first instruction, which lives as long.
    let (machine, host) = unsafe {
        let first = qemu_plugin_tb_get_insn(block, 0);
        (qemu_plugin_insn_vaddr(first), qemu_plugin_insn_haddr(first))
    };
    let side = SIDES.lock().ok().and_then(|mut sides| sides.of(machine, host as u64));
    if let Some(side) = side {
        let number: *const AtomicU64 = COUNTS.of(side);
        // SAFETY: 1. The block is in translation. 2. The number lives as long as the program, and is only
        // read otherwise.
        unsafe { qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, number, length as u64) };
    }
}
