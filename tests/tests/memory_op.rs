//! `memory_op`: what a domain is told of memory, what it can get and give back.

use std::sync::atomic::Ordering;

use hypervisor::machine::ranges::{MemoryKind, MemoryMap, MemoryRange};
use hypervisor::mm::frame::Owner;
use hypervisor::platform::FrameAccess;
use pv_abi::hypercall as nr;
use pv_abi::memory::*;
use pv_abi::types::{DomId, Mfn};
use pv_abi::x86_32::MachphysMapping;
use pv_tests::check;
use pv_tests::guest::mmu::{P, RW};
use pv_tests::guest::{Guest, Spec};

const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

fn guest() -> Guest {
    Guest::with(Spec { base: 0x8000_0000, pages: 320, ..Spec::default() })
}

fn reserve(g: &mut Guest, command: u32, extents: &[u32], order: u32) -> (i64, Vec<u32>) {
    g.reservation(command, extents, order, DomId::SELF)
}

/// Takes the mapping of a page away, so that the domain alone holds it.
fn unmapped_page(g: &mut Guest) -> Mfn {
    let page = g.page();
    assert_eq!(g.update_va(page.va, 0, 0), 0);
    page.mfn
}

#[test]
fn the_machines_size() {
    let mut g = guest();
    let last = g.sys.memory.frame_count() as i64 - 1;
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MAXIMUM_RAM_PAGE.into(), 0]), last);
}

#[test]
fn reservations_of_oneself_and_of_others() {
    let mut g = guest();
    let ask = |g: &mut Guest, command: u32, id: u16| {
        let at = g.arg(&id);
        g.call(nr::MEMORY_OP, &[command.into(), at])
    };
    for command in [XENMEM_CURRENT_RESERVATION, XENMEM_MAXIMUM_RESERVATION] {
        assert_eq!(ask(&mut g, command, DomId::SELF.raw()), 320);
        assert_eq!(ask(&mut g, command, 0), 320);
        assert_eq!(ask(&mut g, command, 9), ESRCH);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), 0x1000]), EFAULT);
    }
    let mut domu = Guest::with(Spec { id: 3, privileged: false, ..Spec::default() });
    assert_eq!(ask(&mut domu, XENMEM_CURRENT_RESERVATION, 3), 256);
    assert_eq!(ask(&mut domu, XENMEM_CURRENT_RESERVATION, 0), EPERM);
}

#[test]
fn the_m2p_is_where_it_is_said_to_be() {
    let mut g = guest();
    let at = g.arg(&[0_u32; 3]);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MACHPHYS_MAPPING.into(), at]), 0);
    let mapping: MachphysMapping = g.read(at);
    assert_eq!(mapping.v_start, 0xf580_0000);
    assert_eq!(u64::from(mapping.max_mfn), g.sys.memory.frame_count() - 1);
    let last = mapping.v_start + 4 * mapping.max_mfn;
    assert!(last < mapping.v_end);
    assert_eq!(
        g.read::<u32>(last.into()) as u64,
        g.sys.memory.m2p(Mfn::new(mapping.max_mfn.into())) & 0xffff_ffff
    );
    let nowhere = g.va_of(g.root);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MACHPHYS_MAPPING.into(), nowhere]), EFAULT);
}

#[test]
fn domain_0_sees_the_firmwares_memory_map() {
    let mut g = guest();
    let mut map = MemoryMap::default();
    map.add(MemoryRange { start: 0, end: 0x9_fc00, kind: MemoryKind::Ram });
    map.add(MemoryRange { start: 0x1_0000_0000, end: 0x1_4000_0000, kind: MemoryKind::Reserved });
    g.sys.memory_map.call_once(|| map);
    let buffer = g.arg(&[[0_u32; 5]; 3]);
    let ask = |g: &mut Guest, room: u32, buffer: u64| {
        let at = g.arg(&[room, buffer as u32]);
        (g.call(nr::MEMORY_OP, &[XENMEM_MACHINE_MEMORY_MAP.into(), at]), g.read::<u32>(at))
    };
    assert_eq!(ask(&mut g, 3, buffer), (0, 2));
    assert_eq!(g.read::<[u32; 5]>(buffer), [0, 0, 0x9_fc00, 0, 1]);
    assert_eq!(g.read::<[u32; 5]>(buffer + 20), [0, 1, 0x4000_0000, 0, 2]);
    assert_eq!(g.read::<[u32; 5]>(buffer + 40), [0; 5]);
    assert_eq!(ask(&mut g, 1, buffer).0, EINVAL);
    let nowhere = g.va_of(g.root);
    assert_eq!(ask(&mut g, 2, nowhere).0, EFAULT);
}

