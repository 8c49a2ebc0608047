//! Who runs: round robin with a time slice, and what wakes first runs first.
//!
//! All of it happens with upcalls masked. The vCPU blocks in the hypervisor when nobody can run, on
//! the stack of the task that ran last; an upcall there wakes somebody and the search goes on. The
//! timer is set to the first thing that time will bring: a sleeper's deadline, or the end of the
//! slice when others wait for the CPU.
#![allow(unsafe_code)] // UNSAFETY: switches stacks; lends the running task without a count.

use super::process::Process;
use super::switch::{self, Saved};
use super::{Family, State, Task, signal};
use crate::mm::space;
use crate::mm::stacks::Stack;
use crate::signal::{Info, SIGALRM};
use crate::sync::Guarded;
use crate::time;
use crate::waker::Waker;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use pv_abi::hypercall;
use pv_abi::types::DOMID_SELF;
use ring1::abi::{FLAT_RING1_SS, MulticallEntry};
use ring1::trap::{TrapFrame, WORK};
use ring1::{calls, events};

/// Nanoseconds that a task may run while others wait.
const SLICE_NS: u64 = 10_000_000;
/// Most tasks at a time.
const TASKS: usize = 512;

/// Channel of the console's input.
pub const CONSOLE: u32 = 1;
/// Channel of the task that serves the host's console.
pub const LINK: u32 = 2;
/// Channel of the store's task.
pub const STORE: u32 = 3;
/// Channel of the task that serves other domains' consoles.
pub const CONSOLED: u32 = 4;
/// Channel of the task that sees to domains that end.
pub const LIFECYCLE: u32 = 5;
/// Channel of those who wait for their turn to change domains.
pub const TOOLSTACK: u32 = 6;
/// Channel of those who wait for a disk to come.
pub const DISKS: u32 = 9;
/// Channel of the task that starts verbs of the host.
pub const VERBS: u32 = 8;
/// Channel of the task of the network card.
pub const CARD: u32 = 10;
/// Channel of a device's task: this plus its number.
pub const DEVICES: u32 = 0x2000_0000;
/// Channel of the task that moves packets.
pub const NETWORK: u32 = 12;
/// Channel of a task that waits for what it asked of a disk: this plus a number of the moment.
pub const DISK_REQUESTS: u32 = 0x3000_0000;
/// How many numbers there are for them.
pub const DISK_REQUESTS_COUNT: u32 = 0x1000_0000;
/// Channel of a task that waits for a stream to the host: this plus its number.
pub const STREAMS: u32 = 0x4000_0000;
/// Channel of a socket: this plus its number.
pub const SOCKETS: u32 = 0x5000_0000;
/// Channel of a connection to the store: this plus its number.
pub const STORE_CLIENTS: u32 = 0x6000_0000;
/// How many numbers there are for them.
pub const STORE_CLIENTS_COUNT: u32 = 0x2000_0000;
/// Channel of a task that sleeps on several, which stand elsewhere.
const SEVERAL: u32 = u32::MAX;
/// Channel of the children of a process: this plus its number.
pub const CHILDREN: u32 = 0x8000_0000;

pub(super) struct Scheduler {
    /// In order of their numbers.
    pub(super) tasks: Vec<Arc<Task>>,
    ready: VecDeque<Arc<Task>>,
    current: Option<Arc<Task>>,
    next_pid: u32,
    /// When the current task got the CPU.
    since: u64,
    idle: bool,
    idle_ns: u64,
    switches: u64,
    timer_events: u64,
}

pub(super) static SCHEDULER: Guarded<Scheduler> = Guarded::new(Scheduler {
    tasks: Vec::new(),
    ready: VecDeque::new(),
    current: None,
    next_pid: 1,
    since: 0,
    idle: false,
    idle_ns: 0,
    switches: 0,
    timer_events: 0,
});

/// The running task, for [`current`].
static CURRENT: AtomicPtr<Task> = AtomicPtr::new(core::ptr::null_mut());
/// The running task should give way at the next opportunity.
static GIVE_WAY: AtomicBool = AtomicBool::new(false);

