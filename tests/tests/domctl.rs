//! `domctl`: domains made, filled, paused, looked at and destroyed by domain 0.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::domain::MAX_DOMAINS;
use hypervisor::exit::Next;
use hypervisor::irq::pirq;
use hypervisor::mm::frame::{Owner, Type};
use hypervisor::platform::{Clock, FrameAccess, Mmu};
use hypervisor::sched::{self, State};
use hypervisor::time::wallclock;
use hypervisor::width::Width;
use pv_abi::domctl::*;
use pv_abi::event_channel::{
    EVTCHNOP_ALLOC_UNBOUND, EVTCHNOP_BIND_VIRQ, EvtchnAllocUnbound, EvtchnBindVirq,
};
use pv_abi::hypercall as nr;
use pv_abi::nmi::XENNMI_REGISTER_CALLBACK;
use pv_abi::types::{DomId, Mfn, Port, VcpuId};
use pv_abi::virq::{VIRQ_DOM_EXC, VIRQ_TIMER};
use pv_abi::x86_32::{VcpuGuestContext, XennmiCallback};
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use pv_tests::toolstack::{BASE, Made};
use zerocopy::FromZeros;

const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const E2BIG: i64 = -7;
const ENOMEM: i64 = -12;
const EACCES: i64 = -13;
const EFAULT: i64 = -14;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOSPC: i64 = -28;
const ENOSYS: i64 = -38;
const ENODATA: i64 = -61;
const EOVERFLOW: i64 = -75;
const EOPNOTSUPP: i64 = -95;

const SELF: DomId = DomId::new(0);
const NOBODY: DomId = DomId::new(77);
/// Where a guest's NMI handler is.
const HANDLER: u32 = 0xc000_4560;

fn free(g: &Guest) -> u64 {
    g.sys.memory.free_and_total().0
}

#[test]
fn who_may_call_and_how() {
    let mut g = Guest::toolstack(1);
    let nowhere = g.va_of(g.root);
    assert_eq!(g.call(nr::DOMCTL, &[nowhere]), EACCES, "another version");
    assert_eq!(g.call(nr::DOMCTL, &[0x1000]), EFAULT);
    let at = g.arg(&[[0_u32; 36]]);
    g.write(at, &[XEN_DOMCTL_PAUSEDOMAIN, XEN_DOMCTL_INTERFACE_VERSION - 1]);
    assert_eq!(g.call(nr::DOMCTL, &[at]), EACCES);
    for cmd in [0, 6, 7, 49, 80, 87, 1000, u32::MAX] {
        assert_eq!(g.command(cmd, SELF), ENOSYS, "{cmd}");
        assert_eq!(g.command(cmd, NOBODY), ESRCH, "{cmd}");
    }
    let mut domu =
        Guest::on(Arc::clone(&g.sys), Spec { id: 5, privileged: false, ..Spec::default() });
    for cmd in [XEN_DOMCTL_CREATEDOMAIN, XEN_DOMCTL_PAUSEDOMAIN, XEN_DOMCTL_DESTROYDOMAIN, 0] {
        assert_eq!(domu.command(cmd, SELF), EPERM, "{cmd}");
    }
    assert_eq!(domu.command(XEN_DOMCTL_PAUSEDOMAIN, NOBODY), ESRCH);
    assert_eq!(domu.command(XEN_DOMCTL_CREATEDOMAIN, NOBODY), EPERM);
    assert_eq!(domu.command(XEN_DOMCTL_GETDOMAININFO, NOBODY), EPERM);
    // Somebody else is at it: the call is made again.
    g.load();
    let sys = Arc::clone(&g.sys);
    let busy = sys.control.lock();
    g.set_call(nr::DOMCTL, &[at]);
    g.write(at, &[XEN_DOMCTL_GETDOMAININFO, XEN_DOMCTL_INTERFACE_VERSION]);
    assert_eq!(g.step(), None);
    drop(busy);
    assert_eq!(g.step(), Some(0));
}

