//! The page of stubs through which a guest makes hypercalls.
//!
//! Stub n, at offset 32 n, makes hypercall n with the arguments already in their registers.
//! A kernel that uses it need not know which instruction enters the hypervisor
//! (`arch-x86/xen-x86_32.h`, `xen-x86_64.h`).

use core::sync::atomic::Ordering;

use pv_abi::hypercall as nr;
use pv_abi::types::Mfn;

use crate::platform::FrameAccess;
use crate::width::Width;

/// Bytes of a stub.
pub const STUB_LEN: usize = 32;
/// What unused bytes are: `int3`.
const FILL: u8 = 0xcc;

/// Fills a frame with the stubs of all hypercalls.
pub fn fill(access: &impl FrameAccess, mfn: Mfn, width: Width) {
    let (slots, _) = access.bytes(mfn).as_chunks::<STUB_LEN>();
    for (number, slot) in (0..).zip(slots) {
        for (to, from) in slot.iter().zip(stub(width, number)) {
            to.store(from, Ordering::Relaxed);
        }
    }
}

/// The stub of hypercall `number`.
pub fn stub(width: Width, number: u32) -> [u8; STUB_LEN] {
    let [a, b, c, d] = number.to_le_bytes();
    match (width, number == nr::IRET) {
        // mov $number, %eax; int $0x82; ret
        (Width::Pv32, false) => pad(&[0xb8, a, b, c, d, 0xcd, 0x82, 0xc3]),
        // push %eax; mov $number, %eax; int $0x82: the frame begins with eax.
        (Width::Pv32, true) => pad(&[0x50, 0xb8, a, b, c, d, 0xcd, 0x82]),
        // push %rcx; push %r11; mov $number, %eax; syscall; pop %r11; pop %rcx; ret
        (Width::Pv64, false) => {
            pad(&[0x51, 0x41, 0x53, 0xb8, a, b, c, d, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3])
        }
        // push %rcx; push %r11; push %rax; mov $number, %eax; syscall
        (Width::Pv64, true) => pad(&[0x51, 0x41, 0x53, 0x50, 0xb8, a, b, c, d, 0x0f, 0x05]),
    }
}

fn pad(code: &[u8]) -> [u8; STUB_LEN] {
    let mut stub = [FILL; STUB_LEN];
    for (to, from) in stub.iter_mut().zip(code) {
        *to = *from;
    }
    stub
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_are_the_abis() {
        let plain = stub(Width::Pv32, nr::SCHED_OP);
        assert_eq!(&plain[..9], &[0xb8, 29, 0, 0, 0, 0xcd, 0x82, 0xc3, 0xcc]);
        let iret = stub(Width::Pv32, nr::IRET);
        assert_eq!(&iret[..9], &[0x50, 0xb8, 23, 0, 0, 0, 0xcd, 0x82, 0xcc]);
        assert_eq!(stub(Width::Pv64, 29)[8..14], [0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3]);
        assert_eq!(stub(Width::Pv64, nr::IRET)[9..12], [0x0f, 0x05, 0xcc]);
    }
}