/// Makes what runs now the first task.
pub fn init(name: &str) {
    SCHEDULER.with(|scheduler| {
        let task = Arc::new(Task::new(1, Family::apart(0), name, None, Saved::running(), None));
        task.set_state(State::Running);
        CURRENT.store(Arc::as_ptr(&task).cast_mut(), Ordering::Relaxed);
        scheduler.tasks.push(Arc::clone(&task));
        scheduler.current = Some(task);
        scheduler.next_pid = 2;
        scheduler.since = time::now();
    });
}

/// The running task. Only for use by the task itself: it lives as long as it runs.
pub fn current() -> &'static Task {
    // SAFETY: 1. Set by `init` before anything runs, and by `schedule` to a task that the list
    // keeps until it is a zombie and another task runs.
    unsafe { &*CURRENT.load(Ordering::Relaxed) }
}

/// The running task, if tasks exist yet.
pub fn try_current() -> Option<&'static Task> {
    (!CURRENT.load(Ordering::Relaxed).is_null()).then(current)
}

/// Adds a task that `make` builds for a number of its own, ready to run. None: no memory.
fn add(make: impl FnOnce(u32) -> Task) -> Option<u32> {
    let pid = SCHEDULER.with(|scheduler| {
        let pid = scheduler.next_pid;
        (scheduler.tasks.len() < TASKS).then(|| {
            scheduler.next_pid += 1;
            pid
        })
    })?;
    let task = Arc::new(make(pid));
    SCHEDULER.with(|scheduler| {
        scheduler.tasks.push(Arc::clone(&task));
        scheduler.ready.push_back(task);
        scheduler.arm();
    });
    Some(pid)
}

/// Starts a kernel task. None: no memory.
pub fn start_kernel(name: &str, function: extern "C" fn(u32) -> !, argument: u32) -> Option<u32> {
    let stack = Stack::new()?;
    let saved = Saved::kernel(stack.top(), function, argument);
    add(|pid| Task::new(pid, Family::apart(0), name, Some(stack), saved, None))
}

/// Starts a process with these registers. It writes its number to `tid_at`, unless that is 0, before
/// it begins. None: no memory.
pub fn start_process(
    name: &str,
    family: Family,
    process: Process,
    registers: &TrapFrame,
    tid_at: u32,
) -> Option<u32> {
    let stack = Stack::new()?;
    let saved = Saved::user(stack.top(), registers);
    add(|pid| {
        let task = Task::new(pid, family, name, Some(stack), saved, Some(process));
        task.tid_at.store(tid_at, Ordering::Relaxed);
        task
    })
}

impl Scheduler {
    /// Sets the timer to what time will bring first.
    fn arm(&self) {
        let sleeper = self
            .tasks
            .iter()
            .flat_map(|task| {
                let sleeps = task.state() == State::Sleeping;
                let wake_at = if sleeps { task.wake_at.load(Ordering::Relaxed) } else { 0 };
                [wake_at, task.alarm_at.load(Ordering::Relaxed)]
            })
            .filter(|at| *at != 0)
            .min();
        // A slice that is over already gets a little more: a deadline in the past would fire before
        // anything could give way.
        let slice = (!self.ready.is_empty() && !self.idle)
            .then(|| (self.since + SLICE_NS).max(time::now() + SLICE_NS / 10));
        let first = match (sleeper, slice) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(0),
        };
        time::set_timer(first);
    }

    fn make_ready(&mut self, index: usize) {
        let task = Arc::clone(&self.tasks[index]);
        task.set_state(State::Ready);
        task.channel.store(0, Ordering::Relaxed);
        task.channels.with(Vec::clear);
        task.wake_at.store(0, Ordering::Relaxed);
        self.ready.push_front(task);
        GIVE_WAY.store(true, Ordering::Relaxed);
    }

    fn wake_where(&mut self, condition: impl Fn(&Task) -> bool) {
        for index in 0..self.tasks.len() {
            let task = &self.tasks[index];
            if task.state() == State::Sleeping && condition(task) {
                self.make_ready(index);
            }
        }
    }
}

impl Waker {
    /// One that [wakes](wake) a channel.
    pub fn channel(channel: u32) -> Self {
        Self { call: wake, argument: channel }
    }
}

/// Wakes every task that sleeps on the channel.
pub fn wake(channel: u32) {
    SCHEDULER.with(|scheduler| {
        scheduler.wake_where(|task| match task.channel.load(Ordering::Relaxed) {
            SEVERAL => task.channels.with(|channels| channels.contains(&channel)),
            only => only == channel,
        });
    });
}