#[test]
fn what_createdomain_refuses() {
    let mut g = Guest::toolstack(1);
    let before = free(&g);
    let mut refused = |what: &str, change: &dyn Fn(&mut Createdomain)| {
        let mut config = Guest::config(1);
        change(&mut config);
        let result = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &config).0;
        assert_eq!(result, EINVAL, "{what}");
    };
    for bit in [0, 1, 2, 5, 6, 7, 8, 31] {
        refused("a flag", &|c| c.flags = 1 << bit);
    }
    refused("IOMMU options", &|c| c.iommu_opts = 1);
    refused("no vCPUs", &|c| c.max_vcpus = 0);
    refused("too many vCPUs", &|c| c.max_vcpus = 33);
    refused("no grant version", &|c| c.grant_opts = 0);
    refused("grant version 3", &|c| c.grant_opts = 3);
    refused("grant options", &|c| c.grant_opts = 0x12);
    refused("a trace buffer", &|c| c.vmtrace_size = 4096);
    refused("a pool", &|c| c.cpupool_id = 1);
    refused("an emulated APIC", &|c| c.arch.emulation_flags = 1);
    refused("flags of x86", &|c| c.arch.misc_flags = 2);
    assert_eq!(free(&g), before);
    let mut config = Guest::config(1);
    config.flags = XEN_DOMCTL_CDF_OOS_OFF | XEN_DOMCTL_CDF_XS_DOMAIN;
    config.arch.emulation_flags = XEN_X86_EMU_PIT;
    config.arch.misc_flags = XEN_X86_MSR_RELAXED;
    let first = DomId::new(1);
    assert_eq!(g.domctl(XEN_DOMCTL_CREATEDOMAIN, first, &config).0, 0);
    let flags = |g: &mut Guest, id| g.about(id).map(|info| info.flags & XEN_DOMINF_XS_DOMAIN);
    assert_eq!((flags(&mut g, first), flags(&mut g, SELF)), (Ok(XEN_DOMINF_XS_DOMAIN), Ok(0)));
    assert_eq!(g.domctl(XEN_DOMCTL_CREATEDOMAIN, first, &config).0, EEXIST);
    let beyond = DomId::new(MAX_DOMAINS as u16);
    assert_eq!(g.domctl(XEN_DOMCTL_CREATEDOMAIN, beyond, &config).0, ENOSPC);
    // As on Xen the numbers of domains that could not be made are not given away at once.
    let (result, next, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, DomId::INVALID, &config);
    assert_eq!(result, 0);
    assert!(next > first && next < beyond);
    check::invariants(&g.sys);
}

#[test]
fn without_memory_nothing_is_made() {
    let mut g = Guest::toolstack(1);
    let mut held = Vec::new();
    while let Ok(mfn) = g.sys.memory.allocate(Owner::Hypervisor, 0) {
        held.push(mfn);
        if free(&g) < 3 {
            break;
        }
    }
    let before = free(&g);
    let config = Guest::config(1);
    assert_eq!(g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &config).0, ENOMEM);
    assert_eq!(free(&g), before);
    for mfn in held {
        g.sys.memory.release(mfn, 0);
    }
    check::invariants(&g.sys);
}

#[test]
fn a_domain_from_its_beginning_to_its_end() {
    let mut g = Guest::toolstack(1);
    let (before, windows) = (free(&g), g.sys.windows.taken());
    let made = g.build_domain(40);
    assert_eq!(made.id, DomId::new(1));
    check::invariants(&g.sys);
    let info = g.about(made.id).expect("it exists");
    assert_eq!(info.flags, XEN_DOMINF_PAUSED | 0xff << XEN_DOMINF_SHUTDOWNSHIFT);
    assert_eq!((info.tot_pages, info.max_pages), (40, 40));
    assert_eq!((info.nr_online_vcpus, info.max_vcpu_id), (1, 0));
    {
        let domain = g.sys.domain(made.id).expect("it exists");
        assert_eq!(domain.width(), Width::Pv32);
        let vcpu = domain.vcpu(VcpuId::new(0)).expect("it has one");
        assert_eq!(vcpu.run.state(), State::Runnable);
        assert!(vcpu.run.is_held() && vcpu.upcall_masked(&g.sys.platform));
        assert_eq!(vcpu.state.lock().regs.rip, BASE);
        assert_eq!(vcpu.state.lock().root, made.root());
    }
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), EINVAL);
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    assert_eq!(g.about(made.id), Err(ESRCH));
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), ESRCH);
    check::invariants(&g.sys);
    assert_eq!((free(&g), g.sys.windows.taken()), (before, windows), "nothing is lost");
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, SELF), EINVAL);
    assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, SELF), EINVAL);
    assert_eq!(g.command(XEN_DOMCTL_RESUMEDOMAIN, SELF), EINVAL);
}

#[test]
fn a_hundred_domains_leave_nothing_behind() {
    for cpus in [1, 2] {
        let mut g = Guest::toolstack(cpus);
        g.build_and_destroy();
        let (before, windows) = (free(&g), g.sys.windows.taken());
        for round in 0..100 {
            g.build_and_destroy();
            assert_eq!(free(&g), before, "{cpus} CPUs, round {round}");
        }
        assert_eq!(g.sys.windows.taken(), windows);
        check::invariants(&g.sys);
    }
}

trait Rounds {
    fn build_and_destroy(&mut self);
}

impl Rounds for Guest {
    fn build_and_destroy(&mut self) {
        let made = self.build_domain(24);
        assert_eq!(self.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
        assert_eq!(self.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
        assert_eq!(self.command(XEN_DOMCTL_PAUSEDOMAIN, made.id), ESRCH);
    }
}

#[test]
fn a_domain_that_runs_on_another_cpu_is_left_and_destroyed() {
    let mut g = Guest::toolstack(2);
    g.start_vcpu(1);
    g.run_as(0);
    g.machine().load_root(g.vcpu().state.lock().l4);
    let before = free(&g);
    let made = g.build_domain(24);
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
    let sys = Arc::clone(&g.sys);
    let cpu = {
        let vcpu = sys.domain(made.id).and_then(|d| d.vcpu(VcpuId::new(0))).expect("it is there");
        vcpu.run.cpu().expect("it is settled")
    };
    // Its CPU has it in its registers: the state is locked until it is told.
    g.machine().run_on(cpu);
    let ran = sched::next(&sys, cpu).map(|(domain, _)| domain.id);
    g.machine().run_on(0);
    if cpu != 0 {
        assert_eq!(ran, Some(made.id));
    }
    assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, made.id), 0);
    let vcpu = sys.domain(made.id).and_then(|d| d.vcpu(VcpuId::new(0))).expect("it is there");
    assert!(vcpu.run.is_held() && !vcpu.run.may_run_on());
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    assert_eq!(free(&g), before);
    check::invariants(&g.sys);
}

