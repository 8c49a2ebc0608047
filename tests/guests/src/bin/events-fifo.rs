//! The FIFO ABI: what is pending survives the change, queues are drained by priority, unmask
//! delivers, upcalls do not nest, a reset leads back to the two-level ABI.
//!
//! `xen/include/public/event_channel.h`; Xen 4.17 `common/event_fifo.c`. Expected: one upcall for
//! what is queued while upcalls are masked, in order of priority and of arrival within one; nothing
//! in the bits of `shared_info`; after `EVTCHNOP_reset` bits again, and nothing in the words.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::errno::Errno;
use pv_abi::types::{Port, VcpuId};
use pv_guests::call::ret;
use pv_guests::fifo::{self, LINKED, MASKED, PENDING, Queues};
use pv_guests::pages::Page;
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must};
use ring1::{calls, events, probe, shared};

guest!(run);

static UPCALLS: AtomicU32 = AtomicU32::new(0);
static DEPTH: AtomicU32 = AtomicU32::new(0);
static DEEPEST: AtomicU32 = AtomicU32::new(0);

fn upcall() {
    UPCALLS.fetch_add(1, Ordering::Relaxed);
    DEEPEST.fetch_max(DEPTH.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    shared::upcall_pending().store(0, Ordering::SeqCst);
    // Unmasked inside: what is still queued brings no second upcall by itself.
    let _ = calls::xen_version();
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}

fn upcalls() -> u32 {
    UPCALLS.swap(0, Ordering::Relaxed)
}

fn run(_: &'static StartInfo) -> Outcome {
    probe::set_upcall_handler(upcall);
    events::mask();
    let bind = || must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi");
    let ports: [Port; 5] = [bind()?, bind()?, bind()?, bind()?, bind()?];
    let [a, b, c, d, e] = ports;
    let send = |port| must(calls::evtchn_send(port), "send");
    check_eq!(fifo::set_priority(a, 0), ret(Errno::ENOSYS), "a priority of the two-level ABI");

    // Pending before the change: it comes when its word does.
    send(b)?;
    shared::upcall_pending().store(0, Ordering::SeqCst);
    let (control, words) = (Page::take(), Page::take());
    check_eq!(fifo::init_control(0, control, 4), ret(Errno::EINVAL), "offset 4");
    check_eq!(fifo::init_control(0, control, 4096 - 64), ret(Errno::EINVAL), "past the end");
    let table = Page::take().protect()?;
    must(pv_guests::roots::pin_l1(table), "pinning an L1")?;
    check_eq!(fifo::init_control(0, table, 0), ret(Errno::EINVAL), "a page table");
    check_eq!(fifo::expand_array(words), ret(Errno::EOPNOTSUPP), "a page before the change");
    check_eq!(fifo::init_control(0, control, 4096 - 72), 0, "init_control");
    check_eq!(fifo::init_control(0, control, 0), ret(Errno::EINVAL), "a second block");
    check!(!events::is_pending(b), "a bit of the old ABI is left");
    check_eq!(fifo::expand_array(table), ret(Errno::EINVAL), "a page table of words");
    check_eq!(fifo::expand_array(words), 0, "expand_array");
    let mut queues = Queues::new(0, words, control, 4096 - 72);
    let mut order = drained(&mut queues);
    check_eq!(order, [b.raw(), 0, 0, 0, 0], "what was pending");

    // Priorities, and order within one.
    check_eq!(fifo::set_priority(d, 0), 0, "priority 0");
    check_eq!(fifo::set_priority(e, 15), 0, "priority 15");
    check_eq!(fifo::set_priority(e, 16), ret(Errno::EINVAL), "priority 16");
    for port in [e, c, d, a, b] {
        send(port)?;
    }
    send(c)?;
    check_eq!(upcalls(), 0, "upcalls while masked");
    events::unmask();
    check_eq!(upcalls(), 1, "upcalls after unmasking");
    check_eq!(DEEPEST.load(Ordering::Relaxed), 1, "depth of upcalls");
    order = drained(&mut queues);
    check_eq!(order, [d, c, a, b, e].map(Port::raw), "order");

    // A masked port: pending and no more, until EVTCHNOP_unmask.
    fifo::word(words, a).fetch_or(MASKED, Ordering::SeqCst);
    send(a)?;
    check_eq!(fifo::word(words, a).load(Ordering::SeqCst), PENDING | MASKED, "a masked word");
    check_eq!(upcalls(), 0, "upcalls for a masked port");
    must(calls::evtchn_unmask(a), "unmask")?;
    check_eq!(upcalls(), 1, "upcalls after EVTCHNOP_unmask");
    check_eq!(fifo::word(words, a).load(Ordering::SeqCst), PENDING | LINKED, "its word");
    check_eq!(drained(&mut queues), [a.raw(), 0, 0, 0, 0], "what was unmasked");

    // Back to the two-level ABI: the page of words is ours alone again.
    check_eq!(fifo::reset(), 0, "reset");
    check!(calls::evtchn_send(a).is_err(), "a port that survived the reset");
    events::mask();
    let port = bind()?;
    send(port)?;
    check!(events::is_pending(port), "no bit after the reset");
    check_eq!(fifo::word(words, port).load(Ordering::SeqCst), 0, "its word after the reset");
    for index in 0..512 {
        words.write(index, 0);
    }
    must(pv_guests::roots::pin_l1(words.protect()?), "the page of words as a page table")?;
    events::clear_port(port);
    Ok(())
}

/// What is drained, in order; up to five ports.
fn drained(queues: &mut Queues) -> [u32; 5] {
    let mut order = [0; 5];
    let mut next = 0;
    queues.drain(|port| {
        if let Some(slot) = order.get_mut(next) {
            *slot = port.raw();
        }
        next += 1;
    });
    order
}
