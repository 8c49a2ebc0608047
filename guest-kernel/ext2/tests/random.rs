//! Random operations against a model, interruptions, and damage.

mod support;

use ext2::{Error, Ext2, Kind, ROOT};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::{Disk, assert_clean, mended, mount, volume};

/// What the volume should be: files by name, in directories.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Directory(BTreeMap<String, u32>),
    File(Vec<u8>),
    Link(Vec<u8>),
}

type Model = BTreeMap<u32, Node>;

#[derive(Clone, Debug)]
enum Op {
    Create { directory: usize, name: usize },
    Mkdir { directory: usize, name: usize },
    Symlink { directory: usize, name: usize, length: usize },
    Write { file: usize, at: u64, length: usize, byte: u8 },
    Truncate { file: usize, length: u64 },
    Link { file: usize, directory: usize, name: usize },
    Unlink { directory: usize, name: usize },
    Rmdir { directory: usize, name: usize },
    Rename { directory: usize, name: usize, to: usize, new: usize },
    Sync,
}

fn op() -> impl Strategy<Value = Op> {
    let directory = 0..8usize;
    let name = 0..6usize;
    let place = (directory, name);
    prop_oneof![
        4 => place.clone().prop_map(|(directory, name)| Op::Create { directory, name }),
        3 => place.clone().prop_map(|(directory, name)| Op::Mkdir { directory, name }),
        1 => (place.clone(), 1..200usize).prop_map(|((directory, name), length)| {
            Op::Symlink { directory, name, length }
        }),
        6 => (0..8usize, 0..400_000u64, 1..90_000usize, any::<u8>()).prop_map(
            |(file, at, length, byte)| Op::Write { file, at, length, byte }
        ),
        2 => (0..8usize, 0..400_000u64).prop_map(|(file, length)| Op::Truncate { file, length }),
        2 => (0..8usize, place.clone()).prop_map(|(file, (directory, name))| {
            Op::Link { file, directory, name }
        }),
        3 => place.clone().prop_map(|(directory, name)| Op::Unlink { directory, name }),
        2 => place.clone().prop_map(|(directory, name)| Op::Rmdir { directory, name }),
        3 => (place.clone(), place).prop_map(|((directory, name), (to, new))| {
            Op::Rename { directory, name, to, new }
        }),
        1 => Just(Op::Sync),
    ]
}

fn name(index: usize) -> String {
    ["a", "b", "c", "dd", &"long".repeat(20), &"longer".repeat(40)][index % 6].to_string()
}

struct Run {
    disk: Disk,
    volume: Ext2<Disk>,
    model: Model,
    /// Inodes whose contents have changed.
    written: BTreeSet<u32>,
}

impl Run {
    fn new(bytes: Vec<u8>) -> Self {
        let (disk, volume) = mount(bytes);
        let mut model = Model::new();
        model.insert(ROOT, Node::Directory(BTreeMap::new()));
        Self { disk, volume, model, written: BTreeSet::new() }
    }

    fn directories(&self) -> Vec<u32> {
        let is =
            |(number, node): (&u32, &Node)| matches!(node, Node::Directory(_)).then_some(*number);
        self.model.iter().filter_map(is).collect()
    }

    fn directory(&self, index: usize) -> u32 {
        let all = self.directories();
        all[index % all.len()]
    }

    fn file(&self, index: usize) -> Option<u32> {
        let is = |(number, node): (&u32, &Node)| matches!(node, Node::File(_)).then_some(*number);
        let all: Vec<u32> = self.model.iter().filter_map(is).collect();
        (!all.is_empty()).then(|| all[index % all.len()])
    }

    fn names(&mut self, directory: u32) -> &mut BTreeMap<String, u32> {
        match self.model.get_mut(&directory) {
            Some(Node::Directory(names)) => names,
            other => panic!("{directory} is {other:?}"),
        }
    }

    /// Forgets what has no name any more.
    fn forget(&mut self, number: u32) {
        let named = self.model.values().any(|node| match node {
            Node::Directory(names) => names.values().any(|other| *other == number),
            _ => false,
        });
        if !named {
            self.model.remove(&number);
        }
        self.volume.forget(number).unwrap();
    }

    fn lies_below(&self, number: u32, above: u32) -> bool {
        number == above
            || self.model.iter().any(|(parent, node)| match node {
                Node::Directory(names) => {
                    names.values().any(|child| *child == number) && self.lies_below(*parent, above)
                }
                _ => false,
            })
    }

