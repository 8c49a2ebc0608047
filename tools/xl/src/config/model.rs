//! A domain as its file describes it.
//!
//! Every field has its final value: what the file leaves out has xl's default here, and what it
//! names has been checked as far as a file alone can be. Whether the machine has the memory, the
//! CPUs or the disk is found out by the toolstack.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::vdev;
use crate::cpu_set::CpuSet;
use crate::uuid::Uuid;

/// What a domain file describes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DomainConfig {
    /// `name`: unique on a machine, not empty.
    pub name: String,
    /// `uuid`; the toolstack makes a random one if there is none.
    pub uuid: Option<Uuid>,
    /// `kernel`: a file, as its reader names files.
    pub kernel: String,
    /// `ramdisk`: a file.
    pub ramdisk: Option<String>,
    /// What the kernel finds in `start_info.cmd_line`: `cmdline`, or `root=` and `extra`.
    pub command_line: String,
    /// `memory`: what it starts with, KiB.
    pub memory_kib: u64,
    /// `maxmem`: the most it can ever have, KiB; not less than `memory_kib`.
    pub max_memory_kib: u64,
    /// `vcpus`: how many are up when it starts, the lowest numbers.
    pub vcpus: u32,
    /// `maxvcpus`: how many it has; not less than `vcpus`.
    pub max_vcpus: u32,
    /// `cpus`: where its vCPUs may run.
    pub affinity: Affinity,
    /// `cpus_soft`: where its vCPUs run if they can.
    pub soft_affinity: Affinity,
    /// `cpu_weight`: its share of the CPUs; 256 if not said.
    pub weight: Option<u16>,
    /// `cap`: the most it gets, percent of a CPU; 0 or none: no limit.
    pub cap: Option<u16>,
    /// `on_poweroff` and its kin.
    pub on: Actions,
    /// `driver_domain`: it serves devices to other domains.
    pub driver_domain: bool,
    /// `disk`, in order.
    pub disks: Vec<Disk>,
    /// `vif`, in order.
    pub vifs: Vec<Vif>,
    /// `rtc_timeoffset`: seconds that its wall clock is ahead.
    pub time_offset_s: i32,
    /// `max_grant_frames`: limits of its grant table; the hypervisor's defaults if not said.
    pub max_grant_frames: Option<u32>,
    /// `max_maptrack_frames`: the same for what it maps.
    pub max_maptrack_frames: Option<u32>,
    /// `max_grant_version`: 1 or 2.
    pub max_grant_version: Option<u8>,
    /// `max_event_channels`: its highest event channel; 1023 if not said.
    pub max_event_channels: Option<u32>,
}

/// CPUs of a domain's vCPUs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Affinity {
    /// Any.
    #[default]
    Any,
    /// The same for every vCPU.
    Every(CpuSet),
    /// The nth for the nth vCPU; any for vCPUs past the end.
    Each(Vec<CpuSet>),
}

impl Affinity {
    /// The CPUs for a vCPU; `None`: any.
    pub fn of(&self, vcpu: u32) -> Option<CpuSet> {
        match self {
            Self::Any => None,
            Self::Every(set) => Some(*set),
            Self::Each(sets) => sets.get(usize::try_from(vcpu).ok()?).copied(),
        }
    }
}

/// What becomes of a domain that has shut itself down, by the reason it gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Actions {
    /// `on_poweroff`.
    pub poweroff: Action,
    /// `on_reboot`.
    pub reboot: Action,
    /// `on_watchdog`.
    pub watchdog: Action,
    /// `on_crash`.
    pub crash: Action,
    /// `on_soft_reset`.
    pub soft_reset: Action,
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            poweroff: Action::Destroy,
            reboot: Action::Restart,
            watchdog: Action::Destroy,
            crash: Action::Destroy,
            soft_reset: Action::Destroy,
        }
    }
}

/// What becomes of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It goes.
    Destroy,
    /// It goes, and one like it comes.
    Restart,
    /// It stays under another name, and one like it comes.
    RenameRestart,
    /// It stays as it is, for somebody to look at.
    Preserve,
    /// Its memory is written to a file, and it goes.
    CoredumpDestroy,
    /// Its memory is written to a file, it goes, and one like it comes.
    CoredumpRestart,
}

