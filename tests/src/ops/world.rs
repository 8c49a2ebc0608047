//! Three domains on a machine with two or three CPUs, and the loop that a CPU goes round.
//!
//! It is `arch`'s loop (see `hypervisor::sched`), one step of one CPU at a time: interrupts that
//! are due are taken; a CPU without work asks the scheduler and loads what it gets; one with work
//! does one thing as its guest, and looks at the way back whether it may run on. A vCPU's state
//! is locked for as long as it is loaded, as on the CPU, and an interrupted hypercall is made
//! again when its vCPU has its next turn.

#![allow(unsafe_code)]
// UNSAFETY: a loaded vCPU's state stays locked between steps, without a guard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::domain::{Domain, destroy, vcpu::Vcpu};
use hypervisor::error::{Crash, Stop};
use hypervisor::exit::{self, Next};
use hypervisor::guest::regs::UserRegs;
use hypervisor::lock::Guard;
use hypervisor::mm::frame::Owner;
use hypervisor::platform::{Clock, FrameAccess, Mmu};
use hypervisor::system::System;
use hypervisor::trap::Target;
use hypervisor::{sched, time};
use pv_abi::types::{DomId, Mfn, VcpuId};
use pv_abi::{hypercall as nr, physdev, x86_32};

use super::{Op, Step, call, grants, mm, vcpu};
use crate::boot;
use crate::guest::{Guest, HYPERCALL_AT, Spec};
use crate::machine::FakeMachine;

/// Frames of the machine.
const FRAMES: usize = 1280;
/// Domains that take part, 0 among them.
pub const DOMAINS: usize = 3;
/// How often a CPU makes an interrupted hypercall again before another CPU has its turn.
const AGAIN: u32 = 16;
/// How often a hypercall may be interrupted in all.
const ENDLESS: u64 = 200_000;

/// Hypercalls whose first argument is a command.
const HAVE_COMMANDS: [u32; 8] = [
    nr::MEMORY_OP,
    nr::XEN_VERSION,
    nr::GRANT_TABLE_OP,
    nr::VCPU_OP,
    nr::SCHED_OP,
    nr::EVENT_CHANNEL_OP,
    nr::PHYSDEV_OP,
    nr::CALLBACK_OP,
];

/// What a CPU has in its registers.
struct Loaded {
    domain: usize,
    vcpu: u32,
    regs: UserRegs,
    running: bool,
}

/// The machine and its guests.
pub struct World {
    /// The machine.
    pub sys: Arc<System<FakeMachine>>,
    guests: Vec<mm::World>,
    /// Frames of each guest's grant table, as far as it was told.
    tables: Vec<Vec<Mfn>>,
    cpus: Vec<Option<Loaded>>,
    free_at_start: u64,
    budget: u32,
    ending: bool,
    /// What came of the hypercalls.
    pub tally: Tally,
}

/// Hypercalls that returned, and how many of those without an error, by number and command.
///
/// For whoever wants to know whether a run reaches anything.
pub type Tally = std::collections::BTreeMap<(u32, u32), (u64, u64)>;

impl World {
    /// Domains with one vCPU started, on a new machine; `budget` as in `Domain::paging`.
    pub fn new(cpus: usize, budget: u32) -> World {
        let sys = boot::system(FRAMES, cpus);
        // The first MiB is device memory to domain 0, and no machine has it in its heap.
        while sys.memory.allocate_below(Owner::Hypervisor, 0, Mfn::new(256)).is_ok() {}
        let free_at_start = sys.memory.free_and_total().0;
        let mut world = World {
            sys,
            guests: Vec::new(),
            tables: vec![Vec::new(); DOMAINS],
            cpus: (0..cpus).map(|_| None).collect(),
            free_at_start,
            budget,
            ending: false,
            tally: Tally::new(),
        };
        world.sys.platform.run_on(0);
        for domain in 0..DOMAINS {
            let guest = world.make(domain);
            world.guests.push(guest);
        }
        world.free_at_start -= world.make_interrupt_lines();
        world
    }

