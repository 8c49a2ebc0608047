//! [`Context`] from and to the ABI's structures.

use pv_abi::traps::{TI_DPL_MASK, TI_IF};
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};
use zerocopy::FromZeros;

use super::Context;
use crate::guest::regs::UserRegs;
use crate::trap::{Target, Trap, TrapTable};

/// A trap table entry from its fields; one with address 0 is none.
fn trap(flags: u8, cs: u16, address: u64) -> Trap {
    if address == 0 {
        return Trap::NONE;
    }
    Trap { target: Target { cs, address }, dpl: flags & TI_DPL_MASK, masks: flags & TI_IF != 0 }
}

/// The flags of an entry.
fn trap_flags(trap: &Trap) -> u8 {
    trap.dpl & TI_DPL_MASK | if trap.masks { TI_IF } else { 0 }
}

/// The table of both forms: entry n is vector n, whatever its `vector` says.
macro_rules! trap_table {
    ($entries:expr) => {{
        let mut table = TrapTable::new();
        for (vector, entry) in (0..=u8::MAX).zip($entries) {
            table.set(vector, trap(entry.flags, entry.cs, entry.address.into()));
        }
        table
    }};
}

impl Context {
    /// From a 32-bit guest's structure.
    pub fn from_pv32(from: &x86_32::VcpuGuestContext) -> Context {
        let r = &from.user_regs;
        let code = |cs: u32, eip: u32| Target { cs: cs as u16, address: eip.into() };
        let [cr0, _, _, cr3, cr4, ..] = from.ctrlreg;
        Context {
            flags: from.flags,
            regs: UserRegs {
                rbx: r.ebx.into(),
                rcx: r.ecx.into(),
                rdx: r.edx.into(),
                rsi: r.esi.into(),
                rdi: r.edi.into(),
                rbp: r.ebp.into(),
                rax: r.eax.into(),
                rip: r.eip.into(),
                cs: r.cs,
                rflags: r.eflags.into(),
                rsp: r.esp.into(),
                ss: r.ss,
                ..UserRegs::default()
            },
            segments: [r.ds, r.es, r.fs, r.gs],
            fpu: from.fpu_ctxt,
            traps: trap_table!(&from.trap_ctxt),
            ldt_base: from.ldt_base.into(),
            ldt_entries: from.ldt_ents.into(),
            gdt: from.gdt_frames.map(|mfn| Mfn::new(mfn.into())),
            gdt_entries: from.gdt_ents.into(),
            kernel_ss: from.kernel_ss as u16,
            kernel_sp: from.kernel_sp.into(),
            cr0: cr0.into(),
            root: Mfn::new(x86_32::cr3_to_pfn(cr3).into()),
            user_root: Mfn::new(0),
            cr4: cr4.into(),
            debug_registers: from.debugreg.map(u64::from),
            event: code(from.event_callback_cs, from.event_callback_eip),
            failsafe: code(from.failsafe_callback_cs, from.failsafe_callback_eip),
            syscall: Target::default(),
            vm_assist: from.vm_assist.into(),
            bases: [0; 3],
        }
    }

    /// From a 64-bit guest's structure.
    pub fn from_pv64(from: &x86_64::VcpuGuestContext) -> Context {
        let r = &from.user_regs;
        let code = |address| Target { cs: x86_64::FLAT_KERNEL_CS, address };
        let [cr0, cr1, _, cr3, cr4, ..] = from.ctrlreg;
        Context {
            flags: from.flags as u32,
            regs: UserRegs {
                r15: r.r15,
                r14: r.r14,
                r13: r.r13,
                r12: r.r12,
                rbp: r.rbp,
                rbx: r.rbx,
                r11: r.r11,
                r10: r.r10,
                r9: r.r9,
                r8: r.r8,
                rax: r.rax,
                rcx: r.rcx,
                rdx: r.rdx,
                rsi: r.rsi,
                rdi: r.rdi,
                rip: r.rip,
                cs: r.cs,
                rflags: r.rflags,
                rsp: r.rsp,
                ss: r.ss,
                ..UserRegs::default()
            },
            segments: [r.ds, r.es, r.fs, r.gs],
            fpu: from.fpu_ctxt,
            traps: trap_table!(&from.trap_ctxt),
            ldt_base: from.ldt_base,
            ldt_entries: from.ldt_ents,
            gdt: from.gdt_frames.map(Mfn::new),
            gdt_entries: from.gdt_ents,
            kernel_ss: from.kernel_ss as u16,
            kernel_sp: from.kernel_sp,
            cr0,
            root: Mfn::new(x86_64::cr3_to_pfn(cr3)),
            user_root: Mfn::new(x86_64::cr3_to_pfn(cr1)),
            cr4,
            debug_registers: from.debugreg,
            event: code(from.event_callback_eip),
            failsafe: code(from.failsafe_callback_eip),
            syscall: code(from.syscall_callback_eip),
            vm_assist: from.vm_assist,
            bases: [from.fs_base, from.gs_base_kernel, from.gs_base_user],
        }
    }