#[test]
fn the_m2ps_frames_are_told_in_steps_of_2_mib() {
    let mut g = guest();
    let buffer = g.arg(&[0_u32; 4]);
    for command in [XENMEM_MACHPHYS_MFN_LIST, XENMEM_MACHPHYS_COMPAT_MFN_LIST] {
        let at = g.arg(&[4, buffer as u32, 0]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), at]), 0);
        // 8 MiB of memory: one table of 8 KiB, whose first frame is the machine's second.
        assert_eq!(g.read::<[u32; 3]>(at)[2], 1);
        assert_eq!(g.read::<[u32; 2]>(buffer), [1, 0]);
        let none = g.arg(&[0, buffer as u32, 7]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), none]), 0);
        assert_eq!(g.read::<[u32; 3]>(none)[2], 0);
        let nowhere = g.va_of(g.root);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), nowhere]), EFAULT);
    }
}

#[test]
fn commands_that_do_not_exist() {
    let mut g = guest();
    for command in [63, 40, 30] {
        assert_eq!(g.call(nr::MEMORY_OP, &[command, 0]), ENOSYS, "{command}");
    }
}

#[test]
fn frames_given_back_are_free_and_can_be_had_again() {
    let mut g = guest();
    let free = g.sys.memory.free_and_total().0;
    let mfns = [unmapped_page(&mut g), unmapped_page(&mut g)];
    let list = mfns.map(|m| m.raw() as u32);
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &list, 0).0, 2);
    assert_eq!(g.sys.memory.free_and_total().0, free + 2);
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), 318);
    for mfn in mfns {
        assert_eq!(g.sys.memory.frame(mfn).expect("a frame").owner(), Owner::Nobody);
        assert_eq!(g.sys.memory.m2p(mfn), u64::MAX, "nobody's pseudo-physical frame");
    }
    check::invariants(&g.sys);
    // Old contents must not come back with a frame.
    for mfn in mfns {
        g.machine().words(mfn)[0].store(0x5ec2e7, Ordering::Relaxed);
    }
    let (done, got) = reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &[500, 501], 0);
    assert_eq!(done, 2);
    for (mfn, pfn) in got.iter().zip(500..) {
        let mfn = Mfn::new(u64::from(*mfn));
        assert_eq!(g.sys.memory.m2p(mfn), pfn);
        assert!(g.machine().words(mfn).iter().all(|w| w.load(Ordering::Relaxed) == 0));
        assert_eq!(g.update_va(g.base + 4096 * 100, mfn.raw() << 12 | P | RW, 2), 0);
    }
    check::invariants(&g.sys);
    let (done, _) = reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &[502], 0);
    assert_eq!(done, 0, "more than its maximum");
}

#[test]
fn increase_tells_the_frames() {
    let mut g = guest();
    let mfn = unmapped_page(&mut g).raw() as u32;
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &[mfn], 0).0, 1);
    let (done, got) = reserve(&mut g, XENMEM_INCREASE_RESERVATION, &[0xffff_ffff], 0);
    assert_eq!(done, 1);
    let frame = g.sys.memory.frame(Mfn::new(got[0].into())).expect("a frame");
    assert_eq!(frame.owner(), Owner::Domain(g.id));
    check::invariants(&g.sys);
}