    /// Has the machine's table of interrupts made, which nobody gives back; the frames it took.
    fn make_interrupt_lines(&mut self) -> u64 {
        let before = self.sys.memory.free_and_total().0;
        let guest = &mut self.guests[0].guest;
        guest.load();
        let at = guest.arg(&[0_u32; 4]);
        guest.call(nr::PHYSDEV_OP, &[physdev::PHYSDEVOP_SETUP_GSI.into(), at]);
        let mut this = self.sys.platform.this();
        this.root = None;
        this.tlb.clear();
        drop(this);
        before - self.sys.memory.free_and_total().0
    }

    fn make(&self, domain: usize) -> mm::World {
        let spec = Spec {
            id: domain as u16,
            privileged: domain == 0,
            pages: mm::PAGES.into(),
            base: if domain == 2 { 0x8000_0000 } else { 0xc000_0000 },
            vcpus: 2,
            ..Spec::default()
        };
        let mut guest = Guest::idle_on(Arc::clone(&self.sys), spec);
        guest.domain().paging.lock().full_budget = self.budget;
        // The simulated machine has no device memory to read, and its M2P in the first MiB.
        let all = guest.domain().permissions.deny_memory(Mfn::new(0), Mfn::new(u64::MAX >> 12));
        all.expect("no range is left");
        guest.prepare_vcpu(0);
        self.furnish(&mut guest);
        sched::start(&self.sys, guest.domain(), guest.vcpu());
        let other = self.guests.get((domain + 1) % DOMAINS).map(|w| w.guest.frames.clone());
        let other = other.unwrap_or_else(|| guest.frames.clone());
        mm::World { guest, other }
    }

    /// Handlers, callbacks and stacks, so that not every trap is the end.
    fn furnish(&self, guest: &mut Guest) {
        let root = self.sys.platform.root();
        guest.load();
        guest.handlers();
        let mut this = self.sys.platform.this();
        this.root = root;
        this.tlb.clear();
        drop(this);
        let target = Target { cs: x86_32::FLAT_RING1_CS, address: guest.base + 0x1000 };
        recover(guest);
        let mut state = guest.vcpu().state.lock();
        (state.callbacks.event, state.callbacks.failsafe) = (target, target);
        state.regs = guest.regs;
    }

    /// One step of one CPU.
    pub fn step(&mut self, step: &Step) {
        let cpu = usize::from(step.cpu) % self.cpus.len();
        self.sys.platform.run_on(cpu as u32);
        self.interrupts(cpu as u32);
        match &step.op {
            Op::Wait(ns) => return self.sys.platform.advance_ns((*ns).into()),
            Op::Replace(domain) => {
                let domain = usize::from(*domain) % DOMAINS;
                if self.cpus[cpu].as_ref().is_none_or(|loaded| loaded.domain != domain) {
                    self.replace(domain);
                }
                return;
            }
            _ => {}
        }
        if self.cpus[cpu].as_ref().is_some_and(|loaded| loaded.running) {
            self.as_guest(cpu, |world, domain| world.act(domain, &step.op));
        } else {
            self.schedule(cpu);
        }
    }

    /// Takes the kick and the timer's interrupt if they are due.
    fn interrupts(&mut self, cpu: u32) {
        let now = self.sys.platform.now_ns();
        let kicked = std::mem::take(&mut self.sys.platform.this().kicks) != 0;
        if kicked {
            sched::kicked(&self.sys, cpu);
        }
        if self.sys.platform.this().deadline_ns.is_some_and(|at| at <= now) {
            time::expired(&self.sys, cpu);
        }
    }

    /// Does something as the guest that the CPU runs, and what comes after it.
    fn as_guest(&mut self, cpu: usize, act: impl FnOnce(&mut World, usize)) {
        let Some(loaded) = self.cpus[cpu].take() else { return };
        let (domain, vcpu) = (loaded.domain, loaded.vcpu);
        self.state_lock(domain, vcpu, false);
        self.guests[domain].guest.vcpu = VcpuId::new(vcpu);
        self.guests[domain].guest.regs = loaded.regs;
        if self.guests[domain].guest.enter(exit::prepare) == Next::Resume {
            act(self, domain);
        }
        let guest = &mut self.guests[domain].guest;
        let next = guest.enter(exit::prepare);
        if next == Next::Switch {
            guest.enter(|ctx| sched::stopped_running(ctx));
        }
        let regs = guest.regs;
        self.state_lock(domain, vcpu, true);
        self.cpus[cpu] = Some(Loaded { domain, vcpu, regs, running: next == Next::Resume });
    }

