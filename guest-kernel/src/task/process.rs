//! Processes: starting, forking, executing, ending.
//!
//! What a process has is used by its own task only; others see its number of frames and its root.
//! It starts with the console as files 0 to 2.

use super::{children, context::Context, scheduler};
use crate::arch::events;
use crate::arch::trap::TrapFrame;
use crate::fs;
use crate::fs::descriptors::Files;
use crate::fs::device::Console;
use crate::fs::file::{Flags, Open};
use crate::fs::place::Place;
use crate::mm::frames::{self, Use};
use crate::mm::space::{self, Space};
use crate::mm::{PAGE, table};
use crate::program::{self, Program};
use crate::regions::{Access, Kind, Region, Regions, Source};
use crate::shell::kernel::Errno;
use crate::sync::Owned;
use crate::syscall::errno::{E2BIG, ENOEXEC, ENOMEM};
use crate::{arch, time};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::Pfn;

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
    root: AtomicU32,
    resident: AtomicU32,
}

impl Process {
    fn new(memory: Memory, files: Files, context: Context) -> Self {
        let root = AtomicU32::new(memory.space.root().raw() as u32);
        let resident = AtomicU32::new(memory.space.resident());
        Self { memory: Owned::new(Some(memory)), files: Owned::new(files), context, root, resident }
    }

    /// The frame of its L3.
    pub fn root(&self) -> Pfn {
        Pfn::new(u64::from(self.root.load(Ordering::Relaxed)))
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

/// The program file at `path`, which a relative one begins at `from`, and what it holds.
fn load(from: &Place, path: &str) -> Result<Program, Errno> {
    let image = fs::root::program(from, path)?;
    program::parse(&image).map_err(|_| ENOEXEC)
}

/// Bytes for `AT_RANDOM`: enough to tell processes apart, no secret.
pub fn random() -> [u8; 16] {
    let mut state = arch::hypercall::rdtsc() ^ time::now().rotate_left(32);
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
fn build(
    from: &Place,
    path: &str,
    arguments: &[&[u8]],
    environment: &[&[u8]],
) -> Result<(Memory, TrapFrame), Errno> {
    let program = load(from, path)?;
    let stack = program::initial_stack(
        &program,
        path.as_bytes(),
        arguments,
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
    space.pin();
    let registers = arch::probe::user_registers(program.entry, STACK_TOP - stack.len() as u32);
    let memory = Memory { space, regions, brk_start: program.end, brk: program.end };
    Ok((memory, registers))
}

/// Starts a process as a child of `parent`.
pub fn spawn(parent: u32, path: &str, arguments: &[&[u8]]) -> Result<u32, Errno> {
    children::bury();
    let environment: [&[u8]; 3] = [b"PATH=/bin", b"HOME=/", b"TERM=vt100"];
    let (memory, registers) = build(&fs::root::tree().root(), path, arguments, &environment)?;
    let console = Open::new(Arc::new(Console), Flags::READ_WRITE);
    let process = Process::new(memory, Files::standard(console), Context::new());
    let name = name_of(path, arguments);
    scheduler::start_process(&name, parent, process, &registers, 0).ok_or(ENOMEM)
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
    let files = process.files.borrow().clone();
    let child = Process::new(memory, files, process.context.fork());
    let registers = TrapFrame { eax: 0, ..*frame };
    scheduler::start_process(&task.name(), task.pid, child, &registers, tid_at).ok_or(ENOMEM)
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
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let environment: Vec<&[u8]> = environment.iter().map(Vec::as_slice).collect();
    let from = fs::root::directory(&process.files.borrow());
    let (memory, registers) = build(&from, path, &arguments, &environment)?;
    let name = name_of(path, &arguments);
    task.name.with(|kept| *kept = name);
    // The new tables first: from here on a switch of tasks loads them.
    let root = memory.space.root();
    process.root.store(root.raw() as u32, Ordering::Relaxed);
    space::activate(root);
    let old = process.memory.borrow().replace(memory);
    drop(old);
    process.with_memory(|_| ());
    process.files.borrow().close_on_exec();
    process.context.reset();
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
        drop(memory);
        process.resident.store(0, Ordering::Relaxed);
    }
    children::end(status)
}