#[test]
fn larger_extents() {
    let mut g = guest();
    g.domain().max_pages.store(400, Ordering::Relaxed);
    let (done, got) = reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &[1000, 1004], 2);
    assert_eq!(done, 2);
    for (first, pfn) in got.iter().zip([1000, 1004]) {
        assert_eq!(first % 4, 0, "aligned to its size");
        for i in 0..4 {
            assert_eq!(g.sys.memory.m2p(Mfn::new(u64::from(first + i))), pfn + u64::from(i));
        }
    }
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), 328);
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &got, 2).0, 2);
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), 320);
    for order in [10, 18, 63, 64, u32::MAX] {
        assert_eq!(reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &[0], order).0, 0, "order {order}");
    }
    check::invariants(&g.sys);
}

#[test]
fn long_lists_are_interrupted_and_finish() {
    let mut g = guest();
    let list: Vec<u32> = (0..200).map(|_| unmapped_page(&mut g).raw() as u32).collect();
    let before = g.continuations;
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &list, 0).0, 200);
    assert!(g.continuations > before + 1, "it was interrupted");
    let pfns: Vec<u32> = (1000..1200).collect();
    let before = g.continuations;
    assert_eq!(reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &pfns, 0).0, 200);
    assert!(g.continuations > before + 1, "it was interrupted");
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), 320);
    check::invariants(&g.sys);
}

#[test]
fn what_is_in_use_or_not_the_guests_stays() {
    let mut g = guest();
    let other = Guest::on(g.sys.clone(), Spec { id: 1, pages: 64, ..Spec::default() });
    g.run_as(0);
    {
        use hypervisor::platform::Mmu;
        let l4 = g.vcpu().state.lock().l4;
        g.machine().load_root(l4);
    }
    let shared = g.domain().shared_info.raw() as u32;
    let l4 = g.vcpu().state.lock().l4.raw() as u32;
    let root = g.root.raw() as u32;
    for (mfn, what) in [
        (root, "a pinned table"),
        (shared, "the shared info page"),
        (l4, "a frame of the hypervisor's"),
        (other.frames[9].raw() as u32, "another domain's"),
        (0xffff_ffff, "no frame"),
        (1, "the M2P"),
    ] {
        assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &[mfn], 0).0, 0, "{what}");
        check::invariants(&g.sys);
    }
    // A frame that is still mapped leaves when its mapping does, and not before.
    let page = g.page();
    let mfn = page.mfn.raw() as u32;
    let free = g.sys.memory.free_and_total().0;
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &[mfn], 0).0, 1);
    assert_eq!(g.sys.memory.free_and_total().0, free);
    g.write(page.va, &1_u8);
    assert_eq!(reserve(&mut g, XENMEM_DECREASE_RESERVATION, &[mfn], 0).0, 0, "only once");
    check::invariants(&g.sys);
    assert_eq!(g.update_va(page.va, 0, 0), 0);
    assert_eq!(g.sys.memory.free_and_total().0, free + 1);
    assert!(g.try_write(page.va, &[1]).is_err(), "also without a flush of the guest's");
    check::invariants(&g.sys);
}

#[test]
fn arguments_in_bad_places() {
    let mut g = guest();
    for command in
        [XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP, XENMEM_INCREASE_RESERVATION]
    {
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), 0x1000]), 0, "nothing is done");
        assert_eq!(g.reservation(command, &[0], 0, DomId::new(9)).0, 0, "no such domain");
        // An array that is not there: nothing is done, and nothing is lost.
        let (free, pages) =
            (g.sys.memory.free_and_total().0, g.domain().pages.load(Ordering::Relaxed));
        let arg = g.arg(&[0x1000_u32, 1, 0, 0, 0x7ff0]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), arg]), 0);
        assert_eq!(g.sys.memory.free_and_total().0, free);
        assert_eq!(g.domain().pages.load(Ordering::Relaxed), pages);
        // More than a machine has.
        let arg = g.arg(&[0x1000_u32, u32::MAX, 0, 0, 0x7ff0]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), arg]), 0);
        // A continuation of what is done already.
        let arg = g.arg(&[0x1000_u32, 3, 0, 0, 0x7ff0]);
        let later = u64::from(command) | 5 << 6;
        assert_eq!(g.call(nr::MEMORY_OP, &[later, arg]), 5);
    }
    let mut domu = Guest::with(Spec { id: 3, privileged: false, ..Spec::default() });
    assert_eq!(domu.reservation(XENMEM_POPULATE_PHYSMAP, &[0], 0, DomId::new(0)).0, 0);
    check::invariants(&g.sys);
}

