//! `vcpu_op`: bringing vCPUs up and down, and the state that they are given.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::domain::context::{Context, get, set};
use hypervisor::domain::vcpu::Vcpu;
use hypervisor::error::Stop;
use hypervisor::exit::Next;
use hypervisor::mm::frame::Type;
use hypervisor::platform::FrameAccess;
use hypervisor::sched::{self, State};
use hypervisor::trap::Target;
use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::hypercall::VCPU_OP;
use pv_abi::sched::SHUTDOWN_POWEROFF;
use pv_abi::traps::{VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_ONLINE};
use pv_abi::types::{Mfn, VcpuId};
use pv_abi::vcpu::*;
use pv_abi::{x86_32, x86_64};
use pv_tests::check;
use pv_tests::guest::{Guest, Spec};
use pv_tests::machine::TableSlot;
use zerocopy::FromZeros;

const EEXIST: i64 = Errno::EEXIST.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const EOPNOTSUPP: i64 = Errno::EOPNOTSUPP.to_ret();

/// An address where nothing is mapped.
const NOWHERE: u64 = 0x10_0000;
const ENTRY: u32 = 0xc000_1000;

fn pv32() -> Guest {
    Guest::with(Spec { vcpus: 3, ..Spec::default() })
}

fn pv64() -> Guest {
    Guest::with(Spec { width: Width::Pv64, vcpus: 3, ..Spec::default() })
}

fn call(guest: &mut Guest, cmd: u32, vcpu: u32) -> i64 {
    guest.call(VCPU_OP, &[cmd.into(), vcpu.into(), 0])
}

/// What a kernel gives a second vCPU.
fn context32(guest: &Guest) -> x86_32::VcpuGuestContext {
    let mut c = x86_32::VcpuGuestContext::new_zeroed();
    c.flags = VGCF_IN_KERNEL;
    c.user_regs.eip = ENTRY;
    c.user_regs.esp = 0xc002_0000;
    c.user_regs.eax = 0x1111;
    c.user_regs.ebp = 0x2222;
    c.user_regs.cs = x86_32::FLAT_KERNEL_CS;
    c.user_regs.ss = x86_32::FLAT_KERNEL_SS;
    c.user_regs.ds = x86_32::FLAT_KERNEL_DS;
    c.user_regs.es = x86_32::FLAT_KERNEL_DS;
    c.user_regs.gs = 0x33;
    c.kernel_ss = x86_32::FLAT_KERNEL_SS.into();
    c.kernel_sp = 0xc003_0000;
    c.event_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    c.event_callback_eip = 0xc000_2000;
    c.failsafe_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    c.failsafe_callback_eip = 0xc000_3000;
    c.ctrlreg[3] = x86_32::pfn_to_cr3(guest.root.raw() as u32);
    c
}

fn context64(guest: &Guest) -> x86_64::VcpuGuestContext {
    let mut c = x86_64::VcpuGuestContext::new_zeroed();
    c.flags = VGCF_IN_KERNEL.into();
    c.user_regs.rip = ENTRY.into();
    c.user_regs.rsp = 0xc002_0000;
    c.user_regs.r15 = 15;
    c.user_regs.cs = x86_64::FLAT_KERNEL_CS;
    c.user_regs.ss = x86_64::FLAT_KERNEL_SS;
    c.ctrlreg[3] = x86_64::pfn_to_cr3(guest.root.raw());
    c
}

fn initialise32(guest: &mut Guest, vcpu: u32, c: &x86_32::VcpuGuestContext) -> i64 {
    guest.vcpu_op(VCPUOP_INITIALISE, vcpu, c)
}

fn vcpu(guest: &Guest, id: u32) -> &Vcpu {
    guest.domain().vcpu(VcpuId::new(id)).unwrap()
}

// ---- initialise -------------------------------------------------------------------------

