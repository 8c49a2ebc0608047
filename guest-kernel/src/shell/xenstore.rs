//! `xenstore` at the shell: Xen's `xenstore-ls`, `-read`, `-write` and others in small.
//!
//! Over any connection to a store, so that the host's tests run it against the real server in
//! memory. Output and exit states are as those programs'; flags come before paths, as with them.

use super::commands::{FAILED, OK, USAGE};
use super::kernel::Terminal;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use xenstore::client::{Client, Error, Store, Transport};
use xenstore::perms::Permission;

/// What `help xenstore` says of the verbs.
pub const VERBS: &str = "\
ls [-f] [-p] [PATH]           the tree; -f: full paths, -p: permissions, too
list [PATH...]                names of children
read PATH...                  values
write PATH VALUE [...]        sets values
rm [-t] PATH...               removes; -t: and parents that are left empty
exists PATH...                status 0 if there are such nodes
chmod PATH PERMISSION...      n0 r1 b2: none, read, both for a domain; the first owns it
watch [-n COUNT] PATH...      paths that change, until COUNT or Ctrl-C
control COMMAND [ARGUMENT...] to the server itself, as live-update; help lists all";

/// Waits at the terminal.
pub trait Patience<T> {
    /// Waits until something has come over the connection. False: the person has had enough.
    fn wait(&mut self, connection: &T) -> bool;
}

/// Why a verb did not do what was asked for.
enum Failure {
    /// The arguments make no sense.
    Usage,
    /// In words.
    Because(String),
    /// Nothing needs to be said.
    Silent,
}

type Done = Result<(), Failure>;

/// A store, a terminal, and what is typed.
struct Session<'a, T: Transport> {
    client: &'a mut Client<T>,
    terminal: &'a mut dyn Terminal,
}

/// Carries out what was typed behind `xenstore`; its exit status.
pub fn run<T: Transport<Error: fmt::Display>>(
    client: &mut Client<T>,
    patience: &mut dyn Patience<T>,
    words: &[&str],
    terminal: &mut dyn Terminal,
) -> u8 {
    let mut session = Session { client, terminal };
    let (done, verb) = match words.split_first() {
        Some((&verb, rest)) => (session.verb(verb, rest, patience), verb),
        None => (Err(Failure::Usage), ""),
    };
    match done {
        Ok(()) => OK,
        Err(Failure::Silent) => FAILED,
        Err(Failure::Because(why)) => {
            session.line(format_args!("xenstore {verb}: {why}"));
            FAILED
        }
        Err(Failure::Usage) => {
            session.line(format_args!("usage: xenstore VERB [ARGUMENT...], VERB one of"));
            for line in VERBS.lines() {
                session.line(format_args!("  {line}"));
            }
            USAGE
        }
    }
}

