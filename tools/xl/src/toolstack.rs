//! What the verbs need of a machine: the trait that domain 0 implements over `domctl`, `sysctl`
//! and XenStore, and the tests over a few vectors.
//!
//! One method is one act on one domain or one question about it; what xl prints about it, in which
//! columns, and what it does after what, is the verbs' business. Methods act at once and do not
//! wait for a guest: whoever needs to (`shutdown -w`, `console`, `top`) looks again after
//! [`Toolstack::wait`]. Besides that, only devices that come and go are waited for, and not long.
//!
//! A domain that is gone is [`Error::NoSuchDomain`], whichever method finds out: between two calls
//! anything may have happened.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use pv_abi::errno::Errno;
pub use pv_abi::types::DomId;

use crate::config::DomainConfig;
use crate::config::model::{Disk, Vif};
use crate::cpu_set::CpuSet;
use crate::terminal::{Blob, Terminal};
use crate::uuid::Uuid;

/// Why the toolstack did not do something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// There is no domain of this number (any more).
    NoSuchDomain,
    /// A domain of this name is there already.
    NameTaken,
    /// The machine does not have that much free memory.
    NoMemory {
        /// What would be needed, KiB.
        wanted_kib: u64,
        /// What is free, KiB.
        free_kib: u64,
    },
    /// The guest does not listen on `control/shutdown`.
    NoParavirtualControl,
    /// A kernel or ramdisk that cannot be loaded, and why.
    Image(String),
    /// What this machine cannot do at all, in words that follow "this machine has no ".
    Unsupported(&'static str),
    /// A hypercall refused.
    Hypervisor {
        /// Which: `domctl createdomain`.
        call: &'static str,
        /// What it returned.
        errno: Errno,
    },
    /// XenStore refused.
    Store {
        /// The node.
        path: String,
        /// The error's name: `EACCES`.
        error: &'static str,
    },
    /// Anything else, as a sentence without its full stop.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchDomain => f.write_str("there is no such domain"),
            Self::NameTaken => f.write_str("a domain of that name already exists"),
            Self::NoMemory { wanted_kib, free_kib } => {
                write!(f, "{wanted_kib} KiB of memory are needed, {free_kib} KiB are free")
            }
            Self::NoParavirtualControl => f.write_str("PV control interface not available"),
            Self::Image(why) | Self::Other(why) => f.write_str(why),
            Self::Unsupported(what) => write!(f, "this machine has no {what}"),
            Self::Hypervisor { call, errno } => write!(f, "{call}: {errno}"),
            Self::Store { path, error } => write!(f, "XenStore: {path}: {error}"),
        }
    }
}

/// What a toolstack returns.
pub type Result<T> = core::result::Result<T, Error>;

/// What there is to know about a domain (`xen_domctl_getdomaininfo`, and its name).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainInfo {
    /// Its number.
    pub id: DomId,
    /// Its name; empty while it has none.
    pub name: String,
    /// Its handle.
    pub uuid: Uuid,
    /// Memory that it has, KiB.
    pub memory_kib: u64,
    /// Memory set aside for it beyond that, KiB.
    pub outstanding_kib: u64,
    /// Memory that it may have, KiB; `None`: as much as there is.
    pub max_memory_kib: Option<u64>,
    /// vCPUs that are up.
    pub vcpus: u32,
    /// vCPUs that it has.
    pub max_vcpus: u32,
    /// Whether one of its vCPUs is on a CPU.
    pub running: bool,
    /// Whether all of its vCPUs wait for events.
    pub blocked: bool,
    /// Whether the toolstack has paused it.
    pub paused: bool,
    /// Whether it has shut down, and why: a `SHUTDOWN_*` of sched.h.
    pub shutdown: Option<u8>,
    /// Whether it is being destroyed.
    pub dying: bool,
    /// Time that its vCPUs ran, nanoseconds.
    pub cpu_ns: u64,
    /// Time since it was created, nanoseconds.
    pub age_ns: u64,
}

/// What a domain has done since it was created.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Activity {
    /// How often it was called because of events.
    pub events: u64,
    /// Hypercalls that it made.
    pub hypercalls: u64,
}

/// What there is to know about a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VcpuInfo {
    /// Its number.
    pub id: u32,
    /// Whether it is up.
    pub online: bool,
    /// Whether it is on a CPU.
    pub running: bool,
    /// Whether it waits for events.
    pub blocked: bool,
    /// The CPU that it is on, or was.
    pub cpu: u32,
    /// Time that it ran, nanoseconds.
    pub cpu_ns: u64,
    /// CPUs where it may run.
    pub affinity: CpuSet,
    /// CPUs where it runs if it can.
    pub soft_affinity: CpuSet,
}