#[test]
fn pauses_are_counted() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    for _ in 1..255 {
        assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, made.id), 0);
    }
    assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, made.id), EOVERFLOW);
    for _ in 0..255 {
        assert_eq!(g.about(made.id).map(|i| i.flags & XEN_DOMINF_PAUSED), Ok(XEN_DOMINF_PAUSED));
        assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
    }
    assert_eq!(g.about(made.id).map(|i| i.flags & XEN_DOMINF_PAUSED), Ok(0));
    let domain = g.sys.domain(made.id).expect("it exists");
    assert!(!domain.vcpu(VcpuId::new(0)).expect("it has one").run.is_held());
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), EINVAL);
}

#[test]
fn the_width_is_decided_before_there_is_memory() {
    let mut g = Guest::toolstack(1);
    let (_, id, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &Guest::config(2));
    let set =
        |g: &mut Guest, size| g.domctl(XEN_DOMCTL_SET_ADDRESS_SIZE, id, &AddressSize { size }).0;
    let get = |g: &mut Guest| {
        let (result, _, after) =
            g.domctl(XEN_DOMCTL_GET_ADDRESS_SIZE, id, &AddressSize { size: 0 });
        (result, after.size)
    };
    assert_eq!(get(&mut g), (0, 64));
    assert_eq!((set(&mut g, 64), set(&mut g, 16), set(&mut g, 0)), (0, EINVAL, EINVAL));
    let max = |g: &mut Guest, max| g.domctl(XEN_DOMCTL_MAX_VCPUS, id, &MaxVcpus { max }).0;
    assert_eq!(
        (max(&mut g, 1), max(&mut g, 3), max(&mut g, 2), max(&mut g, 2)),
        (EINVAL, EINVAL, 0, 0)
    );
    assert_eq!((set(&mut g, 32), set(&mut g, 32), set(&mut g, 64)), (0, 0, EINVAL));
    assert_eq!(get(&mut g), (0, 32));
    let (_, wide, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &Guest::config(1));
    assert_eq!(g.domctl(XEN_DOMCTL_MAX_MEM, wide, &MaxMem { max_memkb: 16 }).0, 0);
    assert_eq!(g.populate(wide, 0, 5).len(), 4, "no more than its maximum");
    let size = AddressSize { size: 32 };
    assert_eq!(g.domctl(XEN_DOMCTL_SET_ADDRESS_SIZE, wide, &size).0, EACCES);
    assert_eq!(g.domctl(XEN_DOMCTL_MAX_VCPUS, SELF, &MaxVcpus { max: 32 }).0, EINVAL);
    check::invariants(&g.sys);
}

#[test]
fn contexts_are_set_and_told() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let buffer = g.page_at(21).va;
    let tell = |g: &mut Guest, id, vcpu, ctxt| {
        g.domctl(XEN_DOMCTL_GETVCPUCONTEXT, id, &Vcpucontext { vcpu, _pad: 0, ctxt }).0
    };
    assert_eq!(tell(&mut g, made.id, 0, buffer), 0);
    let context: VcpuGuestContext = g.read(buffer);
    assert_eq!(u64::from(context.user_regs.eip), BASE);
    assert_eq!(tell(&mut g, made.id, 1, buffer), EINVAL);
    assert_eq!(tell(&mut g, SELF, 0, buffer), EINVAL);
    let nowhere = g.va_of(g.root);
    assert_eq!(tell(&mut g, made.id, 0, nowhere), EFAULT);
    let empty = g.new_domain(2, 4);
    assert_eq!(tell(&mut g, empty, 1, buffer), ENODATA);
    let set = |g: &mut Guest, id, vcpu, ctxt| {
        g.domctl(XEN_DOMCTL_SETVCPUCONTEXT, id, &Vcpucontext { vcpu, _pad: 0, ctxt }).0
    };
    assert_eq!(set(&mut g, empty, 2, buffer), EINVAL);
    assert_eq!(set(&mut g, SELF, 0, buffer), EINVAL);
    assert_eq!(set(&mut g, empty, 0, 0), EOPNOTSUPP);
    assert_eq!(set(&mut g, empty, 0, 0x1000), EFAULT);
    assert_eq!(set(&mut g, empty, 0, buffer), EINVAL, "another domain's root");
    // Taken down from outside.
    let down = VcpuGuestContext { flags: 4, ..context };
    g.write(buffer, &down);
    assert_eq!(set(&mut g, made.id, 0, buffer), 0);
    let info = Getvcpuinfo { vcpu: 0, ..Getvcpuinfo::new_zeroed() };
    let (result, _, info) = g.domctl(XEN_DOMCTL_GETVCPUINFO, made.id, &info);
    assert_eq!((result, info.online, info.blocked, info.running), (0, 0, 0, 0));
    let ask = |g: &mut Guest, id, vcpu| {
        g.domctl(XEN_DOMCTL_GETVCPUINFO, id, &Getvcpuinfo { vcpu, ..Getvcpuinfo::new_zeroed() }).0
    };
    assert_eq!(ask(&mut g, made.id, 1), EINVAL);
    let (_, bare, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &Guest::config(2));
    assert_eq!(ask(&mut g, bare, 1), ESRCH);
    check::invariants(&g.sys);
}

