//! The tree of names over file systems in memory and on a disk in memory.

use super::cache::Cache;
use super::file::{CHARACTERS, DIRECTORY, File, Flags, LINK, Open, REGULAR, Result, TYPE, device};
use super::image::Image;
use super::place::{Place, PlaceFile};
use super::system::{Change, FileSystem};
use super::tmpfs::Tmpfs;
use super::tree::{Last, Tree, Wanted};
use super::unpack::unpack;
use crate::block::ram::RamDisk;
use crate::block::{Disk, SECTOR};
use crate::errno::*;
use crate::initrd::Initrd;
use crate::shell::kernel::Errno;
use ::ext2::{Device, Failed, Order};
use alloc::sync::Arc;
use core::cell::Cell;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

fn clock() -> u32 {
    1_700_000_000
}

fn no_devices(_: u64, _: bool) -> Option<Arc<dyn File>> {
    None
}

fn tmpfs() -> Arc<Tmpfs> {
    Arc::new(Tmpfs::new("tmpfs", 1 << 20, clock))
}

/// A tree, and its root as the current directory.
struct Machine {
    tree: Tree,
    here: Place,
}

impl Machine {
    fn new() -> Self {
        let tree = Tree::new(tmpfs(), "none", false, no_devices);
        let here = tree.root();
        Self { tree, here }
    }

    fn open(&self, path: &str, flags: Flags, wanted: &Wanted) -> Result<Open> {
        self.tree.open(&self.here, path.as_bytes(), flags, wanted)
    }

    fn write(&self, path: &str, text: &str) -> Result {
        let wanted = Wanted { create: Some(0o644), truncate: true, ..Wanted::default() };
        let open = self.open(path, Flags::READ_WRITE, &wanted)?;
        assert_eq!(open.write(text.as_bytes()), Ok(text.len()));
        Ok(())
    }

