//! The tree of this machine: what is mounted at the start, and what `mount` can mount.
//!
//! First the root is the initrd, unpacked into memory and read-only. With `root=/dev/NAME` on the
//! kernel's command line a disk takes its place, as Linux has it: `rootfstype=` says which file system,
//! else each is tried; `ro` and `rw` whether it is written (it is, unless `ro`). On either root lie
//! `/dev`, `/proc`, `/run` and `/tmp`.

use super::descriptors::Files;
use super::device::{Null, Random, Zero};
use super::ext2::Volume;
use super::ext4::View;
use super::file::{BLOCKS, CHARACTERS, DIRECTORY, File, Flags, Open, Result, device};
use super::lock::Mutex;
use super::place::Place;
use super::system::FileSystem;
use super::tmpfs::Tmpfs;
use super::tree::{Last, Tree, Wanted};
use super::{disks, unpack};
use crate::block::{self, Disk};
use crate::errno::{EINVAL, ENODEV, ENOENT};
use crate::initrd::Initrd;
use crate::mm::p2m;
use crate::proc::files::Proc;
use crate::sync::Guarded;
use crate::task::scheduler;
use crate::time;
use crate::tty::file::Terminal;
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ring1::abi::StartInfo;
use ring1::println;

static INITRD: Guarded<Initrd> = Guarded::new(Initrd::EMPTY);
static TREE: Mutex<Option<Arc<Tree>>> = Mutex::new(None);
/// Frames of the machine, of which memory for files is a part.
static FRAMES: AtomicU32 = AtomicU32::new(0);

/// Directories that things are mounted on.
const MOUNT_POINTS: [&str; 5] = ["/dev", "/proc", "/run", "/tmp", "/mnt"];
/// How long changes may wait in memory, nanoseconds.
const WRITE_BACK_NS: u64 = 5_000_000_000;
/// How long the disk of the root is waited for, nanoseconds.
const PATIENCE_NS: u64 = 30_000_000_000;

/// Seconds since 1970.
pub fn clock() -> u32 {
    time::time_of_day().0 as u32
}

/// Finds the initrd that the builder loaded as the module, and makes it the root.
pub fn init(start_info: &StartInfo) {
    FRAMES.store(start_info.nr_pages, Ordering::Relaxed);
    let at = if start_info.flags & pv_abi::start_info::SIF_MOD_START_PFN != 0 {
        p2m::address(pv_abi::types::Pfn::new(u64::from(start_info.mod_start)))
    } else {
        start_info.mod_start
    };
    if at != 0 && start_info.mod_len != 0 {
        let read = Initrd::read(crate::mm::boot_bytes(at, start_info.mod_len));
        INITRD.with(|initrd| *initrd = read);
    }
    let root = Tmpfs::new("rootfs", share(4), clock);
    unpack::unpack(&initrd(), &root, &MOUNT_POINTS);
    adopt(Tree::new(Arc::new(root), "rootfs", true, open_device));
}

/// The initrd.
pub fn initrd() -> Initrd {
    INITRD.with(|initrd| *initrd)
}

/// The tree.
pub fn tree() -> Arc<Tree> {
    match &*TREE.lock() {
        Some(tree) => Arc::clone(tree),
        None => unreachable!("the tree is made before tasks are"),
    }
}

/// Opens what an absolute path leads to.
pub fn open(path: &str, flags: Flags) -> Result<Open> {
    let tree = tree();
    tree.open(&tree.root(), path.as_bytes(), flags, &Wanted::default())
}

/// The directory that the paths of a process begin at.
pub fn directory(files: &Files) -> Place {
    files.directory().unwrap_or_else(|| tree().root())
}

/// A part of the machine's memory, bytes.
fn share(part: u32) -> u64 {
    u64::from(FRAMES.load(Ordering::Relaxed) / part) * 4096
}