#[test]
fn a_vcpu_starts_with_what_it_was_given() {
    let mut guest = pv32();
    let c = context32(&guest);
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    check::invariants(&guest.sys);
    assert_eq!(call(&mut guest, VCPUOP_IS_UP, 1), 0, "it stays down");
    assert_eq!(vcpu(&guest, 1).run.state(), State::Offline);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0);
    assert_eq!(call(&mut guest, VCPUOP_IS_UP, 1), 1);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0, "once more changes nothing");
    guest.run_as(1);
    assert_eq!(guest.pick(), Some((0, 1)));
    let state = guest.vcpu().state.lock();
    let r = state.regs;
    assert_eq!((r.rip, r.cs), (ENTRY.into(), x86_32::FLAT_KERNEL_CS));
    assert_eq!((r.rsp, r.ss), (0xc002_0000, x86_32::FLAT_KERNEL_SS));
    assert_eq!((r.rax, r.rbp, r.rflags), (0x1111, 0x2222, 0x202));
    assert_eq!(state.segments, [x86_32::FLAT_KERNEL_DS, x86_32::FLAT_KERNEL_DS, 0, 0x33]);
    assert_eq!((state.kernel_ss, state.kernel_sp), (x86_32::FLAT_KERNEL_SS, 0xc003_0000));
    let target = |address| Target { cs: x86_32::FLAT_KERNEL_CS, address };
    assert_eq!(state.callbacks.event, target(0xc000_2000));
    assert_eq!(state.callbacks.failsafe, target(0xc000_3000));
    assert!(!state.callbacks.failsafe_masks);
    assert_eq!(state.root, guest.root);
    assert!(guest.vcpu().upcall_masked(guest.machine()), "events are masked at first");
}

#[test]
fn a_64_bit_vcpu_starts_too() {
    let mut guest = pv64();
    let c = context64(&guest);
    assert_eq!(guest.vcpu_op(VCPUOP_INITIALISE, 1, &c), 0);
    check::invariants(&guest.sys);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0);
    guest.run_as(1);
    assert_eq!(guest.pick(), Some((0, 1)));
    let state = guest.vcpu().state.lock();
    assert_eq!((state.regs.rip, state.regs.r15), (ENTRY.into(), 15));
    assert_eq!((state.root, state.l4), (guest.root, guest.root));
}

#[test]
fn a_vcpu_is_initialised_once_and_before_it_comes_up() {
    let mut guest = pv32();
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), EINVAL);
    let at = [VCPUOP_INITIALISE.into(), 1, NOWHERE];
    assert_eq!(guest.call(VCPU_OP, &at), EFAULT);
    let c = context32(&guest);
    assert_eq!(initialise32(&mut guest, 0, &c), EEXIST, "it runs: the builder gave it its state");
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    assert_eq!(initialise32(&mut guest, 1, &c), EEXIST);
    assert_eq!(guest.call(VCPU_OP, &at), EFAULT, "read first");
    check::invariants(&guest.sys);
}

#[test]
fn a_vcpu_gets_no_more_privilege_than_its_kernel_has() {
    let mut guest = pv32();
    let mut c = context32(&guest);
    c.user_regs.cs = 0xe008;
    c.user_regs.ss = 0xe010;
    c.kernel_ss = 0x10;
    c.event_callback_cs = 0;
    c.failsafe_callback_cs = 0xe008;
    c.user_regs.eflags = u32::MAX;
    c.flags = VGCF_IN_KERNEL | VGCF_FAILSAFE_DISABLES_EVENTS;
    c.trap_ctxt[3] = x86_32::TrapInfo { vector: 77, flags: 0xff, cs: 0xe008, address: 5 };
    c.trap_ctxt[4] = x86_32::TrapInfo { vector: 4, flags: 1, cs: 0xe02b, address: 6 };
    c.trap_ctxt[5] = x86_32::TrapInfo { vector: 5, flags: 1, cs: 0xe019, address: 0 };
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    let state = vcpu(&guest, 1).state.lock();
    assert_eq!((state.regs.cs, state.regs.ss, state.kernel_ss), (0xe009, 0xe011, 0x11));
    assert_eq!((state.callbacks.event.cs, state.callbacks.failsafe.cs), (1, 0xe009));
    assert!(!state.callbacks.event.is_set() && state.callbacks.failsafe_masks);
    // ID AC RF OF DF IF TF SF ZF AF PF CF; neither VIP, VIF, VM, NT nor IOPL.
    assert_eq!((state.regs.rflags, state.iopl), (0x25_0fd7, 3));
    let trap = state.traps.get(3);
    assert_eq!((trap.target, trap.dpl, trap.masks), (Target { cs: 0xe009, address: 5 }, 3, true));
    assert_eq!(state.traps.get(4).target, Target { cs: 0xe02b, address: 6 });
    assert!(!state.traps.get(5).target.is_set() && !state.traps.get(77).target.is_set());
}

