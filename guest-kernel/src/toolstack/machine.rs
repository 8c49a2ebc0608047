//! The machine as `xl`'s verbs see it: their trait over `domctl`, `sysctl`, and what this toolstack
//! remembers.
//!
//! Each verb that runs has one of these; what it has open (its place in consoles) goes with it.

use super::domains::refused;
use super::{consoles, devices, domains, lifecycle, records, store, turn, watchers};
use crate::control::counters::{EVENTS, HYPERCALLS};
use crate::control::domctl::{self, Affinity};
use crate::control::sysctl;
use crate::time;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use pv_abi::domctl::{self as abi, Getdomaininfo, SchedCredit};
use pv_abi::errno::Errno;
use pv_abi::sysctl::{XEN_SYSCTL_PHYSCAP_DIRECTIO, XEN_SYSCTL_PHYSCAP_HVM, XEN_SYSCTL_PHYSCAP_PV};
use pv_abi::types::DomId;
use pv_abi::version::{self, CompileInfo};
use ring1::calls;
use xl::config::DomainConfig;
use xl::cpu_set::CpuSet;
use xl::terminal::Terminal;
use xl::toolstack::{
    Activity, ConsoleOutput, Creation, Detach, Device, DeviceClass, DeviceInfo, DomainInfo, Error,
    HostInfo, Messages, Result, SchedulerInfo, Share, ShutdownRequest, Toolstack, Trigger,
    VcpuInfo, Wake,
};
use xl::uuid::Uuid;
use zerocopy::FromZeros;

/// Domain 0's name.
const DOMAIN_0: &str = "Domain-0";
/// Bytes of the hypervisor's messages that are read at a time.
const MESSAGES: usize = 1024;
/// What there is not without `perfc` on the hypervisor's command line.
const NOT_COUNTED: &str = "counters of domains' events and hypercalls";

/// The machine, for one verb.
pub struct Machine {
    /// The scheduler's channel that its keys wake.
    channel: u32,
    /// Its place in each console that it has open.
    consoles: BTreeMap<u16, u64>,
    /// What it has seen of [`watchers::count`].
    seen: u32,
}

impl Machine {
    /// For a verb whose keys wake `channel`.
    pub fn new(channel: u32) -> Machine {
        Machine { channel, consoles: BTreeMap::new(), seen: watchers::count() }
    }
}

/// What a hypercall says of a domain, as verbs know it.
fn describe(info: &Getdomaininfo) -> DomainInfo {
    let id = info.domain;
    let known = records::with(id, |record| (record.config.name.clone(), record.made_ns));
    let (name, made_ns) = match known {
        Some(known) => known,
        None if id.raw() == 0 => (DOMAIN_0.to_owned(), 0),
        None => (String::new(), 0),
    };
    let flag = |flag: u32| info.flags & flag != 0;
    // A domain that may have more than any machine has no limit.
    let limit = info.max_pages.saturating_mul(4);
    DomainInfo {
        id,
        name,
        uuid: Uuid(info.handle),
        memory_kib: info.tot_pages.saturating_mul(4),
        outstanding_kib: info.outstanding_pages.saturating_mul(4),
        max_memory_kib: (info.max_pages < u64::from(u32::MAX)).then_some(limit),
        vcpus: info.nr_online_vcpus,
        max_vcpus: info.max_vcpu_id.wrapping_add(1),
        running: flag(abi::XEN_DOMINF_RUNNING),
        blocked: flag(abi::XEN_DOMINF_BLOCKED),
        paused: flag(abi::XEN_DOMINF_PAUSED),
        shutdown: lifecycle::reason(info.flags),
        dying: flag(abi::XEN_DOMINF_DYING),
        cpu_ns: info.cpu_time,
        age_ns: time::now().saturating_sub(made_ns),
    }
}

fn text(command: u32) -> String {
    let mut buffer = [0; 1024];
    calls::xen_version_text(command, &mut buffer).unwrap_or("").trim().to_owned()
}

