//! Which disks there are.
//!
//! Who has a disk keeps it: one that is [removed](remove) while a file system is on it answers with
//! errors from then on, which is its driver's business.

use super::Disk;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

#[cfg(all(target_os = "none", target_arch = "x86"))]
use crate::sync::Guarded;
#[cfg(all(target_os = "none", target_arch = "x86"))]
use crate::task::scheduler;

/// A disk that can be found.
pub type Shared = Arc<dyn Disk>;

/// Disks by name, in the order in which they came.
pub struct Registry(Vec<(String, Shared)>);

impl Registry {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a disk. False: there is one of that name.
    pub fn add(&mut self, name: &str, disk: Shared) -> bool {
        let new = self.find(name).is_none();
        if new {
            self.0.push((name.to_string(), disk));
        }
        new
    }

    /// The disk of this name.
    pub fn find(&self, name: &str) -> Option<Shared> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, disk)| Arc::clone(disk))
    }

    /// Takes the disk of this name out, if there is one.
    pub fn remove(&mut self, name: &str) -> Option<Shared> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    /// All, in the order in which they came.
    pub fn all(&self) -> Vec<(String, Shared)> {
        self.0.clone()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(target_os = "none", target_arch = "x86"))]
static REGISTRY: Guarded<Registry> = Guarded::new(Registry::new());

/// Has a disk be found under a name. False: there is one of that name.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn register(name: &str, disk: Shared) -> bool {
    let new = REGISTRY.with(|registry| registry.add(name, disk));
    scheduler::wake(scheduler::DISKS);
    new
}

/// The disk of this name, which is waited for until `deadline` of system time.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn wait_for(name: &str, deadline: u64) -> Option<Shared> {
    let _masked = ring1::events::Masked::new();
    loop {
        let found = find(name);
        if found.is_some() || crate::time::now() >= deadline {
            return found;
        }
        scheduler::sleep(scheduler::DISKS, deadline);
    }
}

/// The disk of this name.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn find(name: &str) -> Option<Shared> {
    REGISTRY.with(|registry| registry.find(name))
}

/// Has the disk of this name not be found any more.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn remove(name: &str) -> Option<Shared> {
    REGISTRY.with(|registry| registry.remove(name))
}

/// Calls `f` with each disk and its name, in the order in which they came.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn for_each(mut f: impl FnMut(&str, &Shared)) {
    let all = REGISTRY.with(|registry| registry.all());
    all.iter().for_each(|(name, disk)| f(name, disk));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::ram::RamDisk;
    use std::vec::Vec;

    #[test]
    fn disks_are_found_by_name_until_they_are_removed() {
        let disk = |bytes| Arc::new(RamDisk::new(bytes, 512).expect("fits"));
        let mut registry = Registry::new();
        assert!(registry.add("ram0", disk(512)));
        assert!(registry.add("ram1", disk(1024)));
        assert!(!registry.add("ram0", disk(4096)), "taken");
        assert_eq!(registry.find("ram0").map(|disk| disk.sectors()), Some(1));
        assert!(registry.find("ram").is_none());
        let names: Vec<_> = registry.all().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ram0", "ram1"]);
        assert!(registry.remove("ram0").is_some());
        assert!(registry.remove("ram0").is_none());
        assert!(registry.add("ram0", disk(4096)), "free again");
    }
}
