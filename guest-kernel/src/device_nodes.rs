//! What XenStore says of a device that a toolstack gives a domain: the nodes that libxl makes.
//!
//! ```text
//! /local/domain/1/device/vbd/51712           the front end's: the domain's own, its back end reads
//! /local/domain/0/backend/vbd/1/51712        the back end's own, the domain reads
//! /libxl/1/device/vbd/51712                  the toolstack's own, nobody else reads
//! ```
//!
//! Drivers find each other, and what they are to be, by these nodes, so that they are libxl's to the
//! letter (`libxl__device_generic_add`, `device_disk_add`, `libxl__set_xenstore_nic` of Xen 4.17) but
//! for scripts: nothing here runs one. A disk's `params` is what the back end finds the disk by, and a
//! network interface is ready when it is in its bridge, so that `hotplug-status` says "connected" from
//! the start.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pv_abi::io::xenbus::XENBUS_STATE_INITIALISING;
use pv_abi::types::DomId;
use xl::config::model::{Access, Disk, DiskFormat, DiskKind, Vif};
use xl::config::{vdev, vif as specification};
use xl::toolstack::{Device, DeviceClass};

/// What a device is that its specification leaves out.
const BRIDGE: &str = "xenbr0";
const MTU: u32 = 1500;
/// The ABI of front ends that are no wider than domain 0 builds them (`io/protocols.h`).
const PROTOCOL: &str = "x86_32-abi";

/// Who shares a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Halves {
    /// The domain that uses it.
    pub front: DomId,
    /// The domain that has it.
    pub back: DomId,
    /// What it is.
    pub class: DeviceClass,
    /// Its number.
    pub id: u32,
}

impl Halves {
    /// The front end's directory.
    pub fn front_path(&self) -> String {
        let (class, id) = (self.class.name(), self.id);
        format!("/local/domain/{}/device/{class}/{id}", self.front.raw())
    }

    /// The back end's.
    pub fn back_path(&self) -> String {
        let (class, front, id) = (self.class.name(), self.front.raw(), self.id);
        format!("/local/domain/{}/backend/{class}/{front}/{id}", self.back.raw())
    }

    /// Where the back end says what went wrong.
    pub fn error_path(&self) -> String {
        let (class, front, id) = (self.class.name(), self.front.raw(), self.id);
        format!("/local/domain/{}/error/backend/{class}/{front}/{id}", self.back.raw())
    }

    /// The toolstack's.
    pub fn toolstack_path(&self) -> String {
        let (class, id) = (self.class.name(), self.id);
        format!("/libxl/{}/device/{class}/{id}", self.front.raw())
    }

    /// All directories of the device.
    pub fn directories(&self) -> [String; 4] {
        [self.front_path(), self.back_path(), self.error_path(), self.toolstack_path()]
    }

    /// Directories above them that are there for devices alone, the lowest first.
    pub fn parents(&self) -> Vec<String> {
        // How many levels up: a domain keeps its `device`, which it has from its start.
        let levels = [(self.front_path(), 1), (self.back_path(), 3), (self.toolstack_path(), 3)];
        // So it does its `error`, which domain 0 alone makes when there is something to say.
        let errors = if self.back.raw() == 0 { 4 } else { 3 };
        let levels = levels.into_iter().chain([(self.error_path(), errors)]);
        levels.flat_map(|(path, levels)| above(&path, levels)).collect()
    }
}

/// The paths above one, the lowest first.
fn above(path: &str, levels: usize) -> Vec<String> {
    let slashes = path.rmatch_indices('/').take(levels);
    slashes.filter_map(|(at, _)| path.get(..at).map(String::from)).collect()
}

/// What the front end's domain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum User {
    /// One that uses its devices itself.
    Guest,
    /// One that serves others, whose frames go through its own network device.
    DriverDomain,
}

/// A key and its value.
pub type Key = (&'static str, String);

/// What stands in the directories, the links between them included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nodes {
    /// In the front end's.
    pub front: Vec<Key>,
    /// In the back end's.
    pub back: Vec<Key>,
    /// In the toolstack's.
    pub toolstack: Vec<Key>,
}

