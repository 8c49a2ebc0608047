//! Processes: starting, forking, executing, ending.
//!
//! What a process has is used by its own task only; others see its number of frames and its root. A
//! memory that `vfork` lends changes hands while one of the two tasks waits for that.
//! It starts with the console as files 0 to 2.

use super::scheduler::{self, CHILDREN};
use super::{Family, Task, children, context::Context};
use crate::fs;
use crate::fs::descriptors::Files;
use crate::fs::file::{Flags, Open};
use crate::fs::place::Place;
use crate::mm::frames::{self, Use};
use crate::mm::space::{self, Space};
use crate::mm::{PAGE, table};
use crate::program::{self, Program};
use crate::regions::{Access, Kind, Region, Regions, Source};
use crate::shell::kernel::Errno;
use crate::signal::state::Signals;
use crate::sync::{Guarded, Owned};
use crate::syscall::errno::{E2BIG, ENOEXEC, ENOMEM};
use crate::time;
use crate::tty::file::Terminal;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use pv_abi::types::Pfn;
use ring1::events;
use ring1::trap::TrapFrame;

/// Address after the main stack.
pub const STACK_TOP: u32 = 0x7fff_f000;
/// Bytes that the main stack may grow to.
pub const STACK_LIMIT: u32 = 8 << 20;
/// Mappings are placed below this.
pub const MAPPINGS_TOP: u32 = 0x7f00_0000;

/// The memory of a process.
#[derive(Debug)]
pub struct Memory {
    /// Its page tables.
    pub space: Space,
    /// What may be where.
    pub regions: Regions,
    /// Where `brk` began.
    pub brk_start: u32,
    /// Where it is.
    pub brk: u32,
}

/// What makes a task a process.
pub struct Process {
    /// Its memory; none when it has ended.
    pub memory: Owned<Option<Memory>>,
    /// Its files.
    pub files: Owned<Files>,
    /// Its part of the CPU.
    pub context: Context,
    /// Its signals.
    pub signals: Guarded<Signals>,
    /// The system call that a signal interrupted, until it is known what becomes of it.
    pub interrupted: Guarded<Option<u32>>,
    /// Until when that call would have waited, for when it begins again; 0: it says so itself.
    pub deadline: AtomicU64,
    /// Whether it has begun a program of its own since it was forked.
    pub executed: AtomicBool,
    /// The path of its program.
    pub program: Guarded<Arc<str>>,
    /// Whose memory it has, by `vfork`, until it begins a program or ends; 0: its own.
    lender: AtomicU32,
    root: AtomicU32,
    resident: AtomicU32,
}

impl Process {
    fn new(
        memory: Option<Memory>,
        files: Files,
        context: Context,
        signals: Signals,
        program: Arc<str>,
    ) -> Self {
        let root = memory.as_ref().map_or(0, |memory| memory.space.root().raw() as u32);
        let resident = memory.as_ref().map_or(0, |memory| memory.space.resident());
        Self {
            memory: Owned::new(memory),
            files: Owned::new(files),
            context,
            signals: Guarded::new(signals),
            interrupted: Guarded::new(None),
            deadline: AtomicU64::new(0),
            executed: AtomicBool::new(false),
            program: Guarded::new(program),
            lender: AtomicU32::new(0),
            root: AtomicU32::new(root),
            resident: AtomicU32::new(resident),
        }
    }

    /// The frame of its L3.
    pub fn root(&self) -> Pfn {
        Pfn::new(u64::from(self.root.load(Ordering::Relaxed)))
    }

    /// Takes the memory of `lender`, which waits for it.
    fn borrow_memory(&self, memory: Memory, lender: u32) {
        self.root.store(memory.space.root().raw() as u32, Ordering::Relaxed);
        self.resident.store(memory.space.resident(), Ordering::Relaxed);
        self.lender.store(lender, Ordering::Relaxed);
        *self.memory.borrow() = Some(memory);
    }

    /// Drops memory that the running process has no more, or gives it back.
    fn give_up(&self, memory: Option<Memory>) {
        let lender = self.lender.swap(0, Ordering::Relaxed);
        let mut memory = memory;
        if lender != 0 {
            scheduler::with_task(lender, |task| {
                if let Some(process) = &task.process {
                    *process.memory.borrow() = memory.take();
                }
            });
            scheduler::wake(CHILDREN + lender);
        }
        drop(memory);
    }

    /// User frames that it maps.
    pub fn resident(&self) -> u32 {
        self.resident.load(Ordering::Relaxed)
    }

    /// Lends its memory to `f`; for its own task alone. None when it has ended.
    pub fn with_memory<R>(&self, f: impl FnOnce(&mut Memory) -> R) -> Option<R> {
        let mut memory = self.memory.borrow();
        let memory = memory.as_mut()?;
        let result = f(memory);
        self.resident.store(memory.space.resident(), Ordering::Relaxed);
        Some(result)
    }
}