    fn read(&self, path: &str) -> Result<String> {
        let open = self.open(path, Flags::empty(), &Wanted::default())?;
        let mut bytes = vec![0; 1000];
        let count = open.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    fn mkdir(&self, path: &str) -> Result {
        self.tree.make(&self.here, path.as_bytes(), DIRECTORY | 0o755, 0)
    }

    fn symlink(&self, path: &str, target: &str) -> Result {
        self.tree.symlink(&self.here, path.as_bytes(), target.as_bytes())
    }

    fn unlink(&self, path: &str) -> Result {
        self.tree.unlink(&self.here, path.as_bytes())
    }

    fn rmdir(&self, path: &str) -> Result {
        self.tree.remove_directory(&self.here, path.as_bytes())
    }

    fn rename(&self, from: &str, to: &str) -> Result {
        self.tree.rename(&self.here, from.as_bytes(), &self.here, to.as_bytes())
    }

    fn find(&self, path: &str) -> Result<Place> {
        self.tree.find(&self.here, path.as_bytes(), Last::Follow)
    }

    fn path(&self, path: &str) -> Result<String> {
        let path = self.tree.path(&self.find(path)?)?;
        Ok(String::from_utf8_lossy(&path).into_owned())
    }

    fn names(&self, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        let open = self.open(path, Flags::empty(), &Wanted::default()).unwrap();
        open.file
            .entries(0, &mut |entry| {
                names.push(String::from_utf8_lossy(entry.name).into_owned());
                true
            })
            .unwrap();
        names.sort();
        names
    }
}

fn errno<T>(result: Result<T>) -> Errno {
    result.err().expect("an error")
}

#[test]
fn paths_lead_through_directories_links_and_mounts() {
    let machine = Machine::new();
    machine.mkdir("/a").unwrap();
    machine.mkdir("a/b/").unwrap();
    machine.write("/a/b/f", "text").unwrap();
    for path in ["/a/b/f", "a//b/./f", "a/b/../b/f", "/../a/b/f"] {
        assert_eq!(machine.read(path).as_deref(), Ok("text"), "{path}");
    }
    machine.symlink("up", "a/b").unwrap();
    machine.symlink("a/b/absolute", "/a/b/f").unwrap();
    machine.symlink("a/relative", "./b/absolute").unwrap();
    assert_eq!(machine.read("up/f").as_deref(), Ok("text"));
    assert_eq!(machine.read("a/relative").as_deref(), Ok("text"));
    assert_eq!(machine.path("up/..").as_deref(), Ok("/a"));
    let link = machine.tree.find(&machine.here, b"up", Last::Keep).unwrap();
    assert_eq!(link.status().unwrap().mode & TYPE, LINK);
    // A slash behind it makes it lead on.
    let place = machine.tree.find(&machine.here, b"up/", Last::Keep).unwrap();
    assert!(place.status().unwrap().is(DIRECTORY));

    machine.symlink("loop", "loop").unwrap();
    machine.symlink("nowhere", "nothing/there").unwrap();
    assert_eq!(errno(machine.read("loop")), ELOOP);
    assert_eq!(errno(machine.read("nowhere")), ENOENT);
    assert_eq!(errno(machine.read("")), ENOENT);
    assert_eq!(errno(machine.read("a/b/f/x")), ENOTDIR);
    assert_eq!(errno(machine.read("a/b/f/")), ENOTDIR);
    assert_eq!(errno(machine.read("nothing/f")), ENOENT);
    assert_eq!(errno(machine.read(&"n".repeat(256))), ENAMETOOLONG);
    assert_eq!(errno(machine.read("a/b")), EISDIR);

    let on = machine.find("a").unwrap();
    machine.tree.mount(on, tmpfs(), "other", false).unwrap();
    assert_eq!(errno(machine.read("a/b/f")), ENOENT, "it is hidden");
    machine.mkdir("a/inner").unwrap();
    machine.write("a/inner/g", "inside").unwrap();
    assert_eq!(machine.path("a/inner").as_deref(), Ok("/a/inner"));
    assert_eq!(machine.path("a/..").as_deref(), Ok("/"));
    assert_eq!(machine.path("a/inner/../..").as_deref(), Ok("/"));
    assert_eq!(errno(machine.rename("a/inner/g", "g")), EXDEV);
    assert_eq!(errno(machine.rmdir("a")), EBUSY);
    let here = machine.find("a/inner").unwrap();
    let unmount = || machine.tree.unmount(|mount| mount.source == "other");
    assert_eq!(errno(unmount()), EBUSY);
    drop(here);
    unmount().unwrap();
    assert_eq!(errno(unmount()), EINVAL);
    assert_eq!(machine.read("a/b/f").as_deref(), Ok("text"));
    assert_eq!(errno(machine.tree.unmount(|mount| mount.path == "/")), EBUSY);
}

#[test]
fn opening_makes_and_empties_as_it_is_asked() {
    let machine = Machine::new();
    let create = Wanted { create: Some(0o640), ..Wanted::default() };
    let exclusive = Wanted { exclusive: true, ..create };
    let directory = Wanted { directory: true, ..Wanted::default() };
    let open = machine.open("f", Flags::WRITE_ONLY, &create).unwrap();
    assert_eq!(open.file.status().unwrap().mode, REGULAR | 0o640);
    assert_eq!(errno(open.read(&mut [0; 4])), EBADF);
    assert_eq!(errno(machine.open("f", Flags::WRITE_ONLY, &exclusive)), EEXIST);
    assert_eq!(errno(machine.open("f", Flags::empty(), &directory)), ENOTDIR);
    assert_eq!(errno(machine.open("new/", Flags::WRITE_ONLY, &create)), EISDIR);
    assert_eq!(errno(machine.open("/", Flags::WRITE_ONLY, &Wanted::default())), EISDIR);
    machine.symlink("l", "made-through").unwrap();
    let no_follow = Wanted { no_follow: true, ..Wanted::default() };
    assert_eq!(errno(machine.open("l", Flags::empty(), &no_follow)), ELOOP);
    assert_eq!(errno(machine.open("l", Flags::WRITE_ONLY, &exclusive)), EEXIST);
    machine.write("l", "x").unwrap();
    assert_eq!(machine.read("made-through").as_deref(), Ok("x"));

    assert_eq!(open.write(b"hello world"), Ok(11));
    let append = machine.open("f", Flags::WRITE_ONLY | Flags::APPEND, &create).unwrap();
    assert_eq!((append.write(b"!"), append.seek(0, 1)), (Ok(1), Ok(12)));
    assert_eq!(machine.read("f").as_deref(), Ok("hello world!"));
    assert_eq!((open.seek(-2, 2), open.write(b"D")), (Ok(10), Ok(1)));
    assert_eq!((errno(open.seek(-1, 0)), errno(open.seek(0, 3))), (EINVAL, EINVAL));
    assert_eq!(machine.read("f").as_deref(), Ok("hello worlD!"));
    machine.write("f", "short").unwrap();
    assert_eq!(machine.read("f").as_deref(), Ok("short"));

    let mode = CHARACTERS | 0o666;
    machine.tree.make(&machine.here, b"null", mode, device(1, 3)).unwrap();
    assert_eq!(errno(machine.read("null")), ENXIO, "there are no devices here");
}

#[test]
fn names_come_and_go_and_open_files_stay() {
    let machine = Machine::new();
    machine.write("f", "contents").unwrap();
    machine.mkdir("d").unwrap();
    let open = machine.open("f", Flags::READ_WRITE, &Wanted::default()).unwrap();
    let free = machine.here.mount.system.space().free_blocks;
    machine.unlink("f").unwrap();
    assert_eq!(errno(machine.read("f")), ENOENT);
    let mut text = [0; 8];
    assert_eq!((open.read(&mut text), &text), (Ok(8), b"contents"));
    assert_eq!(open.file.status().unwrap().links, 0);
    drop(open);
    assert!(machine.here.mount.system.space().free_blocks > free);

    assert_eq!(errno(machine.unlink("d")), EISDIR);
    assert_eq!(errno(machine.rmdir("f")), ENOENT);
    assert_eq!(errno(machine.rmdir("d/.")), EINVAL);
    assert_eq!(errno(machine.rmdir("d/..")), ENOTEMPTY);
    assert_eq!(errno(machine.mkdir("d")), EEXIST);
    assert_eq!(errno(machine.mkdir("/")), EEXIST);
    machine.write("d/g", "1").unwrap();
    assert_eq!(errno(machine.rmdir("d")), ENOTEMPTY);
    let file = machine.find("d/g").unwrap();
    machine.tree.link(&file, &machine.here, b"h").unwrap();
    assert_eq!(file.status().unwrap().links, 2);
    assert_eq!(errno(machine.tree.link(&machine.find("d").unwrap(), &machine.here, b"x")), EPERM);
    machine.rename("d/g", "h").unwrap();
    assert_eq!(machine.names("d"), [".", "..", "g",], "two names of one file: nothing happens");
    machine.write("i", "2").unwrap();
    machine.rename("i", "d/g").unwrap();
    assert_eq!((machine.read("d/g").as_deref(), machine.read("h").as_deref()), (Ok("2"), Ok("1")));
    assert_eq!(errno(machine.rename("d", "d/inside")), EINVAL);
    assert_eq!(errno(machine.rename("h", "d")), EISDIR);
    assert_eq!(errno(machine.rename("d", "h")), ENOTDIR);
    assert_eq!(errno(machine.rename("d/..", "x")), EBUSY);
    machine.mkdir("e").unwrap();
    machine.rename("d", "e").unwrap();
    assert_eq!(machine.names("/"), [".", "..", "e", "h"]);
    assert_eq!(machine.find("/").unwrap().status().unwrap().links, 3);
    let gone = machine.find("e").unwrap();
    machine.unlink("e/g").unwrap();
    machine.rmdir("e").unwrap();
    assert_eq!(errno(machine.tree.path(&gone)), ENOENT);
    let made = machine.tree.make(&gone, b"x", REGULAR | 0o644, 0);
    assert_eq!(errno(made), ENOENT, "in a directory that was removed");
}

#[test]
fn memory_is_bounded_and_attributes_are_kept() {
    let small = Arc::new(Tmpfs::new("tmpfs", 20_000, clock));
    let tree = Tree::new(small, "none", false, no_devices);
    let here = tree.root();
    let machine = Machine { tree, here };
    let wanted = Wanted { create: Some(0o644), ..Wanted::default() };
    let open = machine.open("f", Flags::READ_WRITE, &wanted).unwrap();
    assert_eq!(open.write(&[1; 30_000]), Ok(4 * 4096));
    assert_eq!(errno(open.write(b"x")), ENOSPC);
    open.file.truncate(5000).unwrap();
    open.file.truncate(6000).unwrap();
    let mut bytes = [9; 2000];
    assert_eq!(open.read_at(4500, &mut bytes), Ok(1500));
    assert!(bytes[..500] == [1; 500] && bytes[500..1500] == [0; 1000]);
    let made = (0..100).take_while(|index| machine.write(&format!("n{index}"), "").is_ok()).count();
    assert!((10..60).contains(&made), "{made}");
    let place = machine.find("f").unwrap();
    let change = Change {
        permissions: Some(0o7777),
        uid: Some(5),
        gid: None,
        accessed: Some(1),
        modified: Some(2),
    };
    machine.tree.change(&place, &change).unwrap();
    let status = place.status().unwrap();
    assert_eq!((status.mode, status.uid, status.gid), (REGULAR | 0o7777, 5, 0));
    assert_eq!((status.accessed, status.modified), (1, 2));
}

#[test]
fn the_initrd_is_unpacked_but_its_bytes_stay_where_they_are() {
    static TEXT: &[u8] = b"Hello\n";
    let root = tmpfs();
    unpack(&Initrd::EMPTY, &root, &["/dev", "/tmp"]);
    root.create_with(root.root(), b"motd", REGULAR | 0o644, TEXT).unwrap();
    let tree = Tree::new(root, "rootfs", true, no_devices);
    let here = tree.root();
    let machine = Machine { tree, here };
    assert_eq!(machine.names("/"), [".", "..", "dev", "motd", "tmp"]);
    let open = machine.open("motd", Flags::empty(), &Wanted::default()).unwrap();
    let super::file::Contents::Bytes(image) = open.file.contents().unwrap() else { panic!() };
    assert!(image == Image::lasting(TEXT));
    assert_eq!(errno(machine.open("motd", Flags::WRITE_ONLY, &Wanted::default())), EROFS);
    assert_eq!(errno(machine.mkdir("x")), EROFS);
    assert_eq!(errno(machine.unlink("motd")), EROFS);
    assert_eq!(errno(machine.rename("motd", "x")), EROFS);
    assert!(open.file.as_kind::<PlaceFile>().is_some());
}

/// A disk whose writes can fail, and that counts what it is asked.
struct Faulty {
    disk: RamDisk,
    writes_fail: core::sync::atomic::AtomicBool,
    bad: u64,
    reads: core::sync::atomic::AtomicU32,
}

impl Faulty {
    fn new(sectors: usize) -> Arc<Self> {
        Arc::new(Self {
            disk: RamDisk::new((sectors * SECTOR) as u64, 512).expect("fits"),
            writes_fail: false.into(),
            bad: u64::MAX,
            reads: 0.into(),
        })
    }
}

impl Disk for Faulty {
    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }

