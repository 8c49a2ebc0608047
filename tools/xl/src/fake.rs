//! A machine for tests: a toolstack over a few vectors, a terminal that remembers, files by name.

use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use crate::config::DomainConfig;
use crate::cpu_set::CpuSet;
use crate::terminal::{Blob, FileError, Files, Input, InputMode, Size, Stream, Terminal};
use crate::toolstack::{
    Activity, ConsoleOutput, Creation, Detach, Device, DeviceClass, DeviceInfo, DomId, DomainInfo,
    Error, HostInfo, Messages, Result, SchedulerInfo, Share, ShutdownRequest, Toolstack, Trigger,
    VcpuInfo, Wake,
};
use crate::uuid::Uuid;

/// Files by their names.
#[derive(Default)]
pub struct FakeFiles(pub BTreeMap<String, Vec<u8>>);

impl Files for FakeFiles {
    fn open(&mut self, name: &str) -> core::result::Result<Box<dyn Blob>, FileError> {
        let file = self.0.get(name).cloned();
        file.map(|file| Box::new(file) as Box<dyn Blob>)
            .ok_or(FileError("No such file or directory".into()))
    }
}

/// A terminal whose keys are known beforehand.
#[derive(Default)]
pub struct FakeTerminal {
    pub out: String,
    pub err: String,
    /// What each read returns; nothing more once it is empty, unless `ended`.
    pub keys: VecDeque<Vec<u8>>,
    pub ended: Option<Input>,
    pub size: Option<Size>,
    /// What the window becomes, each at a read that returns nothing.
    pub resizes: VecDeque<Size>,
    pub modes: Vec<InputMode>,
}

impl Terminal for FakeTerminal {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let text = core::str::from_utf8(bytes).unwrap();
        match stream {
            Stream::Out => self.out.push_str(text),
            Stream::Err => self.err.push_str(text),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Input {
        match self.keys.pop_front() {
            Some(keys) if keys.is_empty() => {
                self.size = self.resizes.pop_front().or(self.size);
                Input::Nothing
            }
            Some(keys) => {
                into[..keys.len()].copy_from_slice(&keys);
                Input::Bytes(keys.len())
            }
            None => self.ended.unwrap_or(Input::Nothing),
        }
    }

    fn has_input(&mut self) -> bool {
        self.ended.is_some() || self.keys.front().is_some_and(|keys| !keys.is_empty())
    }

    fn set_input_mode(&mut self, mode: InputMode) {
        self.modes.push(mode);
    }

    fn size(&self) -> Option<Size> {
        self.size
    }
}

/// A machine with domain 0 and `web`, number 1; every change is written down.
pub struct FakeMachine {
    pub domains: Vec<DomainInfo>,
    pub configs: BTreeMap<u16, DomainConfig>,
    pub acts: Vec<String>,
    /// The error of the next act.
    pub refuse: Option<Error>,
    /// Consoles cannot be had.
    pub no_consoles: bool,
    pub now_ns: u64,
    /// What the console says, piece by piece; when it is through, the domain is gone.
    pub console: VecDeque<Vec<u8>>,
    pub typed: Vec<u8>,
    /// What happens during each wait.
    pub meanwhile: VecDeque<fn(&mut FakeMachine)>,
    pub counts: bool,
    /// Devices by domain and class.
    pub devices: BTreeMap<(u16, &'static str), Vec<DeviceInfo>>,
}

impl FakeMachine {
    pub fn new() -> Self {
        let zero = DomainInfo {
            id: DomId::new(0),
            name: "Domain-0".into(),
            uuid: Uuid::default(),
            memory_kib: 750 << 10,
            outstanding_kib: 0,
            max_memory_kib: None,
            vcpus: 1,
            max_vcpus: 1,
            running: true,
            blocked: false,
            paused: false,
            shutdown: None,
            dying: false,
            cpu_ns: 11_794_260_000_000,
            age_ns: 100_000_000_000_000,
        };
        let web = DomainInfo {
            id: DomId::new(1),
            name: "web".into(),
            uuid: Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5").unwrap(),
            memory_kib: 64 << 10,
            max_memory_kib: Some(128 << 10),
            vcpus: 2,
            max_vcpus: 4,
            running: false,
            blocked: true,
            cpu_ns: 300_000_000,
            age_ns: 3_723_000_000_000,
            ..zero.clone()
        };
        Self {
            domains: vec![zero, web],
            configs: BTreeMap::new(),
            acts: Vec::new(),
            refuse: None,
            no_consoles: false,
            now_ns: 100_000_000_000_000,
            console: VecDeque::new(),
            typed: Vec::new(),
            meanwhile: VecDeque::new(),
            counts: true,
            devices: BTreeMap::new(),
        }
    }