/// What there is to know about the machine and its hypervisor; the names are those of `xl info`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostInfo {
    /// Name of domain 0's system.
    pub host: String,
    /// Its kernel's release.
    pub release: String,
    /// Its kernel's version.
    pub version: String,
    /// Its architecture.
    pub machine: String,
    /// CPUs that are up.
    pub nr_cpus: u32,
    /// The highest number of a CPU.
    pub max_cpu_id: u32,
    /// NUMA nodes.
    pub nr_nodes: u32,
    /// See `xen_sysctl_physinfo`.
    pub cores_per_socket: u32,
    /// See `xen_sysctl_physinfo`.
    pub threads_per_core: u32,
    /// Frequency of the time stamp counter, kHz.
    pub cpu_khz: u32,
    /// Words of CPUID, see `xen_sysctl_physinfo`.
    pub hw_caps: [u32; 8],
    /// What the hardware can do for virtual machines (`hvm`, `directio`, …), as words.
    pub virt_caps: String,
    /// All memory, KiB.
    pub total_kib: u64,
    /// Memory that nobody has, KiB.
    pub free_kib: u64,
    /// Memory set aside, KiB.
    pub outstanding_kib: u64,
    /// CPUs in no pool.
    pub free_cpus: u32,
    /// The version that it is compatible with.
    pub xen_major: u32,
    /// The version that it is compatible with.
    pub xen_minor: u32,
    /// What is behind the version: its own name.
    pub xen_extra: String,
    /// ABIs that it has for guests: `xen-3.0-x86_32p`.
    pub xen_caps: String,
    /// Its scheduler: `credit2`.
    pub xen_scheduler: String,
    /// Where it lies in a guest's address space.
    pub virt_start: u64,
    /// What it was built from.
    pub xen_changeset: String,
    /// What it was booted with.
    pub xen_commandline: String,
    /// See `XENVER_compile_info`.
    pub cc_compiler: String,
    /// See `XENVER_compile_info`.
    pub cc_compile_by: String,
    /// See `XENVER_compile_info`.
    pub cc_compile_domain: String,
    /// See `XENVER_compile_info`.
    pub cc_compile_date: String,
    /// See `XENVER_build_id`; empty if there is none.
    pub build_id: String,
    /// Time since the machine started, nanoseconds.
    pub up_ns: u64,
    /// The wall clock, seconds since 1970.
    pub wall_s: u64,
}

/// A domain's share of the CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Its weight, 1 to 65535.
    pub weight: u16,
    /// The most it gets, percent of a CPU; 0: no limit.
    pub cap: u16,
}

/// Parameters of the scheduler as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchedulerInfo {
    /// The longest turn, milliseconds.
    pub tslice_ms: u32,
    /// The shortest, microseconds.
    pub ratelimit_us: u32,
    /// How long a vCPU stays where its cache is, microseconds.
    pub migration_delay_us: u32,
}

/// What a guest is asked for through `control/shutdown`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownRequest {
    /// `poweroff`.
    Poweroff,
    /// `reboot`.
    Reboot,
}

/// What is sent to a vCPU: `XEN_DOMCTL_SENDTRIGGER_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// A non-maskable interrupt.
    Nmi,
    /// A reset.
    Reset,
    /// An INIT.
    Init,
    /// The power button.
    Power,
    /// The sleep button.
    Sleep,
    /// The end of sleep.
    S3Resume,
}

/// What to create a domain from. The kernel and the ramdisk stay with the toolstack as long as the
/// domain's file may have it restarted.
pub struct Creation {
    /// What the file says.
    pub config: DomainConfig,
    /// The kernel's file.
    pub kernel: Box<dyn Blob>,
    /// The ramdisk's file.
    pub ramdisk: Option<Box<dyn Blob>>,
}

/// A kind of device that domains share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceClass {
    /// A virtual disk.
    Disk,
    /// A virtual network interface.
    Network,
}

impl DeviceClass {
    /// Its name in XenStore.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "vbd",
            Self::Network => "vif",
        }
    }
}

/// A device for a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Device {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Network(Vif),
}

/// What there is to know about a device of a domain. What the guest has not said is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// Its number: of a disk, what `vdev` stands for.
    pub id: u32,
    /// The domain that serves it.
    pub back: DomId,
    /// The back end's directory in XenStore.
    pub back_path: String,
    /// The front end's state: a `XenbusState*` of xenbus.h.
    pub state: Option<u32>,
    /// The front end's event channel.
    pub event_channel: Option<u32>,
    /// The grants of its rings: one, or one to send and one to receive.
    pub rings: [Option<u32>; 2],
    /// A network interface's address.
    pub mac: Option<[u8; 6]>,
}

/// How a device is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detach {
    /// The guest is asked to let go, and if it does not the device stays.
    Ask,
    /// The guest is asked, and if it does not let go the device goes all the same.
    AskThenTake,
    /// It goes at once.
    Take,
}

/// What a domain's console has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsoleOutput {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing more for now.
    Nothing,
}

/// Whether the hypervisor's messages stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Messages {
    /// They do.
    Keep,
    /// They are read for the last time.
    Clear,
}