/// The number of a device among those that the domain has of its class: of a disk by its name, of a
/// network interface as specified, or the lowest that is free.
///
/// The error is a sentence: there is such a device.
pub fn number(device: &Device, taken: &[u32]) -> Result<u32, String> {
    let id = match device {
        Device::Disk(disk) => vdev::number(&disk.vdev).ok_or("the disk's vdev is none")?,
        Device::Network(vif) => match vif.devid {
            Some(devid) => devid,
            None => (0..).find(|id| !taken.contains(id)).unwrap_or(0),
        },
    };
    match taken.contains(&id) {
        true => Err("device already exists in xenstore".into()),
        false => Ok(id),
    }
}

/// What is to be said of a device.
///
/// The error is a sentence: no back end here serves what the device asks for.
pub fn nodes(device: &Device, halves: &Halves, user: User) -> Result<Nodes, String> {
    let (front, mut back) = match device {
        Device::Disk(specified) => disk(specified, halves)?,
        Device::Network(specified) => vif(specified, halves)?,
    };
    if let (Device::Network(_), User::DriverDomain) = (device, user) {
        // Not libxl's, whose bridges take every frame.
        back.push(("uplink", "1".into()));
    }
    let state = || ("state", XENBUS_STATE_INITIALISING.to_string());
    let front = [("backend", halves.back_path()), ("backend-id", halves.back.raw().to_string())]
        .into_iter()
        .chain([state()])
        .chain(front);
    let own: Vec<Key> =
        [("frontend-id", halves.front.raw().to_string()), ("online", "1".into()), state()]
            .into_iter()
            .chain(back)
            .collect();
    let links = [("frontend", halves.front_path()), ("backend", halves.back_path())];
    let back = [("frontend", halves.front_path())].into_iter().chain(own.iter().cloned());
    Ok(Nodes {
        front: front.collect(),
        back: back.collect(),
        toolstack: links.into_iter().chain(own).collect(),
    })
}

fn disk(disk: &Disk, halves: &Halves) -> Result<(Vec<Key>, Vec<Key>), String> {
    if disk.format != DiskFormat::Raw {
        return Err(format!("no back end reads the format {}", disk.format.name()));
    }
    if let Some(script) = &disk.script {
        return Err(format!("nothing runs the script {script}"));
    }
    if let Some(backend) = disk.backend_type.as_deref().filter(|backend| *backend != "phy") {
        return Err(format!("there is no back end of the type {backend}"));
    }
    let flag = |set: bool| if set { "1" } else { "0" }.to_string();
    let cdrom = disk.kind == DiskKind::Cdrom;
    let kind = if cdrom { "cdrom" } else { "disk" };
    let writable = disk.access == Access::ReadWrite;
    let mut back = Vec::from([
        ("params", disk.target.clone()),
        ("removable", flag(cdrom)),
        ("bootable", flag(true)),
        ("dev", disk.vdev.clone()),
        ("type", "phy".to_string()),
        ("mode", if writable { "w" } else { "r" }.to_string()),
        ("device-type", kind.to_string()),
        ("discard-enable", flag(disk.discard && writable)),
    ]);
    if disk.direct_io_safe {
        back.push(("direct-io-safe", flag(true)));
    }
    let front = Vec::from([
        ("virtual-device", halves.id.to_string()),
        ("device-type", kind.to_string()),
        ("protocol", PROTOCOL.to_string()),
        ("trusted", flag(disk.trusted)),
    ]);
    Ok((front, back))
}

/// Whether this is Xen's usual script, by its name or its path. Nothing runs it either, but what it
/// does is done: the interface becomes a port of the bridge.
fn is_done_anyway(script: &str) -> bool {
    matches!(script, "vif-bridge" | "/etc/xen/scripts/vif-bridge")
}

