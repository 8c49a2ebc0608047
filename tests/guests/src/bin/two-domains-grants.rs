//! Grants between two domains, and the granter's end while its page is mapped.
//!
//! `xen/include/public/grant_table.h`; Xen 4.17 `common/grant_table.c`. Expected: domain 0 maps,
//! writes and copies what the other granted it, and nothing else; when the other is destroyed the
//! mapped page stays, the domain with it, and nothing new is granted; with the mapping both go.
#![no_std]
#![no_main]
use core::sync::atomic::Ordering::Relaxed;

use pv_abi::domctl::XEN_DOMINF_DYING;
use pv_abi::errno::Errno;
use pv_abi::grant_table::*;
use pv_abi::types::{DomId, Port};
use pv_guests::domu::{Domu, letter};
use pv_guests::expect;
use pv_guests::grants::{Table, copy_from, map, mapped, unmapped};
use pv_guests::pages::{Page, read32, write32};
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, must};
use ring1::calls;

guest!(run);

/// What the other says: 1 when its grants are there.
const READY: usize = 0;
/// What the other reads in its page that is granted for writing.
const SEEN: usize = 1;
/// Granted for writing, and for reading.
const WRITABLE: u32 = 16;
const READABLE: u32 = 17;
/// Granted to a third one.
const OTHERS: u32 = 18;
const MARK: u32 = 0x5eed_0001;

fn run(_: &'static StartInfo) -> Outcome {
    let mut other = Domu::create(1)?;
    other.fill(main_of_the_other)?;
    other.unpause()?;
    wait(&other, READY, 1)?;
    let (id, at, copy) = (other.id, Page::take(), Page::take());

    let handle = mapped(id, WRITABLE, GNTMAP_HOST_MAP, at.va);
    check_eq!(read32(at.va), MARK, "the other's page");
    write32(at.va + 4, 0xabcd);
    wait(&other, SEEN, 0xabcd)?;
    unmapped(handle, at.va);
    expect::pf("a load after unmapping", at.va, 0, || read32(at.va));
    check!(map(id, READABLE, GNTMAP_HOST_MAP, at.va).status < 0, "mapped for writing");
    check!(map(id, OTHERS + 1, GNTMAP_HOST_MAP, at.va).status < 0, "mapped ungranted");
    check!(map(id, OTHERS, GNTMAP_HOST_MAP, at.va).status < 0, "mapped what a third one may");
    check!(copy_from(id, OTHERS, 0, copy, 8) < 0, "copied what a third one may");
    check_eq!(copy_from(id, READABLE, 0, copy, 4096), GNTST_OKAY, "copy's status");
    check_eq!(read32(copy.va), MARK + 1, "what was copied");

    let handle = mapped(id, READABLE, GNTMAP_HOST_MAP | GNTMAP_READONLY, at.va);
    other.destroy()?;
    check_eq!(read32(at.va), MARK + 1, "the page outlives its domain");
    let info = must(other.info(), "the domain is there as long as its page")?;
    check!(info.flags & XEN_DOMINF_DYING != 0, "it is dying: {:#x}", info.flags);
    check!(copy_from(id, READABLE, 0, copy, 8) < 0, "copied from a dying domain");
    let refused = map(id, WRITABLE, GNTMAP_HOST_MAP, copy.va);
    check!(refused.status < 0, "mapped from a dying domain: {}", refused.status);
    unmapped(handle, at.va);
    expect::pf("a load after unmapping", at.va, 0, || read32(at.va));
    let until = clock::now() + 10_000_000_000;
    while other.info().is_ok() && clock::now() < until {}
    check_eq!(other.info().err(), Some(Errno::ESRCH), "it is gone");
    Ok(())
}

/// Waits until the other says `what`, for ten seconds at most.
fn wait(other: &Domu, index: usize, what: u32) -> Outcome {
    let until = clock::now() + 10_000_000_000;
    while other.letter(index)? != what && clock::now() < until {}
    check_eq!(other.letter(index)?, what, "what the other says, {index}");
    Ok(())
}

fn main_of_the_other(_: &'static StartInfo) -> ! {
    let (writable, readable) = (Page::take(), Page::take());
    if let Ok(table) = Table::set_up() {
        write32(writable.va, MARK);
        write32(readable.va, MARK + 1);
        table.grant(WRITABLE, DomId::new(0), writable, 0);
        table.grant(READABLE, DomId::new(0), readable, GTF_READONLY);
        table.grant(OTHERS, DomId::new(7), writable, 0);
        letter(READY).store(1, Relaxed);
    }
    loop {
        letter(SEEN).store(read32(writable.va + 4), Relaxed);
        // Nobody rings: it sleeps a millisecond.
        let _ = calls::poll(&[Port::new(1)], clock::now() + 1_000_000);
    }
}
