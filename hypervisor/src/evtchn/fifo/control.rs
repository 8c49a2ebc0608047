//! Giving the hypervisor memory for queues, and taking it back.

use pv_abi::errno::Errno;
use pv_abi::event_channel::{
    EVTCHN_FIFO_LINK_BITS, EVTCHN_FIFO_PRIORITY_MIN, EvtchnExpandArray, EvtchnFifoControlBlock,
    EvtchnInitControl, EvtchnSetPriority,
};
use pv_abi::types::{Mfn, Port, VcpuId};

use super::super::port::Delivery;
use super::super::table::{Abi, Changes, Events};
use super::super::two_level;
use super::{Fifo, HEADS, PAGES, WORDS};
use crate::domain::{Domain, MAX_VCPUS};
use crate::error::Stop;
use crate::guest::Ctx;
use crate::mm::frame::Type;
use crate::mm::frame_box::FrameBox;
use crate::platform::Platform;
use crate::system::System;

/// Bytes of a control block, and of a frame.
const BLOCK: u32 = size_of::<EvtchnFifoControlBlock>() as u32;
const FRAME: u32 = 4096;
const _: () = assert!(core::mem::offset_of!(EvtchnFifoControlBlock, head) == HEADS as usize);

/// `EVTCHNOP_init_control`: the control block of a vCPU. The first one changes the domain
/// to the FIFO ABI; events that are pending come again once their words are there.
///
/// `ENOENT`: no such vCPU. `EINVAL`: the block would cross the frame's end or is not
/// aligned, the frame is not the domain's or not fit to be written, or the vCPU has a
/// block. `ENOMEM`: nothing has changed.
pub fn init_control<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &EvtchnInitControl,
) -> Result<EvtchnInitControl, Stop> {
    ctx.domain.vcpu(arg.vcpu).ok_or(Errno::ENOENT)?;
    if arg.offset > FRAME - BLOCK || !arg.offset.is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    let mfn = Mfn::new(arg.control_gfn);
    hold(ctx.sys, ctx.domain, mfn)?;
    let block = mfn.raw() << 12 | u64::from(arg.offset);
    if let Err(errno) = install(ctx.sys, ctx.domain, arg.vcpu, block) {
        release(ctx.sys, ctx.domain, mfn);
        return Err(errno.into());
    }
    Ok(EvtchnInitControl { link_bits: EVTCHN_FIFO_LINK_BITS as u8, ..*arg })
}

/// Makes a held block `vcpu`'s.
fn install<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    vcpu: VcpuId,
    block: u64,
) -> Result<(), Errno> {
    let events = &domain.events;
    let mut changes = events.changes();
    let mut fifo = events.fifo.lock();
    let set = |fifo: &mut Fifo| {
        let slot = fifo.vcpus.get_mut(vcpu.raw() as usize).filter(|v| v.block == 0);
        slot.ok_or(Errno::EINVAL).map(|slot| slot.block = block)
    };
    if let Some(fifo) = &mut *fifo {
        return set(fifo.get_mut());
    }
    let mut first = FrameBox::new(&sys.memory, &sys.platform, Fifo::new)?;
    // Cannot fail: nobody has a block. Only then is it published (XSA-188).
    set(first.get_mut())?;
    *fifo = Some(first);
    events.begin_fifo(&mut changes);
    two_level::take_pending(sys, domain, |port| {
        events.deliver_by(&sys.platform, port, |delivery| Delivery { waiting: true, ..delivery });
    });
    Ok(())
}

/// `EVTCHNOP_expand_array`: the next page of event words. Events that waited for it come.
///
/// `EOPNOTSUPP`: the domain has not chosen the FIFO ABI. `ENOSPC`: all words are there.
/// `EINVAL`: the frame is not the domain's or not fit to be written.
pub fn expand_array<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnExpandArray) -> Result<(), Stop> {
    let (sys, domain) = (ctx.sys, ctx.domain);
    room(domain)?;
    let mfn = Mfn::new(arg.array_gfn);
    hold(sys, domain, mfn)?;
    // It may have reset its channels, or found another page, since we looked (XSA-505).
    if let Err(errno) = add_page(sys, domain, mfn) {
        release(sys, domain, mfn);
        return Err(errno.into());
    }
    Ok(())
}