/// One reservation with flags.
fn with_flags(g: &mut Guest, command: u32, flags: u32) -> (i64, u32) {
    let list = g.arg(&1000_u32);
    let arg = g.arg(&[list as u32, 1, 0, flags, 0x7ff0]);
    (g.call(nr::MEMORY_OP, &[command.into(), arg]), g.read(list))
}

#[test]
fn frames_below_an_address_and_on_a_node() {
    let mut g = guest();
    g.domain().max_pages.store(1000, Ordering::Relaxed);
    let populate = XENMEM_POPULATE_PHYSMAP;
    // The machine has 2048 frames; these are all below 4 MiB.
    for _ in 0..8 {
        let (done, mfn) = with_flags(&mut g, populate, memf_address_bits(22));
        assert!(done == 0 || mfn < 1024, "{mfn:#x}");
    }
    for bits in [1, 11, 12] {
        assert_eq!(with_flags(&mut g, populate, memf_address_bits(bits)).0, 0, "{bits} bits");
    }
    for bits in [40, 63, 64, 255] {
        assert_eq!(with_flags(&mut g, populate, memf_address_bits(bits)).0, 1, "{bits} bits");
    }
    // XSA-231: a node beyond all numbers.
    for node in [64, 128, 253] {
        assert_eq!(with_flags(&mut g, populate, memf_node(node)).0, 0, "node {node}");
    }
    assert_eq!(with_flags(&mut g, populate, memf_node(0) | XENMEMF_EXACT_NODE_REQUEST).0, 1);
    assert_eq!(with_flags(&mut g, populate, memf_node(1) | XENMEMF_EXACT_NODE_REQUEST).0, 0);
    assert_eq!(with_flags(&mut g, populate, memf_node(1)).0, 1);
    check::invariants(&g.sys);
}

/// XSA-385: the sum of pages must not overflow its counter.
#[test]
fn the_count_of_pages_does_not_overflow() {
    let mut g = guest();
    g.domain().max_pages.store(u32::MAX, Ordering::Relaxed);
    g.domain().pages.store(u32::MAX, Ordering::Relaxed);
    assert_eq!(reserve(&mut g, XENMEM_POPULATE_PHYSMAP, &[1000], 0).0, 0);
    assert_eq!(reserve(&mut g, XENMEM_INCREASE_RESERVATION, &[0], 9).0, 0);
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), u32::MAX);
    g.domain().pages.store(320, Ordering::Relaxed);
    check::invariants(&g.sys);
}

/// Two reservations and how much was exchanged.
fn exchange(g: &mut Guest, give: [u32; 5], get: [u32; 5], exchanged: u32) -> (i64, u32) {
    let mut argument = [0_u32; 11];
    argument[..5].copy_from_slice(&give);
    argument[5..10].copy_from_slice(&get);
    argument[10] = exchanged;
    let at = g.arg(&argument);
    let result = g.call(nr::MEMORY_OP, &[XENMEM_EXCHANGE.into(), at]);
    (result, g.read::<[u32; 11]>(at)[10])
}

const OWN: u32 = 0x7ff0;

#[test]
fn single_frames_against_a_block_and_back() {
    let mut g = guest();
    let before = g.sys.memory.free_and_total().0;
    let mfns: Vec<u32> = (0..8).map(|_| unmapped_page(&mut g).raw() as u32).collect();
    let give = g.arg(mfns.as_slice()) as u32;
    let get = g.arg(&[600_u32, 604]) as u32;
    let done = exchange(&mut g, [give, 8, 0, 0, OWN], [get, 2, 2, 0, OWN], 0);
    assert_eq!(done, (0, 8));
    let blocks: [u32; 2] = g.read(get.into());
    for (block, pfn) in blocks.iter().zip([600, 604]) {
        assert_eq!(block % 4, 0);
        for frame in 0..4 {
            let mfn = Mfn::new(u64::from(block + frame));
            assert_eq!(g.sys.memory.m2p(mfn), pfn + u64::from(frame));
            assert!(g.machine().words(mfn).iter().all(|w| w.load(Ordering::Relaxed) == 0));
        }
    }
    check::invariants(&g.sys);
    let singles = g.arg(&[700_u32, 701, 702, 703, 704, 705, 706, 707]) as u32;
    let done = exchange(&mut g, [get, 2, 2, 0, OWN], [singles, 8, 0, 0, OWN], 0);
    assert_eq!(done, (0, 2));
    assert_eq!(g.domain().pages.load(Ordering::Relaxed), 320);
    assert_eq!(g.sys.memory.free_and_total().0, before);
    check::invariants(&g.sys);
}

