//! A writer of cpio archives in the "newc" format, the one of Linux's initramfs.
//!
//! The same tree gives the same bytes on any machine: entries are sorted by
//! name, numbered in that order, owned by root, dated at the epoch.
//!
//! The contents of files begin at pages: the guest kernel maps them where they lie.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// File type bits of `c_mode`, and which they are.
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// Contents as long as this begin at a multiple of it.
const PAGE: usize = 4096;
/// Bytes of an entry's header.
const HEADER: usize = 110;
/// Most bytes of a name with the NULs behind it: Linux's `PATH_MAX`, which its initramfs holds to.
const LONGEST_NAME: usize = 4096;
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

#[derive(Clone)]
struct Stored {
    mode: u32,
    data: Vec<u8>,
}

/// An entry, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A folder.
    Directory,
    /// A regular file.
    File {
        /// Its contents.
        data: &'a [u8],
        /// It is a program.
        executable: bool,
    },
    /// A symbolic link to this path.
    Link(&'a str),
}

/// An archive that is being put together.
#[derive(Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, Stored>,
}

impl Archive {
    /// Adds a regular file and the folders above it. `name` is relative, with `/` between parts.
    pub fn add_file(&mut self, name: &str, data: Vec<u8>, executable: bool) {
        let mode = REGULAR | if executable { 0o755 } else { 0o644 };
        self.add(name, Stored { mode, data });
    }

    /// Adds a folder and those above it.
    pub fn add_directory(&mut self, name: &str) {
        self.add(name, Stored { mode: DIRECTORY | 0o755, data: Vec::new() });
    }

    /// Adds a symbolic link and the folders above it.
    pub fn add_link(&mut self, name: &str, target: &str) {
        self.add(name, Stored { mode: LINK | 0o777, data: target.into() });
    }

    /// All entries by their names, folders before what is in them.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Entry<'_>)> {
        self.entries.iter().map(|(name, stored)| {
            let data = stored.data.as_slice();
            let entry = match stored.mode & TYPE {
                DIRECTORY => Entry::Directory,
                // Made of text here.
                LINK => Entry::Link(std::str::from_utf8(data).unwrap_or_default()),
                _ => Entry::File { data, executable: stored.mode & 0o111 != 0 },
            };
            (name.as_str(), entry)
        })
    }

    /// Whether there is an entry of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Adds everything below the folder `dir`, which becomes the root.
    pub fn add_tree(&mut self, dir: &Path) -> Result<()> {
        self.add_below(dir, "")
    }

    /// Adds everything below the folder `dir` to the folder `at` and those above it.
    pub fn add_tree_at(&mut self, dir: &Path, at: &str) -> Result<()> {
        self.add_below(dir, &format!("{at}/"))
    }

    fn add_below(&mut self, dir: &Path, prefix: &str) -> Result<()> {
        let entries =
            fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let Some(part) = entry.file_name().to_str().map(str::to_string) else {
                bail!("{} has a name that is not UTF-8", path.display());
            };
            let name = format!("{prefix}{part}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add_directory(&name);
                self.add_below(&path, &format!("{name}/"))?;
            } else if kind.is_symlink() {
                self.add_link(&name, &fs::read_link(&path)?.to_string_lossy());
            } else if kind.is_file() {
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                self.add_file(&name, fs::read(&path)?, executable);
            } else {
                bail!("{} is neither a file, a folder nor a link", path.display());
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, entry: Stored) {
        let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
        for parent in parents {
            self.entries
                .entry(parent.to_string())
                .or_insert_with(|| Stored { mode: DIRECTORY | 0o755, data: Vec::new() });
        }
        self.entries.insert(name.to_string(), entry);
    }

    /// The archive's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (name, entry)) in self.entries.iter().enumerate() {
            write_entry(&mut out, number as u32 + 1, name, entry);
        }
        write_entry(&mut out, 0, TRAILER, &Stored { mode: 0, data: Vec::new() });
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

/// Bytes of a name with its NUL, and more NULs where they move the data that follows to a page.
fn name_length(at: usize, name: &str, entry: &Stored) -> usize {
    let plain = name.len() + 1;
    let data = at + HEADER + plain;
    let aligned = plain + (data.next_multiple_of(PAGE) - data);
    let is_long = entry.mode & TYPE == REGULAR && entry.data.len() >= PAGE;
    if is_long && aligned <= LONGEST_NAME { aligned } else { plain }
}