    /// Does it to both. `Full` is believed, and must leave all as it was.
    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Create { directory, name: index } => {
                self.make(directory, index, Node::File(vec![]), Kind::Regular);
            }
            Op::Mkdir { directory, name: index } => {
                self.make(directory, index, Node::Directory(BTreeMap::new()), Kind::Directory);
            }
            Op::Symlink { directory, name: index, length } => {
                self.make(directory, index, Node::Link(vec![b'x'; length]), Kind::Link);
            }
            Op::Write { file, at, length, byte } => {
                let Some(number) = self.file(file) else { return };
                self.written.insert(number);
                let bytes = vec![byte; length];
                match self.volume.write(number, at, &bytes) {
                    Ok(count) => {
                        let Some(Node::File(contents)) = self.model.get_mut(&number) else {
                            return;
                        };
                        let end = at as usize + count;
                        contents.resize(contents.len().max(end), 0);
                        contents[at as usize..end].fill(byte);
                    }
                    Err(error) => assert_eq!(error, Error::Full),
                }
            }
            Op::Truncate { file, length } => {
                let Some(number) = self.file(file) else { return };
                self.written.insert(number);
                self.volume.truncate(number, length).unwrap();
                if let Some(Node::File(contents)) = self.model.get_mut(&number) {
                    contents.resize(length as usize, 0);
                }
            }
            Op::Link { file, directory, name: index } => {
                let (directory, name) = (self.directory(directory), name(index));
                let Some(number) = self.file(file) else { return };
                let exists = self.names(directory).contains_key(&name);
                match self.volume.link(number, directory, name.as_bytes()) {
                    Ok(()) => assert!(self.names(directory).insert(name, number).is_none()),
                    Err(Error::Full) => {}
                    Err(error) => assert!(exists && error == Error::Exists, "{error:?}"),
                }
            }
            Op::Unlink { directory, name: index } => {
                let (directory, name) = (self.directory(directory), name(index));
                let found = self.names(directory).get(&name).copied();
                let outcome = self.volume.unlink(directory, name.as_bytes());
                match found.map(|number| (number, &self.model[&number])) {
                    None => assert_eq!(outcome, Err(Error::Missing)),
                    Some((_, Node::Directory(_))) => assert_eq!(outcome, Err(Error::IsDirectory)),
                    Some((number, _)) => {
                        assert_eq!(outcome, Ok(number));
                        self.names(directory).remove(&name);
                        self.forget(number);
                    }
                }
            }
            Op::Rmdir { directory, name: index } => {
                let (directory, name) = (self.directory(directory), name(index));
                let found = self.names(directory).get(&name).copied();
                let outcome = self.volume.remove_directory(directory, name.as_bytes());
                match found.map(|number| (number, &self.model[&number])) {
                    None => assert_eq!(outcome, Err(Error::Missing)),
                    Some((_, Node::Directory(names))) if !names.is_empty() => {
                        assert_eq!(outcome, Err(Error::NotEmpty));
                    }
                    Some((number, Node::Directory(_))) => {
                        assert_eq!(outcome, Ok(number));
                        self.names(directory).remove(&name);
                        self.forget(number);
                    }
                    Some(_) => assert_eq!(outcome, Err(Error::NotDirectory)),
                }
            }
            Op::Rename { directory, name: index, to, new } => {
                let (from, to) = (self.directory(directory), self.directory(to));
                self.rename(from, &name(index), to, &name(new));
            }
            Op::Sync => self.volume.sync().unwrap(),
        }
    }

    fn make(&mut self, directory: usize, index: usize, node: Node, kind: Kind) {
        let (directory, name) = (self.directory(directory), name(index));
        let exists = self.names(directory).contains_key(&name);
        let outcome = match &node {
            Node::Link(target) => self.volume.symlink(directory, name.as_bytes(), target),
            _ => self.volume.create(directory, name.as_bytes(), kind, 0o755, (0, 0)),
        };
        match outcome {
            Ok(number) => {
                assert!(!exists);
                self.written.insert(number);
                self.names(directory).insert(name, number);
                assert!(self.model.insert(number, node).is_none(), "{number} is in use");
            }
            Err(Error::Full) => {}
            Err(error) => assert!(exists && error == Error::Exists, "{error:?}"),
        }
    }

    fn rename(&mut self, from: u32, name: &str, to: u32, new: &str) {
        let outcome = self.volume.rename(from, name.as_bytes(), to, new.as_bytes());
        let Some(number) = self.names(from).get(name).copied() else {
            return assert_eq!(outcome, Err(Error::Missing));
        };
        let is_directory = matches!(self.model[&number], Node::Directory(_));
        let old = self.names(to).get(new).copied();
        if is_directory && from != to && self.lies_below(to, number) {
            return assert_eq!(outcome, Err(Error::Invalid));
        }
        if old == Some(number) {
            return assert_eq!(outcome, Ok(None));
        }
        match old.map(|old| &self.model[&old]) {
            Some(Node::Directory(_)) if !is_directory => {
                return assert_eq!(outcome, Err(Error::IsDirectory));
            }
            Some(Node::Directory(names)) if !names.is_empty() => {
                return assert_eq!(outcome, Err(Error::NotEmpty));
            }
            Some(Node::File(_) | Node::Link(_)) if is_directory => {
                return assert_eq!(outcome, Err(Error::NotDirectory));
            }
            _ => {}
        }
        if outcome == Err(Error::Full) && old.is_none() {
            return;
        }
        assert_eq!(outcome, Ok(old));
        self.names(from).remove(name);
        self.names(to).insert(new.to_string(), number);
        if let Some(old) = old {
            self.forget(old);
        }
    }
}

