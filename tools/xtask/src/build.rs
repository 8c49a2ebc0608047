//! `build`: everything that boots, from source to `target/`.
//!
//! ```text
//! target/ferrule            Multiboot image of the hypervisor
//! target/guest-kernel.elf   the default guest kernel, load segments only
//! target/initrd.cpio        its root: guest-kernel/rootfs, and in /bin our programs and Debian's busybox
//! target/domain0.cpio       the same, and what domain 0 makes other domains of: in /boot the kernel
//!                           and that root, in /etc/xen the files of guest-kernel/domains
//! target/web.img            the same root on an ext2 volume, the disk of the default domain `web`
//! target/guests/NAME        the micro-guests of tests/guests, load segments only
//! ```
//! The files with symbols stay where Cargo puts them, in
//! `target/x86_64-unknown-none/release` and `target/i686-ferrule/release`.
//! A file whose content did not change is left alone, dates included.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args as ClapArgs, ValueEnum};

use crate::busybox;
use crate::cargo::{self, BareMetal};
use crate::cpio::Archive;
use crate::image;
use crate::toolchain::Toolchain;
use crate::volume;
use crate::workspace::Workspace;

/// What `build` takes.
#[derive(ClapArgs)]
pub struct Args {
    /// What to build; everything if left out
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// A part of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The Multiboot image, target/ferrule
    Hypervisor,
    /// The default guest kernel and its initrd
    Guest,
    /// The micro-guests of tests/guests
    MicroGuests,
}

/// Builds what was asked for and says where it is.
pub fn run(args: &Args) -> Result<()> {
    let ws = Workspace::here();
    let toolchain = Toolchain::find()?;
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    eprintln!("build: {}", toolchain.describe());
    if wanted(Part::Hypervisor) {
        println!("{}", ws.shown(&hypervisor(&ws, &toolchain)?));
    }
    if wanted(Part::Guest) {
        guest(&ws, &toolchain)?;
        println!("{}\n{}", ws.shown(&ws.guest_kernel()), ws.shown(&ws.initrd()));
        if ws.web_disk().exists() {
            println!("{}", ws.shown(&ws.web_disk()));
        }
    }
    if wanted(Part::MicroGuests) {
        let guests = micro_guests(&ws, &toolchain)?;
        println!("{} ({} guests)", ws.shown(&ws.guests_dir()), guests.len());
    }
    Ok(())
}

/// Builds the Multiboot image and returns its path.
pub fn hypervisor(ws: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let built = cargo::build(ws, toolchain, BareMetal::Hypervisor)?;
    let linked = built.first().context("cargo built no hypervisor")?;
    image::write(&linked.path, &ws.image())?;
    Ok(ws.image())
}

/// Builds the default guest kernel and its initrd.
pub fn guest(ws: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let built = cargo::build(ws, toolchain, BareMetal::GuestKernel)?;
    let kernel = built.first().context("cargo built no guest kernel")?;
    copy_stripped(&kernel.path, &ws.guest_kernel())?;

    let mut archive = Archive::default();
    let rootfs = ws.join("guest-kernel/rootfs");
    archive.add_tree(&rootfs)?;
    for program in cargo::build(ws, toolchain, BareMetal::Programs)? {
        let data = image::strip(&fs::read(&program.path)?)
            .with_context(|| program.path.display().to_string())?;
        archive.add_file(&format!("bin/{}", program.name), data, true);
    }
    if let Err(error) = busybox::add_to(&mut archive, ws) {
        eprintln!("build: the guest has no busybox: {error:#}");
    }
    let initrd = archive.finish();
    write_if_changed(&ws.initrd(), &initrd)?;
    web_disk(ws, &archive)?;
    archive.add_file("boot/guest-kernel", fs::read(ws.guest_kernel())?, true);
    archive.add_file("boot/ramdisk", initrd, false);
    archive.add_tree_at(&ws.join("guest-kernel/domains"), "etc/xen")?;
    write_if_changed(&ws.domain_0_initrd(), &archive.finish())
}

/// Builds the plugin of QEMU's that counts instructions, and returns its path.
pub fn counter(ws: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut command = toolchain.cargo();
    command.current_dir(ws.root()).args(["build", "--quiet", "--release", "--package", "counter"]);
    let status = command.arg("--target-dir").arg(ws.target()).status();
    ensure!(status.context("cannot start cargo")?.success(), "the build of counter failed");
    Ok(ws.target().join("release/libcounter.so"))
}

/// Bytes of the default domain's disk: some times what is on it.
const WEB_BYTES: u64 = 32 << 20;
/// Directories of a root for what is mounted there.
const MOUNT_POINTS: [&str; 5] = ["dev", "mnt", "proc", "run", "tmp"];

/// Makes the default domain's disk of what is on the ramdisk. Who cannot is told, and has none: the
/// domain goes on from the ramdisk.
fn web_disk(ws: &Workspace, archive: &Archive) -> Result<()> {
    let mut archive = archive.clone();
    MOUNT_POINTS.iter().for_each(|name| archive.add_directory(name));
    match volume::image("web", WEB_BYTES, &archive) {
        Ok(image) => write_if_changed(&ws.web_disk(), &image),
        Err(error) => {
            eprintln!("build: the domain `web` has no disk, its root is its ramdisk: {error:#}");
            match fs::remove_file(ws.web_disk()) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(error).context("cannot remove its old disk")
                }
                _ => Ok(()),
            }
        }
    }
}

/// Builds the micro-guests: (name, file), sorted by name.
pub fn micro_guests(ws: &Workspace, toolchain: &Toolchain) -> Result<Vec<(String, PathBuf)>> {
    let built = cargo::build(ws, toolchain, BareMetal::MicroGuests)?;
    ensure!(!built.is_empty(), "tests/guests has no guest programs");
    fs::create_dir_all(ws.guests_dir())?;
    let mut guests = Vec::new();
    for guest in built {
        let path = ws.guests_dir().join(&guest.name);
        copy_stripped(&guest.path, &path)?;
        guests.push((guest.name, path));
    }
    Ok(guests)
}

fn copy_stripped(from: &Path, to: &Path) -> Result<()> {
    let elf = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let stripped = image::strip(&elf).with_context(|| from.display().to_string())?;
    write_if_changed(to, &stripped)
}

/// Writes a file that others may be reading: they see all of the old one or all of the new one.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
