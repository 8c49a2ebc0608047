//! What a CPU knows of itself, found from its stack.
//!
//! Every stack of a CPU lies in one aligned block with [`CpuInfo`] at its very top, so
//! masking the stack pointer finds it, without `swapgs` and from the NMI stack too. A
//! guest's registers at entry lie right below it: the processor starts there (TSS.rsp0).

// UNSAFETY: turns an address that only the linker and the boot code know into references.
#![allow(unsafe_code)]

use core::cell::Cell;

use super::gdt::ReservedPages;
use super::layout::{STACK_SIZE, cpu_area};
use super::machine::Machine;
use crate::domain::Domain;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::guest::Ctx;
use crate::guest::regs::UserRegs;
use crate::system::System;

/// The vCPU whose state is in the processor's registers. It stays loaded while the CPU
/// idles, until another one is to run.
#[derive(Clone, Copy)]
pub struct Loaded {
    /// The machine.
    pub sys: &'static System<Machine>,
    /// Its domain.
    pub domain: &'static Domain,
    /// Its shared half.
    pub vcpu: &'static Vcpu,
    /// Its own half: locked by this CPU for as long as it is loaded.
    pub state: *mut VcpuState,
}

/// One CPU's own data.
#[repr(C, align(16))]
pub struct CpuInfo {
    /// Its number, from 0.
    pub cpu: u32,
    /// Its pages of descriptors.
    pub reserved_gdt: ReservedPages,
    /// The loaded vCPU.
    pub loaded: Cell<Option<Loaded>>,
}

const _: () = assert!(size_of::<CpuInfo>().is_multiple_of(16));

impl CpuInfo {
    /// What a CPU starts with.
    pub const fn new(cpu: u32, reserved_gdt: ReservedPages) -> CpuInfo {
        CpuInfo { cpu, reserved_gdt, loaded: Cell::new(None) }
    }

    /// Where CPU `cpu` has its `CpuInfo`.
    pub const fn address(cpu: usize) -> u64 {
        cpu_area(cpu) + STACK_SIZE - size_of::<CpuInfo>() as u64
    }

    /// The data of the CPU we run on.
    #[inline(always)]
    pub fn this() -> &'static CpuInfo {
        let rsp: u64;
        // SAFETY: 1. Reads a register.
        unsafe {
            core::arch::asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags));
        }
        let top = (rsp & !(STACK_SIZE - 1)) + STACK_SIZE;
        // SAFETY: 1. All stacks of a CPU lie in its block, whose top holds its `CpuInfo`,
        //            written before the CPU used the stack (`cpu_area`, boot code).
        //         2. It is never moved; other CPUs do not touch it, so cells are enough.
        unsafe { &*((top - size_of::<CpuInfo>() as u64) as *const CpuInfo) }
    }

    /// The registers of the guest that entered last.
    pub fn regs(&self) -> *mut UserRegs {
        let top = core::ptr::from_ref(self) as usize - size_of::<UserRegs>();
        top as *mut UserRegs
    }

    /// The calling guest, for the logic.
    ///
    /// # Safety
    /// 1. The CPU entered from the loaded vCPU and has not left it. 2. No other `Ctx` is alive.
    #[inline(always)]
    pub unsafe fn ctx(&self) -> Option<Ctx<'static, Machine>> {
        let loaded = self.loaded.get()?;
        // SAFETY: 1. `loaded.state` is locked by this CPU, and `regs` is the frame at the top
        //            of its stack; caller: nobody else has references to either.
        let (state, regs) = unsafe { (&mut *loaded.state, &mut *self.regs()) };
        let Loaded { sys, domain, vcpu, .. } = loaded;
        Some(Ctx { sys, domain, width: domain.width(), vcpu, state, regs })
    }
}