/// Wakes a task from whatever sleep it is in.
pub fn interrupt(pid: u32) {
    SCHEDULER.with(|scheduler| scheduler.wake_where(|task| task.pid == pid));
}

/// Lets a stopped task run on; whether it was stopped.
pub fn resume(pid: u32) -> bool {
    SCHEDULER.with(|scheduler| {
        let is_it = |task: &Arc<Task>| task.pid == pid && task.state() == State::Stopped;
        let found = scheduler.tasks.iter().position(is_it);
        if let Some(index) = found {
            scheduler.make_ready(index);
        }
        found.is_some()
    })
}

/// The number of a process whose alarm is due, which is set to its next then.
fn due_alarm(now: u64) -> Option<u32> {
    SCHEDULER.with(|scheduler| {
        let is_due = |task: &&Arc<Task>| {
            let at = task.alarm_at.load(Ordering::Relaxed);
            at != 0 && at <= now
        };
        let task = scheduler.tasks.iter().find(is_due)?;
        let interval = task.alarm_interval.load(Ordering::Relaxed);
        let next = if interval == 0 { 0 } else { now.saturating_add(interval) };
        task.alarm_at.store(next, Ordering::Relaxed);
        Some(task.pid)
    })
}

/// Sets the running task's alarm, and has the timer know of it. When it would have rung, and how often
/// from then on.
pub fn set_alarm(at: u64, interval: u64) -> (u64, u64) {
    let _masked = events::Masked::new();
    let task = current();
    let before = task.alarm_at.swap(at, Ordering::Relaxed);
    let interval = task.alarm_interval.swap(interval, Ordering::Relaxed);
    SCHEDULER.with(|scheduler| scheduler.arm());
    (before, interval)
}

/// The timer fired: wakes whose time has come.
pub fn timer() {
    let now = time::now();
    time::timer_fired();
    while let Some(pid) = due_alarm(now) {
        // Ended meanwhile: nobody to wake.
        let _ = signal::send(pid, Info::kernel(SIGALRM));
    }
    SCHEDULER.with(|scheduler| {
        scheduler.timer_events += 1;
        scheduler.wake_where(|task| {
            let at = task.wake_at.load(Ordering::Relaxed);
            at != 0 && at <= now
        });
        if !scheduler.ready.is_empty() && now >= scheduler.since + SLICE_NS {
            GIVE_WAY.store(true, Ordering::Relaxed);
        }
        scheduler.arm();
    });
}

/// Puts the running task to sleep on a channel (0: none) until it is woken, or until `deadline` of
/// system time (0: none). Upcalls masked, since the caller looked before; they are masked again when
/// it returns, and the caller looks again.
pub fn sleep(channel: u32, deadline: u64) {
    assert!(events::is_masked(), "sleep without the mask");
    let task = current();
    task.channel.store(channel, Ordering::Relaxed);
    task.wake_at.store(deadline, Ordering::Relaxed);
    task.set_state(State::Sleeping);
    schedule();
}

/// As [`sleep`], on any of several channels.
pub fn sleep_on(channels: Vec<u32>, deadline: u64) {
    current().channels.with(|mine| *mine = channels);
    sleep(SEVERAL, deadline);
}

/// Stops the running task until [`resume`]. Upcalls masked.
pub fn stop() {
    assert!(events::is_masked(), "stop without the mask");
    current().set_state(State::Stopped);
    schedule();
}

/// Gives the CPU to the others that wait for it, if any.
pub fn give_way() {
    let _masked = events::Masked::new();
    GIVE_WAY.store(false, Ordering::Relaxed);
    let others = SCHEDULER.with(|scheduler| {
        let Some(task) = scheduler.current.as_ref().filter(|_| !scheduler.ready.is_empty()) else {
            return false;
        };
        task.set_state(State::Ready);
        let task = Arc::clone(task);
        scheduler.ready.push_back(task);
        true
    });
    if others {
        schedule();
    }
}

/// After an upcall, masked: preempts the running task if it should give way.
pub fn preempt() {
    let wanted = GIVE_WAY.load(Ordering::Relaxed);
    if wanted && !SCHEDULER.with(|scheduler| scheduler.idle) {
        give_way();
    }
}

