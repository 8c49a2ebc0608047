//! Copies from and to memory that may fault, and the exception table that makes them safe.
//!
//! Kernel and processes share an address space, so a user's memory is read with plain
//! instructions, after a check that the range lies below the kernel, but it may be absent or
//! read-only. The table `.extable` pairs the address of each instruction that may fault with the
//! one to continue at; the page fault handler first tries to provide the page, then looks here
//! ([`fixup`]). A fault in kernel mode that is in neither is the kernel's own bug.
#![allow(unsafe_code)] // UNSAFETY: copies through checked but foreign addresses, in assembly.

/// First address that is not a process's: where the kernel's L3 slot begins.
pub const USER_END: u32 = crate::entry::VIRT_BASE;

/// The range does not lie in user space, or a page of it is not accessible: `EFAULT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAddress;

core::arch::global_asm!(
    r#"
    .pushsection .text, "ax", @progbits
    .type copy_faultable, @function
    /* u32 copy_faultable(to, from, bytes): bytes that were not copied. cdecl. */
copy_faultable:
    pushl %esi
    pushl %edi
    movl 12(%esp), %edi
    movl 16(%esp), %esi
    movl 20(%esp), %ecx
    movl %ecx, %edx
    shrl $2, %ecx
    andl $3, %edx
881: rep movsl
    movl %edx, %ecx
882: rep movsb
    xorl %eax, %eax
883: popl %edi
    popl %esi
    ret
884: leal (%edx, %ecx, 4), %eax
    jmp 883b
885: movl %ecx, %eax
    jmp 883b
    .size copy_faultable, . - copy_faultable

    .type fill_faultable, @function
    /* u32 fill_faultable(to, bytes): zeroes; bytes that were not. cdecl. */
fill_faultable:
    pushl %edi
    movl 8(%esp), %edi
    movl 12(%esp), %ecx
    xorl %eax, %eax
886: rep stosb
    popl %edi
    ret
887: movl %ecx, %eax
    popl %edi
    ret
    .size fill_faultable, . - fill_faultable
    .popsection

    .pushsection .extable, "a", @progbits
    .long 881b, 884b, 882b, 885b, 886b, 887b
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn copy_faultable(to: *mut u8, from: *const u8, bytes: u32) -> u32;
    fn fill_faultable(to: *mut u8, bytes: u32) -> u32;
    static __extable_start: [u32; 2];
    static __extable_end: [u32; 2];
}

/// Where to continue after a fault at `eip`, if the instruction there may fault.
pub fn fixup(eip: u32) -> Option<u32> {
    let start = &raw const __extable_start;
    let count = ((&raw const __extable_end).addr() - start.addr()) / 8;
    // SAFETY: 1. The link script puts the table's pairs between the two symbols, aligned to 4.
    let table = unsafe { core::slice::from_raw_parts(start, count) };
    table.iter().find(|[at, _]| *at == eip).map(|[_, to]| *to)
}

/// Whether `bytes` from `address` on lie in user space altogether.
pub fn is_user_range(address: u32, bytes: u32) -> bool {
    address.checked_add(bytes).is_some_and(|end| end <= USER_END)
}

/// Copies from a process's memory at `address`.
pub fn copy_from_user(to: &mut [u8], address: u32) -> Result<(), BadAddress> {
    let bytes = to.len() as u32;
    if !is_user_range(address, bytes) {
        return Err(BadAddress);
    }
    let from = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: 1. The source lies in user space, where no Rust object is. 2. Faults on it are fixed
    // up. 3. The destination is a slice of that length.
    match unsafe { copy_faultable(to.as_mut_ptr(), from, bytes) } {
        0 => Ok(()),
        _ => Err(BadAddress),
    }
}

/// Copies to a process's memory at `address`. On an error part of it may be written.
pub fn copy_to_user(address: u32, from: &[u8]) -> Result<(), BadAddress> {
    let bytes = from.len() as u32;
    if !is_user_range(address, bytes) {
        return Err(BadAddress);
    }
    let to = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as in `copy_from_user`, the other way round.
    match unsafe { copy_faultable(to, from.as_ptr(), bytes) } {
        0 => Ok(()),
        _ => Err(BadAddress),
    }
}

/// Zeroes a process's memory at `address`.
pub fn clear_user(address: u32, bytes: u32) -> Result<(), BadAddress> {
    if !is_user_range(address, bytes) {
        return Err(BadAddress);
    }
    // SAFETY: 1. The range lies in user space. 2. Faults on it are fixed up.
    match unsafe { fill_faultable(core::ptr::with_exposed_provenance_mut(address as usize), bytes) }
    {
        0 => Ok(()),
        _ => Err(BadAddress),
    }
}

/// Reads a plain value at `address` of a process.
pub fn read_user<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    address: u32,
) -> Result<T, BadAddress> {
    let mut value = T::new_zeroed();
    copy_from_user(value.as_mut_bytes(), address)?;
    Ok(value)
}

/// Writes a plain value at `address` of a process.
pub fn write_user<T: zerocopy::IntoBytes + zerocopy::Immutable>(
    address: u32,
    value: &T,
) -> Result<(), BadAddress> {
    copy_to_user(address, value.as_bytes())
}