/// Whether there is room for a page.
fn room(domain: &Domain) -> Result<(), Errno> {
    match &*domain.events.fifo.lock() {
        None => Err(Errno::EOPNOTSUPP),
        Some(fifo) if fifo.pages.is_full() => Err(Errno::ENOSPC),
        Some(_) => Ok(()),
    }
}

fn add_page<P: Platform>(sys: &System<P>, domain: &Domain, mfn: Mfn) -> Result<(), Errno> {
    let events = &domain.events;
    let _changes = events.changes();
    let first = {
        let mut fifo = events.fifo.lock();
        let fifo = fifo.as_mut().ok_or(Errno::EOPNOTSUPP)?.get_mut();
        let first = fifo.pages.len() as u32 * WORDS;
        fifo.pages.push(mfn).map_err(|_| Errno::ENOSPC)?;
        first
    };
    // Nobody lets an event wait there any more.
    for port in (first..first + WORDS).map(Port::new) {
        let Some(channel) = events.get(&sys.platform, port) else { break };
        let waiting = events.delivery(&sys.platform, port).is_some_and(|d| d.waiting);
        if waiting && channel.is_usable() {
            events.deliver_by(&sys.platform, port, |d| Delivery { waiting: false, ..d });
            super::set_pending(sys, domain, channel.notify, port);
        }
    }
    Ok(())
}

/// `EVTCHNOP_set_priority`: where the port's next event is queued.
///
/// `EINVAL`: no such port or priority. `ENOSYS`: the domain has not chosen the FIFO ABI.
/// `EACCES`: nothing is bound to the port.
pub fn set_priority<P: Platform>(ctx: &Ctx<'_, P>, arg: &EvtchnSetPriority) -> Result<(), Errno> {
    let (access, events) = (&ctx.sys.platform, &ctx.domain.events);
    // It must not be closed meanwhile: a new one begins with the default.
    let _changes = events.changes();
    let channel = events.get(access, arg.port).ok_or(Errno::EINVAL)?;
    if events.abi() != Abi::Fifo {
        return Err(Errno::ENOSYS);
    }
    if !channel.is_usable() {
        return Err(Errno::EACCES);
    }
    if arg.priority > EVTCHN_FIFO_PRIORITY_MIN {
        return Err(Errno::EINVAL);
    }
    let priority = arg.priority as u8;
    events.deliver_by(access, arg.port, |delivery| Delivery { priority, ..delivery });
    Ok(())
}

/// What a domain's queues held, to be given up by [`Held::release`].
pub(in crate::evtchn) struct Held(FrameBox<Fifo>);

/// Ends the FIFO ABI, if the domain has chosen it: from here on nobody touches its pages.
pub(in crate::evtchn) fn end(domain: &Domain, changes: &mut Changes) -> Option<Held> {
    let mut fifo = domain.events.fifo.lock();
    domain.events.end_fifo(changes, domain.width());
    fifo.take().map(Held)
}

impl Held {
    /// Gives all frames up; not under the domain's event lock.
    pub(in crate::evtchn) fn release<P: Platform>(self, sys: &System<P>, domain: &Domain) {
        for mfn in self.0.frames() {
            release(sys, domain, mfn);
        }
        self.0.free(&sys.memory);
    }
}

impl Events {
    /// The frames of the guest's that its queues lie in: each is held by a writable reference.
    pub fn frames_held(&self) -> heapless::Vec<Mfn, { PAGES + MAX_VCPUS }> {
        let fifo = self.fifo.lock();
        fifo.as_ref().into_iter().flat_map(|fifo| fifo.frames()).collect()
    }
}

/// Takes a writable reference to a frame of the domain's.
fn hold<P: Platform>(sys: &System<P>, domain: &Domain, mfn: Mfn) -> Result<(), Stop> {
    match sys.page_types(domain).get(mfn, Type::Writable) {
        Err(Stop::Errno(_)) => Err(Errno::EINVAL.into()),
        other => other,
    }
}

fn release<P: Platform>(sys: &System<P>, domain: &Domain, mfn: Mfn) {
    sys.page_types(domain).put(mfn);
}
