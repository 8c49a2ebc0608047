//! Debian's `busybox-static` for i386: programs in the guest that nobody here wrote.
//!
//! The package comes from this system's own Debian archives, checked by its own keys, through an apt
//! configuration apart: lists, cache and state lie in `target/busybox`, so that the system is asked for
//! nothing and given nothing, no foreign architecture either. Only the program is kept. It is under
//! the GPL and never part of this repository, nor of anything built from it but a guest's ramdisk on
//! the machine that fetched it.
//!
//! Where there is no Debian, or no network, guests go without, and who builds them is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build::write_if_changed;
use crate::cpio::Archive;
use crate::workspace::Workspace;

/// The package.
const PACKAGE: &str = "busybox-static";
/// Its architecture.
const ARCHITECTURE: &str = "i386";
/// How long it is not tried again after it failed: who is offline does not wait at each build.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Seconds that a silent server is waited for.
const TIMEOUT_S: u32 = 20;

/// Puts the program and its applets' names into `/bin` of an archive, or says why not. Names that are
/// taken stay.
pub fn add_to(archive: &mut Archive, ws: &Workspace) -> Result<()> {
    let program = obtain(ws)?;
    let bytes = fs::read(&program).with_context(|| program.display().to_string())?;
    archive.add_file("bin/busybox", bytes, true);
    for applet in applets(&program)? {
        let name = format!("bin/{applet}");
        if !archive.contains(&name) {
            archive.add_link(&name, "busybox");
        }
    }
    Ok(())
}

/// The names that the program answers to, as it lists them in itself: NUL-terminated, sorted, from
/// `[` on. It is not run: not every machine that builds runs i386 programs.
fn applets(program: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(program)?;
    let start = bytes.windows(FIRST.len()).position(|window| window == FIRST);
    let list = &bytes[start.context("the program has no list of its applets")? + 1..];
    let names: Vec<String> = list
        .split(|byte| *byte == 0)
        .take_while(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    ensure!(names.iter().any(|name| name == "sh"), "the program's list of applets has no sh");
    Ok(names)
}

/// How the list of applets begins, with what ends the text before it.
const FIRST: &[u8] = b"\0[\0[[\0";

/// The program's file, fetched if it is not there yet.
pub fn obtain(ws: &Workspace) -> Result<PathBuf> {
    let folder = ws.target().join("busybox");
    let (program, failure) = (folder.join("busybox"), folder.join("failure"));
    if program.is_file() {
        return Ok(program);
    }
    if let Some(reason) = recent(&failure) {
        bail!("{reason} (tried within the hour; to try again now: rm {})", ws.shown(&failure));
    }
    eprintln!("build: fetching Debian's {PACKAGE} for the guest (once)");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    match fetch(&folder) {
        Ok(bytes) => {
            write_if_changed(&program, &bytes)?;
            Ok(program)
        }
        Err(error) => {
            write_if_changed(&failure, format!("{error:#}").as_bytes())?;
            Err(error)
        }
    }
}

/// Why it failed, if that was not long ago.
fn recent(failure: &Path) -> Option<String> {
    let age = fs::metadata(failure).ok()?.modified().ok()?.elapsed().ok()?;
    (age < PATIENCE).then(|| fs::read_to_string(failure).ok())?
}

/// Fetches the package into a folder of its own in `folder`, and takes the program out of it.
fn fetch(folder: &Path) -> Result<Vec<u8>> {
    let apt = folder.join("apt");
    for part in ["state/lists/partial", "cache/archives/partial", "package"] {
        fs::create_dir_all(apt.join(part))?;
    }
    // No package is installed, as far as this configuration knows.
    fs::write(apt.join("status"), "")?;
    // A list that does not come may be one that is not needed: what counts is the package.
    let lists = get(&apt, &["update"]);
    get(&apt, &["download", PACKAGE]).or_else(|error| lists.and(Err(error)))?;
    let package = fs::read_dir(&apt)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get has downloaded no package")?;
    let contents = apt.join("package");
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&contents))?;
    let bytes = fs::read(contents.join("bin/busybox"))
        .or_else(|_| fs::read(contents.join("usr/bin/busybox")))
        .context("the package has no busybox in it")?;
    ensure!(bytes.starts_with(b"\x7fELF\x01"), "the package's busybox is no 32-bit program");
    fs::remove_dir_all(&apt)?;
    Ok(bytes)
}

/// Runs apt-get with everything that it writes in `apt`.
fn get(apt: &Path, words: &[&str]) -> Result<()> {
    let option = |name: &str, value: &str| format!("--option={name}={value}");
    let folder = |name: &str, part: &str| option(name, &apt.join(part).display().to_string());
    run(Command::new("apt-get")
        .arg("--quiet=2")
        .args([
            option("APT::Architecture", ARCHITECTURE),
            option("APT::Architectures", ARCHITECTURE),
            option("APT::Sandbox::User", ""),
            option("Acquire::Languages", "none"),
            option("Acquire::Retries", "1"),
            option("Acquire::http::Timeout", &TIMEOUT_S.to_string()),
            option("Acquire::https::Timeout", &TIMEOUT_S.to_string()),
            folder("Dir::State", "state"),
            folder("Dir::State::status", "status"),
            folder("Dir::Cache", "cache"),
        ])
        .args(words)
        .current_dir(apt))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name}, which Debian and its relatives have, cannot be run"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let reason = said.lines().find(|line| line.starts_with("E: ")).unwrap_or(said.trim());
    bail!("{name} failed: {}", reason.trim_start_matches("E: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_list_of_applets_is_found() {
        let dir = Scratch::new().unwrap();
        let program = dir.path().join("busybox");
        fs::write(&program, b"\x7fELF\x01text\0[\0[[\0ash\0sh\0zcat\0\0other\0").unwrap();
        assert_eq!(applets(&program).unwrap(), ["[", "[[", "ash", "sh", "zcat"]);
        fs::write(&program, b"\x7fELF\x01\0[\0[[\0ash\0\0").unwrap();
        assert!(applets(&program).is_err());
        fs::write(&program, b"\x7fELF\x01").unwrap();
        assert!(applets(&program).is_err());
    }

    #[test]
    fn a_failure_is_remembered_for_a_while() {
        let dir = Scratch::new().unwrap();
        let failure = dir.path().join("failure");
        assert_eq!(recent(&failure), None);
        fs::write(&failure, "offline").unwrap();
        assert_eq!(recent(&failure).as_deref(), Some("offline"));
        let old = std::time::SystemTime::now() - PATIENCE;
        fs::File::options().write(true).open(&failure).unwrap().set_modified(old).unwrap();
        assert_eq!(recent(&failure), None);
    }

    #[test]
    fn programs_that_fail_say_why() {
        let error = |script| run(Command::new("sh").args(["-c", script])).unwrap_err().to_string();
        assert_eq!(error("echo 'W: a' >&2; echo 'E: b' >&2; exit 100"), "sh failed: b");
        assert_eq!(error("echo c >&2; exit 1"), "sh failed: c");
        assert!(run(&mut Command::new("/no/such/program")).is_err());
    }
}