/// What ends a wait, besides its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// A key, or that nobody is there any more.
    Key,
    /// A key, or output of this domain's console, or the domain's end.
    KeyOrConsole(DomId),
    /// A key, or a domain that shuts down or goes.
    KeyOrDomain,
}

/// The machine, as verbs see it.
pub trait Toolstack {
    /// All domains, in order of their numbers.
    fn domains(&mut self) -> Result<Vec<DomainInfo>>;

    /// One domain.
    fn domain(&mut self, domain: DomId) -> Result<DomainInfo>;

    /// The file that a domain was made from, as changed since; `None` for domain 0.
    fn config(&mut self, domain: DomId) -> Result<Option<DomainConfig>>;

    /// What a domain has done; [`Error::Unsupported`] when nobody counts.
    fn activity(&mut self, domain: DomId) -> Result<Activity>;

    /// A domain's vCPUs, in order of their numbers.
    fn vcpus(&mut self, domain: DomId) -> Result<Vec<VcpuInfo>>;

    /// The machine.
    fn host(&mut self) -> Result<HostInfo>;

    /// Makes a domain, paused; it is as if nothing had been done if this fails.
    fn create(&mut self, creation: Creation) -> Result<DomId>;

    /// Stops a domain's vCPUs. Pausing twice is pausing once.
    fn pause(&mut self, domain: DomId) -> Result<()>;

    /// Lets them run on.
    fn unpause(&mut self, domain: DomId) -> Result<()>;

    /// Ends a domain and gives back what it had. Its file's actions do not apply.
    fn destroy(&mut self, domain: DomId) -> Result<()>;

    /// Asks a guest to shut down or to reboot; [`Error::NoParavirtualControl`] if it does not listen.
    fn request_shutdown(&mut self, domain: DomId, request: ShutdownRequest) -> Result<()>;

    /// Gives a domain another name.
    fn rename(&mut self, domain: DomId, name: &str) -> Result<()>;

    /// Asks a guest for more or less memory (`memory/target`), KiB.
    fn set_memory_target(&mut self, domain: DomId, kib: u64) -> Result<()>;

    /// Sets the most that it may have, KiB.
    fn set_max_memory(&mut self, domain: DomId, kib: u64) -> Result<()>;

    /// Asks a guest to have its first `count` vCPUs up and no others (`cpu/N/availability`).
    fn set_vcpus(&mut self, domain: DomId, count: u32) -> Result<()>;

    /// Says where a vCPU may run, and where it is to run if it can; `None` leaves it as it is.
    fn set_affinity(
        &mut self,
        domain: DomId,
        vcpu: u32,
        affinity: Option<CpuSet>,
        soft: Option<CpuSet>,
    ) -> Result<()>;

    /// A domain's share of the CPUs.
    fn share(&mut self, domain: DomId) -> Result<Share>;

    /// Sets it.
    fn set_share(&mut self, domain: DomId, share: Share) -> Result<()>;

    /// The scheduler's own parameters; [`Error::Unsupported`] when it has none.
    fn scheduler(&mut self) -> Result<SchedulerInfo>;

    /// Reads what domains have printed, line by line, and what became of them.
    fn domain_log(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Reads the hypervisor's messages from the oldest on, in pieces.
    fn messages(&mut self, keep: Messages, sink: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Has the hypervisor act as if these keys were pressed at its console.
    fn debug_keys(&mut self, keys: &str) -> Result<()>;

    /// Sends something to a vCPU.
    fn trigger(&mut self, domain: DomId, trigger: Trigger, vcpu: u32) -> Result<()>;

    /// Sends a magic SysRq key to a guest (`control/sysrq`).
    fn sysrq(&mut self, domain: DomId, key: char) -> Result<()>;

    /// Gives a domain a device, and returns when its back end has found what stands behind it. A
    /// number or address that it has not is chosen.
    fn attach(&mut self, domain: DomId, device: Device) -> Result<()>;

    /// A domain's devices of one class, in order of their numbers.
    fn devices(&mut self, domain: DomId, class: DeviceClass) -> Result<Vec<DeviceInfo>>;

    /// Takes a device away. A guest that is asked has ten seconds, as with libxl.
    fn detach(&mut self, domain: DomId, class: DeviceClass, id: u32, how: Detach) -> Result<()>;

    /// Takes up a domain's console: from now on its output waits for [`Self::read_console`].
    fn open_console(&mut self, domain: DomId) -> Result<()>;

    /// Takes output of an open console; does not wait.
    fn read_console(&mut self, domain: DomId, into: &mut [u8]) -> Result<ConsoleOutput>;

    /// Types at an open console and returns how many bytes there was room for; does not wait.
    fn write_console(&mut self, domain: DomId, bytes: &[u8]) -> Result<usize>;

    /// Leaves a console. Nothing happens to one that is not open.
    fn close_console(&mut self, domain: DomId);

    /// Sleeps until `wake`, for `ns` nanoseconds at most. It may return early.
    fn wait(&mut self, wake: Wake, ns: u64, terminal: &mut dyn Terminal);
}
