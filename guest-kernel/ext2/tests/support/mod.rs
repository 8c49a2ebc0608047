//! Volumes of the tests: made by `mke2fs`, held in memory, judged by `e2fsck`.
#![allow(dead_code, reason = "each test binary uses its part of this")]

use ext2::{Device, Ext2, Failed, Order};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes that reach the disk together: a block of the volumes that are interrupted.
const BLOCK: usize = 1024;

/// One write that no flush has followed.
#[derive(Clone, Debug)]
pub struct Pending {
    pub at: usize,
    pub bytes: Vec<u8>,
    pub order: Order,
}

/// A disk in memory that knows what would be left after an interruption.
#[derive(Clone, Debug)]
pub struct Disk {
    /// As it reads.
    pub bytes: Rc<RefCell<Vec<u8>>>,
    /// As it was at the last flush.
    pub durable: Rc<RefCell<Vec<u8>>>,
    pub pending: Rc<RefCell<Vec<Pending>>>,
    /// How many more writes succeed.
    pub writes_left: Rc<Cell<u64>>,
    /// Whether one has failed.
    pub failed: Rc<Cell<bool>>,
}

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            durable: Rc::new(RefCell::new(bytes.clone())),
            bytes: Rc::new(RefCell::new(bytes)),
            pending: Rc::default(),
            writes_left: Rc::new(Cell::new(u64::MAX)),
            failed: Rc::default(),
        }
    }

    /// What the disk holds when power fails now: of the blocks written since the last flush those
    /// that `reached` says, but of the structure's none before all contents. A block gets there as a
    /// whole or not at all: the cache that is between writes whole ones.
    pub fn interrupted(&self, mut reached: impl FnMut(&Pending) -> bool) -> Vec<u8> {
        let mut bytes = self.durable.borrow().clone();
        let pending = self.pending.borrow();
        let mut all = true;
        for order in [Order::Contents, Order::Structure] {
            if order == Order::Structure && !all {
                break;
            }
            let mut blocks = BTreeMap::new();
            for write in pending.iter().filter(|write| write.order == order) {
                for (at, byte) in (write.at..).zip(&write.bytes) {
                    if *blocks.entry(at / BLOCK).or_insert_with(|| reached(write)) {
                        bytes[at] = *byte;
                    } else {
                        all = false;
                    }
                }
            }
        }
        bytes
    }
}

impl Device for Disk {
    fn bytes(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Failed> {
        let at = usize::try_from(at).map_err(|_| Failed)?;
        let bytes = self.bytes.borrow();
        let end = at.checked_add(into.len()).ok_or(Failed)?;
        into.copy_from_slice(bytes.get(at..end).ok_or(Failed)?);
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8], order: Order) -> Result<(), Failed> {
        match self.writes_left.get().checked_sub(1) {
            Some(left) => self.writes_left.set(left),
            None => {
                self.failed.set(true);
                return Err(Failed);
            }
        }
        let at = usize::try_from(at).map_err(|_| Failed)?;
        let mut bytes = self.bytes.borrow_mut();
        let end = at.checked_add(from.len()).ok_or(Failed)?;
        bytes.get_mut(at..end).ok_or(Failed)?.copy_from_slice(from);
        self.pending.borrow_mut().push(Pending { at, bytes: from.to_vec(), order });
        Ok(())
    }

    fn flush(&self) -> Result<(), Failed> {
        self.pending.borrow_mut().clear();
        self.durable.borrow_mut().clone_from(&self.bytes.borrow());
        Ok(())
    }
}

/// A file of the test's own, removed when dropped.
pub struct Temporary(pub PathBuf);

impl Temporary {
    pub fn new(contents: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ext2-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, contents).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a program of e2fsprogs, wherever it is.
pub fn run(program: &str, arguments: &[&str], image: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    Command::new(program)
        .args(arguments)
        .arg(image)
        .env("PATH", path)
        .env("MKE2FS_CONFIG", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{program} (of the package e2fsprogs): {error}"))
}

/// The bytes of a new volume of `kib` KiB.
pub fn volume(kib: u32, options: &[&str]) -> Vec<u8> {
    let image = Temporary::new(&[]);
    std::fs::File::options()
        .write(true)
        .open(&image.0)
        .unwrap()
        .set_len(u64::from(kib) * 1024)
        .unwrap();
    let arguments = [&["-q", "-F", "-t", "ext2"], options].concat();
    let output = run("mke2fs", &arguments, &image.0);
    assert!(output.status.success(), "{output:?}");
    std::fs::read(&image.0).unwrap()
}

/// Asserts that `e2fsck` finds nothing to mend.
#[track_caller]
pub fn assert_clean(bytes: &[u8]) {
    let image = Temporary::new(bytes);
    let output = run("e2fsck", &["-fn"], &image.0);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(0), "{text}");
}

/// What `e2fsck` makes of it; twice, to see that it is done after the first.
#[track_caller]
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let image = Temporary::new(bytes);
    let output = run("e2fsck", &["-fy"], &image.0);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
    let mended = std::fs::read(&image.0).unwrap();
    assert_clean(&mended);
    mended
}

/// What `debugfs` answers to a request.
pub fn debugfs(image: &[u8], request: &str) -> Vec<u8> {
    let image = Temporary::new(image);
    run("debugfs", &["-R", request], &image.0).stdout
}

pub fn mount(bytes: Vec<u8>) -> (Disk, Ext2<Disk>) {
    let disk = Disk::new(bytes);
    let volume = Ext2::mount(disk.clone(), true, 1_700_000_000).unwrap();
    (disk, volume)
}