/// XSA-29, XSA-158, XSA-159, XSA-212: orders, lists and their addresses.
#[test]
fn exchanges_that_are_refused_change_nothing() {
    let mut g = guest();
    let page = g.page();
    let mfns = [unmapped_page(&mut g).raw() as u32, unmapped_page(&mut g).raw() as u32];
    let give = g.arg(&mfns) as u32;
    let get = g.arg(&[600_u32, 601]) as u32;
    let before = g.sys.memory.free_and_total();
    let root = g.root.raw() as u32;
    let in_use = g.arg(&[mfns[0], page.mfn.raw() as u32]) as u32;
    let table = g.arg(&[mfns[0], root]) as u32;
    let twice = g.arg(&[mfns[0], mfns[0]]) as u32;
    let nowhere = g.va_of(g.root) as u32;
    for (what, give, get, exchanged, expected) in [
        ("too large an order", [give, 1, 10, 0, OWN], [get, 1, 10, 0, OWN], 0, EPERM),
        ("a wild order", [give, 1, 64, 0, OWN], [get, 1, 0, 0, OWN], 0, EPERM),
        ("lists of two lengths", [give, 2, 0, 0, OWN], [get, 1, 0, 0, OWN], 0, EINVAL),
        ("more than all", [give, 2, 0, 0, OWN], [get, 2, 0, 0, OWN], 3, EINVAL),
        ("two domains", [give, 2, 0, 0, OWN], [get, 2, 0, 0, 0], 0, EINVAL),
        ("no such domain", [give, 2, 0, 0, 9], [get, 2, 0, 0, 9], 0, ESRCH),
        ("no list", [0x1000, 2, 0, 0, OWN], [get, 2, 0, 0, OWN], 0, EFAULT),
        ("no second list", [give, 2, 0, 0, OWN], [0x1000, 2, 0, 0, OWN], 0, EFAULT),
        (
            "a list in the hypervisor",
            [0xf580_0000, 2, 0, 0, OWN],
            [0xffff_fffc, 2, 0, 0, OWN],
            0,
            EFAULT,
        ),
        ("frames below nothing", [give, 2, 0, 0, OWN], [get, 2, 0, 12, OWN], 0, EINVAL),
        ("a mapped frame", [in_use, 2, 0, 0, OWN], [get, 1, 1, 0, OWN], 0, EINVAL),
        ("a page table", [table, 2, 0, 0, OWN], [get, 1, 1, 0, OWN], 0, EINVAL),
        ("a frame twice", [twice, 2, 0, 0, OWN], [get, 1, 1, 0, OWN], 0, EINVAL),
        ("a list that is read-only", [give, 2, 0, 0, OWN], [nowhere, 1, 1, 0, OWN], 0, EFAULT),
    ] {
        let (result, _) = exchange(&mut g, give, get, exchanged);
        if what == "a list that is read-only" {
            // What cannot be told is done all the same, as on Xen.
            assert_eq!(result, expected, "{what}");
            continue;
        }
        assert_eq!(result, expected, "{what}");
        assert_eq!(g.sys.memory.free_and_total(), before, "{what}");
        check::invariants(&g.sys);
    }
    check::invariants(&g.sys);
}

