//! What happens to a guest while its code runs: exceptions, and instructions that trap.

use hypervisor::exit::{self, Next};
use hypervisor::trap;
use pv_abi::x86_32::{self, TrapInfo};
use pv_abi::{hypercall as nr, vectors};
use zerocopy::FromBytes;

use super::Guest;

/// Where [`Guest::handlers`] puts the handler of vector n: at this plus n * 16.
pub const HANDLERS: u32 = 0xc100_0000;

impl Guest {
    /// The processor raises an exception (or `int $0x80` arrives).
    pub fn exception(&mut self, vector: u8, error_code: u32) {
        self.regs.entry_vector = vector.into();
        self.regs.error_code = error_code;
        self.enter(trap::exception::exception);
    }

    /// A page fault at `address`.
    pub fn page_fault(&mut self, address: u64, error_code: u32) {
        self.machine().this().page_fault_address = address;
        self.exception(vectors::PAGE_FAULT, error_code);
    }

    /// The CPU is about to go back to the guest.
    pub fn resume(&mut self) -> Next {
        self.enter(exit::prepare)
    }

    /// Registers a handler for every vector; 3, 4, and 0x80 may be raised by users, 0x81 by the
    /// kernel alone; 0x85 masks events. Sets a stack for traps from users, and returns its top.
    pub fn handlers(&mut self) -> u32 {
        let table: Vec<TrapInfo> = (0..=255u8)
            .map(|vector| TrapInfo {
                vector,
                flags: match vector {
                    3 | 4 | 0x80 => 3,
                    0x81 => 1,
                    0x85 => 3 | pv_abi::traps::TI_IF,
                    _ => 0,
                },
                cs: x86_32::FLAT_KERNEL_CS,
                address: handler(vector),
            })
            .chain([TrapInfo { vector: 0, flags: 0, cs: 0, address: 0 }])
            .collect();
        let at = self.arg(table.as_slice());
        assert_eq!(self.call(nr::SET_TRAP_TABLE, &[at]), 0);
        let top = self.page().va + 4096;
        let ss = u64::from(x86_32::FLAT_KERNEL_SS);
        assert_eq!(self.call(nr::STACK_SWITCH, &[ss, top]), 0);
        top as u32
    }

    /// Puts the guest's kernel on a stack of its own; returns its top.
    pub fn kernel_stack(&mut self) -> u32 {
        let top = self.page().va + 4096;
        self.regs.rsp = top;
        top as u32
    }

    /// Puts the guest into Ring 3 at `eip` with stack pointer `esp`.
    pub fn in_user(&mut self, eip: u32, esp: u32) {
        self.regs.cs = x86_32::FLAT_USER_CS;
        self.regs.ss = x86_32::FLAT_USER_SS;
        self.regs.rip = eip.into();
        self.regs.rsp = esp.into();
    }

    /// Puts code into a page and the guest at its start.
    pub fn code(&mut self, bytes: &[u8]) -> u32 {
        let va = self.page().va;
        self.write(va, bytes);
        self.regs.rip = va;
        va as u32
    }

    /// `N` words from the stack pointer on.
    pub fn stack<const N: usize>(&self) -> [u32; N]
    where
        [u32; N]: FromBytes + zerocopy::IntoBytes,
    {
        self.read(self.regs.rsp & 0xffff_ffff)
    }

    /// The event mask in the vCPU's `vcpu_info`.
    pub fn upcalls_masked(&self) -> bool {
        self.vcpu().upcall_masked(self.machine())
    }

    /// Sets the event mask.
    pub fn mask_upcalls(&self, masked: bool) {
        self.vcpu().set_upcall_mask(self.machine(), masked);
    }

    /// The vector whose handler of [`Guest::handlers`] the guest is at.
    pub fn at_handler(&self) -> Option<u8> {
        (0..=255).find(|vector| self.regs.rip == u64::from(handler(*vector)))
    }

    /// Whether the hypervisor ended the domain.
    pub fn crashed(&self) -> bool {
        self.domain().shutdown_reason() == Some(pv_abi::sched::SHUTDOWN_CRASH as u8)
    }
}

/// Where the handler of `vector` is.
pub const fn handler(vector: u8) -> u32 {
    HANDLERS + 16 * vector as u32
}
