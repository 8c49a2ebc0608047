//! Files: what descriptors lead to, and where paths lead.
//!
//! ```text
//!  descriptors ─ Open ─ dyn File ┬ pipes, sockets, terminals, devices
//!                                └ PlaceFile ─ Place ┐
//!                          paths ─ Tree ─ Mount ─────┴ dyn FileSystem ┬ Tmpfs: the initrd, /tmp, /dev
//!                                                                     └ ext2, ext4 ─ Cache ─ dyn Disk
//! ```
//!
//! [`file::File`] is what every kind of file implements, [`system::FileSystem`] every file system;
//! [`descriptors::Files`] are a process's descriptors of [`file::Open`] files. All but the ends at the
//! machine runs on the host, too.

pub mod cache;
pub mod descriptors;
pub mod ext2;
pub mod ext4;
pub mod file;
pub mod image;
pub mod lock;
mod names;
pub mod place;
pub mod system;
pub mod tmpfs;
pub mod tree;
pub mod unpack;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod device;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod disks;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod pipe;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub mod root;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use root::{init, initrd, open};

#[cfg(test)]
mod tests;
