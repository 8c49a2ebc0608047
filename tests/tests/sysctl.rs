//! `sysctl`: what domain 0 asks of the machine.

use std::sync::Arc;

use hypervisor::console_ring::KEPT;
use hypervisor::domain::MAX_DOMAINS;
use hypervisor::hypercall;
use hypervisor::platform::Console;
use hypervisor::trace::{self, counters::NAMES};
use hypervisor::width::Width;
use hypervisor::{debug_keys, reports, sched};
use pv_abi::domctl::{
    Bitmap, Getdomaininfo, XEN_DOMCTL_DESTROYDOMAIN, XEN_DOMCTL_PAUSEDOMAIN,
    XEN_DOMCTL_UNPAUSEDOMAIN, XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2,
};
use pv_abi::hypercall as nr;
use pv_abi::sysctl::*;
use pv_abi::types::DomId;
use pv_tests::boot;
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use zerocopy::{FromZeros, IntoBytes};

const EPERM: i64 = -1;
const ENOENT: i64 = -2;
const ESRCH: i64 = -3;
const E2BIG: i64 = -7;
const EACCES: i64 = -13;
const EFAULT: i64 = -14;
const EBUSY: i64 = -16;
const ENODEV: i64 = -19;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const EOPNOTSUPP: i64 = -95;

/// A page that can be read and not written.
fn read_only(g: &Guest) -> u64 {
    g.va_of(g.root)
}

#[test]
fn who_may_call_and_how() {
    for width in [Width::Pv32, Width::Pv64] {
        let mut g = Guest::with(Spec { width, ..Spec::default() });
        assert_eq!(g.call(nr::SYSCTL, &[0x1000]), EFAULT);
        let at = g.arg(&[[0_u32; 34]]);
        g.write(at, &[XEN_SYSCTL_PHYSINFO, XEN_SYSCTL_INTERFACE_VERSION - 1]);
        assert_eq!(g.call(nr::SYSCTL, &[at]), EACCES);
        for cmd in [0, 13, 24, 28, 30, u32::MAX] {
            assert_eq!(g.sysctl(cmd, &0_u32).0, ENOSYS, "{cmd}");
        }
        assert_eq!(g.sysctl(XEN_SYSCTL_SCHED_ID, &0_u32), (0, XEN_SCHEDULER_CREDIT));
    }
}