/// One entry: 110 bytes of header in hexadecimal digits, name, data; both padded to four bytes.
fn write_entry(out: &mut Vec<u8>, number: u32, name: &str, entry: &Stored) {
    let links = if entry.mode & TYPE == DIRECTORY { 2 } else { 1 };
    let name_length = name_length(out.len(), name, entry);
    let fields = [
        number,
        entry.mode,
        0, // uid
        0, // gid
        links,
        0, // mtime
        entry.data.len() as u32,
        0, // device of the file
        0,
        0, // device that it is
        0,
        name_length as u32,
        0, // checksum: of "crc" archives only
    ];
    out.extend(b"070701");
    for field in fields {
        out.extend(format!("{field:08X}").bytes());
    }
    out.extend(name.bytes());
    out.resize(out.len() + name_length - name.len(), 0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(&entry.data);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back: (name, mode, data).
    fn read(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&archive[at..at + 6], b"070701");
            let field = |index: usize| {
                let from = at + 6 + index * 8;
                let text = std::str::from_utf8(&archive[from..from + 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = &archive[at + 110..at + 110 + name_size - 1];
            let name = String::from_utf8(name.to_vec()).unwrap();
            let name = name.trim_end_matches('\0').to_string();
            at = (at + 110 + name_size).next_multiple_of(4);
            if name == TRAILER {
                return found;
            }
            assert!(size < PAGE || mode & LINK != REGULAR || at.is_multiple_of(PAGE), "{name}");
            found.push((name, mode, archive[at..at + size].to_vec()));
            at = (at + size).next_multiple_of(4);
        }
    }

    #[test]
    fn entries_are_sorted_and_complete() {
        let mut archive = Archive::default();
        archive.add_file("etc/motd", b"hello\n".to_vec(), false);
        archive.add_file("bin/init", vec![1, 2, 3], true);
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 512, 0);
        let read = read(&bytes);
        let names: Vec<_> = read.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        let expected = [
            ("bin", 0o040_755),
            ("bin/init", 0o100_755),
            ("etc", 0o040_755),
            ("etc/motd", 0o100_644),
        ];
        assert_eq!(names, expected);
        assert_eq!(read[1].2, [1, 2, 3]);
        assert_eq!(read[3].2, b"hello\n");
    }

    #[test]
    fn long_files_begin_at_pages() {
        let mut archive = Archive::default();
        // The names put what follows at every residue that matters.
        for number in 0..40 {
            let name = format!("bin/{}", "x".repeat(number + 1));
            archive.add_file(&name, vec![number as u8; PAGE - 1 + number % 3], true);
        }
        let read = read(&archive.finish());
        assert_eq!(read.len(), 41);
        assert!(read.iter().skip(1).all(|(_, _, data)| data.iter().all(|byte| *byte == data[0])));
    }

    #[test]
    fn the_order_of_adding_changes_nothing() {
        let mut one = Archive::default();
        one.add_file("a", vec![1], false);
        one.add_file("b", vec![2], false);
        let mut two = Archive::default();
        two.add_file("b", vec![2], false);
        two.add_file("a", vec![1], false);
        assert_eq!(one.finish(), two.finish());
    }

    #[test]
    fn a_tree_becomes_the_root() {
        let dir = std::env::temp_dir().join(format!("ferrule-cpio-{}", std::process::id()));
        fs::create_dir_all(dir.join("etc")).unwrap();
        fs::write(dir.join("etc/motd"), "hi").unwrap();
        std::os::unix::fs::symlink("motd", dir.join("etc/link")).unwrap();
        let mut archive = Archive::default();
        let added = archive.add_tree(&dir);
        fs::remove_dir_all(&dir).unwrap();
        added.unwrap();
        let read = read(&archive.finish());
        assert_eq!(read.len(), 3);
        assert_eq!(read[1], ("etc/link".to_string(), 0o120_777, b"motd".to_vec()));
        assert!(Archive::default().add_tree(Path::new("/no/such/folder")).is_err());
    }
}
