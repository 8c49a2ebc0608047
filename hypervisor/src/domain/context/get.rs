//! Reading a vCPU's state.

use core::sync::atomic::Ordering;

use pv_abi::traps::{
    VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_ONLINE,
    VGCF_SYSCALL_DISABLES_EVENTS,
};
use pv_abi::types::Mfn;

use super::{Context, FXSAVE_BYTES, GDT_FRAMES};
use crate::domain::Domain;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::error::Stop;
use crate::guest::regs::{UserRegs, rflags};
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

/// CR0.TS.
const CR0_TS: u64 = 1 << 3;

/// The state of `vcpu`, which must not run: paused and stopped, or down.
///
/// `Preempted`: somebody else is at it; ask again.
pub fn get<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) -> Result<Context, Stop> {
    let state = vcpu.state.try_lock().ok_or(Stop::Preempted)?;
    let iopl = u64::from(state.iopl) << rflags::IOPL.trailing_zeros();
    let mut gdt = [Mfn::new(0); GDT_FRAMES];
    for (to, from) in gdt.iter_mut().zip(&state.gdt) {
        *to = *from;
    }
    let mut debug_registers = state.debug_registers;
    let [.., dr4, dr5, _, dr7] = &mut debug_registers;
    (*dr4, *dr5) = (0, 0);
    *dr7 |= state.special.io_breakpoints;
    Ok(Context {
        flags: flags(domain, vcpu, &state),
        regs: UserRegs { rflags: state.regs.rflags | iopl, ..state.regs },
        segments: state.segments,
        fpu: extended(sys, state.fpu),
        traps: state.traps,
        ldt_base: state.ldt_base,
        ldt_entries: state.ldt_entries.into(),
        gdt,
        gdt_entries: state.gdt_entries.into(),
        kernel_ss: state.kernel_ss,
        kernel_sp: state.kernel_sp,
        cr0: if state.task_switched { CR0_TS } else { 0 },
        root: state.root,
        user_root: Mfn::new(0),
        cr4: state.cr4,
        debug_registers,
        event: state.callbacks.event,
        failsafe: state.callbacks.failsafe,
        syscall: state.callbacks.syscall,
        vm_assist: domain.vm_assist.load(Ordering::Relaxed),
        bases: [0; 3],
    })
}

fn flags(domain: &Domain, vcpu: &Vcpu, state: &VcpuState) -> u32 {
    let in_kernel = match domain.width() {
        Width::Pv32 => state.regs.cs & 3 == 1,
        Width::Pv64 => true,
    };
    let parts = [
        (VGCF_I387_VALID, true),
        (VGCF_IN_KERNEL, in_kernel),
        (VGCF_ONLINE, vcpu.run.is_up()),
        (VGCF_FAILSAFE_DISABLES_EVENTS, state.callbacks.failsafe_masks),
        (VGCF_SYSCALL_DISABLES_EVENTS, state.callbacks.syscall_masks),
    ];
    parts.into_iter().filter(|(_, on)| *on).fold(0, |all, (flag, _)| all | flag)
}

/// x87 and SSE registers in FXSAVE form.
fn extended<P: Platform>(sys: &System<P>, area: Mfn) -> [u8; FXSAVE_BYTES] {
    let mut image = [0; FXSAVE_BYTES];
    let (chunks, _) = image.as_chunks_mut::<4>();
    for (bytes, word) in chunks.iter_mut().zip(sys.platform.half_words(area)) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
    image
}