#[test]
fn descriptor_tables_are_checked_and_referenced() {
    let mut guest = pv32();
    let page = guest.page();
    let readonly = page.maddr() | 1;
    assert_eq!(guest.update_va(page.va, readonly, pv_abi::mmu::UVMF_INVLPG), 0);
    let mut c = context32(&guest);
    c.gdt_frames[0] = page.mfn.raw() as u32;
    c.gdt_ents = 512;
    // A second frame that is a page table: nothing is kept of the first.
    let bad = x86_32::VcpuGuestContext { gdt_ents: 513, ..c };
    for second in [guest.tables[1].raw(), guest.sys.memory.frame_count(), u64::from(u32::MAX), 0] {
        let mut bad = bad;
        bad.gdt_frames[1] = second as u32;
        assert_eq!(initialise32(&mut guest, 1, &bad), EINVAL, "{second:#x}");
    }
    for entries in [7169, 0x7fff_ffff, u32::MAX] {
        let bad = x86_32::VcpuGuestContext { gdt_ents: entries, ..c };
        assert_eq!(initialise32(&mut guest, 1, &bad), EINVAL, "{entries}");
    }
    for (base, entries) in [(1, 0), (0x800, 1), (0xc000_0000, 8193), (0xc000_0000, u32::MAX)] {
        let bad = x86_32::VcpuGuestContext { ldt_base: base, ldt_ents: entries, ..c };
        assert_eq!(initialise32(&mut guest, 1, &bad), EINVAL, "{base:#x} {entries}");
    }
    check::invariants(&guest.sys);
    assert_eq!(guest.sys.memory.frame(page.mfn).unwrap().load().type_count(), 0);
    c.ldt_base = 0xc000_0000;
    c.ldt_ents = 8192;
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    check::invariants(&guest.sys);
    let word = guest.sys.memory.frame(page.mfn).unwrap().load();
    assert_eq!((word.kind(), word.type_count()), (Type::SegDesc, 1));
    let window = vcpu(&guest, 1).window;
    assert_eq!(guest.machine().windows().get(&(window, TableSlot::Gdt(0))), Some(&page.mfn));
    assert_eq!(vcpu(&guest, 1).state.lock().ldt_entries, 8192);
}

#[test]
fn the_root_must_be_one() {
    let mut guest = pv32();
    let data = guest.page().mfn.raw() as u32;
    let hypervisor = vcpu(&guest, 1).state.lock().l4.raw() as u32;
    let level1 = guest.tables.iter().find(|t| **t != guest.root).unwrap().raw() as u32;
    let gdt = guest.page();
    assert_eq!(guest.update_va(gdt.va, gdt.maddr() | 1, pv_abi::mmu::UVMF_INVLPG), 0);
    for root in [data, hypervisor, level1, 0, u32::MAX >> 12] {
        let mut c = context32(&guest);
        c.gdt_frames[0] = gdt.mfn.raw() as u32;
        c.gdt_ents = 1;
        c.ctrlreg[3] = x86_32::pfn_to_cr3(root);
        assert_eq!(initialise32(&mut guest, 1, &c), EINVAL, "{root:#x}");
    }
    check::invariants(&guest.sys);
    assert_eq!(guest.sys.memory.frame(gdt.mfn).unwrap().load().type_count(), 0);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), EINVAL, "it is as it was");
}

/// A new root, pinned by nobody, with `count` level-2 tables of its own.
fn fresh_root(guest: &mut Guest) -> Mfn {
    let present = |mfn: Mfn| mfn.raw() << 12 | 1;
    let mut entries = Vec::new();
    for index in 0..4 {
        let table = guest.table_page(&[]);
        entries.push((index, present(table.mfn)));
    }
    guest.table_page(&entries).mfn
}

/// XSA-296: the call is made again where it stopped, arguments and all.
#[test]
fn xsa_296_a_root_that_takes_long_is_taken_in_pieces() {
    let mut guest = pv32();
    let root = fresh_root(&mut guest);
    guest.domain().paging.lock().full_budget = 2;
    let mut c = context32(&guest);
    c.ctrlreg[3] = x86_32::pfn_to_cr3(root.raw() as u32);
    let before = guest.continuations;
    assert_eq!(initialise32(&mut guest, 2, &c), 0);
    assert!(guest.continuations > before, "it was preempted");
    check::invariants(&guest.sys);
    assert_eq!(vcpu(&guest, 2).state.lock().root, root);
    // One that is begun and never ended.
    let root = fresh_root(&mut guest);
    c.ctrlreg[3] = x86_32::pfn_to_cr3(root.raw() as u32);
    let at = guest.arg(&c);
    guest.set_call(VCPU_OP, &[VCPUOP_INITIALISE.into(), 1, at]);
    assert_eq!(guest.step(), None);
    check::invariants(&guest.sys);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), EINVAL);
}

