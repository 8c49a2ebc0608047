//! The instructions.
//!
//! Each function executes one form and returns what it saw, or traps. Those that must trap would,
//! if they did not, leave this code for good or leave it with a wrong segment: they are written so
//! that a trap finds stack and registers as the compiler left them.
#![allow(unsafe_code)] // UNSAFETY: the instructions themselves.

use core::arch::asm;

use crate::rows::{Act, HYPERVISOR_CS, HYPERVISOR_DS};
use crate::seen::{IF, IOPL, Seen};

/// The function that executes `act`.
pub fn function(act: Act) -> fn() -> Seen {
    match act {
        Act::Sgdt => sgdt,
        Act::Sidt => sidt,
        Act::Sldt => sldt,
        Act::Smsw => smsw,
        Act::Str => str,
        Act::Pushf => || Seen::Flags(flags()),
        Act::PopfIf => || Seen::Flags(popf(flags() & !IF)),
        Act::PopfIopl => || Seen::Flags(popf(flags() | IOPL)),
        Act::LarHypervisor => || lar(HYPERVISOR_CS),
        Act::LarOwn => || lar(push_cs()),
        Act::LslHypervisor => || lsl(HYPERVISOR_DS),
        Act::LslOwn => || lsl(push_cs()),
        Act::Verr => verr,
        Act::Verw => verw,
        Act::PushCs => || Seen::Selector(push_cs()),
        Act::PopEs => pop_es,
        Act::MovFromSs => mov_from_ss,
        Act::MovToSs => mov_to_ss,
        Act::CallFar => call_far,
        Act::JmpFar => jmp_far,
        Act::RetFar => ret_far,
        Act::Iret => iret,
        Act::IntOwn => int_own,
        Act::IntOther => int_other,
        Act::IntHypercall => int_hypercall,
    }
}

/// A pseudo-descriptor of `sgdt` and `sidt` in 32-bit code: limit, then address.
type Stored = [u16; 3];

fn table(stored: Stored) -> Seen {
    let [limit, low, high] = stored;
    Seen::Table { base: u32::from(high) << 16 | u32::from(low), limit }
}

fn sgdt() -> Seen {
    let mut stored = Stored::default();
    // SAFETY: 1. It writes six bytes to `stored`.
    unsafe { asm!("sgdt [{0}]", in(reg) &raw mut stored, options(nostack, preserves_flags)) };
    table(stored)
}

fn sidt() -> Seen {
    let mut stored = Stored::default();
    // SAFETY: 1. It writes six bytes to `stored`.
    unsafe { asm!("sidt [{0}]", in(reg) &raw mut stored, options(nostack, preserves_flags)) };
    table(stored)
}

fn sldt() -> Seen {
    let selector: u32;
    // SAFETY: 1. It reads a register.
    unsafe { asm!("sldt {0:x}", inout(reg) 0 => selector, options(nomem, nostack)) };
    Seen::Selector(selector as u16)
}

fn smsw() -> Seen {
    let word: u32;
    // SAFETY: 1. It reads a register.
    unsafe { asm!("smsw {0:e}", out(reg) word, options(nomem, nostack)) };
    Seen::Status(word)
}

fn str() -> Seen {
    let selector: u32;
    // SAFETY: 1. It reads a register.
    unsafe { asm!("str {0:x}", inout(reg) 0 => selector, options(nomem, nostack)) };
    Seen::Selector(selector as u16)
}

fn flags() -> u32 {
    let flags: u32;
    // SAFETY: 1. It reads the flags through the stack.
    unsafe { asm!("pushfd", "pop {0}", out(reg) flags, options(preserves_flags)) };
    flags
}

/// Loads the flags, reads them, and puts the old ones back.
fn popf(new: u32) -> u32 {
    let old = flags();
    let seen: u32;
    // SAFETY: 1. Arithmetic flags are put back; outside Ring 0 IF and IOPL do not change, and in it
    // they are put back, too.
    unsafe {
        asm!("push {new}", "popfd", "pushfd", "pop {seen}", "push {old}", "popfd",
            new = in(reg) new, old = in(reg) old, seen = out(reg) seen);
    }
    seen
}

fn lar(selector: u16) -> Seen {
    let (rights, visible): (u32, u8);
    // SAFETY: 1. It looks at a descriptor, and faults for none.
    unsafe {
        asm!("lar {rights}, {selector:e}", "setz {visible}", selector = in(reg) u32::from(selector),
            rights = inout(reg) 0 => rights, visible = out(reg_byte) visible,
            options(nomem, nostack));
    }
    if visible != 0 { Seen::Value(rights) } else { Seen::Hidden }
}

