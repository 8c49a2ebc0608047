//! How an event becomes an upcall: pending bit, port mask, selector, pending flag, upcall mask.
//!
//! `xen/include/public/xen.h` (struct shared_info), `event_channel.h`; Xen 4.17 `common/event_2l.c`.
//! Expected: a send sets the bit always, the selector and the flag only while the port is unmasked
//! and the bit was clear; the upcall comes at once when the mask is clear, else when it is cleared
//! and the hypervisor is entered; upcalls do not nest; unmask delivers what waited.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::{Port, VcpuId};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must};
use ring1::{calls, events, probe, shared};

guest!(run);

static UPCALLS: AtomicU32 = AtomicU32::new(0);
static MASKED_INSIDE: AtomicU32 = AtomicU32::new(0);
static AGAIN: AtomicU32 = AtomicU32::new(0);
static DEPTH: AtomicU32 = AtomicU32::new(0);
static DEEPEST: AtomicU32 = AtomicU32::new(0);

fn upcall() {
    UPCALLS.fetch_add(1, Ordering::Relaxed);
    MASKED_INSIDE.fetch_add(u32::from(events::is_masked()), Ordering::Relaxed);
    DEEPEST.fetch_max(DEPTH.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    events::dispatch(|port| {
        // From inside an upcall: no nesting.
        if AGAIN.load(Ordering::Relaxed) > 0 {
            AGAIN.fetch_sub(1, Ordering::Relaxed);
            let _ = calls::evtchn_send(port);
        }
    });
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}

fn upcalls() -> u32 {
    UPCALLS.swap(0, Ordering::Relaxed)
}

fn flags(port: Port) -> (bool, bool, bool) {
    (
        events::is_pending(port),
        shared::pending_sel().load(Ordering::SeqCst) & (1 << (port.raw() / 32)) != 0,
        shared::upcall_pending().load(Ordering::SeqCst) != 0,
    )
}

fn run(_: &'static StartInfo) -> Outcome {
    probe::set_upcall_handler(upcall);
    let port = must(calls::evtchn_bind_ipi(VcpuId::new(0)), "bind_ipi")?;
    check!(port.raw() > 0 && port.raw() < 1024, "port {port:?}");
    let send = || must(calls::evtchn_send(port), "send");

    // Masked port: the bit and nothing else.
    events::mask_port(port);
    events::unmask();
    send()?;
    check_eq!(flags(port), (true, false, false), "bit, selector, flag of a masked port");
    check_eq!(upcalls(), 0, "upcalls for a masked port");
    // EVTCHNOP_unmask delivers it.
    must(calls::evtchn_unmask(port), "unmask")?;
    check_eq!(upcalls(), 1, "upcalls after EVTCHNOP_unmask");
    check_eq!(flags(port), (false, false, false), "bit, selector, flag after the upcall");
    must(calls::evtchn_unmask(port), "unmask again")?;
    check_eq!(upcalls(), 0, "upcalls after a second unmask");

    // Unmasked port, unmasked upcalls: at once, with the mask set in the handler.
    MASKED_INSIDE.store(0, Ordering::Relaxed);
    send()?;
    check_eq!(upcalls(), 1, "upcalls after a send");
    check_eq!(MASKED_INSIDE.load(Ordering::Relaxed), 1, "the mask in the handler");
    check!(!events::is_masked(), "the mask after the handler");

    // Masked upcalls: they wait, and many sends are one.
    events::mask();
    send()?;
    send()?;
    check_eq!(flags(port), (true, true, true), "bit, selector, flag while masked");
    must(calls::xen_version(), "a hypercall")?;
    check_eq!(upcalls(), 0, "upcalls while masked");
    events::unmask();
    check_eq!(upcalls(), 1, "upcalls after unmasking");

    // A send from the handler comes after it (this dispatch takes it in its loop or anew).
    AGAIN.store(3, Ordering::Relaxed);
    send()?;
    check!(upcalls() >= 1, "no upcall");
    check_eq!(AGAIN.load(Ordering::Relaxed), 0, "sends from the handler that were not seen");
    check_eq!(DEEPEST.load(Ordering::Relaxed), 1, "depth of upcalls");

    // Closed: its number is no port any more.
    must(calls::evtchn_close(port), "close")?;
    check!(calls::evtchn_send(port).is_err(), "a send to a closed port");
    check!(calls::evtchn_close(port).is_err(), "a second close");
    events::mask();
    Ok(())
}