#[test]
fn only_a_privileged_domain_may() {
    let g = Guest::toolstack(1);
    let mut domu =
        Guest::on(Arc::clone(&g.sys), Spec { id: 5, privileged: false, ..Spec::default() });
    for cmd in 0..32 {
        assert_eq!(domu.sysctl(cmd, &0_u32).0, EPERM, "{cmd}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_fault() {
    let mut g = Guest::toolstack(1);
    let page = g.page();
    let op = [XEN_SYSCTL_SCHED_ID, XEN_SYSCTL_INTERFACE_VERSION];
    // Bytes 136 of it reach into the next page, which is a page table.
    let last = g.page_at(g.frames.len() as u64 - g.tables.len() as u64 - 1);
    g.write(last.va + 4096 - 64, &op);
    assert_eq!(g.call(nr::SYSCTL, &[last.va + 4096 - 64]), EFAULT);
    g.write(page.va, &op);
    assert_eq!(g.call(nr::SYSCTL, &[page.va]), 0);
}

#[test]
fn the_machine_in_numbers() {
    let mut g = Guest::toolstack(2);
    let (result, info) = g.sysctl(XEN_SYSCTL_PHYSINFO, &Physinfo::new_zeroed());
    let (free, _) = g.sys.memory.free_and_total();
    assert_eq!(result, 0);
    assert_eq!((info.nr_cpus, info.max_cpu_id), (2, 1));
    assert_eq!((info.threads_per_core, info.cores_per_socket), (1, 2));
    assert_eq!((info.nr_nodes, info.max_node_id), (1, 0));
    assert_eq!(info.cpu_khz, 1_000_000, "its TSC counts nanoseconds");
    assert_eq!(
        info.capabilities,
        XEN_SYSCTL_PHYSCAP_PV | XEN_SYSCTL_PHYSCAP_GNTTAB_V1 | XEN_SYSCTL_PHYSCAP_GNTTAB_V2
    );
    assert_eq!((info.total_pages, info.free_pages), (boot::FRAMES as u64, free));
    assert_eq!((info.scrub_pages, info.outstanding_pages, info.arch_capabilities), (0, 0, 0));
    assert_eq!(info.max_mfn, boot::FRAMES as u64 - 1);
    assert_eq!(info.hw_cap, [!0, !0, !0, !0, 0xf, !0, !0, !0]);
}

#[test]
fn the_scale_of_the_clock_gives_its_rate() {
    use hypervisor::machine::time_scale::TimeScale;
    use hypervisor::platform::PvClock;
    for khz in [1_u32, 999_999, 1_000_000, 2_893_202, 4_000_000] {
        let scale = TimeScale::from_hz(u64::from(khz) * 1000);
        let clock = PvClock {
            tsc_timestamp: 0,
            system_time: 0,
            tsc_to_system_mul: scale.mul_frac,
            tsc_shift: scale.shift,
            tsc_stable: true,
        };
        assert!(clock.tsc_khz().abs_diff(khz) <= 1, "{khz}: {}", clock.tsc_khz());
    }
    let broken = PvClock {
        tsc_timestamp: 0,
        system_time: 0,
        tsc_to_system_mul: 0,
        tsc_shift: -128,
        tsc_stable: true,
    };
    assert_eq!(broken.tsc_khz(), 0);
}

#[test]
fn free_memory_is_told() {
    let mut g = Guest::toolstack(1);
    let ask = |g: &mut Guest, node, min_bitwidth, max_bitwidth| {
        let ask = Availheap { min_bitwidth, max_bitwidth, node, _pad: 0, avail_bytes: 7 };
        let (result, after) = g.sysctl(XEN_SYSCTL_AVAILHEAP, &ask);
        (result, after.avail_bytes)
    };
    let free = g.sys.memory.free_and_total().0 << 12;
    assert_eq!(ask(&mut g, -1, 0, 0), (0, free));
    assert_eq!(ask(&mut g, 0, 0, 0), (0, free));
    assert_eq!(ask(&mut g, 1, 0, 0), (0, 0));
    assert_eq!(ask(&mut g, i32::MIN, 0, 0), (0, 0));
    assert_eq!(ask(&mut g, -1, 0, 32).0, EOPNOTSUPP);
    assert_eq!(ask(&mut g, -1, 32, 0).0, EOPNOTSUPP);
}

#[test]
fn cpus_are_told_with_their_places_and_idle_times() {
    let mut g = Guest::toolstack(2);
    let at = g.page_at(20).va;
    let places = |g: &mut Guest, num_cpus, cputopo| {
        let (result, after) =
            g.sysctl(XEN_SYSCTL_CPUTOPOINFO, &Cputopoinfo { num_cpus, _pad: 0, cputopo });
        (result, after.num_cpus)
    };
    assert_eq!(places(&mut g, 77, 0), (0, 2), "how many there are");
    g.write(at, &[0xee_u8; 64]);
    assert_eq!(places(&mut g, u32::MAX, at), (0, 2));
    assert_eq!(g.read::<[u32; 7]>(at), [0, 0, 0, 1, 0, 0, 0xeeee_eeee]);
    assert_eq!(places(&mut g, 1, at), (0, 1));
    assert_eq!(places(&mut g, 0, at), (0, 0));
    let nowhere = read_only(&g);
    assert_eq!(places(&mut g, 1, nowhere).0, EFAULT);
    assert_eq!(places(&mut g, 2, u64::MAX - 3).0, EFAULT);

    // CPU 1 idles for a while, as its loop in `arch` says, and begins anew.
    let sys = Arc::clone(&g.sys);
    sched::idle::begin(&sys, 1);
    g.machine().advance_ns(1000);
    sched::idle::end(&sys, 1);
    g.machine().advance_ns(50);
    sched::idle::begin(&sys, 1);
    g.machine().advance_ns(7);
    let idle = |g: &mut Guest, max_cpus, info| {
        let ask = Getcpuinfo { max_cpus, info, ..Getcpuinfo::new_zeroed() };
        let (result, after) = g.sysctl(XEN_SYSCTL_GETCPUINFO, &ask);
        (result, after.nr_cpus)
    };
    assert_eq!(idle(&mut g, u32::MAX, at), (0, 2));
    assert_eq!(g.read::<[u64; 2]>(at), [0, 1007]);
    assert_eq!(idle(&mut g, 1, at), (0, 1));
    assert_eq!(idle(&mut g, 0, 0), (0, 0));
    assert_eq!(idle(&mut g, 1, nowhere).0, EFAULT);
}

#[test]
fn there_is_one_node() {
    let mut g = Guest::toolstack(1);
    let at = g.page_at(20).va;
    let ask = |g: &mut Guest, num_nodes, meminfo, distance| {
        let ask = Numainfo { num_nodes, _pad: 0, meminfo, distance };
        let (result, after) = g.sysctl(XEN_SYSCTL_NUMAINFO, &ask);
        (result, after.num_nodes)
    };
    assert_eq!(ask(&mut g, 0, 0, 0), (0, 1));
    assert_eq!(ask(&mut g, 0, at, at), (0, 0));
    assert_eq!(ask(&mut g, 64, at, at + 16), (0, 1));
    let free = g.sys.memory.free_and_total().0 << 12;
    assert_eq!(g.read::<[u64; 2]>(at), [(boot::FRAMES as u64) << 12, free]);
    assert_eq!(g.read::<u32>(at + 16), 10);
    let nowhere = read_only(&g);
    assert_eq!(ask(&mut g, 1, nowhere, 0).0, EFAULT);
    assert_eq!(ask(&mut g, 1, 0, nowhere).0, EFAULT);
}

#[test]
fn domains_are_listed_page_by_page() {
    let mut g = Guest::toolstack(1);
    let first = g.build_domain(16).id;
    let second = g.new_domain(2, 8);
    let at = g.page_at(20).va;
    let list = |g: &mut Guest, from: DomId, max_domains, buffer| {
        let ask = Getdomaininfolist {
            first_domain: from,
            max_domains,
            buffer,
            ..Getdomaininfolist::new_zeroed()
        };
        let (result, after) = g.sysctl(XEN_SYSCTL_GETDOMAININFOLIST, &ask);
        (result, after.num_domains)
    };
    let told = |g: &Guest, count: u64| {
        let size = size_of::<Getdomaininfo>() as u64;
        (0..count).map(|i| g.read::<Getdomaininfo>(at + i * size)).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut g, DomId::new(0), 1024, at), (0, 3));
    let all = told(&g, 3);
    assert_eq!(
        all.iter().map(|info| info.domain).collect::<Vec<_>>(),
        [DomId::new(0), first, second]
    );
    assert_eq!(Ok(all[1]), g.about(first), "as domctl tells");
    assert_eq!(Ok(all[2]), g.about(second));
    // Two at a time, as a toolstack goes on.
    assert_eq!(list(&mut g, DomId::new(0), 2, at), (0, 2));
    let last = told(&g, 2)[1].domain;
    assert_eq!(list(&mut g, DomId::new(last.raw() + 1), 2, at), (0, 1));
    assert_eq!(told(&g, 1)[0].domain, second);
    assert_eq!(list(&mut g, DomId::new(second.raw() + 1), 2, at), (0, 0));
    assert_eq!(list(&mut g, DomId::new(u16::MAX), 2, at), (0, 0));
    assert_eq!(list(&mut g, DomId::new(0), 0, 0), (0, 0));
    let nowhere = read_only(&g);
    assert_eq!(list(&mut g, DomId::new(0), 1, nowhere).0, EFAULT);
    assert_eq!(list(&mut g, DomId::new(0), u32::MAX, u64::MAX - 8).0, EFAULT);
    check::invariants(&g.sys);
}

/// Reads the log: result, text, index.
fn read_log(g: &mut Guest, ask: Readconsole, room: u32) -> (i64, String, u32) {
    let at = g.page_at(20).va;
    let ask = Readconsole { buffer: at, count: room, ..ask };
    let (result, after) = g.sysctl(XEN_SYSCTL_READCONSOLE, &ask);
    let text: Vec<u8> = (0..u64::from(after.count)).map(|i| g.read::<u8>(at + i)).collect();
    (result, String::from_utf8(text).expect("text"), after.index)
}

#[test]
fn the_log_is_read_whole_in_parts_and_forgotten() {
    let mut g = Guest::toolstack(1);
    let whole = Readconsole::new_zeroed();
    assert_eq!(read_log(&mut g, whole, 100), (0, String::new(), 0));
    g.machine().ring().put(b"(FR) one\n(FR) two\n");
    assert_eq!(read_log(&mut g, whole, 100), (0, "(FR) one\n(FR) two\n".into(), 18));
    assert_eq!(read_log(&mut g, whole, 9), (0, "(FR) one\n".into(), 9), "no room for more");
    let go_on = |index| Readconsole { incremental: 1, index, ..whole };
    assert_eq!(read_log(&mut g, go_on(9), 100), (0, "(FR) two\n".into(), 18));
    assert_eq!(read_log(&mut g, go_on(18), 100), (0, String::new(), 18));
    assert_eq!(read_log(&mut g, go_on(19), 4), (0, "(FR)".into(), 4), "no such index: all");
    let clear = Readconsole { clear: 1, ..whole };
    assert_eq!(read_log(&mut g, clear, 9), (0, "(FR) one\n".into(), 9));
    assert_eq!(read_log(&mut g, whole, 100), (0, "(FR) two\n".into(), 18), "the rest stays");
    assert_eq!(read_log(&mut g, go_on(3), 100), (0, "(FR) two\n".into(), 18), "what is gone");
    let nowhere = read_only(&g);
    let bad = Readconsole { buffer: nowhere, count: 8, clear: 1, ..whole };
    assert_eq!(g.sysctl(XEN_SYSCTL_READCONSOLE, &bad).0, EFAULT);
    let bad = Readconsole { buffer: u64::MAX - 2, ..bad };
    assert_eq!(g.sysctl(XEN_SYSCTL_READCONSOLE, &bad).0, EFAULT);
    assert_eq!(read_log(&mut g, clear, 100).1, "(FR) two\n", "nothing was forgotten");
    assert_eq!(read_log(&mut g, whole, 100), (0, String::new(), 18));
    assert_eq!(g.machine().take_output(), "");
}

#[test]
fn a_full_log_has_the_latest_words() {
    let mut g = Guest::toolstack(1);
    for line in 0..5000 {
        g.machine().ring().put(format!("line {line:04}\n").as_bytes());
    }
    let at = g.page_at(20).va;
    let ask = Readconsole { buffer: at, count: u32::MAX, ..Readconsole::new_zeroed() };
    let (result, after) = g.sysctl(XEN_SYSCTL_READCONSOLE, &ask);
    assert_eq!((result, after.count, after.index), (0, KEPT, 50_000));
    let end: Vec<u8> = (0..10).map(|i| g.read::<u8>(at + u64::from(KEPT) - 10 + i)).collect();
    assert_eq!(end, b"line 4999\n");
}

#[test]
fn debug_keys_are_pressed() {
    let mut g = Guest::toolstack(1);
    let keys = |g: &mut Guest, text: &[u8]| {
        let at = g.arg(text);
        let ask = DebugKeys { keys: at, nr_keys: text.len() as u32, _pad: 0 };
        g.sysctl(XEN_SYSCTL_DEBUG_KEYS, &ask).0
    };
    assert_eq!(keys(&mut g, b"q"), 0, "nobody has said what keys there are");
    g.sys.press_key.call_once(|| {
        |sys, regs, key| {
            assert_ne!(regs.cs, 0, "who was interrupted");
            let mut out = String::new();
            debug_keys::press(&[&reports::keys()], key, sys, &mut out).expect("a string takes all");
            sys.platform.ring().put(out.as_bytes());
        }
    });
    assert_eq!(keys(&mut g, b"mqx"), 0);
    let (_, text, _) = read_log(&mut g, Readconsole::new_zeroed(), 4096);
    assert!(text.contains("heap:") && text.contains("d0:"), "{text}");
    assert!(text.contains("no debug key 'x'"), "{text}");
    assert_eq!(keys(&mut g, &[b'x'; 16]), 0);
    assert_eq!(keys(&mut g, &[b'x'; 17]), E2BIG);
    let none = DebugKeys { keys: 0x1000, nr_keys: 0, _pad: 0 };
    assert_eq!(g.sysctl(XEN_SYSCTL_DEBUG_KEYS, &none).0, 0);
    assert_eq!(g.sysctl(XEN_SYSCTL_DEBUG_KEYS, &DebugKeys { nr_keys: 1, ..none }).0, EFAULT);
}

#[test]
fn there_is_one_pool_of_cpus() {
    let mut g = Guest::toolstack(2);
    g.build_domain(16);
    let at = g.page_at(20).va;
    let map = Bitmap { bitmap: at, nr_bits: 16, _pad: 0 };
    let base = CpupoolOp { cpumap: map, ..CpupoolOp::new_zeroed() };
    let op = |g: &mut Guest, op, change: &dyn Fn(&mut CpupoolOp)| {
        let mut ask = CpupoolOp { op, ..base };
        change(&mut ask);
        g.sysctl(XEN_SYSCTL_CPUPOOL_OP, &ask)
    };
    g.write(at, &[0xee_u8; 4]);
    let (result, info) = op(&mut g, XEN_SYSCTL_CPUPOOL_OP_INFO, &|_| {});
    assert_eq!(
        (result, info.cpupool_id, info.sched_id, info.n_dom),
        (0, 0, XEN_SCHEDULER_CREDIT, 2)
    );
    assert_eq!(g.read::<[u8; 4]>(at), [3, 0, 0xee, 0xee]);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_INFO, &|a| a.cpupool_id = 1).0, ENOENT);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_INFO, &|a| a.cpumap.bitmap = 0x1000).0, EFAULT);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_FREEINFO, &|_| {}).0, 0);
    assert_eq!(g.read::<[u8; 4]>(at), [0, 0, 0xee, 0xee]);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_CREATE, &|_| {}).0, EOPNOTSUPP);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_DESTROY, &|_| {}).0, EBUSY);
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_DESTROY, &|a| a.cpupool_id = 7).0, ENOENT);
    let any = XEN_SYSCTL_CPUPOOL_PAR_ANY;
    for (cpu, add, take) in [(0, ENODEV, EBUSY), (2, EINVAL, EINVAL), (any, ENODEV, EBUSY)] {
        assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_ADDCPU, &|a| a.cpu = cpu).0, add, "{cpu}");
        assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_RMCPU, &|a| a.cpu = cpu).0, take, "{cpu}");
    }
    assert_eq!(op(&mut g, XEN_SYSCTL_CPUPOOL_OP_RMCPU, &|a| a.cpupool_id = 1).0, ENOENT);
    let moved = |g: &mut Guest, domid, cpupool_id| {
        op(g, XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, &|a| (a.domid, a.cpupool_id) = (domid, cpupool_id))
            .0
    };
    assert_eq!(
        (moved(&mut g, 1, 0), moved(&mut g, 1, 1)),
        (0, ENOENT),
        "where it is, and elsewhere"
    );
    assert_eq!((moved(&mut g, 9, 0), moved(&mut g, 0x1_0001, 0)), (ESRCH, ESRCH));
    for unknown in [0, 8, u32::MAX] {
        assert_eq!(op(&mut g, unknown, &|_| {}).0, ENOSYS);
    }
}

