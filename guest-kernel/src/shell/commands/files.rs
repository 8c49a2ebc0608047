//! `ls`, `cat`, `echo`.

use heapless::String;

use super::{Context, FAILED, OK};
use crate::shell::kernel::{Errno, FileKind, Kernel};

/// The longest name that `ls` can sort.
const NAME_MAX: usize = 255;

/// Bytes that `cat` reads at a time.
const CHUNK: usize = 512;

/// What `ls` prints of an entry.
struct Entry {
    name: String<NAME_MAX>,
    kind: FileKind,
    size: u64,
    mode: u32,
}

pub fn echo(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    for (index, word) in arguments.iter().enumerate() {
        let blank = if index > 0 { " " } else { "" };
        let _ = write!(context.terminal, "{blank}{word}");
    }
    context.line(format_args!(""));
    OK
}

pub fn cat(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    let mut status = OK;
    for path in arguments {
        if let Err(error) = print_file(context, path) {
            status = context.failed(path, error);
        }
    }
    status
}

/// Copies a file to the terminal.
pub fn print_file(context: &mut Context<'_>, path: &str) -> Result<(), Errno> {
    let mut buffer = [0; CHUNK];
    let mut offset = 0;
    loop {
        let count = context.kernel.read(path, offset, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        context.terminal.write_bytes(buffer.get(..count).unwrap_or(&buffer));
        offset += count as u64;
    }
}

pub fn ls(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    if arguments.is_empty() {
        return list_one(context, "/");
    }
    let mut status = OK;
    for path in arguments {
        if arguments.len() > 1 {
            context.line(format_args!("{path}:"));
        }
        if list_one(context, path) != OK {
            status = FAILED;
        }
    }
    status
}

fn list_one(context: &mut Context<'_>, path: &str) -> u8 {
    let mut kind = FileKind::Other('?');
    let mut size = 0;
    let mut mode = 0;
    let found = context.kernel.stat(path, &mut |file| {
        (kind, size, mode) = (file.kind, file.size, file.mode);
    });
    if let Err(error) = found {
        return context.failed(path, error);
    }
    if kind != FileKind::Directory {
        print_entry(context, path, kind, size, mode);
        return OK;
    }
    let mut last: Option<Entry> = None;
    loop {
        match next_entry(context.kernel, path, last.as_ref()) {
            Ok(Some(entry)) => {
                print_entry(context, &entry.name, entry.kind, entry.size, entry.mode);
                last = Some(entry);
            }
            Ok(None) => return OK,
            Err(error) => return context.failed(path, error),
        }
    }
}

fn print_entry(context: &mut Context<'_>, name: &str, kind: FileKind, size: u64, mode: u32) {
    let sign = match kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Other(letter) => letter,
    };
    let mut bits: String<9> = String::new();
    for bit in (0..9).rev() {
        let letter = ['x', 'w', 'r'][bit % 3];
        let _ = bits.push(if mode & (1 << bit) != 0 { letter } else { '-' });
    }
    let slash = if kind == FileKind::Directory { "/" } else { "" };
    context.line(format_args!("{sign}{bits} {size:>9}  {name}{slash}"));
}

/// The entry of the smallest name after `last`: sorts without keeping a list. Names that are too
/// long to be kept are left out.
fn next_entry(
    kernel: &mut dyn Kernel,
    path: &str,
    last: Option<&Entry>,
) -> Result<Option<Entry>, Errno> {
    let mut best: Option<Entry> = None;
    kernel.list(path, &mut |file| {
        let after = last.is_none_or(|last| file.name > last.name.as_str());
        let before = best.as_ref().is_none_or(|best| file.name < best.name.as_str());
        if after
            && before
            && let Ok(name) = String::try_from(file.name)
        {
            best = Some(Entry { name, kind: file.kind, size: file.size, mode: file.mode });
        }
    })?;
    Ok(best)
}
