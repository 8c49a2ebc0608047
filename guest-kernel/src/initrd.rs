//! The initrd: a cpio archive in "newc" form, as Linux's initramfs is, read in place.
//!
//! Each member is a 110-byte header of hexadecimal numbers (`070701`, then 13 fields of 8 digits), the
//! name with its NUL, padding to 4 bytes, the contents, padding to 4; the member `TRAILER!!!` ends the
//! archive (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`). More NULs may follow a
//! name, so that the contents begin at a page: such files are mapped in place. Damage ends the
//! archive where it stands: what comes before stays usable. Headers are read once, and remembered.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a member is: the type bits of its mode.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;

const HEADER: usize = 110;

/// A file or directory of the archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its path without leading `/` or `./`; empty: the root.
    pub path: &'static str,
    /// Unix mode: type and permission bits.
    pub mode: u32,
    /// Inode number.
    pub inode: u32,
    /// Modification time, seconds since 1970.
    pub modified: u32,
    /// Contents.
    pub bytes: &'static [u8],
}

impl Member {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_DIRECTORY
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_FILE
    }

    /// The last component of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The path up to the last component.
    pub fn directory(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// An archive in memory, to be read once.
#[derive(Clone, Copy, Debug)]
pub struct Initrd {
    members: &'static [Member],
}

impl Initrd {
    /// One without members.
    pub const EMPTY: Self = Self { members: &[] };

    /// The archive in `bytes`. What is remembered of it stays for ever, as they do.
    pub fn read(bytes: &'static [u8]) -> Self {
        let mut rest = bytes;
        let members = core::iter::from_fn(|| {
            let (member, after) = next(rest)?;
            rest = after;
            Some(member)
        });
        Self { members: Box::leak(members.collect::<Vec<_>>().into_boxed_slice()) }
    }

    /// Its members in order.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<> {
        self.members.iter().copied()
    }

    /// The member at an absolute or relative path, with `.` and `..` resolved. The root and
    /// directories that are named only as part of a path exist, too.
    pub fn find(&self, path: &str) -> Option<Member> {
        let mut wanted = Normal::new(path)?;
        let wanted = wanted.as_str();
        let mut implied = None;
        for member in self.members() {
            if member.path == wanted {
                return Some(member);
            }
            let below = member.path.strip_prefix(wanted);
            if implied.is_none()
                && (wanted.is_empty() || below.is_some_and(|rest| rest.starts_with('/')))
                && let Some(path) = member.path.get(..wanted.len())
            {
                implied = Some(path);
            }
        }
        let path = implied.or(wanted.is_empty().then_some(""))?;
        Some(Member { path, mode: TYPE_DIRECTORY | 0o755, inode: 1, modified: 0, bytes: &[] })
    }

    /// What is directly in a directory of the archive (its normal path).
    pub fn list(&self, directory: &'static str) -> impl Iterator<Item = Member> + use<> {
        self.members()
            .filter(move |member| !member.path.is_empty() && member.directory() == directory)
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0u32, |value, digit| Some((value << 4) | char::from(*digit).to_digit(16)?))
}

/// Takes the first member off `bytes`. None at the trailer, and at anything that is no member.
fn next(bytes: &'static [u8]) -> Option<(Member, &'static [u8])> {
    let header = bytes.get(..HEADER)?;
    let magic = header.get(..6)?;
    if magic != b"070701" && magic != b"070702" {
        return None;
    }
    let field = |index: usize| hex(header.get(6 + index * 8..14 + index * 8)?);
    let (inode, mode, modified) = (field(0)?, field(1)?, field(5)?);
    let (length, name_length) = (field(6)? as usize, field(11)? as usize);
    let name_end = HEADER.checked_add(name_length)?;
    let name = bytes.get(HEADER..name_end)?.strip_suffix(b"\0")?;
    // What comes after a first NUL only moves the contents to where they are wanted.
    let name = name.split(|byte| *byte == 0).next()?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(length)?;
    let contents = bytes.get(start..end)?;
    let name = core::str::from_utf8(name).ok()?;
    if name == "TRAILER!!!" {
        return None;
    }
    let path = name.trim_start_matches("./").trim_matches('/');
    let path = if path == "." { "" } else { path };
    let rest = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some((Member { path, mode, inode, modified, bytes: contents }, rest))
}

/// Longest path that can be looked up, in bytes.
const PATH: usize = 256;