    /// A CPU without work: asks for some.
    fn schedule(&mut self, cpu: usize) {
        let sys = Arc::clone(&self.sys);
        let Some((domain, vcpu)) = sched::next(&sys, cpu as u32) else {
            self.let_go(cpu);
            return self.idle(cpu);
        };
        let wanted = (usize::from(domain.id.raw()), vcpu.id.raw());
        let same = self.cpus[cpu].as_ref().is_some_and(|l| (l.domain, l.vcpu) == wanted);
        if !same {
            let old = self.unload(cpu);
            self.fetch_from_idle(cpu, wanted);
            assert!(
                vcpu.state.try_lock().is_some(),
                "{} {} is loaded elsewhere",
                domain.id,
                vcpu.id
            );
            self.load(cpu, domain, vcpu);
            if let Some(old) = old
                && old != wanted.0
                && let Some(old) = sys.domain(DomId::new(old as u16))
            {
                sys.unloaded(old);
            }
        }
        if let Some(loaded) = &mut self.cpus[cpu] {
            loaded.running = true;
        }
        let Some(loaded) = self.cpus[cpu].as_ref() else { return };
        let (domain, number) = (loaded.domain, loaded.vcpu);
        self.state_lock(domain, number, false);
        self.guests[domain].guest.vcpu = VcpuId::new(number);
        self.guests[domain].guest.enter(|ctx| sched::resumed(ctx));
        self.state_lock(domain, number, true);
        self.as_guest(cpu, |_, _| {});
    }

    /// What keeps the machine busy: time passes, sleepers wake up (a guest must not mind), and a
    /// toolstack makes domains anew that have ended.
    fn idle(&mut self, cpu: usize) {
        self.sys.platform.advance_ns(100_000);
        for domain in self.sys.domains.iter() {
            for vcpu in domain.vcpus() {
                sched::wake(&self.sys, domain, vcpu);
            }
        }
        for domain in 0..DOMAINS {
            let here = self.cpus[cpu].as_ref().is_some_and(|loaded| loaded.domain == domain);
            if !here && !self.ending {
                self.replace(domain);
            }
        }
    }

    fn load(&mut self, cpu: usize, domain: &Domain, vcpu: &Vcpu) {
        let state = vcpu.state.lock();
        let regs = state.regs;
        vcpu.run.set_loaded_on(Some(cpu as u32));
        self.sys.loading(domain, vcpu);
        let slot = &self.sys.platform.words(state.l4)[0];
        slot.store(state.root.raw() << 12 | 0x27, Ordering::Relaxed);
        self.sys.platform.load_root(state.l4);
        // What is loaded stays locked.
        Guard::leak(state);
        let (domain, vcpu) = (usize::from(domain.id.raw()), vcpu.id.raw());
        self.cpus[cpu] = Some(Loaded { domain, vcpu, regs, running: false });
    }

    /// Moves what the CPU has loaded back into memory; the number of its domain.
    fn unload(&mut self, cpu: usize) -> Option<usize> {
        let old = self.cpus[cpu].take()?;
        self.state_lock(old.domain, old.vcpu, false);
        let domain = self.sys.domain(DomId::new(old.domain as u16))?;
        let vcpu = domain.vcpu(VcpuId::new(old.vcpu))?;
        vcpu.state.lock().regs = old.regs;
        vcpu.run.set_loaded_on(None);
        Some(old.domain)
    }

    /// A CPU that idles with the state of a vCPU that `cpu` is to run was kicked: it moves it out.
    fn fetch_from_idle(&mut self, cpu: usize, wanted: (usize, u32)) {
        let has = |l: &Option<Loaded>| l.as_ref().is_some_and(|l| (l.domain, l.vcpu) == wanted);
        let Some(other) = self.cpus.iter().position(has) else { return };
        let running = self.cpus[other].as_ref().is_some_and(|loaded| loaded.running);
        assert!(!running, "a vCPU is to run on CPU {cpu} and runs on CPU {other}");
        self.sys.platform.run_on(other as u32);
        self.leave(other);
        self.sys.platform.run_on(cpu as u32);
    }

