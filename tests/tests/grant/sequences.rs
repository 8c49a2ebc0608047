//! Random sequences of what three domains do with grants; the invariants hold after each step.
//!
//! Guests here tell lies: entries change while they are in use, mappings are overwritten, handles
//! and addresses are mixed up. In the end each domain's grants are released, and nothing is left.

use hypervisor::grant::{release, report};
use hypervisor::mm::frame::Owner;
use proptest::prelude::*;
use proptest::sample::select;
use pv_abi::grant_table::*;
use pv_abi::mmu::UVMF_INVLPG;
use pv_abi::types::{DomId, GrantHandle, GrantRef};
use pv_abi::x86_32::GnttabTransfer;
use pv_tests::check;
use pv_tests::guest::grants::{End, GrantTable, copy_op, entry_v2, map_op, unmap_op};
use pv_tests::guest::mmu::{P, RW};
use pv_tests::guest::{Guest, Page};

use super::world::world;

/// Pages of each domain that take part.
const PAGES: usize = 6;
/// References that are used, from this one on; the first ones survive a change of version.
const FIRST_REF: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Writes an entry: reference, flags, for whom, whose page and which, the other words.
    Grant(u32, u16, u16, usize, usize, u16, u16),
    /// Maps: granter, reference, flags, at which page.
    Map(u16, u32, u32, usize),
    /// Unmaps a handle at the address of a page, perhaps by the device's address, perhaps replacing.
    Unmap(usize, Option<usize>, bool, Option<usize>),
    /// Copies: (granter or none, reference or page, offset) twice, length.
    Copy(Option<u16>, u32, u16, Option<u16>, u32, u16, u16),
    /// Changes a mapping by other means: nothing, or one of the domain's pages.
    Overwrite(usize, Option<usize>, bool),
    SetVersion(u32),
    Swap(u32, u32),
    Transfer(usize, u16, u32),
}

struct Player {
    guest: Guest,
    table: GrantTable,
    pages: Vec<Page>,
    handles: Vec<(GrantHandle, u64)>,
    version: u32,
}

impl Player {
    fn new(mut guest: Guest) -> Player {
        let table = guest.grant_table(1);
        let pages = (0..PAGES).map(|_| guest.page()).collect();
        Player { guest, table, pages, handles: Vec::new(), version: 1 }
    }

    fn step(&mut self, step: &Step, everybodys: &[Vec<Page>]) {
        match *step {
            Step::Grant(gref, flags, to, whose, page, first, second) => {
                let mfn = everybodys[whose][page].mfn;
                if self.version == 1 {
                    self.table.set(&mut self.guest, gref, flags, to, mfn.raw() as u32);
                } else {
                    let entry = entry_v2(flags, to, first, second, mfn.raw());
                    self.table.set_v2(&mut self.guest, gref, entry);
                }
            }
            Step::Map(granter, gref, flags, at) => {
                let page = self.pages[at];
                let by_entry = flags & GNTMAP_CONTAINS_PTE != 0;
                let at = if by_entry { self.guest.l1_maddr_of(page.va) } else { page.va };
                let mut op = [map_op(granter, gref, flags, at)];
                assert_eq!(self.guest.gnttab(GNTTABOP_MAP_GRANT_REF, &mut op), 0);
                if op[0].status == GNTST_OKAY {
                    self.handles.push((op[0].handle, op[0].dev_bus_addr));
                }
            }
            Step::Unmap(which, at, device, replace) => {
                let Some(&(handle, address)) = self.handles.get(which % self.handles.len().max(1))
                else {
                    return;
                };
                let host = at.map_or(0, |at| match at.checked_sub(PAGES) {
                    Some(at) => self.guest.l1_maddr_of(self.pages[at].va),
                    None => self.pages[at].va,
                });
                if let Some(new) = replace {
                    let new_addr = self.pages[new].va;
                    let op = GnttabUnmapAndReplace {
                        host_addr: host,
                        new_addr,
                        handle,
                        status: 1,
                        _pad: [0; 2],
                    };
                    self.guest.gnttab_one(GNTTABOP_UNMAP_AND_REPLACE, op);
                } else {
                    let op = unmap_op(handle, host, if device { address } else { 0 });
                    self.guest.gnttab_one(GNTTABOP_UNMAP_GRANT_REF, op);
                }
            }
            Step::Copy(from, source, at, to, dest, into, len) => {
                let end = |granter: Option<u16>, number: u32, offset| match granter {
                    Some(granter) => End::Grant(granter, number, offset),
                    None => End::Own(self.pages[number as usize % PAGES].mfn, offset),
                };
                let op = copy_op(end(from, source, at), end(to, dest, into), len);
                self.guest.gnttab_one(GNTTABOP_COPY, op);
            }
            Step::Overwrite(page, with, writable) => {
                self.guest.take_over();
                let flags = if writable { P | RW } else { P };
                let entry = with.map_or(0, |with| self.pages[with].maddr() | flags);
                let va = self.pages[page].va;
                // Refused once the page has been given away.
                let _ = self.guest.update_va(va, entry, UVMF_INVLPG);
            }
            Step::SetVersion(version) => self.version = self.guest.set_version(version).1,
            Step::Swap(a, b) => {
                let (ref_a, ref_b) = (GrantRef::new(a), GrantRef::new(b));
                let op = GnttabSwapGrantRef { ref_a, ref_b, status: 1, _pad: [0; 2] };
                self.guest.gnttab_one(GNTTABOP_SWAP_GRANT_REF, op);
            }
            Step::Transfer(page, to, gref) => {
                let op = GnttabTransfer {
                    mfn: self.pages[page].mfn.raw() as u32,
                    domid: DomId::new(to),
                    _pad0: [0; 2],
                    r#ref: GrantRef::new(gref),
                    status: 1,
                    _pad1: [0; 2],
                };
                self.guest.gnttab_one(GNTTABOP_TRANSFER, op);
            }
        }
    }
}

