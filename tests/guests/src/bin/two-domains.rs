//! Another domain from its beginning to its end: made, filled, started, paused, destroyed.
//!
//! `xen/include/public/domctl.h`; Xen 4.17 `common/domctl.c`, `common/domain.c`. Expected: the new
//! domain starts paused; once unpaused it runs this image, rings and counts; paused it stands
//! still; it tells why it shuts down (`VIRQ_DOM_EXC`); destroyed it is gone, number and memory.
#![no_std]
#![no_main]
use core::sync::atomic::Ordering::Relaxed;

use pv_abi::domctl::*;
use pv_abi::errno::Errno;
use pv_abi::event_channel::{EVTCHNOP_BIND_INTERDOMAIN, EvtchnBindInterdomain};
use pv_abi::hypercall::EVENT_CHANNEL_OP;
use pv_abi::sched::SHUTDOWN_REBOOT;
use pv_abi::types::{DomId, Port};
use pv_abi::virq::VIRQ_DOM_EXC;
use pv_guests::domu::{self, Domu, letter};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must, with_argument};
use ring1::{calls, events};

guest!(run);

/// The port that domain 0 made for the other.
const PORT: usize = 0;
/// What the other counts up.
const COUNT: usize = 1;
/// Set by domain 0: the other ends.
const END: usize = 2;

fn run(_: &'static StartInfo) -> Outcome {
    let exceptions = must(calls::evtchn_bind_virq(VIRQ_DOM_EXC), "binding VIRQ_DOM_EXC")?;
    let before = must(domu::info(DomId::new(0)), "getdomaininfo of domain 0")?;
    check_eq!(before.domain, DomId::new(0), "domain 0's number");
    let mut other = Domu::create(1)?;
    let port = other.unbound_port()?;
    letter(PORT).store(port.raw(), Relaxed);
    other.fill(main_of_the_other)?;
    let info = must(other.info(), "getdomaininfo")?;
    check!(info.flags & XEN_DOMINF_PAUSED != 0, "it is paused: {:#x}", info.flags);
    check_eq!((info.nr_online_vcpus, info.max_vcpu_id), (1, 0), "vCPUs that are up, the highest");

    other.unpause()?;
    wait(port, "an event from the other domain")?;
    other.pause()?;
    let counted = other.letter(COUNT)?;
    check!(counted > 0, "it has run");
    let later = clock::now() + 20_000_000;
    while clock::now() < later {}
    check_eq!(other.letter(COUNT)?, counted, "it stands still while it is paused");
    other.unpause()?;
    wait(port, "another event")?;

    other.set_letter(END, 1)?;
    wait(exceptions, "VIRQ_DOM_EXC")?;
    check_eq!(other.shutdown_code()?, Some(SHUTDOWN_REBOOT), "why it shut down");
    other.destroy()?;
    check_eq!(other.info().err(), Some(Errno::ESRCH), "it is gone");
    let gone = domu::command(XEN_DOMCTL_PAUSEDOMAIN, other.id);
    check_eq!(gone, Err(Errno::ESRCH), "pausing one that is gone");
    Ok(())
}

/// Waits for an event, for ten seconds at most.
fn wait(port: Port, what: &str) -> Outcome {
    must(calls::poll(&[port], clock::now() + 10_000_000_000), what)?;
    check!(events::is_pending(port), "no event within ten seconds: {what}");
    events::clear_port(port);
    Ok(())
}

fn main_of_the_other(_: &'static StartInfo) -> ! {
    let mut bind = EvtchnBindInterdomain {
        remote_dom: DomId::new(0),
        remote_port: Port::new(letter(PORT).load(Relaxed)),
        local_port: Port::new(0),
        _pad: [0; 2],
    };
    with_argument(EVENT_CHANNEL_OP, EVTCHNOP_BIND_INTERDOMAIN, &mut bind);
    while letter(END).load(Relaxed) == 0 {
        let count = letter(COUNT).fetch_add(1, Relaxed);
        if count.is_multiple_of(0x1_0000) {
            let _ = calls::evtchn_send(bind.local_port);
        }
    }
    calls::shutdown(SHUTDOWN_REBOOT)
}