#[test]
fn how_long_a_turn_is() {
    let mut g = Guest::toolstack(1);
    let op = |g: &mut Guest, cpupool_id, sched_id, cmd| {
        let ask = SchedulerOp { cpupool_id, sched_id, cmd, ..SchedulerOp::new_zeroed() };
        let (result, after) = g.sysctl(XEN_SYSCTL_SCHEDULER_OP, &ask);
        (result, after.credit.tslice_ms)
    };
    let (get, put) = (XEN_SYSCTL_SCHEDOP_GETINFO, XEN_SYSCTL_SCHEDOP_PUTINFO);
    assert_eq!(op(&mut g, 0, XEN_SCHEDULER_CREDIT, get), (0, 5));
    assert_eq!(op(&mut g, 0, XEN_SCHEDULER_CREDIT, put).0, EOPNOTSUPP);
    assert_eq!(op(&mut g, 1, XEN_SCHEDULER_CREDIT, get).0, ESRCH);
    assert_eq!(op(&mut g, 0, XEN_SCHEDULER_CREDIT2, get).0, EINVAL);
    assert_eq!(op(&mut g, 0, XEN_SCHEDULER_CREDIT, 2).0, EINVAL);
}

/// One counter's values, by domain.
fn counted(g: &mut Guest, cmd: u32, name: &str) -> Vec<u32> {
    let (desc, val) = (g.page_at(20).va, g.page_at(24).va);
    let ask = PerfcOp { cmd, desc, val, ..PerfcOp::new_zeroed() };
    let (result, after) = g.sysctl(XEN_SYSCTL_PERFC_OP, &ask);
    assert_eq!((result, after.nr_counters as usize), (0, NAMES.len()));
    let mut first = 0;
    for index in 0..u64::from(after.nr_counters) {
        let counter: PerfcDesc = g.read(desc + index * 84);
        let length = counter.name.iter().position(|b| *b == 0).expect("its end");
        if &counter.name[..length] == name.as_bytes() {
            return (0..u64::from(counter.nr_vals))
                .map(|i| g.read(val + (first + i) * 4))
                .collect();
        }
        first += u64::from(counter.nr_vals);
    }
    panic!("no counter {name}");
}

