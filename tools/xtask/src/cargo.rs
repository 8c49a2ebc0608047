//! Calls of Cargo: the bare-metal builds, and how its messages reach a person.
//!
//! A build that has something to do shows Cargo's own progress; one that has
//! nothing to do prints nothing, because the "Finished" lines are dropped.
//! Executables are taken from Cargo's JSON messages, so no path is guessed.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::toolchain::Toolchain;
use crate::workspace::{HYPERVISOR_TARGET, Workspace};

/// What is built for bare metal, each with its own target, flags and library source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareMetal {
    /// The Ring 0 image.
    Hypervisor,
    /// The machine layer of Ring 1 programs.
    Ring1,
    /// The Ring 1 kernel.
    GuestKernel,
    /// The guest kernel's Ring 3 programs.
    Programs,
    /// The test guests, one program each.
    MicroGuests,
}

impl BareMetal {
    /// All of them, in build order.
    pub const ALL: [Self; 5] =
        [Self::Hypervisor, Self::Ring1, Self::GuestKernel, Self::Programs, Self::MicroGuests];
    /// The libraries among them.
    pub const LIBRARIES: [Self; 3] = [Self::Hypervisor, Self::Ring1, Self::GuestKernel];

    /// The Cargo package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor",
            Self::Ring1 => "ring1",
            Self::GuestKernel => "guest-kernel",
            Self::Programs => "guest-programs",
            Self::MicroGuests => "pv-guests",
        }
    }

    /// Which targets of the package: the image of a package that is a library, too, is behind a feature.
    fn selection(self) -> &'static [&'static str] {
        match self {
            Self::Hypervisor => &["--bin", "ferrule", "--features", "image"],
            Self::Ring1 => &[],
            Self::GuestKernel => &["--bin", "guest-kernel", "--features", "image"],
            Self::Programs | Self::MicroGuests => &["--bins"],
        }
    }

    /// Adds target, library source, package and flags to a Cargo command (`build`, `clippy`).
    pub fn configure(
        self,
        ws: &Workspace,
        toolchain: &Toolchain,
        command: &mut Command,
    ) -> Result<()> {
        command.args(self.selection());
        self.configure_library(ws, toolchain, command)
    }

    /// The same without a choice among the package's targets.
    pub fn configure_library(
        self,
        ws: &Workspace,
        toolchain: &Toolchain,
        command: &mut Command,
    ) -> Result<()> {
        let linker = toolchain.linker()?;
        command.current_dir(ws.root());
        command.arg("--target-dir").arg(ws.target());
        command.args(["--release", "-Zbuild-std-features=compiler-builtins-mem"]);
        command.args(["--package", self.package()]);
        // A stable compiler takes -Z flags then; crates use no unstable language.
        command.env("RUSTC_BOOTSTRAP", "1");
        if self == Self::Hypervisor {
            command.args(["-Zbuild-std=core,compiler_builtins", "--target", HYPERVISOR_TARGET]);
            // Position-independent: the link address does not fit static relocations.
            command.env(
                "RUSTFLAGS",
                format!(
                    "-C linker={linker} -C relocation-model=pic -C force-frame-pointers=yes{}",
                    extra_flags()
                ),
            );
        } else {
            command.args(["-Zbuild-std=core,alloc,compiler_builtins", "-Zjson-target-spec"]);
            command.arg("--target").arg(ws.guest_target_file());
            command.env("RUSTFLAGS", format!("-C linker={linker}{}", extra_flags()));
        }
        Ok(())
    }
}

/// The caller's own RUSTFLAGS, after a space.
fn extra_flags() -> String {
    std::env::var("RUSTFLAGS").map(|flags| format!(" {flags}")).unwrap_or_default()
}

/// A program that Cargo made.
#[derive(Clone, Debug)]
pub struct Executable {
    /// The name of its bin target.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<MessageTarget>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

/// Builds one bare-metal package and returns its programs, sorted by name.
pub fn build(ws: &Workspace, toolchain: &Toolchain, what: BareMetal) -> Result<Vec<Executable>> {
    let mut command = toolchain.cargo();
    command.args(["build", "--message-format=json-render-diagnostics"]);
    what.configure(ws, toolchain, &mut command)?;
    let output = run_with_progress(command).context(what.package())?;
    let mut found = executables(&output);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn executables(messages: &str) -> Vec<Executable> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| {
            Some(Executable { name: message.target?.name, path: message.executable? })
        })
        .collect()
}

/// Runs Cargo, shows its progress and messages on standard error, returns its standard output.
fn run_with_progress(mut command: Command) -> Result<String> {
    if io::stderr().is_terminal() {
        let width = rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col);
        command.env("CARGO_TERM_COLOR", "always");
        command.env("CARGO_TERM_PROGRESS_WHEN", "always");
        command.env("CARGO_TERM_PROGRESS_WIDTH", width.max(40).to_string());
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let mut errors = BufReader::new(child.stderr.take().context("no standard error")?);
    let shower = thread::spawn(move || show_messages(&mut errors, &mut io::stderr()));
    let mut output = String::new();
    child.stdout.take().context("no standard output")?.read_to_string(&mut output)?;
    let status = child.wait()?;
    let _ = shower.join();
    if !status.success() {
        bail!("the build failed ({status})");
    }
    Ok(output)
}

/// Copies Cargo's messages line by line, progress bars included, but for the closing "Finished".
fn show_messages(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    let mut piece = Vec::new();
    let mut byte = [0u8; 1];
    let mut cut = |piece: &mut Vec<u8>| -> io::Result<()> {
        let text = String::from_utf8_lossy(piece);
        if text.contains("Finished") && text.contains("profile") {
            // What the line would have overwritten is a progress bar.
            if text.contains('\x1b') {
                to.write_all(b"\r\x1b[K")?;
            }
        } else {
            to.write_all(piece)?;
        }
        piece.clear();
        to.flush()
    };
    while from.read(&mut byte)? == 1 {
        piece.push(byte[0]);
        if matches!(byte[0], b'\n' | b'\r') {
            cut(&mut piece)?;
        }
    }
    cut(&mut piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_executables_from_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"core"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"ferrule"},"executable":"/t/ferrule"}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "ferrule");
        assert_eq!(found[0].path, PathBuf::from("/t/ferrule"));
    }

    #[test]
    fn a_build_with_nothing_to_do_is_quiet() {
        let mut shown = Vec::new();
        let said = b"    Finished `release` profile [optimized] target(s) in 0.05s\n";
        show_messages(&mut &said[..], &mut shown).unwrap();
        assert!(shown.is_empty());
        let said = b"   Compiling core v0.0.0\n    Finished `release` profile [x]\n";
        show_messages(&mut &said[..], &mut shown).unwrap();
        assert_eq!(shown, b"   Compiling core v0.0.0\n");
    }
}
