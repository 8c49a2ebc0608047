//! Instructions in assembly, as functions.
//!
//! [`code!`](crate::code) makes functions of lines of assembly (Intel syntax). They can be called
//! in Ring 1 inside [`crate::expect`], where a fault ends them, or be copied into a page for
//! Ring 3 ([`crate::user`]) if they are position-independent. Arguments as in cdecl: the first
//! word at `[esp + 4]`. All registers but eax, ecx and edx are to be kept, unless a fault is sure.
#![allow(unsafe_code)] // UNSAFETY: naked functions in assembly.

/// Makes functions: `code! { name: "line", "line"; name(a: u32) -> u32: "line"; }`.
#[macro_export]
macro_rules! code {
    ($($name:ident $(($($argument:ident: $type:ty),*))? $(-> $result:ty)?: $($line:literal),+;)+) => {
        $(
            #[unsafe(naked)]
            extern "C" fn $name($($($argument: $type),*)?) $(-> $result)? {
                core::arch::naked_asm!($($line),+)
            }
        )+
    };
}