    fn sectors(&self) -> u64 {
        self.disk.sectors()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&self, sector: u64, into: &mut [u8]) -> core::result::Result<(), pv_abi::errno::Errno> {
        self.reads.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        let end = sector + (into.len() / SECTOR) as u64;
        if (sector..end).contains(&self.bad) {
            return Err(pv_abi::errno::Errno::EIO);
        }
        self.disk.read(sector, into)
    }

    fn write(&self, sector: u64, from: &[u8]) -> core::result::Result<(), pv_abi::errno::Errno> {
        if self.writes_fail.load(core::sync::atomic::Ordering::Relaxed) {
            return Err(pv_abi::errno::Errno::EIO);
        }
        self.disk.write(sector, from)
    }

    fn flush(&self) -> core::result::Result<(), pv_abi::errno::Errno> {
        Ok(())
    }
}

fn on_disk(disk: &Faulty) -> Vec<u8> {
    let mut bytes = vec![0; disk.sectors() as usize * SECTOR];
    disk.disk.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn the_cache_reads_as_the_disk_would_and_writes_when_it_is_flushed() {
    // Not a whole number of pages, and more pages than the cache may have.
    let sectors = 1003;
    let strategy = prop::collection::vec(
        (0..3u8, 0..sectors as u64 * 512, 1..20_000usize, any::<u8>()),
        1..60,
    );
    let config =
        ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in strategy)| {
        let disk = Faulty::new(sectors);
        let cache = Cache::new(disk.clone(), 0);
        let mut model = vec![0; sectors * SECTOR];
        for (what, at, length, byte) in steps {
            let end = at as usize + length;
            let fits = end <= model.len();
            match what {
                0 => {
                    let order = if byte % 2 == 0 { Order::Contents } else { Order::Structure };
                    let written = cache.write(at, &vec![byte; length], order);
                    prop_assert_eq!(written.is_ok(), fits);
                    if fits {
                        model[at as usize..end].fill(byte);
                    }
                }
                1 => {
                    let mut bytes = vec![0; length];
                    prop_assert_eq!(cache.read(at, &mut bytes).is_ok(), fits);
                    prop_assert!(!fits || bytes == model[at as usize..end]);
                }
                _ => {
                    cache.flush().unwrap();
                    prop_assert!(!cache.is_dirty());
                    prop_assert!(on_disk(&disk) == model);
                }
            }
        }
        cache.flush().unwrap();
        prop_assert!(on_disk(&disk) == model);
    });
}

