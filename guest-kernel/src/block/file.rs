//! A disk that is a file: its bytes are the disk's, in the same order.
//!
//! **One writer.** Two who write the same disk destroy each other's file systems. So a file is the disk
//! of one who writes it or of any number who read it ([`Claims`]); a program of this domain's that
//! writes the file all the same is not kept from that, as in Linux.
//!
//! **Its length** is that of the file when it was opened, in whole sectors. Of a file that has become
//! shorter the rest cannot be reached any more, and is not made again by writing; one that has become
//! longer has more than the disk.

use super::{Disk, SECTOR, check};
use crate::fs::file::{File, Flags, REGULAR};
use crate::fs::lock::Mutex;
use crate::shell::kernel;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use pv_abi::errno::Errno;
use xenbus::device::Fault;

/// Which file: of which file system, which inode.
type Key = (u64, u64);

/// Whose disk a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Users {
    Writer,
    Readers(u32),
}

/// Which files are disks.
pub struct Claims(Mutex<BTreeMap<Key, Users>>);

impl Claims {
    /// None is.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Takes a file for a disk. False: others have it.
    fn take(&self, key: Key, writes: bool) -> bool {
        let mut files = self.0.lock();
        let users = match (files.get(&key), writes) {
            (None, true) => Users::Writer,
            (None, false) => Users::Readers(1),
            (Some(Users::Readers(count)), false) => Users::Readers(count + 1),
            _ => return false,
        };
        files.insert(key, users);
        true
    }

    fn give_back(&self, key: Key) {
        let mut files = self.0.lock();
        match files.get_mut(&key) {
            Some(Users::Readers(count)) if *count > 1 => *count -= 1,
            _ => _ = files.remove(&key),
        }
    }
}

impl Default for Claims {
    fn default() -> Self {
        Self::new()
    }
}

/// The disk.
pub struct FileDisk {
    file: Arc<dyn File>,
    sectors: u64,
    read_only: bool,
    key: Key,
    claims: &'static Claims,
}

impl FileDisk {
    /// The disk that is the file at `path`, as an opening of the path found it. With `claims` all must
    /// be opened that can meet.
    ///
    /// # Errors
    /// EINVAL: it is no regular file, or has not even a sector; EBUSY: others have it as their disk.
    pub fn new(
        file: Result<Arc<dyn File>, kernel::Errno>,
        path: &str,
        read_only: bool,
        claims: &'static Claims,
    ) -> Result<Self, Fault> {
        let refused = |errno, why: &str| Fault { errno, what: format!("opening {path}: {why}") };
        let opening = |errno| refused(known(errno), &format!("{errno}"));
        let file = file.map_err(opening)?;
        let status = file.status().map_err(opening)?;
        let sectors = status.size / SECTOR as u64;
        if !status.is(REGULAR) {
            return Err(refused(Errno::EINVAL, "it is no regular file"));
        }
        if sectors == 0 {
            return Err(refused(Errno::EINVAL, "it has not even a sector"));
        }
        let key = (status.device, status.inode);
        if !claims.take(key, !read_only) {
            let why = "it is a disk already, and one of its users would write";
            return Err(refused(Errno::EBUSY, why));
        }
        Ok(Self { file, sectors, read_only, key, claims })
    }
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        self.claims.give_back(self.key);
    }
}

/// A file's error as a disk's.
fn known(errno: kernel::Errno) -> Errno {
    Errno::from_ret(-i64::from(errno.raw())).unwrap_or(Errno::EIO)
}

impl Disk for FileDisk {
    fn sector_size(&self) -> u32 {
        SECTOR as u32
    }

    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Errno> {
        check(self, sector, into.len() as u64)?;
        let mut rest = into;
        let mut at = sector * SECTOR as u64;
        while !rest.is_empty() {
            let count = self.file.read(at, rest, Flags::empty()).map_err(known)?;
            if count == 0 {
                return Err(Errno::EIO);
            }
            rest = rest.get_mut(count..).unwrap_or_default();
            at += count as u64;
        }
        Ok(())
    }

