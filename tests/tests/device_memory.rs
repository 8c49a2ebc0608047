//! Mapping device memory: who may, and how.

use pv_abi::hypercall as nr;
use pv_abi::types::{DomId, Mfn};
use pv_tests::check;
use pv_tests::guest::{Guest, Page, Spec};

const EINVAL: i64 = -22;

const P: u64 = 1;
const RW: u64 = 2;
const PWT: u64 = 8;
const PCD: u64 = 0x10;
const PAT: u64 = 0x80;

/// A frame past the machine's RAM, and one that lies within the frame table.
const REGISTERS: u64 = 0xf_eb00;
const LOW: u64 = 0;

fn guest_with_devices() -> Guest {
    let g = Guest::pv32();
    let permissions = &g.domain().permissions;
    permissions.permit_memory(Mfn::new(REGISTERS), Mfn::new(REGISTERS)).unwrap();
    permissions.permit_memory(Mfn::new(LOW), Mfn::new(LOW)).unwrap();
    g
}

/// Maps the frame at a page of the guest's; the result, and the entry as it is then.
fn map(g: &mut Guest, page: &Page, mfn: u64, flags: u64) -> (i64, u64) {
    let result = g.update_va(page.va, mfn << 12 | flags, 2);
    let (table, index) = g.l1_entry_of(page.va).unwrap();
    (result, g.entry(table, index))
}

#[test]
fn it_is_never_cached() {
    let mut g = guest_with_devices();
    let page = g.page();
    for mfn in [REGISTERS, LOW] {
        let entry = |flags: u64| (0, mfn << 12 | flags);
        for given in [0, PWT, PAT, PAT | PWT] {
            let uncached = P | RW | PCD | PWT | given & PAT;
            assert_eq!(map(&mut g, &page, mfn, P | RW | given), entry(uncached), "{given:#x}");
        }
        assert_eq!(map(&mut g, &page, mfn, P | RW | PCD), entry(P | RW | PCD), "the weak form");
        check::invariants(&g.sys);
    }
    // And goes without a trace.
    assert_eq!(g.update_va(page.va, page.maddr() | P | RW, 2), 0);
    check::invariants(&g.sys);
}

#[test]
fn it_takes_permission() {
    let mut g = Guest::with(Spec { privileged: false, ..Spec::default() });
    let page = g.page();
    assert_eq!(map(&mut g, &page, REGISTERS, P).0, EINVAL);
    g.domain().permissions.permit_memory(Mfn::new(REGISTERS), Mfn::new(REGISTERS)).unwrap();
    assert_eq!(map(&mut g, &page, REGISTERS, P).0, 0);
    for mfn in [REGISTERS + 1, REGISTERS - 1, (1 << 40) - 1] {
        assert_eq!(map(&mut g, &page, mfn, P | RW | PCD).0, EINVAL, "{mfn:#x}");
    }
    check::invariants(&g.sys);
}

#[test]
fn permission_for_ram_means_nothing() {
    let g = guest_with_devices();
    let everything = Mfn::new((1 << 40) - 1);
    g.domain().permissions.permit_memory(Mfn::new(0), everything).unwrap();
    let mut g = g;
    let page = g.page();
    let free = g.sys.memory.allocate(hypervisor::mm::frame::Owner::Hypervisor, 0).unwrap();
    assert_eq!(map(&mut g, &page, free.raw(), P).0, EINVAL, "the hypervisor's");
    g.sys.memory.release(free, 0);
    assert_eq!(map(&mut g, &page, free.raw(), P | PCD).0, EINVAL, "nobody's");
    check::invariants(&g.sys);
}

#[test]
fn xsa_154_memory_is_always_cached() {
    let mut g = guest_with_devices();
    let page = g.page();
    for flags in [PCD, PWT, PAT] {
        assert_eq!(map(&mut g, &page, page.mfn.raw(), P | RW | flags).0, EINVAL, "{flags:#x}");
    }
    check::invariants(&g.sys);
}

#[test]
fn what_the_hypervisor_drives_is_read_only() {
    let mut g = guest_with_devices();
    assert!(g.sys.io_memory.protect(REGISTERS, REGISTERS));
    let page = g.page();
    let entry = (0, REGISTERS << 12 | P | PCD);
    assert_eq!(map(&mut g, &page, REGISTERS, P | RW | PCD), entry);
    assert_eq!(map(&mut g, &page, REGISTERS, P | RW | PCD), entry, "the second time, too");
    // Nor by way of a table that is made with it.
    let table = g.table_page(&[(0, REGISTERS << 12 | P | RW)]);
    assert_eq!(g.pin(1, table.mfn), 0);
    assert_eq!(g.entry(table.mfn, 0), REGISTERS << 12 | P | PCD | PWT);
    check::invariants(&g.sys);
    assert_eq!(g.unpin(table.mfn), 0);
    check::invariants(&g.sys);
}

#[test]
fn domid_io_stands_for_devices() {
    let mut g = guest_with_devices();
    let page = g.page();
    let value = REGISTERS << 12 | P | RW | PCD;
    let args = [page.va, value & 0xffff_ffff, value >> 32, 2, DomId::IO.raw().into()];
    assert_eq!(g.call(nr::UPDATE_VA_MAPPING_OTHERDOMAIN, &args), 0);
    check::invariants(&g.sys);
}