#[test]
fn an_exchange_that_fails_says_how_far_it_came() {
    let mut g = guest();
    let mut mfns: Vec<u32> = (0..4).map(|_| unmapped_page(&mut g).raw() as u32).collect();
    mfns[2] = 0xffff_ffff;
    let give = g.arg(mfns.as_slice()) as u32;
    let get = g.arg(&[600_u32, 601, 602, 603]) as u32;
    let done = exchange(&mut g, [give, 4, 0, 0, OWN], [get, 4, 0, 0, OWN], 0);
    assert_eq!(done, (EINVAL, 2));
    assert!(g.continuations >= 2, "each chunk is a step");
    check::invariants(&g.sys);
}

#[test]
fn no_memory_for_an_exchange() {
    let mut g = guest();
    let mut held = Vec::new();
    while let Ok(mfn) = g.sys.memory.allocate(Owner::Hypervisor, 1) {
        held.push(mfn);
    }
    let mfns = [unmapped_page(&mut g).raw() as u32, unmapped_page(&mut g).raw() as u32];
    let give = g.arg(&mfns) as u32;
    let get = g.arg(&600_u32) as u32;
    let done = exchange(&mut g, [give, 2, 0, 0, OWN], [get, 1, 1, 0, OWN], 0);
    assert_eq!(done, (-12, 0), "ENOMEM");
    for mfn in held {
        g.sys.memory.release(mfn, 1);
    }
    check::invariants(&g.sys);
    let done = exchange(&mut g, [give, 2, 0, 0, OWN], [get, 1, 1, 0, OWN], 0);
    assert_eq!(done, (0, 2), "they are the domain's still");
}

#[test]
fn maps_that_a_domain_is_given() {
    let mut g = guest();
    let free = g.sys.memory.free_and_total().0;
    let entries = [[0_u32, 0, 0xa_0000, 0, 1], [0x10_0000, 0, 0x100_0000, 0, 1]];
    let buffer = g.arg(&entries) as u32;
    let told = g.arg(&[[0_u32; 5]; 3]);
    let ask = |g: &mut Guest, room: u32, buffer: u32| {
        let at = g.arg(&[room, buffer]);
        (g.call(nr::MEMORY_OP, &[XENMEM_MEMORY_MAP.into(), at]), g.read::<u32>(at))
    };
    let set = |g: &mut Guest, id: u32, count: u32, buffer: u32| {
        let at = g.arg(&[id, count, buffer]);
        g.call(nr::MEMORY_OP, &[XENMEM_SET_MEMORY_MAP.into(), at])
    };
    assert_eq!(ask(&mut g, 3, told as u32).0, ENOSYS);
    assert_eq!(set(&mut g, OWN, 2, buffer), 0);
    assert_eq!(ask(&mut g, 3, told as u32), (0, 2));
    assert_eq!(g.read::<[[u32; 5]; 2]>(told), entries);
    assert_eq!(ask(&mut g, 1, told as u32), (0, 1));
    assert_eq!(set(&mut g, OWN, 1, buffer), 0, "instead of the first");
    assert_eq!(ask(&mut g, 3, told as u32), (0, 1));
    assert_eq!(set(&mut g, OWN, 1025, buffer), EINVAL);
    assert_eq!(set(&mut g, OWN, 201, buffer), -12, "ENOMEM");
    assert_eq!(set(&mut g, 9, 1, buffer), ESRCH);
    assert_eq!(set(&mut g, OWN, 1, 0x1000), EFAULT);
    assert!(g.sys.memory.free_and_total().0 >= free - 2);
    let mut domu = Guest::with(Spec { id: 3, privileged: false, ..Spec::default() });
    assert_eq!(set(&mut domu, 0, 1, buffer), EPERM);
    // The firmware's is told without a buffer, too: how long it is.
    let at = g.arg(&[0_u32, 0]);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MACHINE_MEMORY_MAP.into(), at]), 0);
    let at = g.arg(&[1_u32, 5, 7]);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_RESERVED_DEVICE_MEMORY_MAP.into(), at]), 0);
    assert_eq!(g.read::<[u32; 2]>(at), [1, 0]);
    let at = g.arg(&[2_u32, 5, 7]);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_RESERVED_DEVICE_MEMORY_MAP.into(), at]), EINVAL);
}

