//! Where things are: the checkout, the target directory in effect and the
//! products that a person may name (`target/ferrule` and its guests).
//!
//! The checkout is known from this crate's own place, so every verb works from
//! any current directory; files that a person names stay relative to where the
//! person stands, because nothing here changes the current directory.

use std::env;
use std::path::{Path, PathBuf};

/// The hypervisor's bare-metal target, one that rustc knows.
pub const HYPERVISOR_TARGET: &str = "x86_64-unknown-none";
/// The Ring 1 target: a file in `tools/targets`, whose stem names its folder below `target`.
pub const GUEST_TARGET: &str = "i686-ferrule";

/// Paths of one checkout.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("tools/xtask is two folders below the root")
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
            Some(dir) => env::current_dir().unwrap_or_else(|_| root.clone()).join(dir),
            None => root.join("target"),
        };
        Self { root, target }
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Cargo's target directory.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The target file of the Ring 1 code.
    pub fn guest_target_file(&self) -> PathBuf {
        self.root.join("tools/targets").join(format!("{GUEST_TARGET}.json"))
    }

    /// The Multiboot image: what QEMU's `-kernel` and GRUB load.
    pub fn image(&self) -> PathBuf {
        self.target.join("ferrule")
    }

    /// The hypervisor as linked, with symbols and debug information: what gdb and objdump read.
    pub fn hypervisor_elf(&self) -> PathBuf {
        self.target.join(HYPERVISOR_TARGET).join("release/ferrule")
    }

    /// The default guest kernel, load segments only.
    pub fn guest_kernel(&self) -> PathBuf {
        self.target.join("guest-kernel.elf")
    }

    /// The default guest kernel as linked, with symbols.
    pub fn guest_kernel_elf(&self) -> PathBuf {
        self.target.join(GUEST_TARGET).join("release/guest-kernel")
    }

    /// A micro-guest as linked, with symbols.
    pub fn micro_guest_elf(&self, name: &str) -> PathBuf {
        self.target.join(GUEST_TARGET).join("release").join(name)
    }

    /// The default guest's initrd.
    pub fn initrd(&self) -> PathBuf {
        self.target.join("initrd.cpio")
    }

    /// Domain 0's initrd, with what it makes other domains of.
    pub fn domain_0_initrd(&self) -> PathBuf {
        self.target.join("domain0.cpio")
    }

    /// The disk that the default domain `web` has its root on.
    pub fn web_disk(&self) -> PathBuf {
        self.target.join("web.img")
    }

    /// The folder of the micro-guests' load files.
    pub fn guests_dir(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// `path` as a person would type it: relative to the current directory if it is below it.
    pub fn shown(&self, path: &Path) -> String {
        let here = env::current_dir().unwrap_or_default();
        path.strip_prefix(&here).unwrap_or(path).display().to_string()
    }
}
