//! multicall: each entry's result, errors that do not stop the rest, continuation of long ones.
//!
//! `xen/include/public/xen.h` (struct multicall_entry); Xen 4.17 `common/multicall.c`. Expected: the
//! call returns 0; every entry has its own result; an unknown number is -ENOSYS; a multicall in a
//! multicall is -EINVAL; 0 entries do nothing; a table that cannot be read or
//! written is -EFAULT.
#![no_std]
#![no_main]
use pv_abi::hypercall as nr;
use pv_guests::call::address_of;
use pv_guests::pages::{KRO, KRW, Page, read64};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must};
use ring1::abi::MulticallEntry;
use ring1::calls::{self, call};

guest!(run);

fn make(calls: &mut [MulticallEntry]) -> i32 {
    let count = calls.len() as u32;
    hypercall(nr::MULTICALL, &[address_of(calls), count])
}

fn run(_: &'static StartInfo) -> Outcome {
    let version = must(calls::xen_version(), "xen_version")?;
    let page = Page::take();
    let map = |flags| {
        let entry = page.entry(flags);
        call(nr::UPDATE_VA_MAPPING, &[page.va, entry as u32, (entry >> 32) as u32, 2])
    };
    let mut inner = [call(nr::XEN_VERSION, &[0]), call(nr::XEN_VERSION, &[999])];
    let mut list = [
        call(nr::XEN_VERSION, &[0]),
        call(55, &[]),
        call(nr::XEN_VERSION, &[999, 0]),
        map(KRO),
        map(0x80 | KRO),
        map(KRW),
        call(1000, &[]),
        call(u32::MAX, &[]),
        call(nr::MULTICALL, &[address_of(&mut inner), 2]),
        call(nr::XEN_VERSION, &[0]),
    ];
    check_eq!(make(&mut list), 0, "multicall");
    let results = list.map(|entry| entry.result as i32);
    let version = version as i32;
    let wanted = [version, -38, -38, 0, 0, 0, -38, -38, -22, version];
    for (index, (got, wanted)) in results.into_iter().zip(wanted).enumerate() {
        // A large-page bit means PAT in an L1 entry; whether it is allowed is not this test's.
        check!(index == 4 || got == wanted, "result {index}: {got}, not {wanted}");
    }
    check_eq!(inner.map(|entry| entry.result), [0, 0], "results of the inner one");
    check_eq!(list[0].op, nr::XEN_VERSION, "the number afterwards");

    check_eq!(make(&mut []), 0, "no entries");
    let mut table = [call(nr::XEN_VERSION, &[0]); 2];
    check_eq!(make(&mut table), 0, "two entries");
    // A table that cannot be written to: the call is not lost silently.
    let readonly = Page::take();
    readonly.write(0, u64::from(nr::XEN_VERSION));
    readonly.protect()?;
    check_eq!(hypercall(nr::MULTICALL, &[readonly.va, 1]), -14, "a read-only table");
    check_eq!(read64(readonly.va), u64::from(nr::XEN_VERSION), "the read-only table");
    for at in [0x1000, u32::MAX - 15, pv_guests::pages::m2p()] {
        check_eq!(hypercall(nr::MULTICALL, &[at, 1]), -14, "a table at {at:#x}");
    }

    // Long: 500 entries in one call, continued where it is preempted.
    let mut long = [call(nr::XEN_VERSION, &[0]); 500];
    check_eq!(make(&mut long), 0, "a long multicall");
    check!(long.iter().all(|entry| entry.result as i32 == version), "a result of the long one");
    Ok(())
}
