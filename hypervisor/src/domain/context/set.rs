//! Giving a vCPU its state.
//!
//! What a guest asks for here becomes registers that the CPU loads, so everything is made such
//! that loading it cannot hurt us (Xen 4.17, `arch_set_info_guest`): code and stack selectors get
//! the guest kernel's ring or a less privileged one, RFLAGS its harmless bits, debug registers
//! and MXCSR what may be set, GDT frames and root page table the references of their types. Data
//! selectors stay as they are: loading one that is not usable is recovered from.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::traps::{
    FIRST_RESERVED_GDT_ENTRY, VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL,
    VGCF_SYSCALL_DISABLES_EVENTS,
};
use pv_abi::types::{Mfn, VcpuId};

use super::Context;
use crate::domain::special_registers::SpecialRegisters;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::domain::{Domain, assists};
use crate::error::Stop;
use crate::guest::regs::{UserRegs, rflags};
use crate::lock::Guard;
use crate::mm::descriptor::{self, GdtFrames, LDT_ENTRIES_MAX, guest_selector};
use crate::mm::frame::Type;
use crate::mm::types::PageTypes;
use crate::platform::{Platform, TablePage};
use crate::system::System;
use crate::time::clock;
use crate::trap::{Callbacks, Target, Trap, control, debug_registers};
use crate::width::Width;

/// CR0.TS.
const CR0_TS: u64 = 1 << 3;
/// MXCSR bits that exist; loading others faults (SDM volume 1, 10.2.3).
const MXCSR: u32 = 0xffff;
/// Descriptors in a frame.
const PER_FRAME: u64 = 512;

/// Gives `vcpu` of `domain` its first state, with references to GDT and root page table. It stays
/// down, but may be brought up from now on.
///
/// `EEXIST` if it has one. `EINVAL`: an address that makes no sense, a frame that cannot be a
/// GDT's or the root, an unknown assist. `EOPNOTSUPP`: a 64-bit vCPU in user mode. `Preempted`:
/// ask again; also while somebody else sets the state.
pub fn initialise<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    vcpu: &Vcpu,
    context: &Context,
) -> Result<(), Stop> {
    // Asked first: the state of one that runs, the caller itself perhaps, never becomes free.
    fresh(vcpu)?;
    let mut state = begin(domain, vcpu, context)?;
    // And again: somebody else may have been quicker.
    fresh(vcpu)?;
    first(sys, domain, vcpu, &mut state, context)
}

fn fresh(vcpu: &Vcpu) -> Result<(), Errno> {
    if vcpu.run.is_initialised() { Err(Errno::EEXIST) } else { Ok(()) }
}

/// Sets the state of `vcpu` of `domain` (`setvcpucontext`), which must not run: it is down, or
/// paused and stopped. Whether it is up is not touched: `VGCF_ONLINE` is the caller's to see to.
///
/// The first time this is [`initialise`]. Later ones may change everything but GDT, LDT and
/// root: `EOPNOTSUPP`.
pub fn set<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    vcpu: &Vcpu,
    context: &Context,
) -> Result<(), Stop> {
    let mut state = begin(domain, vcpu, context)?;
    if !vcpu.run.is_initialised() {
        return first(sys, domain, vcpu, &mut state, context);
    }
    unchanged(&state, context)?;
    set_registers(sys, domain.width(), &mut state, context);
    Ok(())
}

/// Checks what can be checked by itself, and takes the vCPU's state.
///
/// Its own CPU has that while it runs, and other vCPUs of the domain may be here, too: the caller
/// asks again rather than wait for them.
fn begin<'a>(
    domain: &Domain,
    vcpu: &'a Vcpu,
    context: &Context,
) -> Result<Guard<'a, VcpuState>, Stop> {
    check(domain, vcpu.id, context)?;
    vcpu.state.try_lock().ok_or(Stop::Preempted)
}

fn first<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    vcpu: &Vcpu,
    state: &mut VcpuState,
    context: &Context,
) -> Result<(), Stop> {
    let gdt = gdt_frames(context)?;
    take_tables(sys, domain, &gdt, context)?;
    // Nothing can fail any more.
    for page in 0..gdt.capacity() {
        let frame = gdt.get(page).copied();
        sys.platform.map_table_page(vcpu.window, TablePage::Gdt(page as u8), frame);
    }
    state.gdt = gdt;
    state.gdt_entries = context.gdt_entries as u32;
    state.ldt_base = context.ldt_base;
    state.ldt_entries = context.ldt_entries as u32;
    state.root = context.root;
    if domain.width() == Width::Pv64 {
        state.l4 = context.root;
    }
    if vcpu.id == VcpuId::new(0) {
        domain.vm_assist.store(context.vm_assist, Ordering::Relaxed);
        clock::publish_wallclock(sys, domain);
    }
    set_registers(sys, domain.width(), state, context);
    vcpu.run.set_initialised();
    Ok(())
}

