//! Many domains, one after the other: each is made, runs, and is destroyed while it runs.
//!
//! Xen 4.17 `common/domain.c` (domain_kill). Expected: every domain gets memory, long after all that
//! the machine has would have been used up; numbers go on; one destroyed in mid-run is left at
//! once; one whose page is still mapped stays, dying, until it is unmapped.
#![no_std]
#![no_main]
use core::sync::atomic::Ordering::Relaxed;

use pv_abi::domctl::XEN_DOMINF_DYING;
use pv_abi::errno::Errno;
use pv_guests::domu::{self, Domu, letter, map_foreign};
use pv_guests::pages::{self, KRO, Page};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must};

guest!(run);

/// Domains: their memory together is several times what domain 0 left free.
const ROUNDS: u32 = 60;

fn run(_: &'static StartInfo) -> Outcome {
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut other = Domu::create(1 + round % 2)?;
        check!(other.id.raw() > last, "round {round}: {:?} after {last}", other.id);
        last = other.id.raw();
        other.fill(main_of_the_other)?;
        other.unpause()?;
        if round % 4 == 0 {
            let end = clock::now() + 5_000_000_000;
            while other.letter(0)? == 0 && clock::now() < end {
                ring1::calls::yield_now();
            }
            check!(other.letter(0)? > 0, "round {round}: it does not run");
        }
        other.destroy()?;
        check_eq!(other.info().err(), Some(Errno::ESRCH), "round {round}: it is gone");
    }
    one_that_is_mapped()
}

fn one_that_is_mapped() -> Outcome {
    let mut other = Domu::create(1)?;
    other.fill(main_of_the_other)?;
    let view = Page::take();
    let spare = other.frame_of(other.spare(0));
    must(map_foreign(other.id, view.va, spare, KRO), "mapping its page")?;
    other.destroy()?;
    let info = must(other.info(), "getdomaininfo of a dead domain")?;
    check_eq!((info.flags & XEN_DOMINF_DYING, info.tot_pages), (1, 1), "dying, with one page");
    check_eq!(pages::read32(view.va), 0, "its page is still there");
    check!(domu::command(pv_abi::domctl::XEN_DOMCTL_DESTROYDOMAIN, other.id).is_ok(), "again");
    must(pages::map(view.va, 0), "unmapping it")?;
    check_eq!(other.info().err(), Some(Errno::ESRCH), "now it is gone");
    Ok(())
}

fn main_of_the_other(_: &'static StartInfo) -> ! {
    loop {
        letter(0).fetch_add(1, Relaxed);
    }
}
