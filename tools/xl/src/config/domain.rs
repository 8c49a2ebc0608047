//! From settings to a domain: types, ranges, defaults, and what does not go together.
//!
//! As with xl, numbers and strings are written either way (`memory = "64"` is a number), and a
//! boolean is a number. Everything that is wrong is told at once; a domain comes of a file without
//! errors only.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::diagnostic::{Diagnostic, Position, Severity, Source};
use super::keys::{self, Use};
use super::model::{Action, Actions, Affinity, Disk, DomainConfig, Vif};
use super::syntax::{self, Data, Setting, Value};
use super::{disk, vif};
use crate::cpu_set::CpuSet;
use crate::nearest::nearest;
use crate::uuid::Uuid;

/// What a domain has that does not say (libxl's default), MiB.
const DEFAULT_MEMORY_MIB: u64 = 32;
/// 16 TiB: the hypervisor's own map of memory ends there.
const MEMORY_MAX_MIB: u64 = 16 << 20;
/// The most vCPUs that Xen lets a PV domain have.
const VCPUS_MAX: u64 = 8192;

/// What reading a domain's file comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The domain, unless there are errors.
    pub domain: Option<DomainConfig>,
    /// What is wrong, in order of the text; what is missing comes last.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a file and what overrides it: of a key that several texts set, the last one counts.
