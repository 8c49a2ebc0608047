//! The file system behind it.

use super::text::{Facts, Machine};
use crate::errno::{EINVAL, ENOENT, ENOTDIR};
use crate::fs::file::{DIRECTORY, Entry, LINK, REGULAR, Result, Status};
use crate::fs::root;
use crate::fs::system::FileSystem;
use crate::mm::frames::{self, Use};
use crate::task::{State, Task, process::Process, scheduler};
use crate::{time, tty};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// Bits of an inode's number below the task's.
const FILE_BITS: u32 = 8;
/// The root directory, and in a task's part its directory.
const TOP: u64 = 1;
/// The first file of a directory.
const FIRST: u64 = 2;

/// What makes a file's text.
type Maker<T> = fn(&T) -> String;

/// Files of the root.
const FILES: [(&str, Maker<Machine>); 7] = [
    ("cpuinfo", Machine::processor),
    ("loadavg", Machine::load),
    ("meminfo", Machine::memory),
    ("mounts", |_| root::mounts()),
    ("stat", Machine::stat),
    ("uptime", Machine::uptime),
    ("version", |_| format!("Linux version {}\n", crate::syscall::RELEASE)),
];
/// The link to the running process.
const SELF: u64 = FIRST + FILES.len() as u64;

/// Files of a task.
const TASK_FILES: [(&str, Maker<Facts>); 5] = [
    ("cmdline", Facts::command_line),
    ("comm", |facts| format!("{}\n", facts.name())),
    ("stat", Facts::stat),
    ("statm", Facts::statm),
    ("status", Facts::status),
];
/// The link to its program.
const PROGRAM: u64 = FIRST + TASK_FILES.len() as u64;

/// What an inode is.
#[derive(Clone, Copy)]
enum Node {
    Root,
    File(Maker<Machine>),
    Current,
    Directory(u32),
    TaskFile(u32, Maker<Facts>),
    Program(u32),
}

fn number(pid: u32, file: u64) -> u64 {
    u64::from(pid) << FILE_BITS | file
}

fn node(inode: u64) -> Result<Node> {
    let pid = u32::try_from(inode >> FILE_BITS).map_err(|_| ENOENT)?;
    let file = inode & ((1 << FILE_BITS) - 1);
    let index = file.checked_sub(FIRST).map(|index| index as usize);
    match (pid, file) {
        (0, TOP) => Ok(Node::Root),
        (0, SELF) => Ok(Node::Current),
        (0, _) => {
            let (_, maker) = index.and_then(|index| FILES.get(index)).ok_or(ENOENT)?;
            Ok(Node::File(*maker))
        }
        (pid, TOP) => Ok(Node::Directory(pid)),
        (pid, PROGRAM) => Ok(Node::Program(pid)),
        (pid, _) => {
            let (_, maker) = index.and_then(|index| TASK_FILES.get(index)).ok_or(ENOENT)?;
            Ok(Node::TaskFile(pid, *maker))
        }
    }
}

fn facts_of(task: &Task) -> Facts {
    let load = |number: &core::sync::atomic::AtomicU32| number.load(Ordering::Relaxed);
    let session = load(&task.session);
    let state = match task.state() {
        State::Running | State::Ready => 'R',
        State::Sleeping => 'S',
        State::Stopped => 'T',
        State::Zombie => 'Z',
    };
    Facts {
        pid: task.pid,
        parent: load(&task.parent),
        group: load(&task.group),
        session,
        state,
        line: task.name().as_str().to_string(),
        is_kernel: task.process.is_none(),
        cpu_ns: task.cpu_ns.load(Ordering::Relaxed),
        children_cpu_ns: task.children_cpu_ns.load(Ordering::Relaxed),
        started_ns: task.started_ns,
        pages: task.process.as_ref().map_or(0, Process::resident),
        foreground: tty::foreground_of(session),
    }
}

fn facts(pid: u32) -> Result<Facts> {
    scheduler::with_task(pid, facts_of).ok_or(ENOENT)
}

