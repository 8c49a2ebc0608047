//! Which Rust builds Ferrule: the one place that decides.
//!
//! The bare-metal crates build `core` from its source, so the toolchain must
//! carry `rust-src`. In this order: the directory that `FERRULE_TOOLCHAIN`
//! names, a rustup toolchain that already has the source (nightly first), and
//! Debian's `rustc-web` in `/usr/bin`. `tools/setup` installs the last where it
//! can, and chooses in the same order.
//!
//! Programs are called by path, never through rustup's proxies, so that rustup
//! downloads nothing and no `+toolchain` of the caller leaks in.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The oldest Rust that builds the workspace (`rust-version` in `Cargo.toml`): 1.91.
const MIN_MINOR: u32 = 91;

/// A Rust toolchain that can build for bare metal.
#[derive(Clone, Debug)]
pub struct Toolchain {
    bin: PathBuf,
    version: String,
    origin: Origin,
}

/// How a toolchain was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Named,
    Rustup,
    System,
}

impl Toolchain {
    /// Finds the toolchain, or says how to get one.
    pub fn find() -> Result<Self> {
        if let Some(dir) = env::var_os("FERRULE_TOOLCHAIN") {
            let dir = PathBuf::from(dir);
            return Self::at(&dir, Origin::Named).with_context(|| {
                format!(
                    "FERRULE_TOOLCHAIN={} holds no rustc 1.{MIN_MINOR} or later with rust-src",
                    dir.display()
                )
            });
        }
        for dir in rustup_toolchains() {
            if let Some(found) = Self::at(&dir.join("bin"), Origin::Rustup) {
                return Ok(found);
            }
        }
        if let Some(found) = Self::at(Path::new("/usr/bin"), Origin::System) {
            return Ok(found);
        }
        bail!(
            "no Rust toolchain here can build for bare metal (it takes Rust 1.{MIN_MINOR} or later \
             with rust-src).\nOn Debian, `tools/setup run` installs one. With rustup: \
             `rustup toolchain install nightly --component rust-src,clippy,rustfmt`"
        )
    }

    fn at(bin: &Path, origin: Origin) -> Option<Self> {
        if !bin.join("../lib/rustlib/src/rust/library/core/Cargo.toml").exists() {
            return None;
        }
        let output = Command::new(bin.join("rustc")).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_string();
        let new_enough = minor_version(&version)? >= MIN_MINOR && bin.join("cargo").exists();
        new_enough.then(|| Self { bin: bin.to_path_buf(), version, origin })
    }

    /// One line for a person: version and where it comes from.
    pub fn describe(&self) -> String {
        let origin = match self.origin {
            Origin::Named => "named by FERRULE_TOOLCHAIN",
            Origin::Rustup => "from rustup",
            Origin::System => "from this system's packages",
        };
        format!("{} in {} ({origin})", self.version, self.bin.display())
    }

    /// `cargo` with an environment that names this toolchain's programs and nothing else.
    pub fn cargo(&self) -> Command {
        self.program("cargo")
    }

    /// Another program of the toolchain, e.g. `cargo-clippy`, or what to do where it lacks it.
    pub fn component(&self, name: &str) -> Result<Command> {
        if !self.bin.join(name).exists() {
            bail!(
                "{} has no {name}: on Debian `tools/setup test` installs it, \
                 with rustup `rustup component add clippy rustfmt`",
                self.bin.display()
            );
        }
        Ok(self.program(name))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env("CARGO", self.bin.join("cargo"))
            .env("RUSTC", self.bin.join("rustc"))
            .env("RUSTDOC", self.bin.join("rustdoc"))
            .env("RUSTFMT", self.bin.join("rustfmt"))
            // Cargo sets these for what it runs (this program): they name its toolchain, not ours.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    /// The linker for bare metal: LLVM's `ld.lld`, or the copy that rustup ships.
    pub fn linker(&self) -> Result<&'static str> {
        let shipped = self.bin.join("../lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
        if program_in_path("ld.lld").is_some() {
            Ok("ld.lld")
        } else if shipped.exists() {
            Ok("rust-lld")
        } else {
            bail!("no ld.lld: install the package lld (on Debian `tools/setup run` does)")
        }
    }
}

/// The toolchains below rustup's home, nightly ones first.
fn rustup_toolchains() -> Vec<PathBuf> {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(Path::new(&home).join(".rustup"))
    });
    let Some(home) = home else { return Vec::new() };
    let entries = std::fs::read_dir(home.join("toolchains"));
    let mut found: Vec<_> = entries.into_iter().flatten().flatten().map(|e| e.path()).collect();
    found.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (!name.starts_with("nightly"), name)
    });
    found
}

/// The `96` of `rustc 1.96.0 (…)`.
fn minor_version(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

/// The full path of a program that a shell would find.
pub fn program_in_path(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rustc_versions() {
        assert_eq!(minor_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(minor_version("rustc 1.97.0-nightly (0123 2026-06-01)"), Some(97));
        assert_eq!(minor_version("cargo 1.96.0"), None);
    }

    #[test]
    fn finds_programs_by_name() {
        assert!(program_in_path("sh").is_some());
        assert!(program_in_path("no-such-program-here").is_none());
    }
}