/// Calls `f` with each task in order of numbers, upcalls masked.
pub fn for_each(mut f: impl FnMut(&Task)) {
    SCHEDULER.with(|scheduler| scheduler.tasks.iter().for_each(|task| f(task)));
}

/// Calls `f` with a task.
pub fn with_task<R>(pid: u32, f: impl FnOnce(&Task) -> R) -> Option<R> {
    SCHEDULER.with(|scheduler| scheduler.tasks.iter().find(|task| task.pid == pid).map(|t| f(t)))
}

/// Nanoseconds idle, timer events, switches; the running task's nanoseconds since it got the CPU.
pub fn statistics() -> (u64, u64, u64, u64) {
    SCHEDULER.with(|s| (s.idle_ns, s.timer_events, s.switches, time::now() - s.since))
}

/// Blocks the vCPU until an event, on behalf of nobody.
fn idle() {
    let start = time::now();
    SCHEDULER.with(|scheduler| {
        scheduler.idle = true;
        scheduler.arm();
    });
    ring1::console::flush();
    calls::block();
    events::mask();
    SCHEDULER.with(|scheduler| {
        scheduler.idle = false;
        scheduler.idle_ns += time::now() - start;
    });
}

/// Switches to the next task that can run, which may be the same. Upcalls masked; the running task's
/// state says whether it can run.
pub(super) fn schedule() {
    let mut slept = 0;
    loop {
        let started = time::now();
        let ready = SCHEDULER.with(|scheduler| scheduler.ready.pop_front());
        if let Some(next) = ready {
            return switch_to(next, slept);
        }
        idle();
        slept += time::now() - started;
    }
}

fn switch_to(next: Arc<Task>, slept: u64) {
    let previous = current();
    GIVE_WAY.store(false, Ordering::Relaxed);
    next.set_state(State::Running);
    WORK.store(u32::from(next.has_work()), Ordering::Relaxed);
    let next: *const Task = SCHEDULER.with(|scheduler| {
        let now = time::now();
        let ran = (now - scheduler.since).saturating_sub(slept);
        previous.cpu_ns.fetch_add(ran, Ordering::Relaxed);
        scheduler.since = now;
        let pointer = Arc::as_ptr(&next);
        scheduler.current = Some(next);
        scheduler.arm();
        if !core::ptr::eq(pointer, previous) {
            scheduler.switches += 1;
        }
        pointer
    });
    if core::ptr::eq(next, previous) {
        return;
    }
    CURRENT.store(next.cast_mut(), Ordering::Relaxed);
    let next = current();
    if let Some(process) = &previous.process {
        process.context.save();
    }
    if let Some(process) = &next.process {
        load(process, next.stack.as_ref());
    }
    // SAFETY: 1. `previous` runs and `next` does not; the list of tasks keeps both. 2. Address
    // space, kernel stack and context were switched. A kernel task runs in any address space.
    unsafe { switch::switch(&previous.saved, &next.saved) }
}

/// Gives the vCPU a process's address space, kernel stack and context, in one crossing.
fn load(process: &Process, stack: Option<&Stack>) {
    let mut batch: heapless::Vec<MulticallEntry, 2> = heapless::Vec::new();
    let operation = space::activation(process.root());
    if let Some(operation) = &operation {
        let at = core::ptr::from_ref(operation).expose_provenance() as u32;
        let arguments = [at, 1, 0, u32::from(DOMID_SELF)];
        let _ = batch.push(calls::call(hypercall::MMUEXT_OP, &arguments));
    }
    if let Some(stack) = stack {
        let arguments = [u32::from(FLAT_RING1_SS), stack.top()];
        let _ = batch.push(calls::call(hypercall::STACK_SWITCH, &arguments));
    }
    // SAFETY: 1. The process's tables are pinned and share the kernel's half: no kernel mapping
    // changes. 2. The stack is the next task's own. 3. `operation` outlives the call.
    let outcome = unsafe { calls::multicall(&mut batch) };
    assert!(
        outcome.is_ok() && batch.iter().all(|call| call.result == 0),
        "cannot switch to a process: {batch:?}"
    );
    process.context.load();
}

/// First thing of a new task, upcalls masked.
pub extern "C" fn begin() {
    events::unmask();
}