#[test]
fn the_cache_reads_ahead_and_passes_errors_through() {
    let mut disk = Faulty::new(1024);
    Arc::get_mut(&mut disk).unwrap().bad = 24;
    let cache = Cache::new(disk.clone(), 0);
    let reads = || disk.reads.load(core::sync::atomic::Ordering::Relaxed);
    for page in 8..16 {
        cache.read(page * 4096, &mut [0; 4096]).unwrap();
    }
    assert_eq!(reads(), 1, "a miss reads what is around");
    // A bad sector near by is no reason to fail.
    cache.read(0, &mut [0; 100]).unwrap();
    assert_eq!(cache.read(3 * 4096, &mut [0; 4]), Err(Failed));

    cache.write(8 * 4096, &[1; 4096], Order::Contents).unwrap();
    disk.writes_fail.store(true, core::sync::atomic::Ordering::Relaxed);
    assert_eq!(cache.flush(), Err(Failed));
    assert!(cache.is_dirty(), "it is tried again");
    disk.writes_fail.store(false, core::sync::atomic::Ordering::Relaxed);
    cache.lose();
    assert_eq!(cache.flush(), Err(Failed), "the failure that nobody saw is told once");
    assert_eq!(cache.flush(), Ok(()));
    assert_eq!(on_disk(&disk)[8 * 4096..9 * 4096], [1; 4096]);
    assert_eq!(cache.write(1024 * 512, &[0; 1], Order::Contents), Err(Failed));

    // Somebody else writes to the disk: who wants to know has the cache forget.
    let mut seen = [0];
    disk.write(64, &[7; 512]).unwrap();
    cache.read(8 * 4096, &mut seen).unwrap();
    assert_eq!(seen, [1]);
    cache.write(9 * 4096, &[2], Order::Contents).unwrap();
    cache.forget().unwrap();
    cache.read(8 * 4096, &mut seen).unwrap();
    assert_eq!((seen, on_disk(&disk)[9 * 4096]), ([7], 2));
}

