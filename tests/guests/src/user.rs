//! Stays in Ring 3.
#![allow(unsafe_code)] // UNSAFETY: copies code into a page and runs it in Ring 3.

use crate::pages::{PAGE, Page, URW};
use crate::verdict::{Outcome, must};
use ring1::probe::{enter_user, user_registers};
use ring1::trap::TrapFrame;

/// Bytes of a function that are copied at most.
const COPIED: usize = 512;

/// A page of code and one of stack that Ring 3 may use.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// Where code is copied to; the rest of the page is for data.
    pub code: Page,
    /// The stack.
    pub stack: Page,
}

impl User {
    /// Takes two spare pages and opens them to Ring 3.
    pub fn new() -> Outcome<Self> {
        let (code, stack) = (Page::take(), Page::take());
        must(code.set(URW), "mapping a page for Ring 3")?;
        must(stack.set(URW), "mapping a page for Ring 3")?;
        Ok(Self { code, stack })
    }

    /// Address of the stack's end.
    pub fn top(&self) -> u32 {
        self.stack.va + PAGE
    }

    /// Copies `code` (position-independent, at most 512 bytes).
    pub fn load(&self, code: extern "C" fn()) {
        let to = core::ptr::with_exposed_provenance_mut::<u8>(self.code.va as usize);
        // SAFETY: 1. The page is spare and writable. 2. The function lies in the image, whose
        // read-only data of more than that many bytes follows the code.
        unsafe { core::ptr::copy_nonoverlapping(code as *const u8, to, COPIED) };
    }

    /// Runs `code` in Ring 3 until it traps.
    pub fn run(&self, code: extern "C" fn()) -> TrapFrame {
        self.run_with(code, |_| {})
    }

    /// The same with registers of the caller's choice.
    pub fn run_with(&self, code: extern "C" fn(), set: impl FnOnce(&mut TrapFrame)) -> TrapFrame {
        self.load(code);
        self.again(set)
    }

    /// Runs what is loaded.
    pub fn again(&self, set: impl FnOnce(&mut TrapFrame)) -> TrapFrame {
        let mut registers = user_registers(self.code.va, self.top());
        set(&mut registers);
        enter(&registers)
    }
}

/// Continues with these registers until a trap from Ring 3.
pub fn enter(registers: &TrapFrame) -> TrapFrame {
    // SAFETY: 1. Ring 3 reaches the pages that tests opened to it: spare ones.
    unsafe { enter_user(registers) }
}

/// Goes to Ring 3 natively with these registers, never to return: unlike a stay it leaves the
/// kernel stack of `stack_switch` alone.
pub fn leave(registers: &TrapFrame) -> ! {
    // SAFETY: 1. Ring 3 reaches the pages that tests opened to it: spare ones. 2. A far way down
    // needs nothing but the five words.
    unsafe {
        core::arch::asm!(
            "push {ss}", "push {esp}", "push 0x202", "push {cs}", "push {eip}",
            "mov ds, {ss:e}", "mov es, {ss:e}",
            "iretd",
            ss = in(reg) registers.ss,
            esp = in(reg) registers.esp,
            cs = in(reg) registers.cs,
            eip = in(reg) registers.eip,
            options(noreturn)
        )
    }
}
