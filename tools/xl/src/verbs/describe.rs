//! A domain as JSON, with the names of libxl's `libxl_domain_config`.

use alloc::format;
use alloc::string::String;

use crate::config::DomainConfig;
use crate::config::model::{Access, Disk, DiskKind, Vif};
use crate::json::Json;
use crate::toolstack::DomainInfo;

/// What a file says, as `create -n` prints it.
pub fn domain_json(config: &DomainConfig) -> String {
    let mut json = Json::new();
    domain(&mut json, Some(config), None);
    json.finish()
}

/// Writes a domain: what its file says, and what it has now.
pub fn domain(json: &mut Json, config: Option<&DomainConfig>, now: Option<&DomainInfo>) {
    json.object(|json| {
        json.name("c_info").object(|json| create_info(json, config, now));
        json.name("b_info").object(|json| build_info(json, config, now));
        let Some(config) = config else { return };
        json.name("disks").array(|json| config.disks.iter().for_each(|each| disk(json, each)));
        json.name("nics").array(|json| {
            for (index, each) in config.vifs.iter().enumerate() {
                vif(json, index, each);
            }
        });
        json.name("on_poweroff").string(config.on.poweroff.name());
        json.name("on_reboot").string(config.on.reboot.name());
        json.name("on_watchdog").string(config.on.watchdog.name());
        json.name("on_crash").string(config.on.crash.name());
        json.name("on_soft_reset").string(config.on.soft_reset.name());
    });
}

fn create_info(json: &mut Json, config: Option<&DomainConfig>, now: Option<&DomainInfo>) {
    json.name("type").string("pv");
    let name = now.map(|now| &now.name).or(config.map(|config| &config.name));
    if let Some(name) = name {
        json.name("name").string(name);
    }
    if let Some(uuid) = now.map(|now| now.uuid).or(config.and_then(|config| config.uuid)) {
        json.name("uuid").string(uuid);
    }
    if config.is_some_and(|config| config.driver_domain) {
        // One of libxl's booleans that may be left open.
        json.name("driver_domain").string("True");
    }
}

fn build_info(json: &mut Json, config: Option<&DomainConfig>, now: Option<&DomainInfo>) {
    let max_vcpus = now.map(|now| now.max_vcpus).or(config.map(|config| config.max_vcpus));
    let vcpus = now.map(|now| now.vcpus).or(config.map(|config| config.vcpus));
    json.name("max_vcpus").number(max_vcpus.unwrap_or(0));
    json.name("avail_vcpus")
        .array(|json| (0..vcpus.unwrap_or(0)).for_each(|vcpu| json.number(vcpu)));
    let max = now.and_then(|now| now.max_memory_kib).or(config.map(|config| config.max_memory_kib));
    if let Some(max) = max {
        json.name("max_memkb").number(max);
    }
    if let Some(target) = now.map(|now| now.memory_kib).or(config.map(|config| config.memory_kib)) {
        json.name("target_memkb").number(target);
    }
    let Some(config) = config else { return };
    json.name("sched_params").object(|json| {
        if let Some(weight) = config.weight {
            json.name("weight").number(weight);
        }
        if let Some(cap) = config.cap {
            json.name("cap").number(cap);
        }
    });
    if config.time_offset_s != 0 {
        json.name("rtc_timeoffset").number(config.time_offset_s);
    }
    json.name("kernel").string(&config.kernel);
    if !config.command_line.is_empty() {
        json.name("cmdline").string(&config.command_line);
    }
    if let Some(ramdisk) = &config.ramdisk {
        json.name("ramdisk").string(ramdisk);
    }
    for (name, limit) in [
        ("event_channels", config.max_event_channels),
        ("max_grant_frames", config.max_grant_frames),
        ("max_maptrack_frames", config.max_maptrack_frames),
        ("max_grant_version", config.max_grant_version.map(u32::from)),
    ] {
        if let Some(limit) = limit {
            json.name(name).number(limit);
        }
    }
    json.name("type.pv").object(|_| ());
}

fn disk(json: &mut Json, disk: &Disk) {
    json.object(|json| {
        if let Some(backend) = &disk.backend {
            json.name("backend_domname").string(backend);
        }
        json.name("pdev_path").string(&disk.target);
        json.name("vdev").string(&disk.vdev);
        json.name("format").string(disk.format.name());
        if let Some(script) = &disk.script {
            json.name("script").string(script);
        }
        json.name("readwrite").number(i32::from(disk.access == Access::ReadWrite));
        json.name("is_cdrom").number(i32::from(disk.kind == DiskKind::Cdrom));
        json.name("direct_io_safe").boolean(disk.direct_io_safe);
        json.name("discard_enable").boolean(disk.discard);
        json.name("trusted").boolean(disk.trusted);
    });
}

fn vif(json: &mut Json, index: usize, vif: &Vif) {
    json.object(|json| {
        let devid = vif.devid.or_else(|| u32::try_from(index).ok());
        json.name("devid").number(devid.unwrap_or(0));
        if let Some([a, b, c, d, e, f]) = vif.mac {
            json.name("mac").string(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
        }
        for (name, value) in [
            ("backend_domname", &vif.backend),
            ("bridge", &vif.bridge),
            ("gatewaydev", &vif.gateway),
            ("ifname", &vif.name),
            ("ip", &vif.ip),
            ("script", &vif.script),
        ] {
            if let Some(value) = value {
                json.name(name).string(value);
            }
        }
        if let Some(mtu) = vif.mtu {
            json.name("mtu").number(mtu);
        }
        if let Some(rate) = vif.rate {
            json.name("rate_bytes_per_interval").number(rate.bytes_per_interval);
            json.name("rate_interval_usecs").number(rate.interval_us);
        }
        json.name("trusted").boolean(!vif.untrusted);
    });
}
