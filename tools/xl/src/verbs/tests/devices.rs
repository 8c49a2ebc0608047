//! `block-*` and `network-*`.

use std::vec;

use super::Scene;
use crate::toolstack::{DeviceInfo, DomId, Error};

fn disk() -> DeviceInfo {
    DeviceInfo {
        id: 51712,
        back: DomId::new(0),
        back_path: "/local/domain/0/backend/vbd/1/51712".into(),
        state: Some(4),
        event_channel: Some(8),
        rings: [Some(9), None],
        mac: None,
    }
}

fn vif() -> DeviceInfo {
    DeviceInfo {
        id: 0,
        back_path: "/local/domain/0/backend/vif/1/0".into(),
        rings: [Some(768), Some(769)],
        mac: Some([0, 0x16, 0x3e, 0x74, 0x3d, 0x76]),
        ..disk()
    }
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    let bare =
        DeviceInfo { id: 51728, state: None, event_channel: None, rings: [None; 2], ..disk() };
    scene.machine.devices.insert((1, "vbd"), vec![disk(), bare]);
    scene.machine.devices.insert((1, "vif"), vec![vif()]);
    scene
}

#[test]
fn lists_have_xl_s_columns() {
    let mut scene = scene();
    assert_eq!(
        scene.out("block-list web"),
        "\
Vdev  BE  handle state evt-ch ring-ref BE-path                       
51712 0   1      4     8      9        /local/domain/0/backend/vbd/1/51712
51728 0   1      -1    -1     -1       /local/domain/0/backend/vbd/1/51712
"
    );
    assert_eq!(
        scene.out("network-list 1"),
        "\
Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       
0   0  00:16:3e:74:3d:76     0     4      8   768/769         /local/domain/0/backend/vif/1/0
"
    );
    assert_eq!(scene.out("block-list 0").lines().count(), 1);
    assert_eq!(scene.run("block-list nobody web"), super::OK, "as with xl");
    assert!(scene.terminal.err.starts_with("nobody is an invalid domain identifier"));
    assert_eq!(scene.terminal.out.lines().count(), 3);
}

#[test]
fn devices_are_attached_as_they_are_specified() {
    let mut scene = scene();
    for line in [
        "block-attach web /dev/vda,raw,xvdb,r",
        "block-attach web phy:/dev/vda xvdb r",
        "block-attach 1 target=/dev/vda vdev=xvdb",
    ] {
        assert_eq!(scene.acts(line), "disk d1 xvdb /dev/vda", "{line}");
    }
    assert_eq!(scene.acts("network-attach web"), "vif d1 None None");
    assert_eq!(
        scene.acts("network-attach web mac=00:16:3e:00:00:01 bridge=xenbr1"),
        "vif d1 Some([0, 22, 62, 0, 0, 1]) Some(\"xenbr1\")"
    );
    assert_eq!(
        scene.fails("block-attach web /dev/vda xvdb,w"),
        "command line: disk: w is no vdev: xvda, sda1, hdc, d0p1 are, in `/dev/vda,xvdb,w'\n"
    );
    assert_eq!(
        scene.fails("network-attach web colour=red"),
        "command line: vif: unknown parameter colour, in `colour=red'\n"
    );
    assert_eq!(scene.run("network-attach web mtu=9000"), super::OK);
    assert_eq!(
        scene.terminal.err,
        "command line: warning: vif: mtu has no effect: packets have up to 1500 bytes\n"
    );
    scene.machine.refuse = Some(Error::Other("there is no disk vdz".into()));
    assert_eq!(
        scene.fails("block-attach web vdz,,xvdb"),
        "libxl_device_disk_add failed: there is no disk vdz\n"
    );
    scene.machine.refuse = Some(Error::NoSuchDomain);
    assert_eq!(
        scene.fails("network-attach web"),
        "libxl_device_nic_add failed: there is no such domain\n"
    );
}

#[test]
fn a_device_is_detached_by_its_names() {
    let mut scene = scene();
    for name in ["xvda", "51712", "d0p0"] {
        let line = std::format!("block-detach web {name}");
        assert_eq!(scene.acts(&line), "detach d1 vbd 51712 Ask", "{line}");
    }
    assert_eq!(scene.acts("block-detach -f web xvdb"), "detach d1 vbd 51728 Take");
    for name in ["0", "00:16:3e:74:3d:76", "00:16:3E:74:3D:76"] {
        let line = std::format!("network-detach web {name}");
        assert_eq!(scene.acts(&line), "detach d1 vif 0 AskThenTake", "{line}");
    }
    for (line, error) in [
        ("block-detach web xvdc", "Error: Device xvdc not connected.\n"),
        ("block-detach web nothing", "Error: Device nothing not connected.\n"),
        ("network-detach web 1", "Unknown device 1.\n"),
        ("network-detach web 00:16:3e:74:3d:77", "Unknown device 00:16:3e:74:3d:77.\n"),
    ] {
        assert_eq!(scene.fails(line), error, "{line}");
    }
    scene.machine.refuse = Some(Error::Other("the guest has not let go of it".into()));
    assert_eq!(
        scene.fails("block-detach web xvda"),
        "libxl_device_disk_safe_remove failed: the guest has not let go of it\n"
    );
    scene.machine.refuse = Some(Error::NoSuchDomain);
    assert_eq!(
        scene.fails("block-detach --force web xvda"),
        "libxl_device_disk_destroy failed: there is no such domain\n"
    );
}