#[test]
fn frames_are_told_by_their_types() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let [root, l2, top, l1] = made.frames[12..] else { panic!("four tables") };
    let shared = g.sys.domain(made.id).expect("it exists").shared_info;
    let own = g.frames[30];
    let all = [root, l2, top, l1, made.frames[0], shared, own, Mfn::new(0xffff_ffff)];
    let list = all.map(|mfn| mfn.raw() as u32);
    let at = g.arg(&list);
    let ask = |g: &mut Guest, num, array| {
        g.domctl(XEN_DOMCTL_GETPAGEFRAMEINFO3, made.id, &Getpageframeinfo3 { num, array }).0
    };
    assert_eq!(ask(&mut g, 8, at), 0);
    let no = XEN_DOMCTL_PFINFO_NOTAB;
    let not_its = XEN_DOMCTL_PFINFO_XTAB;
    let l2_type = XEN_DOMCTL_PFINFO_L2TAB;
    let expected = [
        XEN_DOMCTL_PFINFO_L3TAB,
        l2_type,
        l2_type,
        XEN_DOMCTL_PFINFO_L1TAB,
        no,
        not_its,
        not_its,
        not_its,
    ];
    assert_eq!(g.read::<[u32; 8]>(at), expected);
    assert_eq!(ask(&mut g, 1025, at), E2BIG);
    assert_eq!(ask(&mut g, 1, 0x1000), EFAULT);
    check::invariants(&g.sys);
}

#[test]
fn hypercall_pages_are_written_where_they_may() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let fill = |g: &mut Guest, mfn: Mfn| {
        g.domctl(XEN_DOMCTL_HYPERCALL_INIT, made.id, &HypercallInit { gmfn: mfn.raw() }).0
    };
    assert_eq!(fill(&mut g, made.frames[3]), 0);
    let bytes: Vec<u8> =
        g.machine().bytes(made.frames[3])[..8].iter().map(|b| b.load(Ordering::Relaxed)).collect();
    assert_eq!(bytes, [0xb8, 0, 0, 0, 0, 0xcd, 0x82, 0xc3]);
    assert_eq!(fill(&mut g, made.root()), EPERM);
    let own = g.frames[30];
    assert_eq!(fill(&mut g, own), EINVAL);
    check::invariants(&g.sys);
}

#[test]
fn settings() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let handle = [7; 16];
    assert_eq!(g.domctl(XEN_DOMCTL_SETDOMAINHANDLE, made.id, &Setdomainhandle { handle }).0, 0);
    assert_eq!(g.about(made.id).map(|info| info.handle), Ok(handle));
    let most = MaxMem { max_memkb: u64::MAX };
    assert_eq!(g.domctl(XEN_DOMCTL_MAX_MEM, made.id, &most).0, 0);
    assert_eq!(g.about(made.id).map(|info| info.max_pages), Ok(u64::from(u32::MAX - 1)));
    let set = |g: &mut Guest, virq| {
        g.domctl(XEN_DOMCTL_SET_VIRQ_HANDLER, made.id, &SetVirqHandler { virq }).0
    };
    assert_eq!(set(&mut g, VIRQ_DOM_EXC), 0);
    assert_eq!(g.sys.virq_handlers.of(VIRQ_DOM_EXC), made.id);
    assert_eq!((set(&mut g, VIRQ_TIMER), set(&mut g, 24)), (EINVAL, EINVAL));
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    assert_eq!(g.sys.virq_handlers.of(VIRQ_DOM_EXC), SELF, "it is domain 0's again");
    for cmd in
        [XEN_DOMCTL_SETHVMCONTEXT, XEN_DOMCTL_GETHVMCONTEXT, XEN_DOMCTL_GETHVMCONTEXT_PARTIAL]
    {
        assert_eq!(g.command(cmd, SELF), EINVAL);
    }
    for cmd in [XEN_DOMCTL_ASSIGN_DEVICE, XEN_DOMCTL_TEST_ASSIGN_DEVICE, XEN_DOMCTL_DEASSIGN_DEVICE]
    {
        assert_eq!(g.command(cmd, SELF), EOPNOTSUPP);
    }
}