/// Mounts what every tree has, and makes it the machine's.
fn adopt(tree: Tree) {
    let root = tree.root();
    let systems: [(&str, &str, Arc<dyn FileSystem>); 4] = [
        ("/dev", "devtmpfs", Arc::new(devices())),
        ("/proc", "proc", Arc::new(Proc)),
        ("/run", "tmpfs", Arc::new(Tmpfs::new("tmpfs", share(16), clock))),
        ("/tmp", "tmpfs", Arc::new(Tmpfs::new("tmpfs", share(4), clock))),
    ];
    for (path, source, system) in systems {
        // A root that cannot be written may lack the directory, and then does without.
        let _ = tree.make(&root, path.as_bytes(), DIRECTORY | 0o755, 0);
        let mounted = tree
            .find(&root, path.as_bytes(), Last::Follow)
            .and_then(|place| tree.mount(place, system, source, false));
        if let Err(errno) = mounted {
            println!("{path} is not mounted: {errno}");
        }
    }
    *TREE.lock() = Some(Arc::new(tree));
}

/// `/dev`: a file system in memory that follows the list of disks.
fn devices() -> Tmpfs {
    let tmpfs = Tmpfs::new("devtmpfs", 1 << 20, clock).refreshed_by(list_disks);
    let characters = [
        ("console", 5, 1, 0o600),
        ("full", 1, 7, 0o666),
        ("null", 1, 3, 0o666),
        ("random", 1, 8, 0o666),
        ("tty", 5, 0, 0o666),
        ("urandom", 1, 9, 0o666),
        ("zero", 1, 5, 0o666),
    ];
    for (name, major, minor, permissions) in characters {
        let mode = CHARACTERS | permissions;
        let _ = tmpfs.create(tmpfs.root(), name.as_bytes(), mode, device(major, minor));
    }
    tmpfs
}

/// Adds nodes of disks that are new. Those of disks that went stay, and cannot be opened.
fn list_disks(tmpfs: &Tmpfs) {
    block::for_each(|name, _| {
        let _ = tmpfs.create_unless_there(name.as_bytes(), BLOCKS | 0o660, disks::number(name));
    });
}

/// The device of a number.
fn open_device(special: u64, blocks: bool) -> Option<Arc<dyn File>> {
    const CONSOLE: u64 = device(5, 1);
    const TTY: u64 = device(5, 0);
    const NULL: u64 = device(1, 3);
    const ZERO: u64 = device(1, 5);
    const FULL: u64 = device(1, 7);
    const RANDOM: u64 = device(1, 8);
    const URANDOM: u64 = device(1, 9);
    if blocks {
        return disks::open(special);
    }
    Some(match special {
        CONSOLE | TTY => Arc::new(Terminal),
        NULL => Arc::new(Null),
        ZERO => Arc::new(Zero { full: false }),
        FULL => Arc::new(Zero { full: true }),
        RANDOM | URANDOM => Arc::new(Random { special }),
        _ => return None,
    })
}

/// The file system of this kind (`auto`: whichever it is) on a source.
fn system(source: &str, kind: &str, read_only: bool) -> Result<Arc<dyn FileSystem>> {
    let disk = || -> Result<Arc<dyn Disk>> {
        let disk = block::find(source.strip_prefix("/dev/").unwrap_or(source)).ok_or(ENOENT)?;
        // What a program has written to it is there.
        disks::write_back(&disk)?;
        Ok(disk)
    };
    match kind {
        "tmpfs" | "ramfs" => Ok(Arc::new(Tmpfs::new("tmpfs", share(4), clock))),
        "devtmpfs" => Ok(Arc::new(devices())),
        "proc" => Ok(Arc::new(Proc)),
        "ext2" => ext2(disk()?, source, read_only),
        "ext3" | "ext4" => Ok(Arc::new(View::mount(disk()?, cache())?)),
        "auto" => match ext2(disk()?, source, read_only) {
            Err(errno) if errno == EINVAL => system(source, "ext4", read_only),
            result => result,
        },
        _ => Err(ENODEV),
    }
}

/// Most bytes of a disk's cache.
fn cache() -> usize {
    (share(16) as usize).min(32 << 20)
}

