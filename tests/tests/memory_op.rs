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
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), 0x1000]), EFAULT);
        assert_eq!(g.reservation(command, &[0], 0, DomId::new(9)).0, ESRCH);
        // An array that is not there: nothing is done, and nothing is lost.
        let (free, pages) =
            (g.sys.memory.free_and_total().0, g.domain().pages.load(Ordering::Relaxed));
        let arg = g.arg(&[0x1000_u32, 1, 0, 0, 0x7ff0]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), arg]), 0);
        assert_eq!(g.sys.memory.free_and_total().0, free);
        assert_eq!(g.domain().pages.load(Ordering::Relaxed), pages);
        // More than a machine has.
        let arg = g.arg(&[0x1000_u32, u32::MAX, 0, 0, 0x7ff0]);
        assert_eq!(g.call(nr::MEMORY_OP, &[command.into(), arg]), EINVAL);
    }
    let mut domu = Guest::with(Spec { id: 3, privileged: false, ..Spec::default() });
    assert_eq!(domu.reservation(XENMEM_POPULATE_PHYSMAP, &[0], 0, DomId::new(0)).0, EPERM);
    check::invariants(&g.sys);
}