#[test]
fn time_stamps_are_the_machines() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let khz = g.sys.platform.pvclock().tsc_khz();
    let info = |tsc_mode, gtsc_khz| TscInfo {
        tsc_mode,
        gtsc_khz,
        incarnation: 3,
        pad: 0,
        elapsed_nsec: 5,
    };
    let mut set = |id, mode, khz| g.domctl(XEN_DOMCTL_SETTSCINFO, id, &info(mode, khz)).0;
    assert_eq!(set(made.id, 0, 0), 0);
    assert_eq!(set(made.id, 0, khz), 0);
    assert_eq!(set(made.id, 0, khz + 1), EOPNOTSUPP, "another frequency");
    assert_eq!(set(made.id, 1, 0), EOPNOTSUPP, "always emulated");
    assert_eq!((set(made.id, 3, 0), set(SELF, 0, 0)), (EINVAL, EINVAL));
    assert_eq!(set(NOBODY, 0, 0), ESRCH);
    let (result, _, told) = g.domctl(XEN_DOMCTL_GETTSCINFO, made.id, &info(9, 9));
    assert_eq!((result, told.tsc_mode, told.gtsc_khz, told.incarnation), (0, 0, khz, 3));
    assert_eq!(told.elapsed_nsec, g.sys.platform.now_ns());
    assert_eq!(g.domctl(XEN_DOMCTL_SETTSCINFO, made.id, &info(2, 1)).0, 0, "never emulated");
    let told = g.domctl(XEN_DOMCTL_GETTSCINFO, made.id, &info(9, 9)).2;
    assert_eq!((told.tsc_mode, told.gtsc_khz, told.elapsed_nsec), (2, 0, 0));
    assert_eq!(g.domctl(XEN_DOMCTL_GETTSCINFO, SELF, &info(9, 9)).0, EINVAL);
}

#[test]
fn vcpus_have_no_msrs_to_take_along() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let mut ask = |cmd, id, vcpu, msr_count, msrs| {
        let (result, _, told) = g.domctl(cmd, id, &VcpuMsrs { vcpu, msr_count, msrs });
        (result, told.msr_count)
    };
    let (get, set) = (XEN_DOMCTL_GET_VCPU_MSRS, XEN_DOMCTL_SET_VCPU_MSRS);
    assert_eq!(ask(get, made.id, 0, 7, 0), (0, 0), "the most");
    assert_eq!(ask(get, made.id, 0, 7, 0x1000), (0, 0));
    assert_eq!(ask(set, made.id, 0, 0, 0x1000), (0, 0));
    assert_eq!(ask(set, made.id, 0, 1, 0x1000).0, EINVAL);
    for cmd in [get, set] {
        assert_eq!(ask(cmd, made.id, 1, 0, 0).0, ESRCH);
        assert_eq!(ask(cmd, SELF, 0, 0, 0).0, EINVAL);
    }
}

#[test]
fn a_wall_clock_is_ahead_or_behind() {
    let mut g = Guest::toolstack(1);
    g.machine().devices().wallclock_base_ns = 1_000_000_000_000 + 7;
    let made = g.build_domain(16);
    let told = |g: &Guest, id| {
        let words = g.machine().half_words(g.sys.domain(id).unwrap().shared_info);
        let word = |at: usize| u64::from(words[at / 4].load(Ordering::SeqCst));
        // pv32: seconds and nanoseconds behind the version, the high half at the end.
        (word(2308) | word(2340) << 32, word(2312))
    };
    for (time_offset_seconds, seconds) in
        [(3600, 4600), (-600, 400), (1 << 32, (1 << 32) + 1000), (0, 1000), (-1001, u64::MAX)]
    {
        let offset = Settimeoffset { time_offset_seconds };
        assert_eq!(g.domctl(XEN_DOMCTL_SETTIMEOFFSET, made.id, &offset).0, 0);
        assert_eq!(told(&g, made.id), (seconds, 7));
    }
    // It stays when the clock of the machine is set; domain 0's own is another.
    let offset = Settimeoffset { time_offset_seconds: 60 };
    assert_eq!(g.domctl(XEN_DOMCTL_SETTIMEOFFSET, made.id, &offset).0, 0);
    wallclock::set(&g.sys, 5000, 0, 0);
    assert_eq!((told(&g, made.id).0, told(&g, SELF).0), (5060, 5000));
    assert_eq!(g.domctl(XEN_DOMCTL_SETTIMEOFFSET, NOBODY, &offset).0, ESRCH);
}