fn vif(vif: &Vif, halves: &Halves) -> Result<(Vec<Key>, Vec<Key>), String> {
    if let Some(script) = vif.script.as_ref().filter(|script| !is_done_anyway(script)) {
        return Err(format!("nothing runs the script {script}"));
    }
    let mac = specification::display(vif.mac.ok_or("the interface has no address")?);
    let handle = halves.id.to_string();
    let mut back = Vec::from([
        ("mac", mac.clone()),
        ("bridge", vif.bridge.clone().unwrap_or_else(|| BRIDGE.to_string())),
        ("handle", handle.clone()),
        ("type", "vif".to_string()),
        ("hotplug-status", "connected".to_string()),
    ]);
    let optional = [("vifname", &vif.name), ("ip", &vif.ip), ("gatewaydev", &vif.gateway)];
    back.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    if let Some(rate) = vif.rate {
        back.push(("rate", format!("{},{}", rate.bytes_per_interval, rate.interval_us)));
    }
    let mtu = vif.mtu.unwrap_or(MTU);
    if mtu != MTU {
        back.push(("mtu", mtu.to_string()));
    }
    let trusted = if vif.untrusted { "0" } else { "1" };
    let front = Vec::from([
        ("handle", handle),
        ("mac", mac),
        ("mtu", mtu.to_string()),
        ("trusted", trusted.to_string()),
    ]);
    Ok((front, back))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use xl::config::{disk, vif};

    fn halves(class: DeviceClass, id: u32) -> Halves {
        Halves { front: DomId::new(7), back: DomId::new(0), class, id }
    }

    fn map(keys: &[Key]) -> BTreeMap<&str, &str> {
        let map: BTreeMap<&str, &str> =
            keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(map.len(), keys.len(), "no key twice: {keys:?}");
        map
    }

    fn of(device: &Device, id: u32) -> Result<Nodes, String> {
        let class = match device {
            Device::Disk(_) => DeviceClass::Disk,
            Device::Network(_) => DeviceClass::Network,
        };
        nodes(device, &halves(class, id), User::Guest)
    }

    fn parsed_disk(text: &str) -> Device {
        Device::Disk(disk::parse(text).expect("a specification"))
    }

    fn parsed_vif(text: &str) -> Device {
        Device::Network(vif::parse(text).expect("a specification"))
    }

    #[test]
    fn a_disk_s_nodes_are_libxl_s() {
        let all = of(&parsed_disk("/dev/vda,,xvda"), 51712).expect("served");
        let front = map(&all.front);
        for (key, value) in [
            ("backend", "/local/domain/0/backend/vbd/7/51712"),
            ("backend-id", "0"),
            ("state", "1"),
            ("virtual-device", "51712"),
            ("device-type", "disk"),
            ("protocol", "x86_32-abi"),
        ] {
            assert_eq!(front.get(key), Some(&value), "{key}");
        }
        let back = map(&all.back);
        for (key, value) in [
            ("frontend", "/local/domain/7/device/vbd/51712"),
            ("frontend-id", "7"),
            ("online", "1"),
            ("state", "1"),
            ("params", "/dev/vda"),
            ("dev", "xvda"),
            ("type", "phy"),
            ("mode", "w"),
            ("removable", "0"),
            ("bootable", "1"),
            ("discard-enable", "1"),
        ] {
            assert_eq!(back.get(key), Some(&value), "{key}");
        }
        assert_eq!(back.get("direct-io-safe"), None);
        let own = map(&all.toolstack);
        assert_eq!((own["frontend"], own["backend"]), (back["frontend"], front["backend"]));
        assert_eq!(own["params"], "/dev/vda");
    }

    #[test]
    fn a_disk_is_as_it_is_specified() {
        let read_only = of(&parsed_disk("vda,,xvdb,r,direct-io-safe,untrusted"), 51728);
        let read_only = read_only.expect("served");
        let back = map(&read_only.back);
        assert_eq!((back["mode"], back["discard-enable"], back["direct-io-safe"]), ("r", "0", "1"));
        assert_eq!(map(&read_only.front)["trusted"], "0");
        let cdrom = of(&parsed_disk(",hdc:cdrom,r"), 5632).expect("served");
        let back = map(&cdrom.back);
        assert_eq!((back["removable"], back["device-type"], back["params"]), ("1", "cdrom", ""));
        for (text, error) in [
            ("/x,qcow2,xvda", "no back end reads the format qcow2"),
            ("/x,,xvda,script=mine", "nothing runs the script mine"),
            ("/x,,xvda,backendtype=qdisk", "there is no back end of the type qdisk"),
        ] {
            assert_eq!(of(&parsed_disk(text), 51712), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn an_interface_s_nodes_are_libxl_s() {
        let plain = of(&parsed_vif("mac=00:16:3e:00:00:01"), 2).expect("served");
        let (front, back) = (map(&plain.front), map(&plain.back));
        assert_eq!(
            (front["handle"], front["mac"], front["mtu"]),
            ("2", "00:16:3e:00:00:01", "1500")
        );
        for (key, value) in [
            ("mac", "00:16:3e:00:00:01"),
            ("bridge", "xenbr0"),
            ("handle", "2"),
            ("type", "vif"),
            ("hotplug-status", "connected"),
            ("frontend", "/local/domain/7/device/vif/2"),
        ] {
            assert_eq!(back.get(key), Some(&value), "{key}");
        }
        assert_eq!((back.get("rate"), back.get("mtu"), back.get("ip")), (None, None, None));
        assert_eq!(back.get("uplink"), None, "a guest has one address");
        let (device, its) = (parsed_vif("mac=00:16:3e:00:00:01"), halves(DeviceClass::Network, 0));
        let uplink = nodes(&device, &its, User::DriverDomain).expect("served");
        assert_eq!(map(&uplink.back).get("uplink"), Some(&"1"));
        let text = "mac=00:16:3e:00:00:01,bridge=b,rate=1MB/s@20ms,mtu=9000,ip=10.0.0.1,vifname=v,\
                    gatewaydev=g,untrusted";
        let full = of(&parsed_vif(text), 0).expect("served");
        let back = map(&full.back);
        assert_eq!((back["rate"], back["mtu"], back["ip"]), ("20000,20000", "9000", "10.0.0.1"));
        assert_eq!((back["vifname"], back["gatewaydev"], back["bridge"]), ("v", "g", "b"));
        assert_eq!(map(&full.front)["trusted"], "0");
        let scripted = |script| of(&parsed_vif(&format!("mac=00:16:3e:00:00:01,{script}")), 2);
        assert_eq!(scripted("script=s"), Err("nothing runs the script s".into()));
        assert_eq!(scripted("script=vif-bridge").expect("served"), plain);
    }

    #[test]
    fn directories_are_cleared_up_to_where_devices_begin() {
        let parents = halves(DeviceClass::Disk, 51712).parents();
        assert_eq!(
            parents,
            [
                "/local/domain/7/device/vbd",
                "/local/domain/0/backend/vbd/7",
                "/local/domain/0/backend/vbd",
                "/local/domain/0/backend",
                "/libxl/7/device/vbd",
                "/libxl/7/device",
                "/libxl/7",
                "/local/domain/0/error/backend/vbd/7",
                "/local/domain/0/error/backend/vbd",
                "/local/domain/0/error/backend",
                "/local/domain/0/error",
            ]
        );
        let served = Halves { back: DomId::new(3), ..halves(DeviceClass::Disk, 51712) };
        let last = served.parents().pop();
        assert_eq!(last.as_deref(), Some("/local/domain/3/error/backend"), "the error is its own");
    }

    #[test]
    fn a_number_is_taken_once() {
        assert_eq!(number(&parsed_disk("/x,,xvdb"), &[51712]), Ok(51728));
        let exists = || Err("device already exists in xenstore".to_string());
        assert_eq!(number(&parsed_disk("/x,,xvda"), &[51712]), exists());
        assert_eq!(number(&parsed_vif(""), &[]), Ok(0));
        assert_eq!(number(&parsed_vif(""), &[0, 1, 3]), Ok(2));
        assert_eq!(number(&parsed_vif("devid=5"), &[0]), Ok(5));
        assert_eq!(number(&parsed_vif("devid=0"), &[0]), exists());
    }
}