pub fn read(sources: &[Source<'_>]) -> Reading {
    let (mut settings, mut diagnostics) = (Vec::new(), Vec::new());
    for (index, source) in sources.iter().enumerate() {
        syntax::read(index, source.text, &mut settings, &mut diagnostics);
    }
    if !diagnostics.is_empty() {
        return Reading { domain: None, diagnostics };
    }
    let mut checker = Checker { settings: &settings, diagnostics };
    checker.keys();
    let domain = checker.domain();
    let mut diagnostics = checker.diagnostics;
    diagnostics.sort_by_key(|wrong| (wrong.position.is_none(), wrong.position));
    let failed = diagnostics.iter().any(|wrong| wrong.severity == Severity::Error);
    Reading { domain: Some(domain).filter(|_| !failed), diagnostics }
}

struct Checker<'a> {
    settings: &'a [Setting],
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn keys(&mut self) {
        for setting in self.settings {
            let (key, at) = (&setting.key, setting.position);
            match keys::find(key) {
                Some(Use::Used | Use::Idle) => {}
                Some(Use::Ignored(why)) => self.warn(at, format!("{key} has no effect: {why}")),
                Some(Use::Refused(why)) => self.error(at, format!("{key} cannot be had: {why}")),
                None => match nearest(key, keys::names()) {
                    Some(known) => {
                        self.warn(at, format!("unknown key {key}: did you mean {known}?"))
                    }
                    None => self.warn(at, format!("unknown key {key}: it has no effect")),
                },
            }
        }
    }

    fn domain(&mut self) -> DomainConfig {
        self.kind();
        let memory = self.number("memory", 1, MEMORY_MAX_MIB).unwrap_or(DEFAULT_MEMORY_MIB);
        let max_memory = self.at_least("maxmem", ("memory", memory), MEMORY_MAX_MIB);
        let said_vcpus = self.number("vcpus", 1, VCPUS_MAX);
        let max_vcpus = self.at_least("maxvcpus", ("vcpus", said_vcpus.unwrap_or(1)), VCPUS_MAX);
        let vcpus = said_vcpus.unwrap_or(max_vcpus);
        DomainConfig {
            name: self.name(),
            uuid: self.uuid(),
            kernel: self.kernel(),
            ramdisk: self.string("ramdisk").map(|(_, ramdisk)| ramdisk).filter(|r| !r.is_empty()),
            command_line: self.command_line(),
            memory_kib: memory << 10,
            max_memory_kib: max_memory << 10,
            vcpus: narrow(vcpus),
            max_vcpus: narrow(max_vcpus),
            affinity: self.affinity("cpus"),
            soft_affinity: self.affinity("cpus_soft"),
            weight: self.number("cpu_weight", 1, 65535).map(narrow),
            cap: self.number("cap", 0, 65534).map(narrow),
            on: self.actions(),
            driver_domain: self.number("driver_domain", 0, 1) == Some(1),
            disks: self.devices("disk", disk::parse, Disk::clash),
            vifs: self.vifs(),
            time_offset_s: self.time_offset(),
            max_grant_frames: self.number("max_grant_frames", 1, 0x7fff_ffff).map(narrow),
            max_maptrack_frames: self.number("max_maptrack_frames", 0, 0x7fff_ffff).map(narrow),
            max_grant_version: self.number("max_grant_version", 1, 2).map(narrow),
            max_event_channels: self.number("max_event_channels", 1, 131_071).map(narrow),
        }
    }

    /// `type`, and `builder` before it: PV is all there is.
    fn kind(&mut self) {
        for (key, pv) in [("type", "pv"), ("builder", "generic")] {
            let Some((at, kind)) = self.string(key) else { continue };
            match kind.as_str() {
                kind if kind == pv => {}
                "hvm" | "pvh" => self.error(
                    at,
                    format!("{key}: {kind} needs VT-x or AMD-V: only PV domains run here"),
                ),
                _ => self.error(at, format!("{key}: {kind} is no kind of domain: {pv} is")),
            }
        }
    }

    fn name(&mut self) -> String {
        let Some((at, name)) = self.string("name") else {
            self.missing("no name: a domain needs one, name = \"…\"");
            return String::new();
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            self.error(
                at,
                "name: it needs characters, and none of them may be a control character".into(),
            );
        } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
            self.warn(at, format!("name: {name} looks like a domain's number"));
        }
        name
    }

    fn uuid(&mut self) -> Option<Uuid> {
        let (at, text) = self.string("uuid")?;
        let uuid = Uuid::parse(&text);
        if uuid.is_none() {
            self.error(
                at,
                format!("uuid: {text} is none: 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5 is"),
            );
        }
        uuid
    }

    fn kernel(&mut self) -> String {
        match self.string("kernel") {
            Some((at, kernel)) => {
                if kernel.is_empty() {
                    self.error(at, "kernel: it needs the name of a file".into());
                }
                kernel
            }
            None => {
                self.missing("no kernel: a PV domain needs one, kernel = \"…\"");
                String::new()
            }
        }
    }

    /// `cmdline`, or else `root` and `extra`.
    fn command_line(&mut self) -> String {
        let root = self.string("root").map(|(_, root)| root);
        let extra = self.string("extra").map(|(_, extra)| extra);
        if let Some((at, cmdline)) = self.string("cmdline") {
            if root.is_some() || extra.is_some() {
                self.warn(at, "root and extra have no effect beside cmdline".into());
            }
            return cmdline;
        }
        match (root, extra) {
            (Some(root), Some(extra)) => format!("root={root} {extra}"),
            (Some(root), None) => format!("root={root}"),
            (None, extra) => extra.unwrap_or_default(),
        }
    }

    fn affinity(&mut self, key: &str) -> Affinity {
        let Some(setting) = self.find(key) else { return Affinity::Any };
        if !matches!(setting.value.data, Data::List(_)) {
            let set = self.string(key).map(|(at, list)| self.cpus(key, at, &list));
            return match set {
                None | Some(CpuSet::ALL) => Affinity::Any,
                Some(set) => Affinity::Every(set),
            };
        }
        let lists = self.strings(key);
        Affinity::Each(lists.into_iter().map(|(at, list)| self.cpus(key, at, &list)).collect())
    }

    fn cpus(&mut self, key: &str, at: Position, list: &str) -> CpuSet {
        CpuSet::parse(list).unwrap_or_else(|why| {
            self.error(at, format!("{key}: a CPU list {why}"));
            CpuSet::ALL
        })
    }

    fn actions(&mut self) -> Actions {
        let default = Actions::default();
        Actions {
            poweroff: self.action("on_poweroff", default.poweroff),
            reboot: self.action("on_reboot", default.reboot),
            watchdog: self.action("on_watchdog", default.watchdog),
            crash: self.action("on_crash", default.crash),
            soft_reset: self.action("on_soft_reset", default.soft_reset),
        }
    }

    fn action(&mut self, key: &str, default: Action) -> Action {
        let Some((at, name)) = self.string(key) else { return default };
        if let Some((_, action)) = Action::NAMES.iter().find(|(known, _)| *known == name) {
            if let Action::CoredumpDestroy | Action::CoredumpRestart = action {
                let message = format!("{key}: no core is written: there is nowhere to write one");
                self.warn(at, message);
            }
            return *action;
        }
        let known = || Action::NAMES.iter().map(|(name, _)| *name);
        let message = match nearest(&name, known()) {
            _ if name == "soft-reset" => format!("{key}: soft-reset is for HVM domains"),
            Some(known) => format!("{key}: {name} is no action: did you mean {known}?"),
            None => format!(
                "{key}: {name} is no action: {} are",
                known().collect::<Vec<_>>().join(", ")
            ),
        };
        self.error(at, message);
        default
    }

    /// Devices of one kind; `clash` says what two of them cannot both have.
    fn devices<T>(
        &mut self,
        key: &str,
        parse: fn(&str) -> Result<T, String>,
        clash: fn(&T, &T) -> Option<String>,
    ) -> Vec<T> {
        let mut devices: Vec<T> = Vec::new();
        for (at, text) in self.strings(key) {
            let device = parse(&text).and_then(|device| {
                let clash = devices.iter().find_map(|other| clash(&device, other));
                clash.map_or(Ok(device), |what| Err(format!("{what} is given twice")))
            });
            match device {
                Ok(device) => devices.push(device),
                Err(why) => self.error(at, format!("{key}: {why}")),
            }
        }
        devices
    }

    fn vifs(&mut self) -> Vec<Vif> {
        let vifs = self.devices("vif", vif::parse, Vif::clash);
        if let Some(setting) = self.find("vif") {
            for (name, why) in vifs.iter().flat_map(Vif::without_effect) {
                let message = format!("vif: {name} has no effect: {why}");
                self.warn(setting.value.position, message);
            }
        }
        vifs
    }

    fn time_offset(&mut self) -> i32 {
        let Some((at, text)) = self.string("rtc_timeoffset") else { return 0 };
        text.parse().unwrap_or_else(|_| {
            self.error(at, format!("rtc_timeoffset: {text} is no number of seconds"));
            0
        })
    }

    /// A number that is `least` if it is not said, and not less if it is.
    fn at_least(&mut self, key: &str, (of, least): (&str, u64), most: u64) -> u64 {
        let Some(number) = self.number(key, 1, most) else { return least };
        if number < least
            && let Some(setting) = self.find(key)
        {
            let message = format!("{key}: {number} is less than {of}, which is {least}");
            self.error(setting.value.position, message);
        }
        number
    }

    /// A number in a range; an error, and `None`, if it is not.
    fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let (at, text) = self.string(key)?;
        let wrong = match number(&text) {
            Some(number) if number < least => format!("{key}: {text} is less than {least}"),
            Some(number) if number > most => format!("{key}: {text} is more than {most}"),
            Some(number) => return Some(number),
            None => format!("{key}: {text:?} is no number"),
        };
        self.error(at, wrong);
        None
    }

    /// A string, or a number as it is written; an error, and `None`, for a list.
    fn string(&mut self, key: &str) -> Option<(Position, String)> {
        let value = &self.find(key)?.value;
        match atom(value) {
            Some(text) => Some((value.position, text.to_string())),
            None => {
                self.error(value.position, format!("{key}: a single value is wanted, not a list"));
                None
            }
        }
    }

    /// A list of strings.
    fn strings(&mut self, key: &str) -> Vec<(Position, String)> {
        let Some(setting) = self.find(key) else { return Vec::new() };
        let Data::List(values) = &setting.value.data else {
            let message = format!("{key}: a list is wanted, [ … ]");
            self.error(setting.value.position, message);
            return Vec::new();
        };
        let mut strings = Vec::new();
        for value in values {
            match atom(value) {
                Some(text) => strings.push((value.position, text.to_string())),
                None => self.error(value.position, format!("{key}: a list of strings is wanted")),
            }
        }
        strings
    }

    fn find(&self, key: &str) -> Option<&'a Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    fn warn(&mut self, at: Position, message: String) {
        let severity = Severity::Warning;
        self.diagnostics.push(Diagnostic { severity, position: Some(at), message });
    }

    fn error(&mut self, at: Position, message: String) {
        let severity = Severity::Error;
        self.diagnostics.push(Diagnostic { severity, position: Some(at), message });
    }

    fn missing(&mut self, message: &str) {
        let (severity, message) = (Severity::Error, message.into());
        self.diagnostics.push(Diagnostic { severity, position: None, message });
    }
}

/// The text of a value that is no list.
fn atom(value: &Value) -> Option<&str> {
    match &value.data {
        Data::Number(text) | Data::String(text) => Some(text),
        Data::List(_) => None,
    }
}

/// A number as C writes it: decimal, octal behind a 0, hexadecimal behind 0x.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let signed = digits.starts_with('+');
    u64::from_str_radix(digits, radix).ok().filter(|_| !signed)
}

/// A number that is known to be in range.
fn narrow<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests;
