//! Files and directories of the initrd, which are read in place.

use super::file::{Contents, DIRECTORY, Entry, File, Flags, REGULAR, Result, Status};
use crate::errno::{EACCES, EISDIR, ENOTDIR};
use crate::initrd::{Initrd, Member};

/// A file or directory of an archive.
pub struct MemberFile {
    /// The archive.
    pub archive: Initrd,
    /// The member.
    pub member: Member,
}

impl File for MemberFile {
    fn status(&self) -> Result<Status> {
        let member = &self.member;
        let size = member.bytes.len() as u64;
        Ok(Status {
            inode: u64::from(member.inode),
            size,
            blocks: size.div_ceil(512),
            accessed: member.modified,
            modified: member.modified,
            changed: member.modified,
            ..Status::anonymous(member.mode)
        })
    }

    fn read(&self, at: u64, into: &mut [u8], _: Flags) -> Result<usize> {
        if self.member.is_directory() {
            return Err(EISDIR);
        }
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = self.member.bytes.get(at..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn end(&self) -> Option<u64> {
        Some(self.member.bytes.len() as u64)
    }

    fn entries(&self, from: u64, emit: &mut dyn FnMut(&Entry<'_>) -> bool) -> Result {
        if !self.member.is_directory() {
            return Err(ENOTDIR);
        }
        let own = [(".", self.member.inode, DIRECTORY), ("..", 1, DIRECTORY)];
        let members = self.archive.list(self.member.path).map(|member| {
            let kind = if member.is_directory() { DIRECTORY } else { REGULAR };
            (member.name(), member.inode, kind)
        });
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, (name, inode, kind)) in own.into_iter().chain(members).enumerate().skip(from) {
            let inode = u64::from(inode.max(1));
            let entry = Entry { name: name.as_bytes(), inode, kind, next: index as u64 + 1 };
            if !emit(&entry) {
                break;
            }
        }
        Ok(())
    }

    fn contents(&self) -> Result<Contents> {
        if self.member.is_file() { Ok(Contents::Bytes(self.member.bytes)) } else { Err(EACCES) }
    }
}