    pub fn web(&mut self) -> &mut DomainInfo {
        &mut self.domains[1]
    }

    fn act(&mut self, what: String) -> Result<()> {
        if let Some(error) = self.refuse.take() {
            return Err(error);
        }
        self.acts.push(what);
        Ok(())
    }
}

impl Toolstack for FakeMachine {
    fn domains(&mut self) -> Result<Vec<DomainInfo>> {
        Ok(self.domains.clone())
    }

    fn domain(&mut self, domain: DomId) -> Result<DomainInfo> {
        let found = self.domains.iter().find(|info| info.id == domain);
        found.cloned().ok_or(Error::NoSuchDomain)
    }

    fn config(&mut self, domain: DomId) -> Result<Option<DomainConfig>> {
        Ok(self.configs.get(&domain.raw()).cloned())
    }

    fn activity(&mut self, domain: DomId) -> Result<Activity> {
        if !self.counts {
            return Err(Error::Unsupported("counters"));
        }
        let count = u64::from(domain.raw() + 1) * (self.now_ns / 1_000_000_000);
        Ok(Activity { events: count, hypercalls: count * 10 })
    }

    fn vcpus(&mut self, domain: DomId) -> Result<Vec<VcpuInfo>> {
        let info = self.domain(domain)?;
        let vcpu = |id| VcpuInfo {
            id,
            online: id < info.vcpus,
            running: info.running,
            blocked: info.blocked,
            cpu: 1,
            cpu_ns: info.cpu_ns / u64::from(info.max_vcpus),
            affinity: if id == 0 { CpuSet(0b10) } else { CpuSet::ALL },
            soft_affinity: CpuSet::ALL,
        };
        Ok((0..info.max_vcpus).map(vcpu).collect())
    }

    fn host(&mut self) -> Result<HostInfo> {
        Ok(HostInfo {
            host: "ferrule".into(),
            release: "0.1.0".into(),
            version: "#1".into(),
            machine: "i686".into(),
            nr_cpus: 4,
            max_cpu_id: 3,
            nr_nodes: 1,
            cores_per_socket: 4,
            threads_per_core: 1,
            cpu_khz: 2_400_125,
            hw_caps: [0xbfeb_fbff, 1, 0, 0, 0, 0, 0, 0],
            total_kib: 1 << 20,
            free_kib: 210 << 10,
            xen_major: 4,
            xen_minor: 17,
            xen_extra: "-ferrule".into(),
            xen_caps: "xen-3.0-x86_32p".into(),
            xen_scheduler: "credit2".into(),
            virt_start: 0xf580_0000,
            xen_commandline: "console=com1".into(),
            up_ns: self.now_ns,
            wall_s: 1_700_000_000 + self.now_ns / 1_000_000_000,
            ..HostInfo::default()
        })
    }

    fn create(&mut self, creation: Creation) -> Result<DomId> {
        let Creation { config, kernel, ramdisk } = creation;
        let ramdisk = ramdisk.map_or(0, |ramdisk| ramdisk.len());
        self.act(format!("create {} kernel {} ramdisk {ramdisk}", config.name, kernel.len()))?;
        let info = DomainInfo {
            id: DomId::new(2),
            name: config.name.clone(),
            paused: true,
            ..self.domains[1].clone()
        };
        self.domains.push(info);
        self.configs.insert(2, config);
        Ok(DomId::new(2))
    }

    fn pause(&mut self, domain: DomId) -> Result<()> {
        self.act(format!("pause {domain}"))
    }

    fn unpause(&mut self, domain: DomId) -> Result<()> {
        self.act(format!("unpause {domain}"))
    }

    fn destroy(&mut self, domain: DomId) -> Result<()> {
        self.act(format!("destroy {domain}"))
    }

    fn request_shutdown(&mut self, domain: DomId, request: ShutdownRequest) -> Result<()> {
        self.act(format!("{request:?} {domain}"))
    }

    fn rename(&mut self, domain: DomId, name: &str) -> Result<()> {
        self.act(format!("rename {domain} {name}"))
    }