#[test]
fn ports_and_device_memory_are_passed_on() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let ports = |g: &mut Guest, first_port, nr_ports, allow_access| {
        let argument = IoportPermission { first_port, nr_ports, allow_access, _pad: [0; 3] };
        g.domctl(XEN_DOMCTL_IOPORT_PERMISSION, made.id, &argument).0
    };
    assert_eq!(ports(&mut g, 0x3c0, 0x20, 1), 0);
    let domain = g.sys.domain(made.id).expect("it exists");
    assert!(domain.permissions.has_port_range(0x3c0, 0x3df));
    assert!(!domain.permissions.has_port_range(0x3c0, 0x3e0));
    assert_eq!(ports(&mut g, 0x3c0, 0x20, 0), 0);
    for (first, count) in [(0, 0), (0xffff, 2), (u32::MAX, 1), (1, u32::MAX)] {
        assert_eq!(ports(&mut g, first, count, 1), EINVAL, "{first:#x} {count:#x}");
    }
    assert_eq!(ports(&mut g, 0, 0x1_0000, 1), EPERM, "the hypervisor's own among them");
    let memory = |g: &mut Guest, first_mfn, nr_mfns, allow_access| {
        let argument = IomemPermission { first_mfn, nr_mfns, allow_access, _pad: [0; 7] };
        g.domctl(XEN_DOMCTL_IOMEM_PERMISSION, made.id, &argument).0
    };
    for (first, count) in [(0, 0), (u64::MAX, 2)] {
        assert_eq!(memory(&mut g, first, count, 1), EINVAL);
    }
    g.domain().permissions.deny_memory(Mfn::new(0xf0005), Mfn::new(0xf0005)).expect("room");
    assert_eq!(memory(&mut g, 0xf0000, 0x11, 1), EPERM);
    g.domain().permissions.permit_memory(Mfn::new(0xf0000), Mfn::new(0xf0010)).expect("room");
    assert_eq!(memory(&mut g, 0xf0000, 0x11, 1), 0);
    let domain = g.sys.domain(made.id).expect("it exists");
    assert!(domain.permissions.has_memory(Mfn::new(0xf0000), Mfn::new(0xf0010)));
    assert_eq!(memory(&mut g, 0xf0000, 0x11, 0), 0);
    let domain = g.sys.domain(made.id).expect("it exists");
    assert!(!domain.permissions.has_memory(Mfn::new(0xf0005), Mfn::new(0xf0005)));
}

#[test]
fn interrupts_are_passed_on() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let allow = |g: &mut Guest, pirq, allow_access| {
        let argument = IrqPermission { pirq, allow_access, pad: [0; 3] };
        g.domctl(XEN_DOMCTL_IRQ_PERMISSION, made.id, &argument).0
    };
    assert_eq!(allow(&mut g, 256, 1), EINVAL);
    assert_eq!(allow(&mut g, 11, 1), EPERM, "domain 0 has no name for it");
    assert_eq!(pirq::map_irq(&g.sys, g.domain(), g.domain(), 11, Some(30)), Ok(30));
    assert_eq!(allow(&mut g, 30, 1), 0);
    let has = |g: &Guest| g.sys.domain(made.id).expect("it exists").permissions.has_irq(11);
    assert!(has(&g));
    assert_eq!(allow(&mut g, 30, 0), 0);
    assert!(!has(&g));
    g.domain().permissions.deny_irq(11);
    assert_eq!(allow(&mut g, 30, 1), EPERM, "domain 0 may not itself");
    g.domain().permissions.permit_irq(11);
    // What a domain has mapped goes with it.
    let domain = g.sys.domain(made.id).expect("it exists");
    assert_eq!(pirq::map_irq(&g.sys, g.domain(), domain, 11, None), Ok(16));
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    check::invariants(&g.sys);
}

#[test]
fn an_nmi_is_sent_to_any_vcpu() {
    let mut g = Guest::toolstack(1);
    let mut domu =
        Guest::on(Arc::clone(&g.sys), Spec { id: 5, privileged: false, ..Spec::default() });
    let id = domu.domain().id;
    domu.kernel_stack();
    let callback = XennmiCallback { handler_address: HANDLER, pad: 0 };
    assert_eq!(domu.op(nr::NMI_OP, XENNMI_REGISTER_CALLBACK, &callback).0, 0);
    let send = |g: &mut Guest, domain, trigger, vcpu| {
        g.domctl(XEN_DOMCTL_SENDTRIGGER, domain, &Sendtrigger { trigger, vcpu }).0
    };
    g.load();
    let nmi = XEN_DOMCTL_SENDTRIGGER_NMI;
    for vcpu in [1, 31, 32, u32::MAX] {
        assert_eq!(send(&mut g, id, nmi, vcpu), ESRCH, "vCPU {vcpu}");
        assert_eq!(send(&mut g, id, u32::MAX, vcpu), ESRCH, "vCPU {vcpu}");
    }
    assert_eq!(send(&mut g, NOBODY, nmi, 0), ESRCH);
    for button in [XEN_DOMCTL_SENDTRIGGER_POWER, XEN_DOMCTL_SENDTRIGGER_SLEEP] {
        assert_eq!(send(&mut g, id, button, 0), EINVAL, "PV domains have no buttons");
    }
    for trigger in [XEN_DOMCTL_SENDTRIGGER_RESET, XEN_DOMCTL_SENDTRIGGER_INIT, 5, u32::MAX] {
        assert_eq!(send(&mut g, id, trigger, 0), ENOSYS, "{trigger}");
    }
    assert!(!domu.vcpu().run.take_nmi(), "nothing was sent");
    assert_eq!(send(&mut g, id, nmi, 0), 0);
    assert_eq!(send(&mut g, id, nmi, 0), 0, "two are one");
    domu.load();
    assert_eq!(domu.resume(), Next::Resume);
    assert_eq!(domu.regs.rip, u64::from(HANDLER));
    assert!(!domu.vcpu().run.take_nmi());
    // A vCPU without its state, and one of a domain that is paused, do not run for it.
    g.load();
    let made = g.build_domain(16);
    assert_eq!(send(&mut g, made.id, nmi, 0), 0);
    let paused = g.sys.domain(made.id).and_then(|domain| domain.vcpu(VcpuId::new(0)));
    assert_ne!(paused.expect("it has one").run.state(), State::Running);
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    let (_, bare, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &Guest::config(1));
    assert_eq!(send(&mut g, bare, nmi, 0), ESRCH, "not made yet");
    check::invariants(&g.sys);
}