/// Scripts whose interpreters are scripts themselves, at most.
const SCRIPTS: u32 = 4;

/// What is to be executed: a program, and the path and arguments that it gets.
struct Executable {
    program: Program,
    path: String,
    arguments: Vec<Vec<u8>>,
}

impl Executable {
    /// The program file at `path`, which a relative one begins at `from`; of a script, its
    /// interpreter.
    fn find(from: &Place, path: &str, arguments: &[&[u8]]) -> Result<Self, Errno> {
        let mut path = String::from(path);
        let mut arguments: Vec<Vec<u8>> = arguments.iter().map(|word| word.to_vec()).collect();
        for _ in 0..SCRIPTS {
            let image = fs::root::program(from, &path)?;
            let Some((interpreter, argument)) = program::interpreter(&image) else {
                let program = program::parse(&image).map_err(|_| ENOEXEC)?;
                return Ok(Self { program, path, arguments });
            };
            let words = [Some(interpreter), argument, Some(path.as_str())];
            let words = words.into_iter().flatten().map(|word| word.as_bytes().to_vec());
            let rest = arguments.split_off(arguments.len().min(1));
            arguments = words.chain(rest).collect();
            path = String::from(interpreter);
        }
        Err(ENOEXEC)
    }
}

/// A path that begins at the root, of one that begins at `from`.
fn absolute(from: &Place, path: &str) -> Arc<str> {
    if path.starts_with('/') {
        return Arc::from(path);
    }
    let directory = fs::root::tree().path(from).unwrap_or_default();
    let directory = String::from_utf8_lossy(&directory);
    Arc::from(alloc::format!("{}/{path}", directory.trim_end_matches('/')))
}