#[test]
fn contents_reach_the_disk_before_the_structure() {
    /// Notes in which order sectors are written.
    struct Noting(RamDisk, std::sync::Mutex<Vec<Option<u64>>>);
    impl Disk for Noting {
        fn sector_size(&self) -> u32 {
            512
        }
        fn sectors(&self) -> u64 {
            self.0.sectors()
        }
        fn read_only(&self) -> bool {
            false
        }
        fn read(&self, at: u64, into: &mut [u8]) -> core::result::Result<(), pv_abi::errno::Errno> {
            self.0.read(at, into)
        }
        fn write(&self, at: u64, from: &[u8]) -> core::result::Result<(), pv_abi::errno::Errno> {
            self.1.lock().unwrap().push(Some(at));
            self.0.write(at, from)
        }
        fn flush(&self) -> core::result::Result<(), pv_abi::errno::Errno> {
            self.1.lock().unwrap().push(None);
            Ok(())
        }
    }
    let disk = Arc::new(Noting(RamDisk::new(1 << 20, 512).expect("fits"), Vec::new().into()));
    let cache = Cache::new(disk.clone(), 0);
    // Two kinds in one page, as blocks of 1 KiB have it.
    cache.write(1024, &[1; 1024], Order::Structure).unwrap();
    cache.write(2048, &[2; 1024], Order::Contents).unwrap();
    cache.write(40_960, &[3; 8192], Order::Contents).unwrap();
    cache.flush().unwrap();
    let order = disk.1.lock().unwrap().clone();
    assert_eq!(order, [Some(4), Some(80), None, Some(2), None]);
}

/// The bytes of a volume that `mke2fs` makes with these options.
fn volume(kib: usize, options: &[&str]) -> Vec<u8> {
    let name = format!("ferrule-fs-{}-{}", std::process::id(), options.join("-").replace('/', "-"));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, vec![0; kib * 1024]).unwrap();
    let programs = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = std::process::Command::new("mke2fs")
        .args(["-q", "-F"])
        .args(options)
        .arg(&path)
        .env("PATH", programs)
        .output()
        .expect("mke2fs of the package e2fsprogs");
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
}