/// A field of text that ends in NUL.
fn field(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

impl Drop for Machine {
    fn drop(&mut self) {
        for number in core::mem::take(&mut self.consoles).into_keys() {
            consoles::close(DomId::new(number));
        }
    }
}

impl Toolstack for Machine {
    fn domains(&mut self) -> Result<Vec<DomainInfo>> {
        // What is half made, or made anew just now, is not shown.
        let _turn = turn::take();
        let all = sysctl::all_domains().map_err(refused("sysctl getdomaininfolist"))?;
        Ok(all.iter().map(describe).collect())
    }

    fn domain(&mut self, domain: DomId) -> Result<DomainInfo> {
        let info = domctl::info(domain).map_err(refused("domctl getdomaininfo"))?;
        Ok(describe(&info))
    }

    fn config(&mut self, domain: DomId) -> Result<Option<DomainConfig>> {
        self.domain(domain)?;
        Ok(records::with(domain, |record| record.config.clone()))
    }

    fn activity(&mut self, domain: DomId) -> Result<Activity> {
        self.domain(domain)?;
        let counters = match sysctl::counters() {
            Ok(counters) => counters,
            Err(Errno::ENOSYS) => return Err(Error::Unsupported(NOT_COUNTED)),
            Err(errno) => return Err(Error::Hypervisor { call: "sysctl perfc_op", errno }),
        };
        let count = |name| counters.of(domain, name).map(u64::from);
        let activity = count(EVENTS).zip(count(HYPERCALLS));
        let (events, hypercalls) = activity.ok_or(Error::Unsupported(NOT_COUNTED))?;
        Ok(Activity { events, hypercalls })
    }

    fn vcpus(&mut self, domain: DomId) -> Result<Vec<VcpuInfo>> {
        let count = self.domain(domain)?.max_vcpus;
        let vcpu = |id| {
            let info = domctl::vcpu_info(domain, id).map_err(refused("domctl getvcpuinfo"))?;
            let cpus = |which| {
                domctl::affinity(domain, id, which)
                    .map(CpuSet)
                    .map_err(refused("domctl getvcpuaffinity"))
            };
            Ok(VcpuInfo {
                id,
                online: info.online != 0,
                running: info.running != 0,
                blocked: info.blocked != 0,
                cpu: info.cpu,
                cpu_ns: info.cpu_time,
                affinity: cpus(Affinity::Hard)?,
                soft_affinity: cpus(Affinity::Soft)?,
            })
        };
        (0..count).map(vcpu).collect()
    }

    fn host(&mut self) -> Result<HostInfo> {
        let info = sysctl::physinfo().map_err(refused("sysctl physinfo"))?;
        let scheduler = match sysctl::scheduler() {
            Ok(abi::XEN_SCHEDULER_CREDIT) => "credit",
            Ok(abi::XEN_SCHEDULER_CREDIT2) => "credit2",
            _ => "unknown",
        };
        let number = calls::xen_version().map_err(refused("xen_version"))?;
        let mut compiled = CompileInfo::new_zeroed();
        calls::xen_version_into(version::XENVER_COMPILE_INFO, &mut compiled)
            .map_err(refused("xen_version"))?;
        let capabilities = [
            (XEN_SYSCTL_PHYSCAP_PV, "pv"),
            (XEN_SYSCTL_PHYSCAP_HVM, "hvm"),
            (XEN_SYSCTL_PHYSCAP_DIRECTIO, "directio"),
        ];
        let has = |bit: u32| info.capabilities & bit != 0;
        let words: Vec<&str> =
            capabilities.iter().filter(|(bit, _)| has(*bit)).map(|(_, word)| *word).collect();
        Ok(HostInfo {
            host: DOMAIN_0.to_owned(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            version: "Ferrule guest kernel".to_owned(),
            machine: "i686".to_owned(),
            nr_cpus: info.nr_cpus,
            max_cpu_id: info.max_cpu_id,
            nr_nodes: info.nr_nodes,
            cores_per_socket: info.cores_per_socket,
            threads_per_core: info.threads_per_core,
            cpu_khz: info.cpu_khz,
            hw_caps: info.hw_cap,
            virt_caps: words.join(" "),
            total_kib: info.total_pages.saturating_mul(4),
            free_kib: info.free_pages.saturating_mul(4),
            outstanding_kib: info.outstanding_pages.saturating_mul(4),
            free_cpus: 0,
            xen_major: number >> 16,
            xen_minor: number & 0xffff,
            xen_extra: text(version::XENVER_EXTRAVERSION),
            xen_caps: text(version::XENVER_CAPABILITIES),
            xen_scheduler: scheduler.to_owned(),
            virt_start: pv_abi::x86_32::HYPERVISOR_VIRT_START.into(),
            xen_changeset: text(version::XENVER_CHANGESET),
            xen_commandline: text(version::XENVER_COMMANDLINE),
            cc_compiler: field(&compiled.compiler),
            cc_compile_by: field(&compiled.compile_by),
            cc_compile_domain: field(&compiled.compile_domain),
            cc_compile_date: field(&compiled.compile_date),
            // There is none.
            build_id: String::new(),
            up_ns: time::now(),
            wall_s: time::time_of_day().0,
        })
    }

    fn create(&mut self, creation: Creation) -> Result<DomId> {
        let _turn = turn::take();
        domains::create(creation)
    }

    fn pause(&mut self, domain: DomId) -> Result<()> {
        // The hypervisor counts; xl does not.
        if self.domain(domain)?.paused {
            return Ok(());
        }
        domctl::pause(domain).map_err(refused("domctl pausedomain"))
    }

    fn unpause(&mut self, domain: DomId) -> Result<()> {
        if !self.domain(domain)?.paused {
            return Ok(());
        }
        domctl::unpause(domain).map_err(refused("domctl unpausedomain"))
    }

    fn destroy(&mut self, domain: DomId) -> Result<()> {
        let _turn = turn::take();
        self.domain(domain)?;
        domains::destroy(domain)
    }

    fn request_shutdown(&mut self, domain: DomId, request: ShutdownRequest) -> Result<()> {
        self.domain(domain)?;
        // As in Xen, it is for the guest to look: it may not have started yet.
        let word = match request {
            ShutdownRequest::Poweroff => "poweroff",
            ShutdownRequest::Reboot => "reboot",
        };
        store::write(domain, "control/shutdown", word)
    }

    fn rename(&mut self, domain: DomId, name: &str) -> Result<()> {
        let _turn = turn::take();
        if name == DOMAIN_0 || records::find(name).is_some_and(|other| other != domain) {
            return Err(Error::NameTaken);
        }
        let uuid = records::with(domain, |record| {
            record.config.name = name.to_owned();
            record.uuid
        });
        store::rename(domain, uuid.ok_or(Error::NoSuchDomain)?, name)
    }

    fn set_memory_target(&mut self, domain: DomId, kib: u64) -> Result<()> {
        self.domain(domain)?;
        store::write(domain, "memory/target", &kib.to_string())
    }

    fn set_max_memory(&mut self, domain: DomId, kib: u64) -> Result<()> {
        domctl::max_mem(domain, kib).map_err(refused("domctl max_mem"))
    }

    fn set_vcpus(&mut self, domain: DomId, count: u32) -> Result<()> {
        for vcpu in 0..self.domain(domain)?.max_vcpus {
            let word = if vcpu < count { "online" } else { "offline" };
            store::write(domain, &format!("cpu/{vcpu}/availability"), word)?;
        }
        Ok(())
    }

    fn set_affinity(
        &mut self,
        domain: DomId,
        vcpu: u32,
        affinity: Option<CpuSet>,
        soft: Option<CpuSet>,
    ) -> Result<()> {
        for (which, cpus) in [(Affinity::Hard, affinity), (Affinity::Soft, soft)] {
            if let Some(cpus) = cpus {
                domctl::set_affinity(domain, vcpu, which, cpus.0)
                    .map_err(refused("domctl setvcpuaffinity"))?;
            }
        }
        Ok(())
    }

    fn share(&mut self, domain: DomId) -> Result<Share> {
        let share = domctl::share(domain).map_err(refused("domctl scheduler_op"))?;
        Ok(Share { weight: share.weight, cap: share.cap })
    }

    fn set_share(&mut self, domain: DomId, share: Share) -> Result<()> {
        let credit = SchedCredit { weight: share.weight, cap: share.cap };
        domctl::set_share(domain, credit).map_err(refused("domctl scheduler_op"))
    }

    fn scheduler(&mut self) -> Result<SchedulerInfo> {
        let schedule = sysctl::schedule().map_err(refused("sysctl scheduler_op"))?;
        Ok(SchedulerInfo {
            tslice_ms: schedule.tslice_ms,
            ratelimit_us: schedule.ratelimit_us,
            migration_delay_us: schedule.vcpu_migr_delay_us,
        })
    }

    fn messages(&mut self, keep: Messages, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut buffer = alloc::vec![0; MESSAGES];
        let mut index = 0;
        loop {
            let (count, next) =
                sysctl::read_console(index, &mut buffer).map_err(refused("sysctl readconsole"))?;
            if count == 0 {
                break;
            }
            sink(buffer.get(..count).unwrap_or_default());
            index = next;
        }
        match keep {
            Messages::Keep => Ok(()),
            Messages::Clear => sysctl::clear_console(index).map_err(refused("sysctl readconsole")),
        }
    }

    fn domain_log(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        sink(consoles::log().as_bytes());
        Ok(())
    }

    fn debug_keys(&mut self, keys: &str) -> Result<()> {
        sysctl::debug_keys(keys.as_bytes()).map_err(refused("sysctl debug_keys"))
    }

    fn trigger(&mut self, domain: DomId, trigger: Trigger, vcpu: u32) -> Result<()> {
        let number = match trigger {
            Trigger::Nmi => abi::XEN_DOMCTL_SENDTRIGGER_NMI,
            Trigger::Reset => abi::XEN_DOMCTL_SENDTRIGGER_RESET,
            Trigger::Init => abi::XEN_DOMCTL_SENDTRIGGER_INIT,
            Trigger::Power => abi::XEN_DOMCTL_SENDTRIGGER_POWER,
            Trigger::Sleep => abi::XEN_DOMCTL_SENDTRIGGER_SLEEP,
            Trigger::S3Resume => return Err(Error::Unsupported("sleeping domains")),
        };
        domctl::send_trigger(domain, number, vcpu).map_err(refused("domctl sendtrigger"))
    }

    fn sysrq(&mut self, domain: DomId, key: char) -> Result<()> {
        self.domain(domain)?;
        store::write(domain, "control/sysrq", key.encode_utf8(&mut [0; 4]))
    }

    fn attach(&mut self, domain: DomId, device: Device) -> Result<()> {
        let _turn = turn::take();
        self.domain(domain)?;
        devices::attach(domain, device)
    }

    fn devices(&mut self, domain: DomId, class: DeviceClass) -> Result<Vec<DeviceInfo>> {
        self.domain(domain)?;
        devices::list(domain, class)
    }

    fn detach(&mut self, domain: DomId, class: DeviceClass, id: u32, how: Detach) -> Result<()> {
        self.domain(domain)?;
        devices::detach(domain, class, id, how)
    }

    fn open_console(&mut self, domain: DomId) -> Result<()> {
        self.domain(domain)?;
        self.close_console(domain);
        let first = consoles::open(domain)
            .ok_or_else(|| Error::Other("the domain has no console here".to_owned()))?;
        self.consoles.insert(domain.raw(), first);
        Ok(())
    }

    fn read_console(&mut self, domain: DomId, into: &mut [u8]) -> Result<ConsoleOutput> {
        let place = self.consoles.get_mut(&domain.raw()).ok_or(Error::NoSuchDomain)?;
        let (count, next) = consoles::read(domain, *place, into).ok_or(Error::NoSuchDomain)?;
        *place = next;
        Ok(if count > 0 { ConsoleOutput::Bytes(count) } else { ConsoleOutput::Nothing })
    }

    fn write_console(&mut self, domain: DomId, bytes: &[u8]) -> Result<usize> {
        consoles::write(domain, bytes).ok_or(Error::NoSuchDomain)
    }

    fn close_console(&mut self, domain: DomId) {
        if self.consoles.remove(&domain.raw()).is_some() {
            consoles::close(domain);
        }
    }

    fn wait(&mut self, _: Wake, ns: u64, terminal: &mut dyn Terminal) {
        ring1::console::flush();
        let deadline = time::now().saturating_add(ns);
        watchers::wait(self.channel, self.seen, deadline, || terminal.has_input());
        self.seen = watchers::count();
    }
}