#[test]
fn what_happens_to_domains_is_counted_on_demand() {
    let mut g = Guest::toolstack(1);
    let none = PerfcOp { cmd: XEN_SYSCTL_PERFCOP_QUERY, ..PerfcOp::new_zeroed() };
    assert_eq!(g.sysctl(XEN_SYSCTL_PERFC_OP, &none).0, ENOSYS, "nothing is counted");
    g.sys.trace.count();
    let mut domu = Guest::on(
        Arc::clone(&g.sys),
        Spec { id: 5, privileged: false, pages: 64, ..Spec::default() },
    );
    for _ in 0..3 {
        domu.set_call(nr::XEN_VERSION, &[0, 0]);
        domu.enter(hypercall::traced::enter);
    }
    g.load();
    let (result, after) = g.sysctl(XEN_SYSCTL_PERFC_OP, &none);
    assert_eq!(result, 0, "how many there are");
    assert_eq!((after.nr_counters, after.nr_vals), (7, 7 * MAX_DOMAINS as u32));
    let calls = counted(&mut g, XEN_SYSCTL_PERFCOP_QUERY, "hypercalls");
    assert_eq!((calls[5], calls[0], calls.iter().sum::<u32>()), (3, 0, 3));
    assert_eq!(counted(&mut g, XEN_SYSCTL_PERFCOP_RESET, "hypercalls")[5], 3, "told, then reset");
    assert_eq!(counted(&mut g, XEN_SYSCTL_PERFCOP_QUERY, "hypercalls")[5], 0);
    let nowhere = read_only(&g);
    let ok = g.page_at(20).va;
    for (cmd, desc, val, expected) in [
        (0, 0, 0, EINVAL),
        (3, ok, ok, EINVAL),
        (XEN_SYSCTL_PERFCOP_QUERY, nowhere, ok, EFAULT),
        (XEN_SYSCTL_PERFCOP_QUERY, ok, nowhere, EFAULT),
    ] {
        let ask = PerfcOp { cmd, desc, val, ..PerfcOp::new_zeroed() };
        assert_eq!(g.sysctl(XEN_SYSCTL_PERFC_OP, &ask).0, expected);
    }
    assert!(g.sys.trace.ring(0).is_none(), "counting keeps no records");
}