#[test]
fn a_state_that_is_being_set_is_not_waited_for() {
    let mut guest = pv32();
    let sys = Arc::clone(&guest.sys);
    let c = context32(&guest);
    let at = guest.arg(&c);
    guest.set_call(VCPU_OP, &[VCPUOP_INITIALISE.into(), 1, at]);
    let held = sys.domain(guest.id).unwrap().vcpu(VcpuId::new(1)).unwrap().state.lock();
    assert_eq!(guest.step(), None, "again");
    drop(held);
    assert_eq!(guest.step(), Some(0));
}

#[test]
fn debug_registers_are_what_a_guest_may_have() {
    let mut guest = pv32();
    let mut c = context32(&guest);
    c.debugreg = [0x1000, 0x2000, 3, 4, 5, 6, u32::MAX, 0xffff_0fff & !0xaaaa_0000];
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    let found = vcpu(&guest, 1).state.lock().debug_registers;
    assert_eq!(found, [0x1000, 0x2000, 3, 4, 0, 0, 0xffff_efff & !0x1000, 0x5555_07ff]);
    // XSA-444, XSA-12: refused ones stay as after reset.
    let mut guest = pv64();
    let mut c = context64(&guest);
    c.debugreg[0] = 0xffff_8200_0000_0000;
    c.debugreg[7] = 1 << 13;
    assert_eq!(guest.vcpu_op(VCPUOP_INITIALISE, 1, &c), 0);
    let found = vcpu(&guest, 1).state.lock().debug_registers;
    assert_eq!((found[0], found[7]), (0, 0x400));
}

/// XSA-53: an image that XRSTOR would fault on.
#[test]
fn xsa_53_the_floating_point_image_cannot_fault() {
    let mut guest = pv32();
    let mut c = context32(&guest);
    c.fpu_ctxt = [0xff; 512];
    let word = |guest: &Guest, id: u32, index: usize| {
        let area = vcpu(guest, id).state.lock().fpu;
        guest.machine().half_words(area)[index].load(Ordering::Relaxed)
    };
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    assert_eq!(word(&guest, 1, 0), 0, "not valid: as after reset");
    c.flags |= VGCF_I387_VALID;
    assert_eq!(initialise32(&mut guest, 2, &c), 0);
    assert_eq!((word(&guest, 2, 0), word(&guest, 2, 6)), (u32::MAX, 0xffff));
    // The header says "x87 and SSE", and nothing else is in it.
    let header: Vec<u32> = (128..144).map(|index| word(&guest, 2, index)).collect();
    assert_eq!((header[0], header[1..].iter().sum::<u32>()), (3, 0));
}

#[test]
fn addresses_of_a_64_bit_vcpu_are_canonical() {
    const WILD: u64 = 0x8000_0000_0000;
    let mut guest = pv64();
    type Spoil = fn(&mut x86_64::VcpuGuestContext);
    let spoil: [Spoil; 11] = [
        |c| c.user_regs.rip = WILD,
        |c| c.user_regs.rsp = WILD,
        |c| c.kernel_sp = WILD,
        |c| c.ldt_base = WILD,
        |c| c.ldt_base = 0xffff_8000_0000_0000,
        |c| c.fs_base = WILD,
        |c| c.gs_base_kernel = WILD,
        |c| c.gs_base_user = WILD,
        |c| c.event_callback_eip = WILD,
        |c| c.syscall_callback_eip = WILD,
        |c| c.trap_ctxt[255].address = WILD,
    ];
    for spoil in spoil {
        let mut c = context64(&guest);
        spoil(&mut c);
        assert_eq!(guest.vcpu_op(VCPUOP_INITIALISE, 1, &c), EINVAL);
    }
    let mut c = context64(&guest);
    c.flags = 0;
    assert_eq!(guest.vcpu_op(VCPUOP_INITIALISE, 1, &c), EOPNOTSUPP, "user mode");
}

// ---- the state of an initialised vCPU ---------------------------------------------------