    fn set_memory_target(&mut self, domain: DomId, kib: u64) -> Result<()> {
        self.act(format!("target {domain} {kib}"))
    }

    fn set_max_memory(&mut self, domain: DomId, kib: u64) -> Result<()> {
        self.act(format!("max {domain} {kib}"))
    }

    fn set_vcpus(&mut self, domain: DomId, count: u32) -> Result<()> {
        self.act(format!("vcpus {domain} {count}"))
    }

    fn set_affinity(
        &mut self,
        domain: DomId,
        vcpu: u32,
        affinity: Option<CpuSet>,
        soft: Option<CpuSet>,
    ) -> Result<()> {
        let [hard, soft] = [affinity, soft].map(|set| match set {
            Some(set) => set.display(4).to_string(),
            None => "-".into(),
        });
        self.act(format!("pin {domain} {vcpu} {hard} {soft}"))
    }

    fn share(&mut self, domain: DomId) -> Result<Share> {
        self.domain(domain)?;
        Ok(Share { weight: 256 * (domain.raw() + 1), cap: domain.raw() * 50 })
    }

    fn set_share(&mut self, domain: DomId, share: Share) -> Result<()> {
        self.act(format!("share {domain} {} {}", share.weight, share.cap))
    }

    fn scheduler(&mut self) -> Result<SchedulerInfo> {
        Ok(SchedulerInfo { tslice_ms: 30, ratelimit_us: 1000, migration_delay_us: 0 })
    }

    fn messages(&mut self, keep: Messages, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.act(format!("messages {keep:?}"))?;
        sink(b"(XEN) one\n");
        sink(b"(XEN) two\n");
        Ok(())
    }

    fn domain_log(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.act("log".into())?;
        sink(b"(d1) one\nxl: d1 (web) has crashed: destroy\n");
        Ok(())
    }

    fn debug_keys(&mut self, keys: &str) -> Result<()> {
        self.act(format!("keys {keys}"))
    }

    fn trigger(&mut self, domain: DomId, trigger: Trigger, vcpu: u32) -> Result<()> {
        self.act(format!("trigger {domain} {trigger:?} {vcpu}"))
    }

    fn sysrq(&mut self, domain: DomId, key: char) -> Result<()> {
        self.act(format!("sysrq {domain} {key}"))
    }

    fn attach(&mut self, domain: DomId, device: Device) -> Result<()> {
        self.act(match device {
            Device::Disk(disk) => format!("disk {domain} {} {}", disk.vdev, disk.target),
            Device::Network(vif) => format!("vif {domain} {:?} {:?}", vif.mac, vif.bridge),
        })
    }

    fn devices(&mut self, domain: DomId, class: DeviceClass) -> Result<Vec<DeviceInfo>> {
        self.domain(domain)?;
        Ok(self.devices.get(&(domain.raw(), class.name())).cloned().unwrap_or_default())
    }

    fn detach(&mut self, domain: DomId, class: DeviceClass, id: u32, how: Detach) -> Result<()> {
        self.act(format!("detach {domain} {} {id} {how:?}", class.name()))
    }

    fn open_console(&mut self, domain: DomId) -> Result<()> {
        if self.no_consoles {
            return Err(Error::Unsupported("consoles"));
        }
        self.act(format!("open {domain}"))
    }

    fn read_console(&mut self, _: DomId, into: &mut [u8]) -> Result<ConsoleOutput> {
        let Some(said) = self.console.pop_front() else { return Err(Error::NoSuchDomain) };
        if said.is_empty() {
            return Ok(ConsoleOutput::Nothing);
        }
        into[..said.len()].copy_from_slice(&said);
        Ok(ConsoleOutput::Bytes(said.len()))
    }

    fn write_console(&mut self, _: DomId, bytes: &[u8]) -> Result<usize> {
        // A guest that takes three bytes at a time.
        let count = bytes.len().min(3);
        self.typed.extend(&bytes[..count]);
        Ok(count)
    }

    fn close_console(&mut self, domain: DomId) {
        self.acts.push(format!("close {domain}"));
    }

    fn wait(&mut self, _: Wake, ns: u64, _: &mut dyn Terminal) {
        self.now_ns += ns;
        if let Some(happens) = self.meanwhile.pop_front() {
            happens(self);
        }
    }
}