/// A path without empty components, `.` and `..`, and without leading `/`.
struct Normal {
    bytes: [u8; PATH],
    length: usize,
}

impl Normal {
    fn new(path: &str) -> Option<Self> {
        let mut normal = Self { bytes: [0; PATH], length: 0 };
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    let used = normal.bytes.get(..normal.length)?;
                    normal.length = used.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                }
                component => {
                    if normal.length > 0 {
                        normal.push(b"/")?;
                    }
                    normal.push(component.as_bytes())?;
                }
            }
        }
        Some(normal)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    fn as_str(&mut self) -> &str {
        let used = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn member(out: &mut Vec<u8>, name: &str, mode: u32, contents: &[u8]) {
        let fields = [7, mode, 0, 0, 1, 99, contents.len() as u32, 0, 0, 0, 0];
        let mut text = String::from("070701");
        for field in fields {
            text += &format!("{field:08x}");
        }
        text += &format!("{:08X}{:08x}", name.len() + 1, 0);
        out.extend(text.bytes());
        out.extend(name.bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(contents);
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn archive() -> Vec<u8> {
        let mut out = Vec::new();
        member(&mut out, ".", 0o040_755, b"");
        member(&mut out, "./etc", 0o040_755, b"");
        member(&mut out, "etc/motd", 0o100_644, b"Hello\n");
        member(&mut out, "bin/true", 0o100_755, b"\x7fELF");
        member(&mut out, "TRAILER!!!", 0, b"");
        out
    }

    fn open(bytes: Vec<u8>) -> Initrd {
        Initrd::read(Box::leak(bytes.into_boxed_slice()))
    }

    #[test]
    fn files_and_directories_are_found() {
        let initrd = open(archive());
        let motd = initrd.find("/etc/motd").unwrap();
        assert_eq!((motd.bytes, motd.name(), motd.mode), (&b"Hello\n"[..], "motd", 0o100_644));
        assert!(motd.is_file() && motd.modified == 99 && motd.inode == 7);
        assert_eq!(initrd.find("//etc/./../etc//motd"), Some(motd));
        assert_eq!(initrd.find("etc/../../../etc/motd"), Some(motd));
        assert!(initrd.find("/").unwrap().is_directory());
        assert!(initrd.find("/etc/").unwrap().is_directory());
        let implied = initrd.find("/bin").unwrap();
        assert!(implied.is_directory() && implied.path == "bin");
        assert_eq!(initrd.find("/bi"), None);
        assert_eq!(initrd.find("/etc/motd/x"), None);
        assert_eq!(initrd.find(&"a".repeat(300)), None);
    }

    #[test]
    fn directories_list_what_is_directly_in_them() {
        let initrd = open(archive());
        let names = |path: &str| {
            let directory = initrd.find(path).unwrap();
            initrd.list(directory.path).map(|member| member.name()).collect::<Vec<_>>()
        };
        assert_eq!(names("/"), vec!["etc"]);
        assert_eq!(names("/etc"), vec!["motd"]);
        assert_eq!(names("/bin"), vec!["true"]);
    }

    #[test]
    fn nuls_behind_a_name_move_the_contents_only() {
        let mut bytes = Vec::new();
        member(
            &mut bytes,
            &format!("bin/sh{}", "\0".repeat(4096 - 110 - 7)),
            0o100_755,
            b"\x7fELF",
        );
        assert_eq!(bytes[4096..], *b"\x7fELF");
        member(&mut bytes, "bin/true", 0o100_755, b"true");
        let initrd = open(bytes);
        let paths: Vec<_> = initrd.members().map(|member| (member.path, member.bytes)).collect();
        assert_eq!(paths, [("bin/sh", &b"\x7fELF"[..]), ("bin/true", b"true")]);
    }

    #[test]
    fn an_empty_archive_has_a_root() {
        let initrd = open(Vec::new());
        assert!(initrd.find("/").unwrap().is_directory());
        assert_eq!(initrd.find("/etc"), None);
        assert_eq!(initrd.members().count(), 0);
    }

    #[test]
    fn every_truncation_and_corruption_is_survived() {
        let whole = archive();
        let count = open(whole.clone()).members().count();
        for length in 0..whole.len() {
            let cut = open(whole[..length].to_vec());
            assert!(cut.members().count() <= count);
            let _ = cut.find("/etc/motd");
        }
        for index in 0..whole.len() {
            for value in [0, b'f', 0xff] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                let _ = open(damaged).members().count();
            }
        }
    }
}