/// A tree by paths: number and contents of each file.
type Tree = BTreeMap<String, (u32, Vec<u8>)>;

fn tree(volume: &Ext2<Disk>) -> Tree {
    fn walk(volume: &Ext2<Disk>, number: u32, path: &str, out: &mut Tree) {
        let mut children = Vec::new();
        let emit = &mut |entry: &ext2::Entry<'_>| {
            children.push((String::from_utf8_lossy(entry.name).into_owned(), entry.inode));
            true
        };
        volume.entries(number, 0, emit).unwrap();
        for (name, child) in children {
            if matches!(name.as_str(), "." | ".." | "lost+found") {
                continue;
            }
            let path = format!("{path}/{name}");
            let inode = volume.inode(child).unwrap();
            let value = match inode.kind().unwrap() {
                Kind::Directory => {
                    walk(volume, child, &path, out);
                    b"directory".to_vec()
                }
                Kind::Link => [b"link ", volume.read_link(child).unwrap().as_slice()].concat(),
                _ => {
                    let mut bytes = vec![0; inode.size as usize];
                    assert_eq!(volume.read(child, 0, &mut bytes), Ok(bytes.len()));
                    bytes
                }
            };
            out.insert(path, (child, value));
        }
    }
    let mut out = BTreeMap::new();
    walk(volume, ROOT, "", &mut out);
    out
}

fn model_tree(model: &Model) -> Tree {
    fn walk(model: &Model, number: u32, path: &str, out: &mut Tree) {
        let Node::Directory(names) = &model[&number] else { return };
        for (name, child) in names {
            let path = format!("{path}/{name}");
            walk(model, *child, &path, out);
            let value = match &model[child] {
                Node::Directory(_) => b"directory".to_vec(),
                Node::File(bytes) => bytes.clone(),
                Node::Link(target) => [b"link ", target.as_slice()].concat(),
            };
            out.insert(path, (*child, value));
        }
    }
    let mut out = BTreeMap::new();
    walk(model, ROOT, "", &mut out);
    out
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..ProptestConfig::default()
    }
}

#[test]
fn random_operations_do_what_the_model_does() {
    let volumes =
        [volume(700, &["-b", "1024", "-N", "40"]), volume(1200, &["-b", "4096", "-N", "64"])];
    let strategy = (0..2usize, prop::collection::vec(op(), 1..120));
    proptest!(config(40), |((which, ops) in strategy)| {
        let mut run = Run::new(volumes[which].clone());
        ops.iter().for_each(|op| run.apply(op));
        let expected = model_tree(&run.model);
        prop_assert_eq!(&tree(&run.volume), &expected);
        run.volume.unmount().unwrap();
        let bytes = run.disk.bytes.borrow().clone();
        assert_clean(&bytes);
        let (_, again) = mount(bytes);
        prop_assert_eq!(tree(&again), expected);
    });
}