#[test]
fn the_trace_stops_and_goes_on() {
    let mut g = Guest::toolstack(1);
    let op = |g: &mut Guest, cmd| {
        let (result, after) = g.sysctl(XEN_SYSCTL_TBUF_OP, &TbufOp { cmd, ..TbufOp::new_zeroed() });
        (result, after.buffer_mfn, after.size)
    };
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_GET_INFO), (0, 0, 0));
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_ENABLE).0, EINVAL, "there is no place for records");
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_SET_SIZE).0, EOPNOTSUPP);
    trace::begin(&*g.sys, 16 << 12).expect("there is memory");
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_SET_SIZE).0, EBUSY);
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_DISABLE).0, 0);
    assert!(!g.sys.trace.is_on());
    assert_eq!(op(&mut g, XEN_SYSCTL_TBUFOP_ENABLE).0, 0);
    assert!(g.sys.trace.keeps_records());
    for cmd in [XEN_SYSCTL_TBUFOP_SET_CPU_MASK, XEN_SYSCTL_TBUFOP_SET_EVT_MASK] {
        assert_eq!(op(&mut g, cmd).0, EOPNOTSUPP);
    }
    assert_eq!(op(&mut g, 6).0, EINVAL);
}

#[test]
fn what_there_is_not_is_refused_as_by_xen() {
    let mut g = Guest::toolstack(1);
    for cmd in
        [XEN_SYSCTL_GET_PMSTAT, XEN_SYSCTL_PM_OP, XEN_SYSCTL_PSR_CMT_OP, XEN_SYSCTL_PSR_ALLOC]
    {
        assert_eq!(g.sysctl(cmd, &0_u32).0, ENODEV, "{cmd}");
    }
    for cmd in [
        XEN_SYSCTL_CPU_HOTPLUG,
        XEN_SYSCTL_PAGE_OFFLINE_OP,
        XEN_SYSCTL_COVERAGE_OP,
        XEN_SYSCTL_GET_CPU_FEATURESET,
        XEN_SYSCTL_GET_CPU_POLICY,
    ] {
        assert_eq!(g.sysctl(cmd, &0_u32).0, EOPNOTSUPP, "{cmd}");
    }
    for cmd in [XEN_SYSCTL_LOCKPROF_OP, XEN_SYSCTL_LIVEPATCH_OP, XEN_SYSCTL_PCITOPOINFO] {
        assert_eq!(g.sysctl(cmd, &0_u32).0, ENOSYS, "{cmd}");
    }
    let (result, caps) = g.sysctl(XEN_SYSCTL_GET_CPU_LEVELLING_CAPS, &CpuLevellingCaps { caps: 9 });
    assert_eq!((result, caps.caps), (0, 0));
}

/// A structure in memory that another vCPU changes: it is read once.
#[test]
fn any_bytes_are_an_argument() {
    let mut g = Guest::toolstack(2);
    let made = g.build_domain(16).id;
    let at = g.page_at(20).va;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..4000_u32 {
        let mut op = Sysctl {
            cmd: round % 31,
            interface_version: XEN_SYSCTL_INTERFACE_VERSION,
            u: [0; 128],
        };
        for word in op.u.chunks_exact_mut(8) {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = match seed >> 60 {
                0..4 => 0,
                4..8 => at,
                8..10 => seed >> 33,
                10..12 => u64::from(u32::MAX),
                12 => seed,
                _ => (seed >> 40) % 8,
            };
            word.copy_from_slice(&value.to_le_bytes());
        }
        let arg = g.arg(op.as_bytes());
        g.call(nr::SYSCTL, &[arg]);
    }
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made), 0);
    assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, made), 0);
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made), 0);
    check::invariants(&g.sys);
}