#[test]
fn the_highest_page_is_what_the_kernel_says() {
    let mut g = guest();
    let at = g.arg(&OWN);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MAXIMUM_GPFN.into(), at]), 0);
    let offset = std::mem::offset_of!(pv_abi::x86_32::SharedInfo, arch)
        + std::mem::offset_of!(pv_abi::x86_32::ArchSharedInfo, max_pfn);
    let shared = g.domain().shared_info;
    g.machine().half_words(shared)[offset / 4].store(321, Ordering::Relaxed);
    assert_eq!(g.call(nr::MEMORY_OP, &[XENMEM_MAXIMUM_GPFN.into(), at]), 320);
    let later = u64::from(XENMEM_MAXIMUM_GPFN) | 1 << 6;
    assert_eq!(g.call(nr::MEMORY_OP, &[later, at]), EINVAL, "it is no continuation");
}

/// What translated guests alone have, by Xen's errnos.
#[test]
fn commands_for_others_than_pv_domains() {
    let mut g = guest();
    let zeros = g.arg(&[0_u32; 12]);
    let nobody = g.arg(&[77_u32; 12]);
    let op = |g: &mut Guest, command: u32, at: u64| g.call(nr::MEMORY_OP, &[command.into(), at]);
    for command in [XENMEM_ADD_TO_PHYSMAP, XENMEM_ADD_TO_PHYSMAP_BATCH, XENMEM_REMOVE_FROM_PHYSMAP]
    {
        assert_eq!(op(&mut g, command, zeros), -13, "EACCES, {command}");
        assert_eq!(op(&mut g, command, 0x1000), EFAULT);
        assert_eq!(op(&mut g, command, nobody), ESRCH);
    }
    for command in [XENMEM_ADD_TO_PHYSMAP, XENMEM_ADD_TO_PHYSMAP_BATCH] {
        assert_eq!(op(&mut g, command | 0x1_0000 << 6, zeros), -33, "EDOM");
    }
    let foreign = g.arg(&[0_u32, XENMAPSPACE_GMFN_FOREIGN, 0, 0]);
    assert_eq!(op(&mut g, XENMEM_ADD_TO_PHYSMAP, foreign), ENOSYS);
    let range = g.arg(&[XENMAPSPACE_GMFN_RANGE << 16, 0, 0, 0, 0]);
    assert_eq!(op(&mut g, XENMEM_ADD_TO_PHYSMAP_BATCH, range), -95, "EOPNOTSUPP");
    for command in [XENMEM_GET_POD_TARGET, XENMEM_SET_POD_TARGET] {
        assert_eq!(op(&mut g, command, zeros), EINVAL);
        assert_eq!(op(&mut g, command, 0x1000), EFAULT);
    }
    assert_eq!(op(&mut g, XENMEM_GET_VNUMAINFO, zeros), -95, "EOPNOTSUPP");
    let padded = g.arg(&[0x1_0000_u32, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(op(&mut g, XENMEM_GET_VNUMAINFO, padded), EINVAL);
    assert_eq!(op(&mut g, XENMEM_ACQUIRE_RESOURCE, zeros), EPERM);
    assert_eq!(op(&mut g, XENMEM_ACQUIRE_RESOURCE, nobody), EINVAL, "padding");
    for command in [
        XENMEM_ACCESS_OP,
        XENMEM_PAGING_OP,
        XENMEM_SHARING_OP,
        XENMEM_GET_SHARING_FREED_PAGES,
        XENMEM_GET_SHARING_SHARED_PAGES,
    ] {
        assert_eq!(op(&mut g, command, zeros), ENOSYS, "{command}");
    }
    let claim = |g: &mut Guest, argument: [u32; 5]| {
        let at = g.arg(&argument);
        g.call(nr::MEMORY_OP, &[XENMEM_CLAIM_PAGES.into(), at])
    };
    assert_eq!(claim(&mut g, [0, 0, 0, 0, 0]), 0);
    assert_eq!(claim(&mut g, [0, 5, 0, 0, 0]), -12, "ENOMEM");
    for wrong in [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 77]] {
        assert_eq!(claim(&mut g, wrong), EINVAL);
    }
}
