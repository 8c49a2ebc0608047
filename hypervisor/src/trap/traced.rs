//! Traps and the way back to the guest while the machine is traced: the same, with records.

use pv_abi::vectors;

use super::exception::{self};
use crate::exit::{self, Next};
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::trace::{self, What};

/// [`exception::page_fault`], traced.
pub fn page_fault<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let address = ctx.sys.platform.page_fault_address();
    begin(ctx, vectors::PAGE_FAULT, address);
    exception::page_fault(ctx);
    end(ctx, vectors::PAGE_FAULT);
}

/// [`exception::int80`], traced.
pub fn int80<P: Platform>(ctx: &mut Ctx<'_, P>) {
    begin(ctx, exception::SYSTEM_CALL, 0);
    exception::int80(ctx);
    end(ctx, exception::SYSTEM_CALL);
}

/// [`exception::exception`], traced.
pub fn exception<P: Platform>(ctx: &mut Ctx<'_, P>) {
    let vector = ctx.regs.entry_vector as u8;
    begin(ctx, vector, 0);
    exception::exception(ctx);
    end(ctx, vector);
}

/// [`exit::prepare`], traced: says so if the guest goes on in its event callback.
pub fn prepare<P: Platform>(ctx: &mut Ctx<'_, P>) -> Next {
    if !ctx.sys.trace.is_on() {
        return exit::prepare(ctx);
    }
    let due = ctx.vcpu.run.may_run_on() && ctx.vcpu.upcall_due(&ctx.sys.platform);
    let next = exit::prepare(ctx);
    if due && next == Next::Resume {
        trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, What::Upcall);
    }
    next
}

#[inline(always)]
fn begin<P: Platform>(ctx: &Ctx<'_, P>, vector: u8, address: u64) {
    let (code, ip) = (ctx.regs.error_code as u16, ctx.regs.rip);
    trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, What::Trap { vector, code, address, ip });
}

#[inline(always)]
fn end<P: Platform>(ctx: &Ctx<'_, P>, vector: u8) {
    let ip = ctx.regs.rip;
    trace::note(ctx.sys, ctx.domain.id, ctx.vcpu.id, What::TrapDone { vector, ip });
}
