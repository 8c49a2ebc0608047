//! What a domain may have at most and what it is for, as its creator said.

use super::MAX_VCPUS;

/// Limits that are fixed when the domain is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// vCPUs.
    pub vcpus: u32,
    /// The highest event channel.
    pub event_channel: u32,
    /// Frames of its grant table.
    pub grant_frames: u32,
    /// Frames of its list of mapped grants.
    pub maptrack_frames: u32,
    /// The latest version of grant tables that it may choose.
    pub grant_version: u32,
    /// Whether it is there to serve XenStore.
    pub serves_store: bool,
}

/// Xen's default for `gnttab_max_frames` (`common/grant_table.c`).
pub const DEFAULT_GRANT_FRAMES: u32 = 64;
/// Xen's default for `gnttab_max_maptrack_frames`.
pub const DEFAULT_MAPTRACK_FRAMES: u32 = 1024;
/// The latest version of grant tables.
pub const MAX_GRANT_VERSION: u32 = 2;

impl Default for Limits {
    /// Domain 0's: whatever there is.
    fn default() -> Limits {
        Limits {
            vcpus: MAX_VCPUS as u32,
            event_channel: u32::MAX,
            grant_frames: DEFAULT_GRANT_FRAMES,
            maptrack_frames: DEFAULT_MAPTRACK_FRAMES,
            grant_version: MAX_GRANT_VERSION,
            serves_store: false,
        }
    }
}