    /// An idle CPU does not keep the state of a vCPU that it is not to run.
    fn let_go(&mut self, cpu: usize) {
        let Some(loaded) = &self.cpus[cpu] else { return };
        let Some(domain) = self.sys.domain(DomId::new(loaded.domain as u16)) else { return };
        let vcpu = domain.vcpu(VcpuId::new(loaded.vcpu));
        if vcpu.is_some_and(|vcpu| !vcpu.run.may_stay_loaded(cpu as u32)) {
            self.leave(cpu);
        }
    }

    /// Moves out what the CPU has loaded, for nothing.
    fn leave(&mut self, cpu: usize) {
        let mut this = self.sys.platform.this();
        (this.root, this.ldt) = (None, None);
        this.tlb.clear();
        drop(this);
        if let Some(old) = self.unload(cpu)
            && let Some(domain) = self.sys.domain(DomId::new(old as u16))
        {
            self.sys.unloaded(domain);
        }
    }

    /// Locks or unlocks the state of a vCPU that is loaded.
    fn state_lock(&self, domain: usize, vcpu: u32, lock: bool) {
        let Some(domain) = self.sys.domain(DomId::new(domain as u16)) else { return };
        let Some(vcpu) = domain.vcpu(VcpuId::new(vcpu)) else { return };
        if lock {
            Guard::leak(vcpu.state.try_lock().expect("a loaded vCPU's state is its CPU's"));
        } else {
            // SAFETY: 1. `load` or this function locked it, and forgot the guard.
            unsafe { vcpu.state.without_place().force_unlock() };
        }
    }

    /// Looks at the machine with nothing loaded.
    pub fn at_rest<T>(&mut self, look: impl FnOnce(&System<FakeMachine>) -> T) -> T {
        let loaded: Vec<_> = self.cpus.iter().flatten().map(|l| (l.domain, l.vcpu)).collect();
        for (domain, vcpu) in &loaded {
            self.state_lock(*domain, *vcpu, false);
        }
        let result = look(&self.sys);
        for (domain, vcpu) in &loaded {
            self.state_lock(*domain, *vcpu, true);
        }
        result
    }

    /// What a guest does in its turn.
    fn act(&mut self, domain: usize, op: &Op) {
        let world = &mut self.guests[domain];
        if world.guest.regs.rip == HYPERCALL_AT && is_kernel(&world.guest.regs) {
            // A hypercall was interrupted.
            return self.go_on(domain);
        }
        recover(&mut world.guest);
        match op {
            Op::Mm(op) => world.apply(op),
            Op::Call(one) => match one.prepare(world) {
                Some(args) => self.call(domain, one.number, &args),
                None => give_up(&mut world.guest),
            },
            Op::Multi(calls) => match call::multicall(world, calls) {
                Some(args) => self.call(domain, nr::MULTICALL, &args),
                None => give_up(&mut world.guest),
            },
            Op::Initialise { vcpu, spoiled } => {
                match vcpu::initialise(world, (*vcpu).into(), *spoiled) {
                    Some(args) => self.call(domain, nr::VCPU_OP, &args),
                    None => give_up(&mut world.guest),
                }
            }
            Op::Grant(entry) => self.grant(domain, entry),
            Op::Shared { word, value } => {
                let page = world.guest.domain().shared_info;
                let words = self.sys.platform.half_words(page);
                words[usize::from(*word) % 1024].store(*value, Ordering::SeqCst);
            }
            Op::HandleEvents => {
                let vcpu = world.guest.vcpu.raw();
                world.guest.forget_events(vcpu);
                world.guest.mask_upcalls(false);
            }
            Op::Instruction { .. } => instruction(world, op),
            Op::Recover | Op::Wait(_) | Op::Replace(_) => {}
        }
    }