/// Splits words into flags and the rest. Those in `flags` are known.
fn flags<'a, 'b>(
    words: &'a [&'b str],
    known: &[&str],
) -> Result<(Vec<&'b str>, &'a [&'b str]), Failure> {
    let count = words.iter().take_while(|word| word.starts_with('-')).count();
    let (given, rest) = words.split_at(count);
    let all_known = given.iter().all(|flag| known.contains(flag));
    if all_known { Ok((given.to_vec(), rest)) } else { Err(Failure::Usage) }
}

impl<T: Transport<Error: fmt::Display>> Session<'_, T> {
    fn verb(&mut self, verb: &str, words: &[&str], patience: &mut dyn Patience<T>) -> Done {
        match verb {
            "ls" => self.ls(words),
            "list" => self.list(words),
            "read" => self.each(words, Self::read),
            "write" => self.write(words),
            "rm" => self.rm(words),
            "exists" => self.each(words, Self::exists),
            "chmod" => self.chmod(words),
            "watch" => self.watch(words, patience),
            "control" => self.control(words),
            _ => Err(Failure::Usage),
        }
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.terminal.write_fmt(text);
        let _ = self.terminal.write_str("\n");
    }

    /// Does one thing to each path, of which there must be some.
    fn each(&mut self, paths: &[&str], act: fn(&mut Self, &str) -> Done) -> Done {
        if paths.is_empty() {
            return Err(Failure::Usage);
        }
        paths.iter().try_for_each(|path| act(self, path))
    }

    fn ls(&mut self, words: &[&str]) -> Done {
        let (flags, paths) = flags(words, &["-f", "-p"])?;
        let root = match paths {
            [] => "/",
            [path] => path,
            _ => return Err(Failure::Usage),
        };
        let (full, perms) = (flags.contains(&"-f"), flags.contains(&"-p"));
        // Depth first, without recursion: paths and how deep they are, the next one last.
        let mut left = self.children(root, 0)?;
        while let Some((path, depth)) = left.pop() {
            let value = match self.client.read(&path) {
                Ok(Some(value)) => value,
                // It has gone meanwhile.
                Ok(None) => continue,
                Err(error) => return Err(because("read", &path, &error)),
            };
            let shown = if full { &path } else { path.rsplit('/').next().unwrap_or(&path) };
            let indent = if full { 0 } else { depth };
            let perms = if perms { self.shown_perms(&path)? } else { String::new() };
            let value = printable(&value);
            self.line(format_args!("{:indent$}{shown} = \"{value}\"{perms}", ""));
            left.extend(self.children(&path, depth + 1)?);
        }
        Ok(())
    }

    /// The paths of a node's children, the first last.
    fn children(&mut self, path: &str, depth: usize) -> Result<Vec<(String, usize)>, Failure> {
        let names = self.client.directory(path).map_err(|error| because("list", path, &error))?;
        let Some(names) = names else {
            // One that was listed a moment ago may have gone.
            return if depth > 0 { Ok(Vec::new()) } else { Err(missing("list", path)) };
        };
        let parent = path.trim_end_matches('/');
        Ok(names.iter().rev().map(|name| (format!("{parent}/{name}"), depth)).collect())
    }

    fn shown_perms(&mut self, path: &str) -> Result<String, Failure> {
        let perms = self.client.get_perms(path).map_err(|error| because("ask", path, &error))?;
        let texts: Vec<String> = perms.iter().flatten().map(|entry| format!("{entry}")).collect();
        Ok(format!("   ({})", texts.join(",")))
    }

    fn list(&mut self, paths: &[&str]) -> Done {
        self.each(if paths.is_empty() { &["/"] } else { paths }, |session, path| {
            let names =
                session.client.directory(path).map_err(|error| because("list", path, &error))?;
            let names = names.ok_or_else(|| missing("list", path))?;
            names.iter().for_each(|name| session.line(format_args!("{name}")));
            Ok(())
        })
    }

    fn read(&mut self, path: &str) -> Done {
        let value = self.client.read(path).map_err(|error| because("read", path, &error))?;
        let value = value.ok_or_else(|| missing("read", path))?;
        self.line(format_args!("{}", printable(&value)));
        Ok(())
    }

    fn write(&mut self, words: &[&str]) -> Done {
        if words.is_empty() || !words.len().is_multiple_of(2) {
            return Err(Failure::Usage);
        }
        words.chunks_exact(2).try_for_each(|pair| {
            let &[path, value] = pair else { return Err(Failure::Usage) };
            let written = self.client.write(path, value.as_bytes());
            written.map_err(|error| because("write", path, &error))
        })
    }

    fn rm(&mut self, words: &[&str]) -> Done {
        let (flags, paths) = flags(words, &["-t"])?;
        let tidy = flags.contains(&"-t");
        if paths.is_empty() {
            return Err(Failure::Usage);
        }
        for path in paths {
            self.client.rm(path).map_err(|error| because("remove", path, &error))?;
            let mut parent = *path;
            while tidy && let Some((above, _)) = parent.rsplit_once('/') {
                parent = above;
                let children = match above {
                    "" => break,
                    _ => self.client.directory(above),
                };
                if !children.is_ok_and(|names| names.is_some_and(|names| names.is_empty())) {
                    break;
                }
                self.client.rm(above).map_err(|error| because("remove", above, &error))?;
            }
        }
        Ok(())
    }

    fn exists(&mut self, path: &str) -> Done {
        match self.client.read(path) {
            Ok(Some(_)) => Ok(()),
            _ => Err(Failure::Silent),
        }
    }

    fn chmod(&mut self, words: &[&str]) -> Done {
        let [path, texts @ ..] = words else { return Err(Failure::Usage) };
        let parsed = texts.iter().map(|text| Permission::parse(text.as_bytes()));
        let perms: Vec<Permission> = parsed.collect::<Option<_>>().ok_or(Failure::Usage)?;
        if perms.is_empty() {
            return Err(Failure::Usage);
        }
        self.client.set_perms(path, &perms).map_err(|error| because("change", path, &error))
    }

    fn watch(&mut self, words: &[&str], patience: &mut dyn Patience<T>) -> Done {
        let (limit, paths) = match words {
            ["-n", count, paths @ ..] => (Some(count.parse().map_err(|_| Failure::Usage)?), paths),
            paths => (None, paths),
        };
        if paths.is_empty() || limit == Some(0) {
            return Err(Failure::Usage);
        }
        for path in paths {
            let set = self.client.watch(path, path);
            set.map_err(|error| because("watch", path, &error))?;
        }
        let mut seen: u64 = 0;
        while limit.is_none_or(|limit| seen < limit) {
            if !self.client.has_event() && !patience.wait(self.client.transport()) {
                return Err(Failure::Silent);
            }
            let event = self.client.next_event();
            let event = event.map_err(|error| because("watch", paths[0], &error))?;
            self.line(format_args!("{}", event.path));
            seen += 1;
        }
        Ok(())
    }

    fn control(&mut self, words: &[&str]) -> Done {
        let [command, ..] = words else { return Err(Failure::Usage) };
        let answer = self.client.control(words);
        let answer = answer.map_err(|error| because("do", command, &error))?;
        self.line(format_args!("{}", answer.trim_end()));
        Ok(())
    }
}

fn because<E: fmt::Display>(what: &str, path: &str, error: &Error<E>) -> Failure {
    Failure::Because(format!("couldn't {what} {path}: {error}"))
}

fn missing(what: &str, path: &str) -> Failure {
    Failure::Because(format!("couldn't {what} {path}: no such node"))
}

/// A value as a line shows it: bytes that a terminal would act on are written out.
fn printable(value: &[u8]) -> String {
    match core::str::from_utf8(value) {
        Ok(text) if !text.contains(|c: char| c.is_control()) => text.to_owned(),
        _ => {
            let shown = |byte: &u8| match byte {
                b' '..=b'~' => String::from(char::from(*byte)),
                byte => format!("\\x{byte:02x}"),
            };
            value.iter().map(shown).collect()
        }
    }
}

#[cfg(test)]
mod tests;
