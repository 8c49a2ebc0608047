//! `multicall`: several hypercalls in one.

use pv_abi::hypercall as nr;
use pv_abi::mmu::{MMUEXT_NEW_BASEPTR, MMUEXT_PIN_L2_TABLE};
use pv_abi::x86_32::MulticallEntry;
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW, SELF, US};
use pv_tests::guest::{Guest, Spec};

const EFAULT: i64 = -14;
const EINVAL: i32 = -22;
const ENOSYS: i32 = -38;

fn guest() -> Guest {
    Guest::with(Spec { base: 0x8000_0000, pages: 400, ..Spec::default() })
}

fn entry(op: u32, args: &[u64]) -> MulticallEntry {
    let mut words = [0xdead_beef; 6];
    for (word, arg) in words.iter_mut().zip(args) {
        *word = *arg as u32;
    }
    MulticallEntry { op, result: 0x5555_5555, args: words }
}

/// Makes the calls; the result, and the entries' results.
fn multi(g: &mut Guest, list: &[MulticallEntry]) -> (i64, Vec<i32>) {
    let at = g.arg(list);
    let result = g.call(nr::MULTICALL, &[at, list.len() as u64]);
    let results = (0..list.len() as u64)
        .map(|i| g.read::<MulticallEntry>(at + 32 * i).result as i32)
        .collect();
    (result, results)
}

#[test]
fn each_call_has_its_result() {
    let mut g = guest();
    let version = g.call(nr::XEN_VERSION, &[0, 0]) as i32;
    let list = [entry(nr::XEN_VERSION, &[0, 0]), entry(63, &[]), entry(nr::XEN_VERSION, &[0, 0])];
    assert_eq!(multi(&mut g, &list), (0, vec![version, ENOSYS, version]));
    assert_eq!(multi(&mut g, &[]), (0, vec![]));
    assert_eq!(g.call(nr::MULTICALL, &[0x1000, 0]), 0, "an empty list is not looked at");
}

#[test]
fn neither_multicall_nor_iret() {
    let mut g = guest();
    let inner = g.arg(&[entry(nr::XEN_VERSION, &[0, 0])]);
    let list = [entry(nr::MULTICALL, &[inner, 1]), entry(nr::IRET, &[]), entry(63, &[])];
    let regs = (g.regs.rsp, g.regs.cs);
    assert_eq!(multi(&mut g, &list), (0, vec![EINVAL, EINVAL, ENOSYS]));
    assert_eq!((g.regs.rsp, g.regs.cs), regs);
    assert!(g.domain().shutdown_reason().is_none());
}

#[test]
fn long_lists_are_interrupted_and_finish() {
    let mut g = guest();
    let list = vec![entry(nr::XEN_VERSION, &[0, 0]); 300];
    let (result, results) = multi(&mut g, &list);
    assert_eq!(result, 0);
    assert!(results.iter().all(|r| *r > 0), "{results:?}");
    assert!(g.continuations >= 3, "{} continuations", g.continuations);
}

#[test]
fn a_call_in_it_is_interrupted_and_finishes() {
    let mut g = guest();
    let page = g.page();
    let mut entries = Vec::new();
    for i in 0..80 {
        let l1 = g.table_page(&[(i, page.maddr() | P | RW)]);
        entries.push((i, l1.maddr() | P | RW | US));
    }
    let table = g.table_page(&entries);
    let op = g.arg(&[MMUEXT_PIN_L2_TABLE, table.mfn.raw() as u32, 0]);
    let done = g.arg(&9_u32);
    let list = [
        entry(nr::XEN_VERSION, &[0, 0]),
        entry(nr::MMUEXT_OP, &[op, 1, done, SELF]),
        entry(63, &[]),
    ];
    let before = g.continuations;
    let (result, results) = multi(&mut g, &list);
    assert_eq!((result, &results[1..]), (0, &[0, ENOSYS][..]));
    assert!(g.continuations >= before + 2);
    assert_eq!(g.read::<u32>(done), 1);
    check::invariants(&g.sys);
}

#[test]
fn lists_in_bad_places() {
    let mut g = guest();
    assert_eq!(g.call(nr::MULTICALL, &[0x1000, 1]), EFAULT);
    assert_eq!(g.call(nr::MULTICALL, &[0xffff_fff0, 1]), EFAULT, "it wraps");
    // Into read-only memory no result can be written.
    let readonly = g.table_page(&[]);
    assert_eq!(g.call(nr::MULTICALL, &[readonly.va, 1]), EFAULT);
    // A list that runs off its page: what is there is done.
    let end = g.page_at(g.frames.len() as u64 - 1).va + 4096;
    assert_eq!(g.call(nr::MULTICALL, &[end, u64::from(u32::MAX)]), EFAULT);
    let page = g.page();
    g.write(page.va + 4064, &entry(nr::XEN_VERSION, &[0, 0]));
    let next = g.page();
    assert_eq!(g.update_va(next.va, 0, 2), 0);
    assert_eq!(g.call(nr::MULTICALL, &[page.va + 4064, 2]), EFAULT);
    assert!(g.read::<MulticallEntry>(page.va + 4064).result as i32 > 0);
    check::invariants(&g.sys);
}

#[test]
fn a_call_may_take_the_list_itself_away() {
    let mut g = guest();
    // The list lies in a page that its own first call unmaps.
    let page = g.page();
    let unmap = [page.va, 0, 0, 2];
    g.write(page.va, &[entry(nr::UPDATE_VA_MAPPING, &unmap), entry(63, &[])]);
    assert_eq!(g.call(nr::MULTICALL, &[page.va, 2]), EFAULT);
    check::invariants(&g.sys);
}

#[test]
fn a_call_may_load_another_root() {
    let mut g = guest();
    let home = g.entry(g.root, 2) & 0x000f_ffff_ffff_f000 | P;
    let top = g.table_page(&[]).maddr() | P;
    let root = g.table_page(&[(2, home), (3, top)]);
    let op = g.arg(&[MMUEXT_NEW_BASEPTR, root.mfn.raw() as u32, 0]);
    let list = [entry(nr::MMUEXT_OP, &[op, 1, 0, SELF]), entry(63, &[])];
    assert_eq!(multi(&mut g, &list), (0, vec![0, ENOSYS]));
    assert_eq!(g.vcpu().state.lock().root, root.mfn);
    check::invariants(&g.sys);
}
