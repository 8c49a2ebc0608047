//! Where the parts of the hypervisor's own image lie, as the linker placed them.

// UNSAFETY: symbols that the linker script defines.
#![allow(unsafe_code)]

use core::ops::Range;

use super::layout::IMAGE_VIRT;

unsafe extern "C" {
    safe static __image_start: u8;
    safe static __text_start: u8;
    safe static __text_end: u8;
    safe static __rodata_start: u8;
    safe static __rodata_end: u8;
    safe static __data_start: u8;
    safe static __image_end: u8;
    safe static boot_stack: u8;
    safe static boot_stack_top: u8;
}

fn range(start: &'static u8, end: &'static u8) -> Range<u64> {
    &raw const *start as u64..&raw const *end as u64
}

/// Virtual addresses of the code.
pub fn text() -> Range<u64> {
    range(&__text_start, &__text_end)
}

/// Virtual addresses of the constants.
pub fn rodata() -> Range<u64> {
    range(&__rodata_start, &__rodata_end)
}

/// Virtual addresses of the variables, zeroed ones included.
pub fn data() -> Range<u64> {
    range(&__data_start, &__image_end)
}

/// Physical addresses of the boot stack: whole pages, free once the boot CPU has left it.
pub fn physical_boot_stack() -> Range<u64> {
    let stack = range(&boot_stack, &boot_stack_top);
    stack.start - IMAGE_VIRT..stack.end - IMAGE_VIRT
}

/// Physical addresses of all of it, without the symbol blob that may follow.
pub fn physical() -> Range<u64> {
    let all = range(&__image_start, &__image_end);
    all.start - IMAGE_VIRT..all.end - IMAGE_VIRT
}
