//! `doc`: rustdoc for every library, private items included, warnings as errors.

use anyhow::{Result, bail};
use clap::Args as ClapArgs;

use crate::cargo::BareMetal;
use crate::lint::captured;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// Private items are documented, too, so links to them are as good as others.
const FLAGS: &str = "-D warnings -A rustdoc::private-intra-doc-links";

/// What `doc` takes.
#[derive(ClapArgs)]
pub struct Args {}

/// Writes the documentation and says where it begins.
pub fn run(_: &Args) -> Result<()> {
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    host(&ws, &toolchain)?;
    for what in BareMetal::LIBRARIES {
        bare(&ws, &toolchain, what)?;
    }
    let start = ws.target().join("doc/hypervisor/index.html");
    if !start.exists() {
        bail!("rustdoc wrote no {}", start.display());
    }
    println!("{}", ws.shown(&start));
    for target in [
        "x86_64-unknown-none/doc/hypervisor",
        "i686-ferrule/doc/ring1",
        "i686-ferrule/doc/guest_kernel",
    ] {
        println!("{}", ws.shown(&ws.target().join(target).join("index.html")));
    }
    Ok(())
}

/// The libraries and tools as the host sees them. What is little but bare-metal code is left to
/// [`bare`]: links to such code lead nowhere here.
pub fn host(ws: &Workspace, toolchain: &Toolchain) -> Result<String> {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["doc", "--quiet", "--no-deps"]);
    command.args(["--document-private-items", "--workspace", "--target-dir"]).arg(ws.target());
    for what in BareMetal::ALL.into_iter().filter(|what| *what != BareMetal::Hypervisor) {
        command.args(["--exclude", what.package()]);
    }
    command.env("RUSTDOCFLAGS", FLAGS);
    captured(&mut command)
}

/// A library with the code that exists on bare metal only.
pub fn bare(ws: &Workspace, toolchain: &Toolchain, what: BareMetal) -> Result<String> {
    let mut command = toolchain.cargo();
    command.args(["doc", "--quiet", "--no-deps", "--document-private-items", "--lib"]);
    what.configure_library(ws, toolchain, &mut command)?;
    command.env("RUSTDOCFLAGS", FLAGS);
    captured(&mut command)
}