    /// Also ENOSPC: the file has a hole there, and its file system no room to fill it.
    fn write(&self, sector: u64, from: &[u8]) -> Result<(), Errno> {
        check(self, sector, from.len() as u64)?;
        if self.read_only {
            return Err(Errno::EROFS);
        }
        let mut at = sector * SECTOR as u64;
        let end = at + from.len() as u64;
        if self.file.end().is_none_or(|length| length < end) {
            return Err(Errno::EIO);
        }
        let mut rest = from;
        while !rest.is_empty() {
            let count = self.file.write(at, rest, Flags::READ_WRITE).map_err(known)?;
            if count == 0 {
                return Err(Errno::EIO);
            }
            rest = rest.get(count..).unwrap_or_default();
            at += count as u64;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Errno> {
        self.file.sync().map_err(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::model;
    use crate::errno::ENOENT;
    use crate::fs::file::DIRECTORY;
    use crate::fs::system::FileSystem;
    use crate::fs::tmpfs::Tmpfs;
    use crate::fs::tree::{Tree, Wanted};
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec;

    /// A tree with the file `/disk`, and those who have files of it as disks.
    struct Machine {
        tree: Tree,
        claims: &'static Claims,
    }

    impl Machine {
        fn new(length: u64) -> Self {
            let tmpfs = Tmpfs::new("tmpfs", 1 << 20, || 0);
            tmpfs.create(tmpfs.root(), b"folder", DIRECTORY | 0o755, 0).expect("room");
            let file = tmpfs.create(tmpfs.root(), b"disk", REGULAR | 0o644, 0).expect("room");
            tmpfs.truncate(file, length).expect("room");
            let tree = Tree::new(Arc::new(tmpfs), "none", false, |_, _| None);
            Self { tree, claims: Box::leak(Box::default()) }
        }

        fn file(&self, path: &str, flags: Flags) -> Result<Arc<dyn File>, kernel::Errno> {
            let wanted = Wanted::default();
            let open = self.tree.open(&self.tree.root(), path.as_bytes(), flags, &wanted)?;
            Ok(open.file)
        }

        fn disk(&self, path: &str, read_only: bool) -> Result<FileDisk, Fault> {
            let flags = if read_only { Flags::empty() } else { Flags::READ_WRITE };
            FileDisk::new(self.file(path, flags), path, read_only, self.claims)
        }
    }

    fn refused(result: Result<FileDisk, Fault>) -> (Errno, std::string::String) {
        let fault = result.err().expect("refused");
        (fault.errno, fault.what)
    }

    #[test]
    fn what_is_no_disk_is_refused_in_words() {
        let machine = Machine::new(511);
        for (path, errno, why) in [
            ("/none", Errno::ENOENT, "opening /none: no such file or directory"),
            ("/folder", Errno::EINVAL, "opening /folder: it is no regular file"),
            ("/disk", Errno::EINVAL, "opening /disk: it has not even a sector"),
        ] {
            assert_eq!(refused(machine.disk(path, true)), (errno, why.into()));
        }
        assert_eq!(known(ENOENT), Errno::ENOENT);
    }

    #[test]
    fn a_file_has_one_writer_or_any_number_of_readers() {
        let machine = Machine::new(2048);
        let writer = machine.disk("/disk", false).expect("nobody's");
        for read_only in [true, false] {
            let (errno, why) = refused(machine.disk("/disk", read_only));
            assert_eq!(errno, Errno::EBUSY, "{why}");
        }
        drop(writer);
        let readers = [true, true].map(|read_only| machine.disk("/disk", read_only));
        assert!(readers.iter().all(Result::is_ok));
        assert_eq!(refused(machine.disk("/disk", false)).0, Errno::EBUSY);
        let [first, second] = readers;
        drop(first);
        assert_eq!(refused(machine.disk("/disk", false)).0, Errno::EBUSY, "one is left");
        drop(second);
        assert!(machine.disk("/disk", false).is_ok());
        assert!(machine.claims.0.lock().is_empty());
    }

    #[test]
    fn its_length_stays_and_what_the_file_lost_is_not_made_again() {
        let machine = Machine::new(4 * 512 + 100);
        let disk = machine.disk("/disk", false).expect("a disk");
        assert_eq!((disk.sectors(), disk.sector_size(), disk.read_only()), (4, 512, false));
        let file = machine.file("/disk", Flags::READ_WRITE).expect("there");
        file.truncate(9 * 512).expect("room");
        assert_eq!((disk.sectors(), disk.write(4, &[1; 512])), (4, Err(Errno::EIO)));
        file.truncate(2 * 512).expect("a shorter one");
        assert_eq!(disk.write(1, &[7; 512]), Ok(()));
        assert_eq!(disk.write(1, &[7; 1024]), Err(Errno::EIO));
        assert_eq!(disk.read(1, &mut [0; 1024]), Err(Errno::EIO));
        assert_eq!((file.end(), disk.flush()), (Some(1024), Ok(())));
        let reader = Machine::new(512);
        let disk = reader.disk("/disk", true).expect("a disk");
        assert_eq!((disk.read_only(), disk.write(0, &[1; 512])), (true, Err(Errno::EROFS)));
        assert_eq!(disk.read(0, &mut [0; 100]), Err(Errno::EINVAL));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn its_bytes_are_the_file_s(writes in prop::collection::vec((0u64..40, 1usize..12, 1u8..), 1..20)) {
            let machine = Machine::new(model::BYTES as u64);
            let model = model::written(&machine.disk("/disk", false).expect("a disk"), writes);
            let mut all = vec![0; model::BYTES];
            let file = machine.file("/disk", Flags::empty()).expect("there");
            prop_assert_eq!(file.read(0, &mut all, Flags::empty()), Ok(model::BYTES));
            prop_assert!(all == model);
        }
    }
}