/// Frames that another domain uses outlive their owner, whose number is not given away so long.
#[test]
fn a_dead_domain_stays_while_its_frames_are_used() {
    let mut g = Guest::toolstack(1);
    let before = free(&g);
    let made = g.build_domain(16);
    let frame = made.frames[2];
    g.sys.memory.get_page(frame, made.id).expect("its frame");
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    let info = g.about(made.id).expect("it is not gone yet");
    assert_eq!(info.flags & XEN_DOMINF_DYING, XEN_DOMINF_DYING);
    assert_eq!(info.tot_pages, 1);
    assert_eq!(g.domctl(XEN_DOMCTL_CREATEDOMAIN, made.id, &Guest::config(1)).0, EEXIST);
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0, "again");
    assert!(g.populate(made.id, 0, 1).is_empty(), "it gets no more memory");
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), EINVAL);
    assert_eq!(g.set_context(&made, 0), EINVAL);
    g.sys.put_page(frame);
    assert_eq!(g.command(XEN_DOMCTL_PAUSEDOMAIN, NOBODY), ESRCH, "any domctl reaps");
    assert_eq!(g.about(made.id), Err(ESRCH));
    assert_eq!(free(&g), before);
    check::invariants(&g.sys);
}

/// A pin of its own, tables that no vCPU has, ports and a map: all of it goes.
#[test]
fn whatever_a_domain_has_goes_with_it() {
    let mut g = Guest::toolstack(2);
    let before = free(&g);
    let made = g.build_domain(32);
    let domain = g.sys.domain(made.id).expect("it exists");
    g.sys.page_types(domain).pin(made.root(), Type::L3).expect("its root");
    let unbound = EvtchnAllocUnbound { dom: made.id, remote_dom: SELF, port: Port::new(0) };
    for _ in 0..70 {
        let (result, _) = g.op(nr::EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &unbound);
        assert_eq!(result, 0);
    }
    let virq = EvtchnBindVirq { virq: VIRQ_DOM_EXC, vcpu: VcpuId::new(0), port: Port::new(0) };
    let (result, bound) = g.op(nr::EVENT_CHANNEL_OP, EVTCHNOP_BIND_VIRQ, &virq);
    assert_eq!(result, 0);
    let after_own = free(&g);
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    assert!(g.pending(bound.port.raw()), "domain 0 is told");
    check::invariants(&g.sys);
    assert!(free(&g) > after_own);
    assert!(before - free(&g) <= 1, "all but domain 0's own ports");
}

#[test]
fn one_that_was_shut_down_can_be_resumed() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let sys = Arc::clone(&g.sys);
    let domain = sys.domain(made.id).expect("it exists");
    let vcpu = domain.vcpu(VcpuId::new(0)).expect("it has one");
    assert_eq!(g.command(XEN_DOMCTL_UNPAUSEDOMAIN, made.id), 0);
    sched::shutdown::shutdown(&sys, domain, 2);
    let info = g.about(made.id).expect("it exists");
    assert_eq!(info.flags, XEN_DOMINF_SHUTDOWN | 2 << XEN_DOMINF_SHUTDOWNSHIFT);
    assert_eq!(vcpu.run.state(), State::Offline);
    assert_eq!(g.command(XEN_DOMCTL_RESUMEDOMAIN, made.id), 0);
    assert_eq!(domain.shutdown_reason(), None);
    assert_eq!(vcpu.run.state(), State::Runnable);
    assert_eq!(g.command(XEN_DOMCTL_RESUMEDOMAIN, made.id), 0, "nothing to do");
    let Made { id, .. } = made;
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, id), 0);
}

#[test]
fn memory_comes_empty_whoever_had_it() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(64);
    for mfn in &made.frames[..60] {
        g.machine().words(*mfn)[7].store(0x5ec2e7, Ordering::Relaxed);
    }
    assert_eq!(g.command(XEN_DOMCTL_DESTROYDOMAIN, made.id), 0);
    let next = g.new_domain(1, 64);
    for mfn in g.populate(next, 0, 64) {
        assert!(g.machine().words(mfn).iter().all(|w| w.load(Ordering::Relaxed) == 0));
    }
}

