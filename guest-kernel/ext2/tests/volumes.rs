//! Volumes that e2fsprogs made, and what it says of them afterwards: each operation, each error.

mod support;

use ext2::{Change, Error, Ext2, Kind, ROOT};
use support::{Disk, assert_clean, debugfs, mended, mount, run, volume};

const NOW: u32 = 1_700_000_000;

fn file(volume: &mut Ext2<Disk>, parent: u32, name: &str) -> u32 {
    volume.create(parent, name.as_bytes(), Kind::Regular, 0o644, (0, 0)).unwrap()
}

fn directory(volume: &mut Ext2<Disk>, parent: u32, name: &str) -> u32 {
    volume.create(parent, name.as_bytes(), Kind::Directory, 0o755, (0, 0)).unwrap()
}

fn contents(volume: &Ext2<Disk>, number: u32) -> Vec<u8> {
    let mut bytes = vec![0; volume.inode(number).unwrap().size as usize];
    assert_eq!(volume.read(number, 0, &mut bytes), Ok(bytes.len()));
    bytes
}

fn names(volume: &Ext2<Disk>, number: u32) -> Vec<String> {
    let mut names = Vec::new();
    let emit = &mut |entry: &ext2::Entry<'_>| {
        names.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    };
    volume.entries(number, 0, emit).unwrap();
    names
}

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|index| (index.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

#[test]
fn every_size_of_block_holds_files_directories_and_links() {
    for (block, inode) in [("1024", "128"), ("2048", "256"), ("4096", "256")] {
        let (disk, mut volume) = mount(volume(8192, &["-b", block, "-I", inode]));
        let motd = file(&mut volume, ROOT, "motd");
        let text = pattern(300_000);
        assert_eq!(volume.write(motd, 0, &text), Ok(text.len()));
        let sub = directory(&mut volume, ROOT, "sub");
        volume.link(motd, sub, b"again").unwrap();
        volume.symlink(sub, b"short", b"../motd").unwrap();
        let long = "x".repeat(200);
        let long_link = volume.symlink(sub, b"long", long.as_bytes()).unwrap();
        volume.create(sub, b"tty", Kind::Characters, 0o620, (4, 65)).unwrap();
        let disk_node = volume.create(sub, b"disk", Kind::Blocks, 0o660, (259, 70_000)).unwrap();
        assert_eq!(volume.inode(disk_node).unwrap().special(), (259, 70_000));
        assert_eq!(volume.read_link(long_link).unwrap(), long.as_bytes());
        assert_eq!(names(&volume, sub), [".", "..", "again", "short", "long", "tty", "disk"]);
        volume.unmount().unwrap();

        let bytes = disk.bytes.borrow().clone();
        assert_clean(&bytes);
        assert_eq!(debugfs(&bytes, "cat /sub/again"), text);
        let stat = String::from_utf8(debugfs(&bytes, "stat /sub/short")).unwrap();
        assert!(stat.contains("Fast link dest: \"../motd\""), "{stat}");
        let stat = String::from_utf8(debugfs(&bytes, "stat /sub/tty")).unwrap();
        assert!(stat.contains("major/minor number: 04:65"), "{stat}");
        let (_, again) = mount(bytes);
        assert!(again.was_clean());
        assert_eq!(contents(&again, again.lookup(ROOT, b"motd").unwrap()), text);
        assert_eq!(again.inode(motd).unwrap().links, 2);
    }
}

#[test]
fn what_e2fsprogs_wrote_is_read() {
    let image = support::Temporary::new(&volume(4096, &[]));
    let text = support::Temporary::new(&pattern(70_000));
    let write = format!("write {} big", text.0.display());
    for request in ["mkdir d", &write, "symlink d/l ../big"] {
        assert!(run("debugfs", &["-w", "-R", request], &image.0).status.success());
    }
    let (_, volume) = mount(std::fs::read(&image.0).unwrap());
    assert_eq!(names(&volume, ROOT), [".", "..", "lost+found", "d", "big"]);
    assert_eq!(contents(&volume, volume.lookup(ROOT, b"big").unwrap()), pattern(70_000));
    let link = volume.lookup(volume.lookup(ROOT, b"d").unwrap(), b"l").unwrap();
    assert_eq!(volume.read_link(link).unwrap(), b"../big");
}

#[test]
fn files_have_holes_and_blocks_behind_three_steps_of_pointers() {
    let (disk, mut volume) = mount(volume(2048, &["-b", "1024"]));
    let sparse = file(&mut volume, ROOT, "sparse");
    let each = 256;
    let places = [11u64, 12, 12 + each, 12 + each + each * each].map(|block| block * 1024 + 1000);
    for at in places {
        assert_eq!(volume.write(sparse, at, &[7; 48]), Ok(48), "at {at}");
    }
    let mut around = [1; 100];
    assert_eq!(volume.read(sparse, places[3] - 20, &mut around), Ok(68));
    assert_eq!(around[..20], [0; 20]);
    assert_eq!(around[20..68], [7; 48]);
    // Two blocks each; one pointer block, then two more, then three more.
    assert_eq!(volume.inode(sparse).unwrap().sectors, (8 - 1 + 1 + 2 + 3) * 2);

    volume.truncate(sparse, places[1] + 10).unwrap();
    volume.truncate(sparse, places[1] + 48).unwrap();
    let mut tail = [9; 48];
    assert_eq!(volume.read(sparse, places[1], &mut tail), Ok(48));
    assert_eq!((&tail[..10], &tail[10..]), (&[7; 10][..], &[0; 38][..]));
    let before = volume.space().free_blocks;
    volume.truncate(sparse, 0).unwrap();
    assert!(volume.space().free_blocks > before);
    assert_eq!(volume.inode(sparse).unwrap().sectors, 0);
    assert_eq!(volume.truncate(sparse, u64::MAX), Err(Error::TooLarge));
    assert_eq!(volume.write(sparse, u64::MAX - 1, b"x"), Err(Error::TooLarge));
    volume.truncate(sparse, 3 << 30).unwrap();
    volume.unmount().unwrap();
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn each_operation_refuses_what_it_must() {
    let (disk, mut volume) = mount(volume(1024, &[]));
    let f = file(&mut volume, ROOT, "f");
    let d = directory(&mut volume, ROOT, "d");
    let e = directory(&mut volume, d, "e");
    let long = [b'n'; 256];
    assert_eq!(volume.create(ROOT, b"f", Kind::Regular, 0, (0, 0)), Err(Error::Exists));
    assert_eq!(volume.create(f, b"x", Kind::Regular, 0, (0, 0)), Err(Error::NotDirectory));
    assert_eq!(volume.create(ROOT, &long, Kind::Regular, 0, (0, 0)), Err(Error::NameTooLong));
    assert!(volume.create(ROOT, &long[1..], Kind::Regular, 0, (0, 0)).is_ok());
    assert_eq!(volume.symlink(ROOT, b"l", &[b'x'; 4096]), Err(Error::NameTooLong));
    assert_eq!(volume.link(d, ROOT, b"d2"), Err(Error::IsDirectory));
    assert_eq!(volume.link(f, ROOT, b"d"), Err(Error::Exists));
    assert_eq!(volume.unlink(ROOT, b"d"), Err(Error::IsDirectory));
    assert_eq!(volume.unlink(ROOT, b"nothing"), Err(Error::Missing));
    assert_eq!(volume.remove_directory(ROOT, b"f"), Err(Error::NotDirectory));
    assert_eq!(volume.remove_directory(ROOT, b"d"), Err(Error::NotEmpty));
    assert_eq!(volume.remove_directory(d, b".."), Err(Error::Invalid));
    assert_eq!(volume.rename(ROOT, b"d", e, b"x"), Err(Error::Invalid));
    assert_eq!(volume.rename(ROOT, b"f", ROOT, b"d"), Err(Error::IsDirectory));
    assert_eq!(volume.rename(ROOT, b"d", ROOT, b"f"), Err(Error::NotDirectory));
    let h = directory(&mut volume, ROOT, "h");
    assert_eq!(volume.rename(ROOT, b"h", ROOT, b"d"), Err(Error::NotEmpty));
    assert_eq!(volume.rename(ROOT, b"d", ROOT, b"h"), Ok(Some(h)));
    volume.forget(h).unwrap();
    assert_eq!(volume.write(d, 0, b"x"), Err(Error::IsDirectory));
    assert_eq!(volume.read_link(f), Err(Error::Invalid));
    assert_eq!(volume.lookup(f, b"x"), Err(Error::NotDirectory));
    assert!(matches!(volume.inode(0), Err(Error::Corrupt(_))));
    assert!(matches!(volume.inode(u32::MAX), Err(Error::Corrupt(_))));
    volume.unmount().unwrap();
    assert_eq!(volume.unlink(ROOT, b"f"), Err(Error::ReadOnly));
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn a_removed_file_stays_until_it_is_forgotten() {
    let (disk, mut volume) = mount(volume(1024, &[]));
    let before = volume.space();
    let number = file(&mut volume, ROOT, "gone");
    volume.write(number, 0, &pattern(50_000)).unwrap();
    assert_eq!(volume.unlink(ROOT, b"gone"), Ok(number));
    assert_eq!(contents(&volume, number), pattern(50_000));
    volume.write(number, 0, b"still").unwrap();
    assert_eq!(volume.link(number, ROOT, b"back"), Err(Error::Missing));
    let sub = directory(&mut volume, ROOT, "sub");
    assert_eq!(volume.remove_directory(ROOT, b"sub"), Ok(sub));
    assert_eq!(volume.create(sub, b"x", Kind::Regular, 0, (0, 0)), Err(Error::Missing));
    volume.forget(sub).unwrap();
    // The file is forgotten by unmounting.
    volume.unmount().unwrap();
    assert_eq!(volume.space(), before);
    assert!(matches!(volume.inode(number), Err(Error::Corrupt(_))));
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn a_full_volume_loses_nothing() {
    let (disk, mut volume) = mount(volume(512, &["-b", "1024", "-N", "32"]));
    let kept = file(&mut volume, ROOT, "kept");
    volume.write(kept, 0, &pattern(20_000)).unwrap();
    let big = file(&mut volume, ROOT, "big");
    let text = pattern(600_000);
    let written = volume.write(big, 0, &text).unwrap();
    assert!(written < text.len() && written > 300_000);
    assert_eq!(volume.write(big, written as u64, b"x"), Err(Error::Full));
    assert_eq!(volume.space().free_blocks, 0);
    let refused = volume.create(ROOT, b"sub", Kind::Directory, 0o755, (0, 0));
    assert_eq!(refused, Err(Error::Full));
    assert_eq!(volume.symlink(ROOT, b"l", &[b'x'; 100]), Err(Error::Full));
    // Files without contents take inodes alone, until the directory or the inodes are full.
    let made = (0..99)
        .take_while(|index| {
            let name = format!("{index:050}");
            volume.create(ROOT, name.as_bytes(), Kind::Regular, 0, (0, 0)).is_ok()
        })
        .count();
    assert!(made > 3);
    assert_eq!(volume.create(ROOT, &[b'z'; 200], Kind::Regular, 0, (0, 0)), Err(Error::Full));
    assert_eq!(contents(&volume, big), text[..written]);
    // What is freed is not used before a sync; the volume does one when it must.
    volume.truncate(big, 1000).unwrap();
    assert_eq!(volume.write(big, 1000, &text[1000..written]), Ok(written - 1000));
    assert_eq!(contents(&volume, big), text[..written]);
    assert_eq!(contents(&volume, kept), pattern(20_000));
    volume.unmount().unwrap();
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn what_an_interruption_brings_back_is_whole() {
    let (disk, mut volume) = mount(volume(1024, &["-b", "1024"]));
    let old = file(&mut volume, ROOT, "old");
    volume.write(old, 0, &pattern(50_000)).unwrap();
    volume.sync().unwrap();
    assert_eq!(volume.unlink(ROOT, b"old"), Ok(old));
    volume.forget(old).unwrap();
    let new = file(&mut volume, ROOT, "new");
    assert_ne!(new, old, "the inode was used again");
    volume.write(new, 0, &[1; 60_000]).unwrap();
    // Contents reach the disk, names do not.
    let left = disk.interrupted(|write| write.bytes.len() >= 500);
    let (_, found) = mount(mended(&left));
    assert_eq!(contents(&found, found.lookup(ROOT, b"old").unwrap()), pattern(50_000));
    // After a sync both are used again.
    volume.sync().unwrap();
    assert_eq!(file(&mut volume, ROOT, "newer"), old);
}

#[test]
fn large_directories_grow_and_an_index_is_dropped() {
    let (disk, mut volume) = mount(volume(2048, &["-b", "1024", "-N", "900"]));
    let sub = directory(&mut volume, ROOT, "sub");
    let all: Vec<String> = (0..700).map(|index| format!("file {index} with a name")).collect();
    for name in &all {
        file(&mut volume, sub, name);
    }
    // Every entry is found from every position on, and after others have gone.
    for name in all.iter().step_by(2) {
        let number = volume.unlink(sub, name.as_bytes()).unwrap();
        volume.forget(number).unwrap();
    }
    let mut position = 0;
    let mut seen = Vec::new();
    while let Some((name, next)) = {
        let mut one = None;
        let emit = &mut |entry: &ext2::Entry<'_>| {
            one = Some((String::from_utf8_lossy(entry.name).into_owned(), entry.next));
            false
        };
        volume.entries(sub, position, emit).unwrap();
        one
    } {
        seen.push(name);
        position = next;
    }
    assert_eq!(seen.len(), 2 + 350);
    volume.unmount().unwrap();
    let image = support::Temporary::new(&disk.bytes.borrow());
    // Makes indices over directories.
    run("e2fsck", &["-fyD"], &image.0);
    let (disk, mut volume) = mount(std::fs::read(&image.0).unwrap());
    assert_eq!(names(&volume, sub).len(), 2 + 350);
    file(&mut volume, sub, "one more");
    volume.unmount().unwrap();
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn attributes_change() {
    let (disk, mut volume) = mount(volume(512, &[]));
    let number = file(&mut volume, ROOT, "f");
    volume.set_time(NOW + 5);
    let change = Change {
        permissions: Some(0o107_700),
        uid: Some(70_000),
        gid: Some(3),
        accessed: Some(1),
        modified: Some(2),
    };
    volume.change(number, &change).unwrap();
    let inode = volume.inode(number).unwrap();
    assert_eq!((inode.mode, inode.uid, inode.gid), (0o107_700, 70_000, 3));
    assert_eq!((inode.accessed, inode.modified, inode.changed), (1, 2, NOW + 5));
    volume.unmount().unwrap();
    assert_clean(&disk.bytes.borrow());
}

#[test]
fn a_volume_says_whether_it_was_unmounted() {
    let (disk, mut volume) = mount(volume(512, &[]));
    assert!(volume.was_clean());
    file(&mut volume, ROOT, "f");
    let (_, interrupted) = mount(disk.bytes.borrow().clone());
    assert!(!interrupted.was_clean());
    volume.unmount().unwrap();
    let (_, clean) = mount(disk.bytes.borrow().clone());
    assert!(clean.was_clean());
    let read_only = Ext2::mount(Disk::new(disk.bytes.borrow().clone()), false, NOW).unwrap();
    assert!(!read_only.is_writable() && read_only.lookup(ROOT, b"f").is_ok());
}

#[test]
fn foreign_features_are_refused_or_make_it_read_only() {
    let ext4 = volume(4096, &["-O", "extents"]);
    let refused = Ext2::mount(Disk::new(ext4), true, NOW).err();
    assert!(matches!(refused, Some(Error::Unknown(_))), "{refused:?}");
    let mut bytes = volume(512, &[]);
    bytes[1024 + 100] |= 0x80;
    let read_only = Ext2::mount(Disk::new(bytes), true, NOW).unwrap();
    assert!(!read_only.is_writable());
    for bytes in [vec![], vec![0; 1000], vec![0; 4096]] {
        let refused = Ext2::mount(Disk::new(bytes), true, NOW).err();
        assert!(matches!(refused, Some(Error::Unknown(_))));
    }
}

#[test]
fn a_device_that_fails_is_an_error_at_every_write() {
    let empty = volume(512, &[]);
    for writes in (0..120).step_by(5) {
        let disk = Disk::new(empty.clone());
        disk.writes_left.set(writes);
        let Ok(mut volume) = Ext2::mount(disk.clone(), true, NOW) else { continue };
        let outcome = volume
            .create(ROOT, b"d", Kind::Directory, 0o755, (0, 0))
            .and_then(|d| volume.create(d, b"f", Kind::Regular, 0o644, (0, 0)))
            .and_then(|f| volume.write(f, 3000, &pattern(40_000)))
            .and_then(|_| volume.rename(ROOT, b"d", ROOT, b"e"))
            .and_then(|_| volume.unmount());
        let expected = if disk.failed.get() { Err(Error::Device) } else { Ok(()) };
        assert_eq!(outcome, expected, "after {writes} writes");
        mended(&disk.bytes.borrow());
    }
}