    /// Makes a hypercall: to its end, if it does not take many turns.
    fn call(&mut self, domain: usize, number: u32, args: &[u64]) {
        let guest = &mut self.guests[domain].guest;
        guest.continuations = 0;
        guest.set_call(number, args);
        guest.regs.rip = HYPERCALL_AT;
        self.go_on(domain);
        self.learn(domain, number, args);
    }

    fn go_on(&mut self, domain: usize) {
        let guest = &mut self.guests[domain].guest;
        for _ in 0..AGAIN {
            let (number, cmd) = (guest.regs.rax as u32, guest.regs.rbx as u32);
            if let Some(result) = guest.step_alone() {
                let cmd = if cmd < 128 && HAVE_COMMANDS.contains(&number) { cmd } else { 0 };
                let tally = self.tally.entry((number, cmd)).or_default();
                tally.0 += 1;
                tally.1 += u64::from(result >= 0);
                return;
            }
            if guest.enter(exit::prepare) == Next::Switch {
                return;
            }
            assert!(guest.continuations < ENDLESS, "a hypercall does not come to an end");
        }
    }

    /// A guest remembers the frames of its grant table.
    fn learn(&mut self, domain: usize, number: u32, args: &[u64]) {
        let guest = &self.guests[domain].guest;
        let [cmd, at, ..] = args else { return };
        if number != nr::GRANT_TABLE_OP
            || *cmd != u64::from(pv_abi::grant_table::GNTTABOP_SETUP_TABLE)
        {
            return;
        }
        let (mut list, mut frames) = ([0_u8; 4], [0_u8; 16]);
        if guest.try_read(at + 12, &mut list).is_ok()
            && guest.try_read(u32::from_le_bytes(list).into(), &mut frames).is_ok()
        {
            let words =
                frames.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let known = words.filter(|mfn| *mfn != 0).map(|mfn| Mfn::new(mfn.into())).collect();
            self.tables[domain] = known;
        }
    }

    /// A guest writes into its grant table, if the frame still is one that it may write.
    fn grant(&mut self, domain: usize, entry: &grants::Entry) {
        let table = &self.tables[domain];
        let Some(table) = table.get(usize::from(entry.table) % table.len().max(1)) else { return };
        let may = |mfn: Mfn| {
            let Some(frame) = self.sys.memory.frame(mfn) else { return false };
            frame.owner() == Owner::Domain(DomId::new(domain as u16))
                && crate::check::may_be_written(&self.sys, mfn)
        };
        if !may(*table) {
            return;
        }
        let frame = self.guests[domain].mfn(entry.frame).raw();
        let head = u64::from(entry.flags) | u64::from(entry.domid) << 16;
        let words = self.sys.platform.words(*table);
        let slot = usize::from(entry.slot) % 511;
        match entry.piece {
            None => words[slot].store(head | frame << 32, Ordering::SeqCst),
            Some((offset, length)) => {
                words[slot & !1].store(
                    head | u64::from(offset) << 32 | u64::from(length) << 48,
                    Ordering::SeqCst,
                );
                words[slot | 1].store(frame, Ordering::SeqCst);
            }
        }
    }

    /// A step of destroying a domain that has shut down; a new one if it is gone.
    fn replace(&mut self, domain: usize) {
        let id = DomId::new(domain as u16);
        if self.sys.domain(id).is_some_and(|d| d.shutdown_reason().is_some() || d.end.is_dying()) {
            self.destroy(domain);
        }
        let Some(mut control) = self.sys.control.try_lock() else { return };
        destroy::reap(&self.sys, &mut control);
        if self.sys.domain(id).is_none() && !control.is_leaving(id) {
            drop(control);
            self.tables[domain].clear();
            self.guests[domain] = self.make(domain);
        }
    }

    fn destroy(&mut self, domain: usize) {
        let sys = Arc::clone(&self.sys);
        let Some(domain) = sys.domain(DomId::new(domain as u16)) else { return };
        // `Preempted`: the rest is for the next time.
        let _ = destroy::destroy(&sys, &mut sys.control.lock(), domain);
    }