#[test]
fn what_is_read_can_be_set_again_but_for_the_tables() {
    let mut guest = pv32();
    let mut c = context32(&guest);
    c.user_regs.eflags = 0x2246;
    c.fpu_ctxt[0] = 0x7f;
    c.flags |= VGCF_I387_VALID;
    c.trap_ctxt[14] = x86_32::TrapInfo { vector: 14, flags: 4, cs: 0xe019, address: 0xc000_0e00 };
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    let sys = Arc::clone(&guest.sys);
    let domain = sys.domain(guest.id).unwrap();
    let one = domain.vcpu(VcpuId::new(1)).unwrap();
    let found = get::get(&sys, domain, one).ok().unwrap().to_pv32();
    assert_eq!(found.user_regs.eip, ENTRY);
    assert_eq!(found.user_regs.eflags, 0x2246, "with the virtual IOPL");
    assert_eq!(found.flags, VGCF_IN_KERNEL | VGCF_I387_VALID);
    assert_eq!(found.trap_ctxt[14].address, 0xc000_0e00);
    assert_eq!((found.ctrlreg[3], found.fpu_ctxt[0]), (c.ctrlreg[3], 0x7f));
    let mut again = found;
    again.user_regs.eip = 0xc000_9999;
    assert_eq!(set::set(&sys, domain, one, &Context::from_pv32(&again)), Ok(()));
    assert_eq!(one.state.lock().regs.rip, 0xc000_9999);
    check::invariants(&sys);
    type Spoil = fn(&mut x86_32::VcpuGuestContext);
    let spoil: [Spoil; 4] = [
        |c| c.ctrlreg[3] += 0x1000,
        |c| c.gdt_ents = 1,
        |c| c.ldt_base = 0xc000_0000,
        |c| c.ldt_ents = 1,
    ];
    for spoil in spoil {
        let mut bad = found;
        spoil(&mut bad);
        let refused = set::set(&sys, domain, one, &Context::from_pv32(&bad));
        assert_eq!(refused, Err(Stop::Errno(Errno::EOPNOTSUPP)));
    }
    sched::start(&sys, domain, one);
    let found = get::get(&sys, domain, one).ok().unwrap();
    assert_eq!(found.flags & VGCF_ONLINE, VGCF_ONLINE);
}

#[test]
fn assists_come_with_vcpu_0_alone() {
    let mut guest = pv32();
    let mut c = context32(&guest);
    c.vm_assist = u32::MAX;
    assert_eq!(initialise32(&mut guest, 1, &c), 0, "not looked at");
    assert_eq!(guest.domain().vm_assist.load(Ordering::Relaxed), 0);
    let sys = Arc::clone(&guest.sys);
    let domain = sys.domain(guest.id).unwrap();
    let zero = domain.vcpu(VcpuId::new(0)).unwrap();
    let refused = set::set(&sys, domain, zero, &Context::from_pv32(&c));
    assert_eq!(refused, Err(Stop::Errno(Errno::EINVAL)));
}

#[test]
fn a_64_bit_state_comes_back_as_it_was() {
    let mut guest = pv64();
    let mut c = context64(&guest);
    c.trap_ctxt[0].address = 0xffff_ffff_8000_0000;
    c.event_callback_eip = 0x1234;
    assert_eq!(guest.vcpu_op(VCPUOP_INITIALISE, 1, &c), 0);
    let found = get::get(&guest.sys, guest.domain(), vcpu(&guest, 1)).ok().unwrap().to_pv64();
    assert_eq!((found.user_regs.r15, found.user_regs.rip), (15, ENTRY.into()));
    assert_eq!((found.ctrlreg[3], found.ctrlreg[1]), (c.ctrlreg[3], 0));
    assert_eq!(found.trap_ctxt[0].address, 0xffff_ffff_8000_0000);
    assert_eq!(found.event_callback_eip, 0x1234);
}

// ---- down -------------------------------------------------------------------------------

#[test]
fn a_vcpu_goes_on_where_it_was_taken_down() {
    let mut guest = pv32();
    let c = context32(&guest);
    assert_eq!(call(&mut guest, VCPUOP_DOWN, 1), 0, "it is down");
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0);
    guest.run_as(1);
    guest.pick();
    guest.load();
    guest.run_as(0);
    assert_eq!(call(&mut guest, VCPUOP_DOWN, 1), 0);
    assert_eq!(call(&mut guest, VCPUOP_IS_UP, 1), 0);
    guest.run_as(1);
    assert_eq!(guest.leave(), Next::Switch, "its CPU notices");
    assert_eq!(guest.pick(), None);
    guest.run_as(0);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0);
    guest.run_as(1);
    assert_eq!(guest.pick(), Some((0, 1)));
}

#[test]
fn the_last_vcpu_takes_its_domain_down() {
    let mut guest = pv32();
    let c = context32(&guest);
    assert_eq!(initialise32(&mut guest, 1, &c), 0);
    assert_eq!(call(&mut guest, VCPUOP_UP, 1), 0);
    assert_eq!(call(&mut guest, VCPUOP_DOWN, 0), 0);
    assert_eq!(guest.domain().shutdown_reason(), None);
    assert_eq!(guest.leave(), Next::Switch);
    guest.run_as(1);
    guest.pick();
    guest.load();
    assert_eq!(call(&mut guest, VCPUOP_DOWN, 1), 0);
    assert_eq!(guest.domain().shutdown_reason(), Some(SHUTDOWN_POWEROFF as u8));
    assert_eq!(guest.leave(), Next::Switch);
}