/// Bytes for `AT_RANDOM`: enough to tell processes apart, no secret.
pub fn random() -> [u8; 16] {
    let mut state = ring1::hypercall::rdtsc() ^ time::now().rotate_left(32);
    let mut bytes = [0; 16];
    for half in bytes.chunks_mut(8) {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes
}

/// Builds the memory of a program that begins, and its registers.
fn build(executable: &Executable, environment: &[&[u8]]) -> Result<(Memory, TrapFrame), Errno> {
    let Executable { program, path, arguments } = executable;
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let stack = program::initial_stack(
        program,
        path.as_bytes(),
        &arguments,
        environment,
        random(),
        STACK_TOP,
    )
    .ok_or(E2BIG)?;
    let mut regions = Regions::new();
    program.regions.iter().for_each(|region| regions.insert(region.clone()));
    regions.insert(Region {
        start: STACK_TOP - STACK_LIMIT,
        end: STACK_TOP,
        access: Access::READ_WRITE,
        source: Source::Zero,
        kind: Kind::Stack,
    });
    let mut space = Space::new().map_err(|_| ENOMEM)?;
    // The stack's pages, from the top down.
    let flags = space::flags(Access::READ_WRITE, false);
    let mut end = stack.len();
    let mut page = STACK_TOP;
    while end > 0 {
        page -= PAGE;
        let pfn = frames::allocate_zeroed(Use::User).ok_or(ENOMEM)?;
        let start = end.saturating_sub(PAGE as usize);
        frames::fill(pfn, PAGE as usize - (end - start), &stack[start..end]);
        if space.map(page, pfn, flags).is_err() {
            frames::release(pfn);
            return Err(ENOMEM);
        }
        end = start;
    }
    let registers = ring1::probe::user_registers(program.entry, STACK_TOP - stack.len() as u32);
    let memory = Memory { space, regions, brk_start: program.end, brk: program.end };
    Ok((memory, registers))
}

/// Starts a process as a child of the running task, in a group of its own.
pub fn spawn(path: &str, arguments: &[&[u8]]) -> Result<u32, Errno> {
    children::bury();
    let environment: [&[u8]; 3] = [b"PATH=/bin", b"HOME=/", b"TERM=vt100"];
    let executable = Executable::find(&fs::root::tree().root(), path, arguments)?;
    let (memory, registers) = build(&executable, &environment)?;
    let console = Open::new(Arc::new(Terminal), Flags::READ_WRITE);
    let (signals, program) = (Signals::new(), Arc::from(executable.path.as_str()));
    let process =
        Process::new(Some(memory), Files::standard(console), Context::new(), signals, program);
    process.executed.store(true, Ordering::Relaxed);
    let name = name_of(path, arguments);
    let me = scheduler::current();
    let session = Some(me.session.load(Ordering::Relaxed));
    let family = Family { parent: me.pid, group: None, session };
    scheduler::start_process(&name, family, process, &registers, 0).ok_or(ENOMEM)
}

/// A task's name: the file's, and the arguments.
fn name_of(path: &str, arguments: &[&[u8]]) -> heapless::String<{ super::NAME }> {
    let mut name = super::short(path.rsplit('/').next().unwrap_or(path));
    for argument in arguments.iter().skip(1) {
        let text = core::str::from_utf8(argument).unwrap_or("?");
        if name.push(' ').is_err() || name.push_str(text).is_err() {
            break;
        }
    }
    name
}

/// A child of the running process with everything but memory: the same files, signals and FPU.
fn child(task: &Task, process: &Process, memory: Option<Memory>) -> (Process, Family) {
    let files = process.files.borrow().clone();
    let signals = process.signals.with(|signals| signals.fork());
    let program = process.program.with(|program| Arc::clone(program));
    let child = Process::new(memory, files, process.context.fork(), signals, program);
    let family = Family {
        parent: task.pid,
        group: Some(task.group.load(Ordering::Relaxed)),
        session: Some(task.session.load(Ordering::Relaxed)),
    };
    (child, family)
}

/// Forks the running process; `frame` holds its registers. The child writes its number to `tid_at`
/// in its memory when it begins, unless that is 0. The child's number.
pub fn fork(frame: &TrapFrame, tid_at: u32) -> Result<u32, Errno> {
    children::bury();
    let task = scheduler::current();
    let Some(process) = &task.process else { return Err(ENOMEM) };
    let memory = process
        .with_memory(|memory| -> Result<Memory, Errno> {
            let space = memory.space.fork().map_err(|_| ENOMEM)?;
            let regions = memory.regions.clone();
            Ok(Memory { space, regions, brk_start: memory.brk_start, brk: memory.brk })
        })
        .ok_or(ENOMEM)??;
    let (child, family) = child(task, process, Some(memory));
    let registers = TrapFrame { eax: 0, ..*frame };
    scheduler::start_process(&task.name(), family, child, &registers, tid_at).ok_or(ENOMEM)
}

/// As [`fork`], but the child gets the running process's own memory, which waits until it is given
/// back: when the child begins a program, or ends. Nothing else ends that wait.
pub fn vfork(frame: &TrapFrame, tid_at: u32) -> Result<u32, Errno> {
    children::bury();
    let task = scheduler::current();
    let Some(process) = &task.process else { return Err(ENOMEM) };
    let (child, family) = child(task, process, None);
    let registers = TrapFrame { eax: 0, ..*frame };
    // The child does not run before it has a memory.
    let _masked = events::Masked::new();
    let pid = scheduler::start_process(&task.name(), family, child, &registers, tid_at);
    let pid = pid.ok_or(ENOMEM)?;
    let memory = process.memory.borrow().take();
    scheduler::with_task(pid, |child| {
        if let (Some(child), Some(memory)) = (&child.process, memory) {
            child.borrow_memory(memory, task.pid);
        }
    });
    while process.memory.borrow().is_none() {
        scheduler::sleep(CHILDREN + task.pid, 0);
    }
    Ok(pid)
}

/// Replaces the running process's program; on success `frame` holds its first registers.
pub fn execute(
    frame: &mut TrapFrame,
    path: &str,
    arguments: &[Vec<u8>],
    environment: &[Vec<u8>],
) -> Result<(), Errno> {
    let task = scheduler::current();
    let Some(process) = &task.process else { return Err(ENOEXEC) };
    // What programs that are several in one call themselves.
    let own = process.program.with(|program| Arc::clone(program));
    let (path, is_own) = if path == "/proc/self/exe" { (&*own, true) } else { (path, false) };
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let environment: Vec<&[u8]> = environment.iter().map(Vec::as_slice).collect();
    let from = fs::root::directory(&process.files.borrow());
    let executable = Executable::find(&from, path, &arguments)?;
    let (memory, registers) = build(&executable, &environment)?;
    let called = if is_own { arguments.first().copied() } else { None };
    let called = called.and_then(|name| core::str::from_utf8(name).ok());
    let name = name_of(called.unwrap_or(path), &arguments);
    task.name.with(|kept| *kept = name);
    // The new tables first: from here on a switch of tasks loads them.
    let root = memory.space.root();
    process.root.store(root.raw() as u32, Ordering::Relaxed);
    space::activate(root);
    let old = process.memory.borrow().replace(memory);
    process.give_up(old);
    process.with_memory(|_| ());
    process.files.borrow().close_on_exec();
    process.context.reset();
    process.signals.with(Signals::exec);
    process.executed.store(true, Ordering::Relaxed);
    let whole = absolute(&from, &executable.path);
    process.program.with(|program| *program = whole);
    *frame = registers;
    Ok(())
}

/// Ends the running process with a wait status: `code << 8`, or a signal's number.
pub fn exit(status: u32) -> ! {
    let task = scheduler::current();
    if let Some(process) = &task.process {
        process.files.borrow().close_all();
        process.root.store(table::boot_root().raw() as u32, Ordering::Relaxed);
        {
            let _masked = events::Masked::new();
            space::leave();
        }
        let memory = process.memory.borrow().take();
        process.give_up(memory);
        process.resident.store(0, Ordering::Relaxed);
    }
    children::end(status)
}