fn ext2(disk: Arc<dyn Disk>, source: &str, read_only: bool) -> Result<Arc<dyn FileSystem>> {
    let volume = Volume::mount(disk, !read_only, cache(), clock)?;
    if !volume.was_clean() {
        println!("{source}: not unmounted in order; e2fsck can tell what that did");
    }
    start_writing_back();
    Ok(Arc::new(volume))
}

/// Mounts a source on a directory.
///
/// # Errors
/// ENODEV: no such kind. ENOENT: no such disk. EINVAL: the disk does not hold such a file system.
pub fn mount(source: &str, on: Place, kind: &str, read_only: bool) -> Result {
    let system = system(source, kind, read_only)?;
    tree().mount(on, system, source, read_only)
}

/// Unmounts what is mounted on `path`, or what is mounted of a source of that name.
///
/// # Errors
/// EINVAL: nothing is. EBUSY: it is in use. EIO: not all changes could be written.
pub fn unmount(from: &Place, path: &[u8]) -> Result {
    let tree = tree();
    let place = tree.find(from, path, Last::Follow);
    let number = place.ok().filter(Place::is_root).map(|place| place.mount.number);
    tree.unmount(|mount| match number {
        Some(number) => mount.number == number,
        None => mount.source.as_bytes() == path,
    })
}

/// Puts the disk that the command line names in the root's place. What cannot be is said, and the
/// initrd stays.
pub fn mount_root(line: &str) {
    let option =
        |name: &str| line.split_whitespace().filter_map(|word| word.strip_prefix(name)).next_back();
    let Some(source) = option("root=") else { return };
    let read_only = line.split_whitespace().rfind(|word| matches!(*word, "ro" | "rw"));
    let name = source.strip_prefix("/dev/").unwrap_or(source);
    let deadline = time::now() + PATIENCE_NS;
    let mounted = block::wait_for(name, deadline).ok_or(ENOENT).and_then(|_| {
        system(source, option("rootfstype=").unwrap_or("auto"), read_only == Some("ro"))
    });
    match mounted {
        Ok(system) => adopt(Tree::new(system, source, read_only == Some("ro"), open_device)),
        Err(errno) => println!("{source} cannot be the root: {errno}"),
    }
}

/// Makes all changes last.
pub fn sync() -> Result {
    let files = tree().sync();
    disks::sync().and(files)
}

/// The domain stops: everything is unmounted, so that nothing needs to be mended.
pub fn stop() {
    let tree = TREE.lock().clone();
    if let Some(tree) = tree {
        tree.stop();
    }
    // It cannot be told to anybody any more.
    let _ = disks::sync();
}

/// Starts the task that writes back what has waited long, once.
pub(super) fn start_writing_back() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if !STARTED.swap(true, Ordering::Relaxed) {
        scheduler::start_kernel("writeback", write_back, 0);
    }
}

extern "C" fn write_back(_: u32) -> ! {
    loop {
        {
            let _masked = ring1::events::Masked::new();
            scheduler::sleep(0, time::now() + WRITE_BACK_NS);
        }
        for mount in tree().mounts() {
            mount.system.sync_by_time();
        }
        disks::sync_by_time();
    }
}

/// Where a program of `path` begins: its bytes.
///
/// # Errors
/// EACCES: no file, or nobody may execute it. As [`Tree::open`].
pub fn program(from: &Place, path: &str) -> Result<super::image::Image> {
    let tree = tree();
    let open = tree.open(from, path.as_bytes(), Flags::empty(), &Wanted::default())?;
    let status = open.file.status()?;
    if !status.is(super::file::REGULAR) || status.mode & 0o111 == 0 {
        return Err(crate::errno::EACCES);
    }
    match open.file.contents()? {
        super::file::Contents::Bytes(image) => Ok(image),
        super::file::Contents::Zero => Err(EINVAL),
    }
}

/// What `/proc/mounts` says.
pub fn mounts() -> alloc::string::String {
    let mut text = alloc::string::String::new();
    for mount in tree().mounts() {
        let how = if mount.read_only { "ro" } else { "rw" };
        text += &format!("{} {} {} {how} 0 0\n", mount.source, mount.path, mount.system.kind());
    }
    text
}