fn machine() -> Machine {
    let counts = frames::counts();
    let (idle_ns, _, switches, _) = scheduler::statistics();
    let up_ns = time::uptime();
    let mut machine = Machine {
        up_ns,
        idle_ns,
        switches,
        boot_time: time::time_of_day().0.saturating_sub(up_ns / 1_000_000_000),
        pages: counts.total() - counts.of(Use::Ballooned),
        free_pages: counts.of(Use::Free),
        hz: time::tsc_hz(),
        ..Machine::default()
    };
    scheduler::for_each(|task| {
        machine.tasks += 1;
        machine.running += u32::from(matches!(task.state(), State::Running | State::Ready));
        machine.last_pid = machine.last_pid.max(task.pid);
    });
    machine
}

/// The file system.
pub struct Proc;

impl Proc {
    fn text(inode: u64) -> Result<String> {
        match node(inode)? {
            Node::File(maker) => Ok(maker(&machine())),
            Node::TaskFile(pid, maker) => Ok(maker(&facts(pid)?)),
            _ => Err(EINVAL),
        }
    }
}

impl FileSystem for Proc {
    fn kind(&self) -> &'static str {
        "proc"
    }

    fn root(&self) -> u64 {
        TOP
    }

    fn status(&self, inode: u64) -> Result<Status> {
        let mode = match node(inode)? {
            Node::Root => DIRECTORY | 0o555,
            Node::Directory(pid) => facts(pid).map(|_| DIRECTORY | 0o555)?,
            Node::File(_) => REGULAR | 0o444,
            Node::TaskFile(pid, _) => facts(pid).map(|_| REGULAR | 0o444)?,
            Node::Current | Node::Program(_) => LINK | 0o777,
        };
        Ok(Status { inode, ..Status::anonymous(mode) })
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let name = core::str::from_utf8(name).map_err(|_| ENOENT)?;
        match node(directory)? {
            Node::Root if name == "self" => Ok(SELF),
            Node::Root => {
                if let Some(index) = FILES.iter().position(|(file, _)| *file == name) {
                    return Ok(FIRST + index as u64);
                }
                let pid = name.parse().map_err(|_| ENOENT)?;
                facts(pid).map(|_| number(pid, TOP))
            }
            Node::Directory(_) if name == ".." => Ok(TOP),
            Node::Directory(pid) if name == "exe" => facts(pid).map(|_| number(pid, PROGRAM)),
            Node::Directory(pid) => {
                let index = TASK_FILES.iter().position(|(file, _)| *file == name).ok_or(ENOENT)?;
                facts(pid).map(|_| number(pid, FIRST + index as u64))
            }
            _ => Err(ENOTDIR),
        }
    }

    fn entries(
        &self,
        directory: u64,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result {
        let mut list: Vec<(String, u64, u32)> = Vec::new();
        let (pid, names): (u32, Vec<&str>) = match node(directory)? {
            Node::Root => (0, FILES.iter().map(|(name, _)| *name).chain(["self"]).collect()),
            Node::Directory(pid) => {
                facts(pid)?;
                (pid, TASK_FILES.iter().map(|(name, _)| *name).chain(["exe"]).collect())
            }
            _ => return Err(ENOTDIR),
        };
        list.push((".".into(), directory, DIRECTORY));
        list.push(("..".into(), TOP, DIRECTORY));
        for (inode, name) in (FIRST..).zip(&names) {
            let kind = if inode == FIRST + names.len() as u64 - 1 { LINK } else { REGULAR };
            list.push(((*name).into(), number(pid, inode), kind));
        }
        if pid == 0 {
            // Collected, since what is told may need the scheduler itself.
            let mut pids = Vec::new();
            scheduler::for_each(|task| pids.push(task.pid));
            list.extend(pids.iter().map(|pid| (pid.to_string(), number(*pid, TOP), DIRECTORY)));
        }
        for (next, (name, inode, kind)) in (1u64..).zip(&list).skip(from as usize) {
            if !emit(&Entry { name: name.as_bytes(), inode: *inode, kind: *kind, next }) {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, inode: u64, at: u64, into: &mut [u8]) -> Result<usize> {
        let text = Self::text(inode)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn read_link(&self, inode: u64) -> Result<Vec<u8>> {
        match node(inode)? {
            Node::Current => Ok(scheduler::current().pid.to_string().into_bytes()),
            Node::Program(pid) => {
                let program = scheduler::with_task(pid, |task| {
                    let process = task.process.as_ref()?;
                    Some(process.program.with(|program| program.as_bytes().to_vec()))
                });
                program.flatten().ok_or(ENOENT)
            }
            _ => Err(EINVAL),
        }
    }
}