impl Action {
    /// Every action by its name in a file.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("destroy", Self::Destroy),
        ("restart", Self::Restart),
        ("rename-restart", Self::RenameRestart),
        ("preserve", Self::Preserve),
        ("coredump-destroy", Self::CoredumpDestroy),
        ("coredump-restart", Self::CoredumpRestart),
    ];

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// A virtual disk: xl-disk-configuration(5).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Disk {
    /// Path of the device or image; empty for a drive without a disc.
    pub target: String,
    /// Format of the image.
    pub format: DiskFormat,
    /// How the guest sees it: `xvda`, `hda`, `sda1`, …
    pub vdev: String,
    /// Whether the guest may write.
    pub access: Access,
    /// Whether it is a CD drive.
    pub kind: DiskKind,
    /// The domain that serves it; domain 0 if not said.
    pub backend: Option<String>,
    /// The kind of service asked for (`backendtype`).
    pub backend_type: Option<String>,
    /// The script that prepares the target.
    pub script: Option<String>,
    /// Whether the guest may discard blocks.
    pub discard: bool,
    /// Whether the guest is to trust the back end.
    pub trusted: bool,
    /// Whether writes may bypass the cache.
    pub direct_io_safe: bool,
}

impl Disk {
    /// What two disks of a domain cannot both have.
    pub fn clash(&self, other: &Disk) -> Option<String> {
        let same = vdev::number(&self.vdev) == vdev::number(&other.vdev);
        same.then(|| self.vdev.clone())
    }
}

/// The format of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskFormat {
    /// The blocks as they are.
    #[default]
    Raw,
    /// QEMU's first copy-on-write format.
    Qcow,
    /// QEMU's second copy-on-write format.
    Qcow2,
    /// Virtual PC's format.
    Vhd,
    /// QEMU's enhanced disk.
    Qed,
}

impl DiskFormat {
    /// Every format by its name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("raw", Self::Raw),
        ("qcow", Self::Qcow),
        ("qcow2", Self::Qcow2),
        ("vhd", Self::Vhd),
        ("qed", Self::Qed),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// Whether a guest may write to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// It may.
    #[default]
    ReadWrite,
    /// It may not.
    ReadOnly,
}

/// What sort of disk it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskKind {
    /// A disk.
    #[default]
    Disk,
    /// A CD drive.
    Cdrom,
}

/// A virtual network interface: xl-network-configuration(5).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vif {
    /// Its address; the toolstack makes one up below 00:16:3e if there is none.
    pub mac: Option<[u8; 6]>,
    /// The bridge it is to be part of.
    pub bridge: Option<String>,
    /// The interface that routes for it.
    pub gateway: Option<String>,
    /// The name of its back end's interface.
    pub name: Option<String>,
    /// The script that connects it.
    pub script: Option<String>,
    /// Its IP addresses, as the script takes them.
    pub ip: Option<String>,
    /// The domain that serves it; domain 0 if not said.
    pub backend: Option<String>,
    /// How fast it may send.
    pub rate: Option<Rate>,
    /// Its number; the lowest free one if not said.
    pub devid: Option<u32>,
    /// The largest IP packet.
    pub mtu: Option<u32>,
    /// Whether the guest is to distrust the back end.
    pub untrusted: bool,
}

impl Vif {
    /// What two interfaces of a domain cannot both have.
    pub fn clash(&self, other: &Vif) -> Option<String> {
        if let Some(devid) = self.devid.filter(|_| self.devid == other.devid) {
            return Some(format!("devid {devid}"));
        }
        (self.mac.is_some() && self.mac == other.mac).then(|| "this mac".into())
    }

    /// Parameters that are written to XenStore and change nothing, each with the reason.
    pub fn without_effect(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let no_scripts = "no scripts are run";
        [
            (self.mtu.is_some(), "mtu", "packets have up to 1500 bytes"),
            (self.ip.is_some(), "ip", no_scripts),
            (self.gateway.is_some(), "gatewaydev", no_scripts),
        ]
        .into_iter()
        .filter_map(|(is_given, name, why)| is_given.then_some((name, why)))
    }
}

/// How fast an interface may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Bytes in each interval.
    pub bytes_per_interval: u64,
    /// The interval, microseconds.
    pub interval_us: u32,
}