    /// Ends all domains; all memory must be free then.
    pub fn end(&mut self) -> Result<(), String> {
        self.ending = true;
        for round in 0..3_000 {
            for cpu in 0..self.cpus.len() {
                self.sys.platform.run_on(cpu as u32);
                self.interrupts(cpu as u32);
                if self.cpus[cpu].as_ref().is_some_and(|l| l.running) {
                    self.as_guest(cpu, |world, domain| give_up(&mut world.guests[domain].guest));
                } else {
                    self.schedule(cpu);
                }
            }
            let cpu = round % self.cpus.len();
            self.sys.platform.run_on(cpu as u32);
            // Also those that the guests have made.
            let domains: Vec<_> = self.sys.domains.iter().map(|domain| domain.id.raw()).collect();
            for domain in domains.into_iter().map(usize::from) {
                if self.cpus[cpu].as_ref().is_none_or(|l| l.domain != domain) {
                    self.destroy(domain);
                }
            }
            destroy::reap(&self.sys, &mut self.sys.control.lock());
            if self.sys.domains.iter().next().is_none() {
                break;
            }
        }
        for _ in 0..4 {
            for cpu in 0..self.cpus.len() as u32 {
                self.sys.platform.run_on(cpu);
                sched::kicked(&self.sys, cpu);
                destroy::reap(&self.sys, &mut self.sys.control.lock());
            }
        }
        if let Some(domain) = self.sys.domains.iter().next() {
            let (pages, lent) = (&domain.pages, &domain.lent);
            let vcpus = domain.vcpus().map(|vcpu| {
                let (run, free) = (&vcpu.run, vcpu.state.try_lock().is_some());
                let (state, cpu, loaded) = (run.state(), run.cpu(), run.loaded_on());
                format!("{:?} on {cpu:?}, loaded on {loaded:?}, free {free}", state)
            });
            let vcpus: Vec<_> = vcpus.collect();
            return Err(format!(
                "{} does not go: it is{} dead, {} pages, {} lent, vCPUs {vcpus:?}",
                domain.id,
                if domain.end.is_dead() { "" } else { " not" },
                pages.load(Ordering::SeqCst),
                lent.load(Ordering::SeqCst),
            ));
        }
        let free = self.sys.memory.free_and_total().0;
        if free != self.free_at_start {
            return Err(format!("{} frames were free, then {free}", self.free_at_start));
        }
        match self.sys.windows.taken() {
            0 => Ok(()),
            left => Err(format!("{left} windows are still taken")),
        }
    }
}

fn is_kernel(regs: &UserRegs) -> bool {
    regs.cs & 3 == 1
}

/// The registers of a kernel that goes on as if nothing had been.
fn recover(guest: &mut Guest) {
    guest.regs = Guest::start_registers(guest.domain().width());
    guest.regs.rsp = guest.base + 8 * 4096 - 16;
    guest.regs.rip = guest.base;
}

/// The guest ends: it has lost the pages for its arguments, or the run is over.
fn give_up(guest: &mut Guest) {
    guest.enter(|ctx| exit::stopped(ctx, Stop::Crash(Crash::Because("it gives up"))));
}

/// An instruction that traps: whatever the bytes are, and whatever was said of them.
fn instruction(world: &mut mm::World, op: &Op) {
    let Op::Instruction { bytes, vector, code, address, user, registers } = op else { return };
    let guest = &mut world.guest;
    let at = guest.base + 9 * 4096;
    let _ = guest.try_write(at, bytes);
    guest.regs.rip = at;
    if *user {
        guest.in_user(at as u32, guest.regs.rsp as u32);
    } else {
        guest.regs.cs = x86_32::FLAT_RING1_CS;
    }
    let value = u64::from(*registers);
    let r = &mut guest.regs;
    (r.rax, r.rcx, r.rdx) = (value, value % 16, value);
    (r.rbx, r.rsi, r.rdi) = (u64::from(*address), u64::from(*address), at + 64);
    guest.machine().this().page_fault_address = (*address).into();
    // What the CPU reports with a page fault of that ring.
    let code = if *vector == 14 && *user { *code | 4 } else { *code };
    guest.exception(*vector, code.into());
}