fn lsl(selector: u16) -> Seen {
    let (limit, visible): (u32, u8);
    // SAFETY: 1. As in `lar`.
    unsafe {
        asm!("lsl {limit}, {selector:e}", "setz {visible}", selector = in(reg) u32::from(selector),
            limit = inout(reg) 0 => limit, visible = out(reg_byte) visible,
            options(nomem, nostack));
    }
    if visible != 0 { Seen::Value(limit) } else { Seen::Hidden }
}

fn verr() -> Seen {
    let visible: u8;
    // SAFETY: 1. As in `lar`.
    unsafe {
        asm!("verr {selector:x}", "setz {visible}", selector = in(reg) u32::from(HYPERVISOR_DS),
            visible = out(reg_byte) visible, options(nomem, nostack));
    }
    if visible != 0 { Seen::Visible } else { Seen::Hidden }
}

fn verw() -> Seen {
    let visible: u8;
    // SAFETY: 1. As in `lar`.
    unsafe {
        asm!("verw {selector:x}", "setz {visible}", selector = in(reg) u32::from(HYPERVISOR_DS),
            visible = out(reg_byte) visible, options(nomem, nostack));
    }
    if visible != 0 { Seen::Visible } else { Seen::Hidden }
}

// In the other syntax LLVM takes pushes and pops of segment registers for 16-bit ones.

fn push_cs() -> u16 {
    let selector: u32;
    // SAFETY: 1. It reads a register through the stack.
    unsafe {
        asm!("pushl %cs", "popl {0}", out(reg) selector, options(att_syntax, preserves_flags));
    }
    selector as u16
}

fn pop_es() -> Seen {
    // SAFETY: 1. Whether it traps or not, es is as before afterwards.
    unsafe {
        asm!("movl %es, {old}", "pushl {new}", "popl %es", "movl {old}, %es", old = out(reg) _,
            new = in(reg) u32::from(HYPERVISOR_DS), options(att_syntax, preserves_flags));
    }
    Seen::Done
}

fn mov_from_ss() -> Seen {
    let selector: u32;
    // SAFETY: 1. It reads a register.
    unsafe { asm!("mov {0:e}, ss", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    Seen::Selector(selector as u16)
}

fn mov_to_ss() -> Seen {
    // SAFETY: 1. Whether it traps or not, ss is as before afterwards.
    unsafe {
        asm!("mov {old:e}, ss", "mov ss, {new:e}", "mov ss, {old:e}", old = out(reg) _,
            new = in(reg) u32::from(HYPERVISOR_DS), options(nomem, nostack, preserves_flags));
    }
    Seen::Done
}

/// A far pointer of 32-bit code: offset, then selector.
static FAR: [u16; 3] = [0, 0, HYPERVISOR_CS];

fn call_far() -> Seen {
    // SAFETY: 1. It traps: a direct far call never changes the ring.
    unsafe { asm!("call fword ptr [{0}]", in(reg) &raw const FAR, clobber_abi("C")) };
    Seen::Done
}

fn jmp_far() -> Seen {
    // SAFETY: 1. It traps: a direct far jump never changes the ring.
    unsafe { asm!("jmp fword ptr [{0}]", in(reg) &raw const FAR, clobber_abi("C")) };
    Seen::Done
}

fn ret_far() -> Seen {
    // SAFETY: 1. It traps: a far return never leads to an inner ring. 2. A trap handler that goes on
    // elsewhere restores the stack pointer.
    unsafe {
        asm!("push {0:e}", "push 0", "retf", in(reg) u32::from(HYPERVISOR_CS), clobber_abi("C"));
    }
    Seen::Done
}

/// `iret` to the next instruction with IF clear in the frame; what flags it left.
fn iret() -> Seen {
    let seen: u32;
    // SAFETY: 1. The frame (flags, cs, address of label 2) leads right behind it, in the same ring,
    // so that no stack pointer is popped. 2. The flags are those of before, but for IF.
    unsafe {
        asm!("pushfl", "andl $0xfffffdff, (%esp)", "pushl %cs", "pushl $2f", "iretl", "2:",
            "pushfl", "popl {0}", out(reg) seen, options(att_syntax));
    }
    Seen::Flags(seen)
}

fn int_own() -> Seen {
    // SAFETY: 1. In Ring 3 it is getpid; in Ring 1 the trap is caught.
    unsafe { asm!("int 0x80", inout("eax") 20 => _, clobber_abi("C")) };
    Seen::Done
}

fn int_other() -> Seen {
    // SAFETY: 1. The trap is caught; if the vector led somewhere, that would come back here.
    unsafe { asm!("int 0x20", clobber_abi("C")) };
    Seen::Done
}

fn int_hypercall() -> Seen {
    // SAFETY: 1. Executed in Ring 3 only, where the gate is closed. The number would be that of
    // xen_version, command 0, which changes nothing.
    unsafe { asm!("int 0x82", inout("eax") 17 => _, inout("ecx") 0 => _, clobber_abi("C")) };
    Seen::Done
}