#[test]
fn shares_are_set_and_told() {
    let mut g = Guest::toolstack(1);
    let made = g.build_domain(16);
    let op = |g: &mut Guest, sched_id, cmd, weight, cap| {
        let credit = SchedCredit { weight, cap };
        let argument = SchedulerOp { sched_id, cmd, credit, _pad: [0; 12] };
        let (result, _, after) = g.domctl(XEN_DOMCTL_SCHEDULER_OP, made.id, &argument);
        (result, after.credit.weight, after.credit.cap)
    };
    let credit = XEN_SCHEDULER_CREDIT;
    let (put, get) = (XEN_DOMCTL_SCHEDOP_PUTINFO, XEN_DOMCTL_SCHEDOP_GETINFO);
    assert_eq!(op(&mut g, credit, get, 7, 7), (0, 256, 0));
    assert_eq!(op(&mut g, credit, put, 512, 50).0, 0);
    assert_eq!(op(&mut g, credit, get, 0, 0), (0, 512, 50));
    assert_eq!(op(&mut g, credit, put, 0, 0xffff).0, 0, "neither changes");
    assert_eq!(op(&mut g, credit, get, 0, 0), (0, 512, 50));
    assert_eq!(op(&mut g, credit, put, 0, 0).0, 0, "no cap");
    assert_eq!(op(&mut g, credit, get, 0, 0), (0, 512, 0));
    for cmd in [XEN_DOMCTL_SCHEDOP_PUTVCPUINFO, XEN_DOMCTL_SCHEDOP_GETVCPUINFO, 4] {
        assert_eq!(op(&mut g, credit, cmd, 1, 1).0, EINVAL);
    }
    assert_eq!(op(&mut g, XEN_SCHEDULER_CREDIT2, get, 0, 0).0, EINVAL, "another scheduler");
}

#[test]
fn vcpus_are_bound_to_cpus() {
    let mut g = Guest::toolstack(2);
    let made = g.build_domain(16);
    let at = g.page_at(22).va;
    let op = |g: &mut Guest, cmd, vcpu, flags, bitmap, nr_bits| {
        let map = Bitmap { bitmap, nr_bits, _pad: 0 };
        let argument = Vcpuaffinity { vcpu, flags, cpumap_hard: map, cpumap_soft: map };
        g.domctl(cmd, made.id, &argument).0
    };
    let (set, get) = (XEN_DOMCTL_SETVCPUAFFINITY, XEN_DOMCTL_GETVCPUAFFINITY);
    let hard = XEN_VCPUAFFINITY_HARD;
    g.write(at, &[0xff_u8; 16]);
    assert_eq!(op(&mut g, get, 0, hard, at, 64), 0);
    assert_eq!(
        g.read::<[u8; 16]>(at),
        [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    );
    g.write(at, &[0xfe_u8; 16]);
    assert_eq!(op(&mut g, set, 0, hard, at, 8), 0);
    assert_eq!(g.read::<u8>(at), 2, "CPU 1 alone is there");
    assert_eq!(op(&mut g, get, 0, hard | XEN_VCPUAFFINITY_SOFT, at, 3), 0);
    g.write(at, &[0xfc_u8; 4]);
    assert_eq!(op(&mut g, set, 0, hard, at, 32), EINVAL, "nowhere");
    assert_eq!(op(&mut g, set, 0, hard, at, 2), EINVAL, "bits past the end do not count");
    assert_eq!(op(&mut g, set, 0, 0, at, 8), EINVAL);
    assert_eq!(op(&mut g, set, 0, hard, 0, 8), EINVAL);
    assert_eq!(op(&mut g, set, 1, hard, at, 8), EINVAL, "no such vCPU");
    assert_eq!(op(&mut g, set, 0, hard, 0x1000, 8), EFAULT);
    let soft = XEN_VCPUAFFINITY_SOFT;
    for (asked, counts) in [(0b101_u8, 0), (0b111, 0b10), (0, 0)] {
        g.write(at, &[asked]);
        assert_eq!(op(&mut g, set, 0, soft, at, 8), 0);
        assert_eq!(g.read::<u8>(at), counts, "of what may be");
        assert_eq!(op(&mut g, get, 0, soft, at, 8), 0);
        assert_eq!(g.read::<u8>(at), asked);
    }
    assert_eq!(op(&mut g, set, 0, soft, 0, 8), EINVAL);
    assert_eq!(op(&mut g, set, 0, soft, 0x1000, 8), EFAULT);
    assert_eq!(op(&mut g, set, 0, XEN_VCPUAFFINITY_FORCE, 0, 0), 0);
    let (_, bare, _) = g.domctl(XEN_DOMCTL_CREATEDOMAIN, SELF, &Guest::config(1));
    let map = Bitmap { bitmap: at, nr_bits: 8, _pad: 0 };
    let argument = Vcpuaffinity { vcpu: 0, flags: hard, cpumap_hard: map, cpumap_soft: map };
    assert_eq!(g.domctl(set, bare, &argument).0, ESRCH);
}