/// What was synced and not touched afterwards survives an interruption at any point.
#[test]
fn an_interruption_costs_nothing_that_was_synced() {
    let empty = volume(700, &["-b", "1024", "-N", "40"]);
    let strategy = (
        prop::collection::vec(op(), 20..80),
        prop::collection::vec(op(), 1..60),
        any::<u64>(),
        0..3u32,
    );
    proptest!(config(40), |((before, after, seed, share) in strategy)| {
        let mut run = Run::new(empty.clone());
        before.iter().for_each(|op| run.apply(op));
        run.volume.sync().unwrap();
        run.written.clear();
        let synced = model_tree(&run.model);
        // What no operation changes, not even for a while.
        let mut kept = synced.clone();
        for op in &after {
            run.apply(op);
            let now = model_tree(&run.model);
            kept.retain(|path, file| now.get(path) == Some(file));
        }

        let mut state = seed | 1;
        let left = run.disk.interrupted(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Of the writes nearly none, half, or nearly all reach the disk.
            state >> 32 & 0xff < [3, 128, 253][share as usize]
        });
        let (_, volume) = mount(mended(&left));
        let found = tree(&volume);
        for (path, file) in &kept {
            prop_assert_eq!(found.get(path), Some(file), "{}", path);
        }
        // What was removed and is back has its own contents.
        for (path, file) in &synced {
            if let Some(back) = found.get(path)
                && back.0 == file.0
                && !run.written.contains(&file.0)
            {
                prop_assert_eq!(&back.1, &file.1, "{} is back", path);
            }
        }
    });
}

#[test]
fn damaged_volumes_are_errors_and_no_panics() {
    let mut run = Run::new(volume(300, &["-b", "1024", "-N", "32"]));
    let text = vec![5; 100_000];
    for index in 0..4 {
        run.apply(&Op::Mkdir { directory: index, name: index });
        run.apply(&Op::Create { directory: index, name: index + 1 });
        run.apply(&Op::Symlink { directory: 0, name: 5, length: 100 });
    }
    let file = run.file(0).unwrap();
    run.volume.write(file, 0, &text).unwrap();
    run.volume.unmount().unwrap();
    let good = run.disk.bytes.borrow().clone();
    // Where the structure is: superblock, descriptors, bitmaps, inodes, directories, pointers.
    let busy: Vec<usize> =
        (1024..good.len()).filter(|at| good[*at] != 0 && good[*at] != 5).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    proptest!(config(200), |(damage in damage, ops in prop::collection::vec(op(), 1..20))| {
        let mut bytes = good.clone();
        for (at, value) in &damage {
            bytes[busy[at.index(busy.len())]] = *value;
        }
        let Ok(mut volume) = Ext2::mount(Disk::new(bytes), true, 1) else { return Ok(()) };
        for number in 1..40 {
            visit(&mut volume, number);
        }
        for op in &ops {
            hit(&mut volume, op);
        }
        let _ = volume.unmount();
    });
}

/// Does everything that reads to an inode.
fn visit(volume: &mut Ext2<Disk>, number: u32) {
    let mut buffer = [0; 3000];
    let _ = volume.inode(number);
    let _ = volume.read(number, 0, &mut buffer);
    let _ = volume.read(number, 80_000, &mut buffer);
    let _ = volume.read_link(number);
    let _ = volume.entries(number, 0, &mut |_| true);
    let _ = volume.lookup(number, b"a");
}

/// Does an operation to inodes of small numbers, whatever they are.
fn hit(volume: &mut Ext2<Disk>, op: &Op) {
    let inode = |index: usize| [2, 11, 12, 13, 14, 15, 16, 17][index % 8];
    match *op {
        Op::Create { directory, name: index } => {
            let name = name(index);
            let _ = volume.create(inode(directory), name.as_bytes(), Kind::Regular, 0, (0, 0));
        }
        Op::Mkdir { directory, name: index } => {
            let name = name(index);
            let _ = volume.create(inode(directory), name.as_bytes(), Kind::Directory, 0, (0, 0));
        }
        Op::Symlink { directory, name: index, length } => {
            let _ = volume.symlink(inode(directory), name(index).as_bytes(), &vec![b'x'; length]);
        }
        Op::Write { file, at, length, byte } => {
            let _ = volume.write(inode(file), at, &vec![byte; length]);
        }
        Op::Truncate { file, length } => {
            let _ = volume.truncate(inode(file), length);
        }
        Op::Link { file, directory, name: index } => {
            let _ = volume.link(inode(file), inode(directory), name(index).as_bytes());
        }
        Op::Unlink { directory, name: index } => {
            if let Ok(number) = volume.unlink(inode(directory), name(index).as_bytes()) {
                let _ = volume.forget(number);
            }
        }
        Op::Rmdir { directory, name: index } => {
            if let Ok(number) = volume.remove_directory(inode(directory), name(index).as_bytes()) {
                let _ = volume.forget(number);
            }
        }
        Op::Rename { directory, name: from, to, new } => {
            let (from, new) = (name(from), name(new));
            let _ = volume.rename(inode(directory), from.as_bytes(), inode(to), new.as_bytes());
        }
        Op::Sync => {
            let _ = volume.sync();
        }
    }
}