fn run(steps: &[(usize, Step)]) -> Result<(), String> {
    let w = world();
    let sys = w.sys.clone();
    let mut players = [w.zero, w.one, w.two].map(Player::new);
    let everybodys: Vec<_> = players.iter().map(|p| p.pages.clone()).collect();
    for (number, (who, step)) in steps.iter().enumerate() {
        players[*who].step(step, &everybodys);
        check::broken(&sys).map_err(|what| format!("after {number}, d{who} {step:?}: {what}"))?;
    }
    // Entries go with page tables, here by hand; then the records, whoever granted what.
    for player in &mut players {
        player.guest.take_over();
        for page in player.pages.clone() {
            let _ = player.guest.update_va(page.va, 0, UVMF_INVLPG);
        }
    }
    for player in &players {
        release::release_all(&sys, player.guest.domain()).map_err(|e| format!("{e:?}"))?;
        check::broken(&sys).map_err(|what| format!("after the end of one: {what}"))?;
    }
    for player in &players {
        if let Some(left) = report::in_use(&sys, player.guest.domain()).next() {
            return Err(format!("{left:?} is left"));
        }
        for page in &player.pages {
            let Some(frame) = sys.memory.frame(page.mfn) else { continue };
            let word = frame.load();
            // One that was transferred to nobody is free, and its record says something else.
            let had = matches!(frame.owner(), Owner::Domain(_));
            if had && (word.total() > 1 || word.type_count() > 0) {
                return Err(format!("{} is still referred to: {word:?}", page.mfn));
            }
        }
    }
    Ok(())
}

fn step() -> impl Strategy<Value = Step> {
    let gref = || FIRST_REF..FIRST_REF + 10;
    let page = || 0..PAGES;
    let domain = || 0_u16..4;
    let flags = select(vec![
        GTF_PERMIT_ACCESS,
        GTF_PERMIT_ACCESS,
        GTF_PERMIT_ACCESS | GTF_READONLY,
        GTF_PERMIT_ACCESS | GTF_SUB_PAGE,
        GTF_ACCEPT_TRANSFER,
        GTF_TRANSITIVE,
        GTF_INVALID,
    ]);
    let map_flags = select(vec![
        GNTMAP_HOST_MAP,
        GNTMAP_HOST_MAP,
        GNTMAP_HOST_MAP | GNTMAP_READONLY,
        GNTMAP_DEVICE_MAP,
        GNTMAP_HOST_MAP | GNTMAP_DEVICE_MAP,
        GNTMAP_HOST_MAP | GNTMAP_DEVICE_MAP | GNTMAP_READONLY,
        GNTMAP_HOST_MAP | GNTMAP_CONTAINS_PTE,
    ]);
    let whom = prop_oneof![Just(None), domain().prop_map(Some)];
    let small = select(vec![0_u16, 1, 2, 64, 4095]);
    let len = select(vec![1_u16, 64, 4096]);
    prop_oneof![
        6 => (gref(), flags, domain(), 0..3_usize, page(), 0..4_u16, select(vec![5_u16, 4096]))
            .prop_map(|(r, f, d, w, p, a, b)| Step::Grant(r, f, d, w, p, a, b)),
        8 => (domain(), gref(), map_flags, page())
            .prop_map(|(d, r, f, p)| Step::Map(d, r, f, p)),
        8 => (0..16_usize, prop::option::of(0..2 * PAGES), any::<bool>(),
              prop::option::weighted(0.2, page()))
            .prop_map(|(h, at, device, new)| Step::Unmap(h, at, device, new)),
        4 => (whom.clone(), gref(), small.clone(), whom, gref(), small, len)
            .prop_map(|(a, b, c, d, e, f, g)| Step::Copy(a, b, c, d, e, f, g)),
        2 => (page(), prop::option::of(page()), any::<bool>())
            .prop_map(|(p, with, w)| Step::Overwrite(p, with, w)),
        1 => select(vec![1_u32, 2]).prop_map(Step::SetVersion),
        1 => (gref(), gref()).prop_map(|(a, b)| Step::Swap(a, b)),
        1 => (page(), domain(), gref()).prop_map(|(p, d, r)| Step::Transfer(p, d, r)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        max_shrink_iters: 5_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_invariants_hold_whatever_domains_grant(
        steps in prop::collection::vec((0..3_usize, step()), 1..60),
    ) {
        let outcome = run(&steps);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}
