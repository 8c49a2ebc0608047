//! `mount`, `umount`, `sync`.

use super::{Context, OK, USAGE};

/// What `mount` was asked to do.
struct Wanted<'a> {
    source: &'a str,
    path: &'a str,
    kind: &'a str,
    read_only: bool,
}

/// The words behind `mount`. None: they make no sense.
fn wanted<'a>(words: &[&'a str]) -> Option<Wanted<'a>> {
    let (mut kind, mut read_only) = ("auto", false);
    let mut rest = words;
    loop {
        match rest {
            ["-t", name, after @ ..] => (kind, rest) = (name, after),
            ["-r", after @ ..] => (read_only, rest) = (true, after),
            [source, path] if !source.starts_with('-') => {
                return Some(Wanted { source, path, kind, read_only });
            }
            _ => return None,
        }
    }
}

pub fn mount(context: &mut Context<'_>, words: &[&str]) -> u8 {
    if words.is_empty() {
        let terminal = &mut *context.terminal;
        context.kernel.mounts(&mut |source, path, kind, read_only| {
            let how = if read_only { "ro" } else { "rw" };
            let _ = writeln!(terminal, "{source} on {path} type {kind} ({how})");
        });
        return OK;
    }
    let Some(wanted) = wanted(words) else {
        context.line(format_args!("mount: [-t TYPE] [-r] SOURCE DIRECTORY"));
        return USAGE;
    };
    let Wanted { source, path, kind, read_only } = wanted;
    match context.kernel.mount(source, path, kind, read_only) {
        Ok(()) => OK,
        Err(error) => context.failed(source, error),
    }
}

pub fn umount(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let what = words.first().copied().unwrap_or_default();
    match context.kernel.unmount(what) {
        Ok(()) => OK,
        Err(error) => context.failed(what, error),
    }
}

pub fn sync(context: &mut Context<'_>, _: &[&str]) -> u8 {
    match context.kernel.sync() {
        Ok(()) => OK,
        Err(error) => context.failed("sync", error),
    }
}
