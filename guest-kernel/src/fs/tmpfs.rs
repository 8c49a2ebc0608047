//! A file system in memory: `/tmp`, `/run`, `/dev`, and the root that the initrd is unpacked to.
//!
//! Bounded: files, their pages and names count, and what would be too much is `ENOSPC`. Files of the
//! initrd are read where they lie until they are written, page by page.

use super::file::{DIRECTORY, Entry, LINK, REGULAR, Result, Status, TYPE};
use super::lock::Mutex;
use super::system::{Change, FileSystem, Space};
use crate::errno::{EEXIST, EFBIG, EINVAL, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// What a file counts without contents, bytes.
const NODE: u64 = 256;
/// The root's number.
const ROOT: u64 = 1;
/// `TMPFS_MAGIC`.
const MAGIC: u32 = 0x0102_1994;

/// What a file holds.
#[derive(Default)]
struct Bytes {
    length: u64,
    /// What it held at first, as far as it still does.
    first: &'static [u8],
    /// Pages that were written, by their index.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// What a directory holds: names, in the order in which they came.
struct Names {
    parent: u64,
    by_name: BTreeMap<Vec<u8>, (u64, u64)>,
    by_order: BTreeMap<u64, Vec<u8>>,
}

enum Body {
    File(Bytes),
    Directory(Names),
    Link(Vec<u8>),
    Device,
}

struct Node {
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    accessed: u32,
    modified: u32,
    changed: u32,
    special: u64,
    body: Body,
}

struct State {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Bytes that count.
    used: u64,
}

/// A file system in memory.
pub struct Tmpfs {
    kind: &'static str,
    limit: u64,
    clock: fn() -> u32,
    /// Called before the root is looked at, to bring it up to date.
    refresh: Option<fn(&Tmpfs)>,
    state: Mutex<State>,
}

impl Bytes {
    /// The byte range of a page that what it held at first still covers.
    fn first_of(&self, index: u64) -> &'static [u8] {
        let start = usize::try_from(index * PAGE).unwrap_or(usize::MAX);
        let rest = self.first.get(start..).unwrap_or_default();
        rest.get(..PAGE as usize).unwrap_or(rest)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> usize {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = left.min(into.len());
        let mut done = 0;
        while done < wanted {
            let here = at + done as u64;
            let (index, offset) = (here / PAGE, (here % PAGE) as usize);
            let count = (wanted - done).min(PAGE as usize - offset);
            let page = self.pages.get(&index).map_or_else(|| self.first_of(index), Vec::as_slice);
            let from = page.get(offset..).unwrap_or_default();
            for (slot, index) in into.iter_mut().skip(done).take(count).zip(0..) {
                *slot = from.get(index).copied().unwrap_or(0);
            }
            done += count;
        }
        wanted
    }

    /// The page at an index, to be written. True: it is new.
    fn page(&mut self, index: u64) -> Result<(&mut Vec<u8>, bool)> {
        let is_new = !self.pages.contains_key(&index);
        if is_new {
            let mut page = Vec::new();
            page.try_reserve_exact(PAGE as usize).map_err(|_| ENOSPC)?;
            page.extend_from_slice(self.first_of(index));
            page.resize(PAGE as usize, 0);
            self.pages.insert(index, page);
        }
        Ok((self.pages.get_mut(&index).ok_or(ENOSPC)?, is_new))
    }

    fn truncate(&mut self, length: u64) -> Result {
        if length < self.length {
            let kept = self.first.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            self.first = self.first.get(..kept).unwrap_or_default();
            self.pages.retain(|index, _| index * PAGE < length);
            if let Some(page) = self.pages.get_mut(&(length / PAGE)) {
                page.iter_mut().skip((length % PAGE) as usize).for_each(|byte| *byte = 0);
            }
        }
        self.length = length;
        Ok(())
    }
}

impl Names {
    fn new(parent: u64) -> Self {
        Self { parent, by_name: BTreeMap::new(), by_order: BTreeMap::new() }
    }

    fn add(&mut self, name: &[u8], inode: u64) {
        // Behind the two that every directory has.
        let order = self.by_order.last_key_value().map_or(2, |(order, _)| order + 1);
        self.by_name.insert(name.to_vec(), (order, inode));
        self.by_order.insert(order, name.to_vec());
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((order, _)) = self.by_name.remove(name) {
            self.by_order.remove(&order);
        }
    }
}

impl State {
    fn node(&self, inode: u64) -> Result<&Node> {
        self.nodes.get(&inode).ok_or(ENOENT)
    }

    fn node_mut(&mut self, inode: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(ENOENT)
    }

    fn names(&self, directory: u64) -> Result<&Names> {
        match &self.node(directory)?.body {
            Body::Directory(names) => Ok(names),
            _ => Err(ENOTDIR),
        }
    }

    /// The names of a directory, to be changed at a time.
    fn names_mut(&mut self, directory: u64, now: u32) -> Result<&mut Names> {
        let node = self.node_mut(directory)?;
        (node.modified, node.changed) = (now, now);
        match &mut node.body {
            Body::Directory(names) => Ok(names),
            _ => Err(ENOTDIR),
        }
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let names = self.names(directory)?;
        if name == b".." {
            return Ok(names.parent);
        }
        names.by_name.get(name).map(|(_, inode)| *inode).ok_or(ENOENT)
    }

    fn is_directory(&self, inode: u64) -> bool {
        self.names(inode).is_ok()
    }

    fn is_empty(&self, inode: u64) -> bool {
        self.names(inode).is_ok_and(|names| names.by_name.is_empty())
    }
}

impl Tmpfs {
    /// An empty one: `mount`'s name of its kind, the most bytes that it takes, the time in seconds
    /// since 1970.
    pub fn new(kind: &'static str, limit: u64, clock: fn() -> u32) -> Self {
        let state = State { nodes: BTreeMap::new(), next: ROOT + 1, used: 0 };
        let tmpfs = Self { kind, limit, clock, refresh: None, state: Mutex::new(state) };
        let now = (tmpfs.clock)();
        let root = Self::node(DIRECTORY | 0o755, 2, 0, now, Body::Directory(Names::new(ROOT)));
        tmpfs.state.lock().nodes.insert(ROOT, root);
        tmpfs
    }

    /// The same, with what brings its root up to date before it is looked at.
    pub fn refreshed_by(mut self, refresh: fn(&Tmpfs)) -> Self {
        self.refresh = Some(refresh);
        self
    }

    fn node(mode: u32, links: u32, special: u64, now: u32, body: Body) -> Node {
        Node {
            mode,
            uid: 0,
            gid: 0,
            links,
            accessed: now,
            modified: now,
            changed: now,
            special,
            body,
        }
    }

    fn look(&self, directory: u64) {
        if let Some(refresh) = self.refresh.filter(|_| directory == ROOT) {
            refresh(self);
        }
    }

    /// Makes a file that holds these bytes.
    pub fn create_with(
        &self,
        directory: u64,
        name: &[u8],
        mode: u32,
        bytes: &'static [u8],
    ) -> Result<u64> {
        let body = Bytes { length: bytes.len() as u64, first: bytes, pages: BTreeMap::new() };
        self.add(directory, name, mode, 0, Body::File(body))
    }

    /// Makes a device in the root, if there is nothing of that name.
    pub fn create_unless_there(&self, name: &[u8], mode: u32, special: u64) -> Result<u64> {
        let there = self.state.lock().lookup(ROOT, name);
        there.or_else(|_| self.add(ROOT, name, mode, special, Body::Device))
    }

    fn add(&self, directory: u64, name: &[u8], mode: u32, special: u64, body: Body) -> Result<u64> {
        let now = (self.clock)();
        let mut state = self.state.lock();
        if state.names(directory)?.by_name.contains_key(name) {
            return Err(EEXIST);
        }
        if state.node(directory)?.links == 0 {
            return Err(ENOENT);
        }
        let used = state.used + NODE + name.len() as u64;
        if used > self.limit {
            return Err(ENOSPC);
        }
        let (inode, is_directory) = (state.next, matches!(body, Body::Directory(_)));
        state.names_mut(directory, now)?.add(name, inode);
        state.next += 1;
        state.used = used;
        let links = if is_directory { 2 } else { 1 };
        state.nodes.insert(inode, Self::node(mode, links, special, now, body));
        if is_directory {
            state.node_mut(directory)?.links += 1;
        }
        Ok(inode)
    }

    /// Takes a name away. The inode, whose links are fewer.
    fn take(&self, state: &mut State, directory: u64, name: &[u8], inode: u64) -> Result {
        let now = (self.clock)();
        state.names_mut(directory, now)?.remove(name);
        state.used = state.used.saturating_sub(name.len() as u64);
        let was_directory = state.is_directory(inode);
        let node = state.node_mut(inode)?;
        node.links = if was_directory { 0 } else { node.links.saturating_sub(1) };
        node.changed = now;
        if was_directory {
            state.node_mut(directory)?.links -= 1;
        }
        Ok(())
    }

    fn lies_below(state: &State, mut inode: u64, above: u64) -> Result<bool> {
        while inode != above {
            if inode == ROOT {
                return Ok(false);
            }
            inode = state.names(inode)?.parent;
        }
        Ok(true)
    }
}

impl FileSystem for Tmpfs {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn status(&self, inode: u64) -> Result<Status> {
        let state = self.state.lock();
        let node = state.node(inode)?;
        let (size, pages) = match &node.body {
            Body::File(bytes) => (bytes.length, bytes.pages.len() as u64),
            Body::Directory(names) => (names.by_name.len() as u64 * 20, 0),
            Body::Link(target) => (target.len() as u64, 0),
            Body::Device => (0, 0),
        };
        Ok(Status {
            inode,
            mode: node.mode,
            links: node.links,
            uid: node.uid,
            gid: node.gid,
            special: node.special,
            size,
            blocks: pages * PAGE / 512,
            accessed: node.accessed,
            modified: node.modified,
            changed: node.changed,
            ..Status::anonymous(0)
        })
    }

    fn lookup(&self, directory: u64, name: &[u8]) -> Result<u64> {
        self.look(directory);
        self.state.lock().lookup(directory, name)
    }

    fn entries(
        &self,
        directory: u64,
        from: u64,
        emit: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result {
        self.look(directory);
        let state = self.state.lock();
        let names = state.names(directory)?;
        let own = [(0, &b"."[..], directory), (1, b"..", names.parent)];
        for (order, name, inode) in own {
            let entry = Entry { name, inode, kind: DIRECTORY, next: order + 1 };
            if order >= from && !emit(&entry) {
                return Ok(());
            }
        }
        for (order, name) in names.by_order.range(from..) {
            let inode = state.lookup(directory, name)?;
            let kind = state.node(inode)?.mode & TYPE;
            if !emit(&Entry { name, inode, kind, next: order + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, inode: u64, at: u64, into: &mut [u8]) -> Result<usize> {
        match &self.state.lock().node(inode)?.body {
            Body::File(bytes) => Ok(bytes.read(at, into)),
            Body::Directory(_) => Err(EISDIR),
            _ => Err(EINVAL),
        }
    }

    fn read_link(&self, inode: u64) -> Result<Vec<u8>> {
        match &self.state.lock().node(inode)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(EINVAL),
        }
    }

    fn lasting(&self, inode: u64) -> Option<&'static [u8]> {
        match &self.state.lock().nodes.get(&inode)?.body {
            Body::File(bytes) if bytes.pages.is_empty() => {
                (bytes.length == bytes.first.len() as u64).then_some(bytes.first)
            }
            _ => None,
        }
    }

    fn write(&self, inode: u64, at: u64, from: &[u8]) -> Result<usize> {
        let now = (self.clock)();
        let mut state = self.state.lock();
        let room = self.limit.saturating_sub(state.used) / PAGE;
        let node = state.node_mut(inode)?;
        let Body::File(bytes) = &mut node.body else { return Err(EISDIR) };
        if at.checked_add(from.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(EFBIG);
        }
        let (mut done, mut taken) = (0, 0);
        while done < from.len() {
            let here = at + done as u64;
            let (index, offset) = (here / PAGE, (here % PAGE) as usize);
            if taken == room && !bytes.pages.contains_key(&index) {
                break;
            }
            let Ok((page, is_new)) = bytes.page(index) else { break };
            taken += u64::from(is_new);
            let rest = from.get(done..).unwrap_or_default();
            let to = page.get_mut(offset..).unwrap_or_default();
            let count = to.len().min(rest.len());
            to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            done += count;
        }
        bytes.length = bytes.length.max(at + done as u64);
        (node.modified, node.changed) = (now, now);
        state.used += taken * PAGE;
        if done == 0 && !from.is_empty() { Err(ENOSPC) } else { Ok(done) }
    }

    fn truncate(&self, inode: u64, length: u64) -> Result {
        let now = (self.clock)();
        if length > i64::MAX as u64 {
            return Err(EFBIG);
        }
        let mut state = self.state.lock();
        let node = state.node_mut(inode)?;
        let Body::File(bytes) = &mut node.body else { return Err(EISDIR) };
        let before = bytes.pages.len() as u64;
        bytes.truncate(length)?;
        let freed = before - bytes.pages.len() as u64;
        (node.modified, node.changed) = (now, now);
        state.used = state.used.saturating_sub(freed * PAGE);
        Ok(())
    }

    fn create(&self, directory: u64, name: &[u8], mode: u32, special: u64) -> Result<u64> {
        let body = match mode & TYPE {
            REGULAR => Body::File(Bytes::default()),
            DIRECTORY => Body::Directory(Names::new(directory)),
            _ => Body::Device,
        };
        self.add(directory, name, mode, special, body)
    }

    fn symlink(&self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64> {
        self.add(directory, name, LINK | 0o777, 0, Body::Link(target.to_vec()))
    }

    fn link(&self, inode: u64, directory: u64, name: &[u8]) -> Result {
        let now = (self.clock)();
        let mut state = self.state.lock();
        if state.is_directory(inode) {
            return Err(EPERM);
        }
        if state.names(directory)?.by_name.contains_key(name) {
            return Err(EEXIST);
        }
        if state.node(inode)?.links == 0 || state.node(directory)?.links == 0 {
            return Err(ENOENT);
        }
        let used = state.used + name.len() as u64;
        if used > self.limit {
            return Err(ENOSPC);
        }
        state.used = used;
        state.names_mut(directory, now)?.add(name, inode);
        let node = state.node_mut(inode)?;
        node.links += 1;
        node.changed = now;
        Ok(())
    }

    fn unlink(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let mut state = self.state.lock();
        let inode = state.lookup(directory, name)?;
        if state.is_directory(inode) {
            return Err(EISDIR);
        }
        self.take(&mut state, directory, name, inode)?;
        Ok(inode)
    }

    fn remove_directory(&self, directory: u64, name: &[u8]) -> Result<u64> {
        let mut state = self.state.lock();
        let inode = state.lookup(directory, name)?;
        if !state.is_directory(inode) {
            return Err(ENOTDIR);
        }
        if !state.is_empty(inode) {
            return Err(ENOTEMPTY);
        }
        self.take(&mut state, directory, name, inode)?;
        Ok(inode)
    }

    fn rename(&self, from: u64, name: &[u8], to: u64, new_name: &[u8]) -> Result<Option<u64>> {
        let now = (self.clock)();
        let mut state = self.state.lock();
        let inode = state.lookup(from, name)?;
        let is_directory = state.is_directory(inode);
        if is_directory && Self::lies_below(&state, to, inode)? {
            return Err(EINVAL);
        }
        if state.node(to)?.links == 0 {
            return Err(ENOENT);
        }
        let replaced = match state.lookup(to, new_name) {
            Ok(old) if old == inode => return Ok(None),
            Ok(old) => {
                match (is_directory, state.is_directory(old)) {
                    (true, false) => return Err(ENOTDIR),
                    (false, true) => return Err(EISDIR),
                    (true, true) if !state.is_empty(old) => return Err(ENOTEMPTY),
                    _ => {}
                }
                self.take(&mut state, to, new_name, old)?;
                Some(old)
            }
            Err(_) => None,
        };
        state.names_mut(from, now)?.remove(name);
        state.names_mut(to, now)?.add(new_name, inode);
        state.used = (state.used + new_name.len() as u64).saturating_sub(name.len() as u64);
        if is_directory {
            state.node_mut(from)?.links -= 1;
            state.node_mut(to)?.links += 1;
            state.names_mut(inode, now)?.parent = to;
        }
        state.node_mut(inode)?.changed = now;
        Ok(replaced)
    }

    fn change(&self, inode: u64, change: &Change) -> Result {
        let now = (self.clock)();
        let mut state = self.state.lock();
        let node = state.node_mut(inode)?;
        if let Some(permissions) = change.permissions {
            node.mode = node.mode & TYPE | permissions & 0o7777;
        }
        node.uid = change.uid.unwrap_or(node.uid);
        node.gid = change.gid.unwrap_or(node.gid);
        node.accessed = change.accessed.unwrap_or(node.accessed);
        node.modified = change.modified.unwrap_or(node.modified);
        node.changed = now;
        Ok(())
    }

    fn forget(&self, inode: u64) {
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get(&inode).filter(|node| node.links == 0) else { return };
        let pages = match &node.body {
            Body::File(bytes) => bytes.pages.len() as u64,
            _ => 0,
        };
        state.nodes.remove(&inode);
        state.used = state.used.saturating_sub(NODE + pages * PAGE);
    }

    fn space(&self) -> Space {
        let state = self.state.lock();
        let free = self.limit.saturating_sub(state.used);
        Space {
            magic: MAGIC,
            block: PAGE as u32,
            blocks: self.limit / PAGE,
            free_blocks: free / PAGE,
            files: self.limit / NODE,
            free_files: free / NODE,
        }
    }
}