#[test]
fn a_disk_with_ext2_is_mounted_written_and_mounted_again() {
    let bytes = volume(1024, &["-t", "ext2"]);
    let disk = Faulty::new(bytes.len() / SECTOR);
    disk.disk.write(0, &bytes).unwrap();
    let mount = |writable| super::ext2::Volume::mount(disk.clone(), writable, 1 << 20, clock);
    let machine = Machine::new();
    machine.mkdir("mnt").unwrap();
    let on = || machine.find("mnt").unwrap();
    machine.tree.mount(on(), Arc::new(mount(true).unwrap()), "disk", false).unwrap();
    machine.mkdir("mnt/d").unwrap();
    machine.write("mnt/d/f", "on the disk").unwrap();
    machine.symlink("mnt/l", "d/f").unwrap();
    machine.rename("mnt/d/f", "mnt/d/g").unwrap();
    let open = machine.open("mnt/d/g", Flags::READ_WRITE, &Wanted::default()).unwrap();
    machine.unlink("mnt/d/g").unwrap();
    assert_eq!(open.write(b"IN"), Ok(2));
    machine.write("mnt/d/f", "again").unwrap();
    let failed = Cell::new(0);
    disk.writes_fail.store(true, core::sync::atomic::Ordering::Relaxed);
    if open.file.sync() == Err(EIO) {
        failed.set(1);
    }
    disk.writes_fail.store(false, core::sync::atomic::Ordering::Relaxed);
    assert_eq!((failed.get(), open.file.sync()), (1, Ok(())));
    let unmount = || machine.tree.unmount(|mount| mount.source == "disk");
    assert_eq!(errno(unmount()), EBUSY);
    drop(open);
    unmount().unwrap();
    machine.tree.mount(on(), Arc::new(mount(false).unwrap()), "disk", true).unwrap();
    assert_eq!(machine.read("mnt/l").as_deref(), Ok("again"));
    assert_eq!(errno(machine.write("mnt/d/f", "")), EROFS);
    assert_eq!(machine.names("mnt"), [".", "..", "d", "l", "lost+found"].map(ToString::to_string));
}

#[test]
fn a_disk_with_ext4_is_read() {
    let folder = std::env::temp_dir().join(format!("ferrule-ext4-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("d")).unwrap();
    let text: Vec<u8> =
        (0..300_000u32).map(|index| (index.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    std::fs::write(folder.join("d/big"), &text).unwrap();
    std::os::unix::fs::symlink("d/big", folder.join("l")).unwrap();
    let bytes = volume(4096, &["-t", "ext4", "-d", folder.to_str().unwrap()]);
    std::fs::remove_dir_all(&folder).unwrap();
    let disk = Faulty::new(bytes.len() / SECTOR);
    disk.disk.write(0, &bytes).unwrap();
    let view = super::ext4::View::mount(disk, 1 << 20).unwrap();
    let machine = Machine::new();
    machine.mkdir("mnt").unwrap();
    machine.tree.mount(machine.find("mnt").unwrap(), Arc::new(view), "disk", false).unwrap();
    assert_eq!(machine.names("mnt"), [".", "..", "d", "l", "lost+found"]);
    let open = machine.open("mnt/l", Flags::empty(), &Wanted::default()).unwrap();
    let mut found = vec![0; text.len() + 1];
    assert_eq!(open.read(&mut found), Ok(text.len()));
    assert!(found[..text.len()] == text);
    assert_eq!(open.read_at(299_990, &mut found), Ok(10));
    assert_eq!(machine.path("mnt/d/..").as_deref(), Ok("/mnt"));
    assert_eq!(errno(machine.read("mnt/nothing")), ENOENT);
    assert_eq!(errno(machine.mkdir("mnt/x")), EROFS);
    let empty = super::ext4::View::mount(Faulty::new(100), 1 << 20);
    assert_eq!(empty.err(), Some(EINVAL));
}

#[test]
fn disks_of_large_sectors_need_blocks_as_large() {
    for (block, mounted) in [("1024", false), ("4096", true)] {
        let bytes = volume(2048, &["-t", "ext2", "-b", block]);
        let disk = Arc::new(RamDisk::new(bytes.len() as u64, 4096).expect("fits"));
        disk.write(0, &bytes).unwrap();
        let mount = || super::ext2::Volume::mount(disk.clone(), true, 1 << 20, clock);
        let volume = mount();
        assert_eq!(volume.is_ok(), mounted);
        let Ok(volume) = volume else {
            let mut after = vec![0; bytes.len()];
            disk.read(0, &mut after).unwrap();
            assert!(after == bytes, "a refused disk is not written");
            continue;
        };
        volume.create(volume.root(), b"f", REGULAR | 0o644, 0).unwrap();
        volume.unmount().unwrap();
        let again = mount().unwrap();
        assert!(again.was_clean() && again.lookup(again.root(), b"f").is_ok());
    }
}