    /// To a 32-bit guest's structure. Numbers fit: they came from such a guest.
    pub fn to_pv32(&self) -> x86_32::VcpuGuestContext {
        let r = &self.regs;
        let [ds, es, fs, gs] = self.segments;
        let mut to = x86_32::VcpuGuestContext::new_zeroed();
        to.fpu_ctxt = self.fpu;
        to.flags = self.flags;
        to.user_regs = x86_32::CpuUserRegs {
            ebx: r.rbx as u32,
            ecx: r.rcx as u32,
            edx: r.rdx as u32,
            esi: r.rsi as u32,
            edi: r.rdi as u32,
            ebp: r.rbp as u32,
            eax: r.rax as u32,
            eip: r.rip as u32,
            cs: r.cs,
            eflags: r.rflags as u32,
            esp: r.rsp as u32,
            ss: r.ss,
            ds,
            es,
            fs,
            gs,
            ..x86_32::CpuUserRegs::new_zeroed()
        };
        for (vector, entry) in (0..=u8::MAX).zip(&mut to.trap_ctxt) {
            let Trap { target, .. } = self.traps.get(vector);
            let flags = trap_flags(self.traps.get(vector));
            let (cs, address) = (target.cs, target.address as u32);
            *entry = x86_32::TrapInfo { vector, flags, cs, address };
        }
        to.ldt_base = self.ldt_base as u32;
        to.ldt_ents = self.ldt_entries as u32;
        to.gdt_frames = self.gdt.map(|mfn| mfn.raw() as u32);
        to.gdt_ents = self.gdt_entries as u32;
        to.kernel_ss = self.kernel_ss.into();
        to.kernel_sp = self.kernel_sp as u32;
        let cr3 = x86_32::pfn_to_cr3(self.root.raw() as u32);
        to.ctrlreg = [self.cr0 as u32, 0, 0, cr3, self.cr4 as u32, 0, 0, 0];
        to.debugreg = self.debug_registers.map(|value| value as u32);
        to.event_callback_cs = self.event.cs.into();
        to.event_callback_eip = self.event.address as u32;
        to.failsafe_callback_cs = self.failsafe.cs.into();
        to.failsafe_callback_eip = self.failsafe.address as u32;
        to.vm_assist = self.vm_assist as u32;
        to
    }

    /// To a 64-bit guest's structure.
    pub fn to_pv64(&self) -> x86_64::VcpuGuestContext {
        let r = &self.regs;
        let [ds, es, fs, gs] = self.segments;
        let mut to = x86_64::VcpuGuestContext::new_zeroed();
        to.fpu_ctxt = self.fpu;
        to.flags = self.flags.into();
        to.user_regs = x86_64::CpuUserRegs {
            r15: r.r15,
            r14: r.r14,
            r13: r.r13,
            r12: r.r12,
            rbp: r.rbp,
            rbx: r.rbx,
            r11: r.r11,
            r10: r.r10,
            r9: r.r9,
            r8: r.r8,
            rax: r.rax,
            rcx: r.rcx,
            rdx: r.rdx,
            rsi: r.rsi,
            rdi: r.rdi,
            rip: r.rip,
            cs: r.cs,
            rflags: r.rflags,
            rsp: r.rsp,
            ss: r.ss,
            ds,
            es,
            fs,
            gs,
            ..x86_64::CpuUserRegs::new_zeroed()
        };
        for (vector, entry) in (0..=u8::MAX).zip(&mut to.trap_ctxt) {
            let Trap { target, .. } = self.traps.get(vector);
            let flags = trap_flags(self.traps.get(vector));
            let (cs, address) = (target.cs, target.address);
            *entry = x86_64::TrapInfo { vector, flags, cs, _pad: [0; 4], address };
        }
        to.ldt_base = self.ldt_base;
        to.ldt_ents = self.ldt_entries;
        to.gdt_frames = self.gdt.map(Mfn::raw);
        to.gdt_ents = self.gdt_entries;
        to.kernel_ss = self.kernel_ss.into();
        to.kernel_sp = self.kernel_sp;
        let root = |mfn: Mfn| x86_64::pfn_to_cr3(mfn.raw());
        to.ctrlreg = [self.cr0, root(self.user_root), 0, root(self.root), self.cr4, 0, 0, 0];
        to.debugreg = self.debug_registers;
        to.event_callback_eip = self.event.address;
        to.failsafe_callback_eip = self.failsafe.address;
        to.syscall_callback_eip = self.syscall.address;
        to.vm_assist = self.vm_assist;
        let [fs_base, kernel, user] = self.bases;
        (to.fs_base, to.gs_base_kernel, to.gs_base_user) = (fs_base, kernel, user);
        to
    }
}