/// Everything that can be said without looking at frames.
fn check(domain: &Domain, id: VcpuId, context: &Context) -> Result<(), Errno> {
    let width = domain.width();
    if width == Width::Pv64 {
        let traps = (0..=u8::MAX).map(|vector| context.traps.get(vector).target.address);
        let rest = [
            context.regs.rip,
            context.regs.rsp,
            context.kernel_sp,
            context.event.address,
            context.failsafe.address,
            context.syscall.address,
        ];
        if !traps.chain(rest).chain(context.bases).all(canonical) {
            return Err(Errno::EINVAL);
        }
        // Two roots, and a vCPU that starts in user mode, come with 64-bit guests.
        if context.user_root.raw() != 0 || context.flags & VGCF_IN_KERNEL == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
    }
    let ldt = context.ldt_base;
    let fits = context.ldt_entries <= LDT_ENTRIES_MAX;
    if ldt & 0xfff != 0 || !width.range_ok(ldt, 1) || !fits {
        return Err(Errno::EINVAL);
    }
    let unknown = context.vm_assist & !assists::valid(width);
    if id == VcpuId::new(0) && unknown != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Whether bits 63 to 47 are the same.
fn canonical(address: u64) -> bool {
    (address << 16) as i64 >> 16 == address as i64
}

/// The frames of the GDT that is asked for.
fn gdt_frames(context: &Context) -> Result<GdtFrames, Errno> {
    if context.gdt_entries > u64::from(FIRST_RESERVED_GDT_ENTRY) {
        return Err(Errno::EINVAL);
    }
    let count = context.gdt_entries.div_ceil(PER_FRAME) as usize;
    Ok(context.gdt.iter().copied().take(count).collect())
}

/// Takes the references of a vCPU's descriptor tables and root, all or none.
fn take_tables<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    gdt: &GdtFrames,
    context: &Context,
) -> Result<(), Stop> {
    let mut types = sys.page_types(domain);
    types.finish()?;
    descriptor::take_gdt(&mut types, gdt)?;
    // Long if the table is not validated yet. Preempted, the frame keeps what was done, and all
    // else is taken anew (XSA-296).
    let root = types.get(context.root, Type::root_of(domain.width()));
    if root.is_err() {
        put_gdt(&mut types, gdt);
    }
    root
}

fn put_gdt<P: Platform>(types: &mut PageTypes<'_, P>, gdt: &GdtFrames) {
    for mfn in gdt {
        types.put(*mfn);
    }
}

/// `EOPNOTSUPP` unless an initialised vCPU keeps its tables.
fn unchanged(state: &VcpuState, context: &Context) -> Result<(), Errno> {
    let gdt = gdt_frames(context)?;
    let same = state.root == context.root
        && u64::from(state.gdt_entries) == context.gdt_entries
        && state.gdt == gdt
        && state.ldt_base == context.ldt_base
        && u64::from(state.ldt_entries) == context.ldt_entries;
    if same { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// All that needs no reference.
fn set_registers<P: Platform>(
    sys: &System<P>,
    width: Width,
    state: &mut VcpuState,
    context: &Context,
) {
    let target = |target: Target| Target { cs: guest_selector(width, target.cs), ..target };
    let flags = context.regs.rflags;
    state.regs = UserRegs {
        cs: guest_selector(width, context.regs.cs),
        ss: guest_selector(width, context.regs.ss),
        rflags: flags & rflags::GUEST | rflags::FIXED | rflags::IF,
        ..context.regs
    };
    state.segments = context.segments;
    state.iopl = (flags >> rflags::IOPL.trailing_zeros() & 3) as u8;
    for vector in 0..=u8::MAX {
        let trap = *context.traps.get(vector);
        let fixed = Trap { target: target(trap.target), ..trap };
        state.traps.set(vector, if trap.target.address == 0 { Trap::NONE } else { fixed });
    }
    state.kernel_ss = guest_selector(width, context.kernel_ss);
    state.kernel_sp = context.kernel_sp;
    state.task_switched = context.cr0 & CR0_TS != 0;
    state.cr4 = control::guest_cr4(&sys.platform, context.cr4);
    state.special = SpecialRegisters::new();
    state.callbacks = Callbacks {
        event: target(context.event),
        failsafe: target(context.failsafe),
        syscall: target(context.syscall),
        failsafe_masks: context.flags & VGCF_FAILSAFE_DISABLES_EVENTS != 0,
        syscall_masks: context.flags & VGCF_SYSCALL_DISABLES_EVENTS != 0,
    };
    // What is refused stays at its reset value, as on Xen.
    state.debug_registers = debug_registers::RESET;
    for (index, (register, asked)) in
        (0..).zip(state.debug_registers.iter_mut().zip(context.debug_registers))
    {
        if !matches!(index, 4 | 5)
            && let Ok((value, io)) = debug_registers::check(width, state.cr4, index, asked)
        {
            *register = value;
            state.special.io_breakpoints |= io;
        }
    }
    set_extended(sys, state.fpu, context);
}

/// x87 and SSE registers: the given ones, or those after reset. AVX's are as after reset.
fn set_extended<P: Platform>(sys: &System<P>, area: Mfn, context: &Context) {
    /// Word of MXCSR.
    const MXCSR_WORD: usize = 24 / 4;
    /// Word of XSTATE_BV in the header behind the image: which parts are not as after reset.
    const XSTATE_BV_WORD: usize = super::FXSAVE_BYTES / 4;
    /// x87 and SSE.
    const LEGACY: u32 = 3;
    sys.platform.init_extended_state(area);
    if context.flags & VGCF_I387_VALID == 0 {
        return;
    }
    let words = sys.platform.half_words(area);
    let (image, _) = context.fpu.as_chunks::<4>();
    for (index, (word, bytes)) in words.iter().zip(image).enumerate() {
        let value = u32::from_le_bytes(*bytes);
        // Else restoring it would fault in Ring 0 (XSA-53).
        let value = if index == MXCSR_WORD { value & MXCSR } else { value };
        word.store(value, Ordering::Relaxed);
    }
    if let Some(present) = words.get(XSTATE_BV_WORD) {
        present.store(LEGACY, Ordering::Relaxed);
    }
}
