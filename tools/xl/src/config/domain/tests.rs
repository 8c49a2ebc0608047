//! What files come to: the typed domain, and the exact messages of what is wrong.

use super::*;
use crate::config::model::DiskKind;
use std::vec;

fn reading(text: &str) -> (Option<DomainConfig>, String) {
    let sources = [Source { name: "a.cfg", text }];
    let reading = read(&sources);
    let told = reading.diagnostics.iter().map(|wrong| wrong.render(&sources)).collect();
    (reading.domain, told)
}

/// The first line of each diagnostic of a file that would be right without `text`.
fn told(text: &str) -> Vec<String> {
    let text = format!("name='a'; kernel='k'\n{text}");
    let told = reading(&text).1;
    told.lines().filter(|line| line.starts_with("a.cfg")).map(Into::into).collect()
}

fn domain(text: &str) -> DomainConfig {
    let (domain, told) = reading(&format!("name = 'a'; kernel = 'k'\n{text}"));
    assert_eq!(told, "", "{text}");
    domain.unwrap()
}

#[test]
fn defaults_are_xl_s() {
    let expected = DomainConfig {
        name: "a".into(),
        kernel: "k".into(),
        memory_kib: 32 << 10,
        max_memory_kib: 32 << 10,
        vcpus: 1,
        max_vcpus: 1,
        ..DomainConfig::default()
    };
    assert_eq!(domain(""), expected);
    assert_eq!(expected.on.reboot, Action::Restart);
    assert_eq!(expected.on.crash, Action::Destroy);
}

#[test]
fn a_whole_file() {
    let text = r#"
        type = "pv"; builder = "generic"
        uuid = "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5"
        ramdisk = "r"
        root = "/dev/xvda"
        extra = 'console=hvc0 quiet'
        memory = "0x40"; maxmem = 0200
        vcpus = 2; maxvcpus = 4
        cpus = "0-3,^1"
        cpus_soft = ["2", 3,]
        cpu_weight = 512; cap = 50
        on_poweroff = "preserve"; on_reboot = 'rename-restart'; on_crash = "restart"
        on_watchdog = "preserve"; on_soft_reset = "restart"
        disk = [ '/dev/vg/web,,xvda', 'target=/a,b.iso' ]
        disk = [ '/dev/vg/web,,xvda', ',hdc:cdrom,r' ]
        vif = [ '', 'mac=00:16:3e:00:00:01' ]
        rtc_timeoffset = "-3600"
        max_grant_frames = 64; max_maptrack_frames = 0; max_grant_version = 2
        max_event_channels = 4095
        nomigrate = 1; driver_domain = 1
    "#;
    let web = domain(text);
    assert_eq!(web.uuid, Uuid::parse("59e1cf6c6ab9487990e7adc8d1c63bf5"));
    assert_eq!(web.ramdisk.as_deref(), Some("r"));
    assert_eq!(web.command_line, "root=/dev/xvda console=hvc0 quiet");
    assert!(web.driver_domain && !domain("driver_domain = 0").driver_domain);
    assert_eq!((web.memory_kib, web.max_memory_kib), (64 << 10, 128 << 10));
    assert_eq!((web.vcpus, web.max_vcpus), (2, 4));
    assert_eq!(web.affinity, Affinity::Every(CpuSet(0b1101)));
    assert_eq!(web.soft_affinity, Affinity::Each(vec![CpuSet(4), CpuSet(8)]));
    assert_eq!((web.soft_affinity.of(1), web.soft_affinity.of(2)), (Some(CpuSet(8)), None));
    assert_eq!((web.weight, web.cap), (Some(512), Some(50)));
    let actions = Actions {
        poweroff: Action::Preserve,
        reboot: Action::RenameRestart,
        watchdog: Action::Preserve,
        crash: Action::Restart,
        soft_reset: Action::Restart,
    };
    assert_eq!(web.on, actions);
    let vdevs: Vec<_> = web.disks.iter().map(|disk| (disk.vdev.as_str(), disk.kind)).collect();
    assert_eq!(vdevs, [("xvda", DiskKind::Disk), ("hdc", DiskKind::Cdrom)]);
    assert_eq!(web.vifs[1].mac, Some([0, 0x16, 0x3e, 0, 0, 1]));
    assert_eq!(web.time_offset_s, -3600);
    assert_eq!((web.max_grant_frames, web.max_maptrack_frames), (Some(64), Some(0)));
    assert_eq!((web.max_grant_version, web.max_event_channels), (Some(2), Some(4095)));
}

#[test]
fn command_lines_and_vcpus() {
    assert_eq!(domain("root='/dev/xvda'").command_line, "root=/dev/xvda");
    assert_eq!(domain("extra='quiet'").command_line, "quiet");
    assert_eq!(domain("extra=5").command_line, "5");
    let (both, warned) = reading("name='a'; kernel='k'; cmdline='x'; extra='y'");
    assert_eq!(both.unwrap().command_line, "x");
    assert!(warned.contains("root and extra have no effect beside cmdline"));
    assert_eq!((domain("maxvcpus=3").vcpus, domain("vcpus=3").max_vcpus), (3, 3));
    assert_eq!(domain("cpus='all'").affinity, Affinity::Any);
    assert_eq!(domain("cpus=2").affinity, Affinity::Every(CpuSet(4)));
}

#[test]
fn messages_show_where() {
    let (domain, told) = reading("name = 'a'\nkernel = 'k'\nmemory = 0\nmemroy = 64\n");
    assert_eq!(domain, None);
    assert_eq!(
        told,
        "a.cfg:3:10: memory: 0 is less than 1\n    memory = 0\n             ^\n\
         a.cfg:4:1: warning: unknown key memroy: did you mean memory?\n    memroy = 64\n    ^\n"
    );
    let (domain, told) = reading("");
    assert_eq!(domain, None);
    assert_eq!(
        told,
        "a.cfg: no name: a domain needs one, name = \"…\"\n\
         a.cfg: no kernel: a PV domain needs one, kernel = \"…\"\n"
    );
}

#[test]
fn wrong_values_are_refused() {
    for (text, error) in [
        ("memory = [64]", "10: memory: a single value is wanted, not a list"),
        ("memory = '64M'", "10: memory: \"64M\" is no number"),
        ("memory = 12ab", "10: memory: \"12ab\" is no number"),
        ("memory = 08", "10: memory: \"08\" is no number"),
        ("memory = '+8'", "10: memory: \"+8\" is no number"),
        ("memory = 99999999999999999999", "10: memory: \"99999999999999999999\" is no number"),
        ("memory = 16777217", "10: memory: 16777217 is more than 16777216"),
        ("memory = 64; maxmem = 32", "23: maxmem: 32 is less than memory, which is 64"),
        ("vcpus = 4; maxvcpus = 2", "23: maxvcpus: 2 is less than vcpus, which is 4"),
        ("vcpus = 0", "9: vcpus: 0 is less than 1"),
        ("cpu_weight = 65536", "14: cpu_weight: 65536 is more than 65535"),
        ("type = 'hvm'", "8: type: hvm needs VT-x or AMD-V: only PV domains run here"),
        ("builder = 'linux'", "11: builder: linux is no kind of domain: generic is"),
        ("name = ''", "8: name: it needs characters, and none of them may be a control character"),
        ("kernel = ''", "10: kernel: it needs the name of a file"),
        ("uuid = 'x'", "8: uuid: x is none: 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5 is"),
        ("cpus = '3-1'", "8: cpus: a CPU list has a range that ends before it starts"),
        ("cpus = ['0', 'x']", "14: cpus: a CPU list has elements like 2, 0-3, ^1 and all"),
        ("on_crash = 'destory'", "12: on_crash: destory is no action: did you mean destroy?"),
        ("on_crash = 'soft-reset'", "12: on_crash: soft-reset is for HVM domains"),
        (
            "on_crash = 'weep'",
            "12: on_crash: weep is no action: destroy, restart, rename-restart, preserve, \
             coredump-destroy, coredump-restart are",
        ),
        ("disk = '/x,,xvda'", "8: disk: a list is wanted, [ … ]"),
        ("disk = [ ['/x'] ]", "10: disk: a list of strings is wanted"),
        ("disk = [ '/x,,xvda', '/y' ]", "22: disk: vdev is missing"),
        ("disk = [ '/x,,xvda', '/y,,51712' ]", "22: disk: 51712 is given twice"),
        ("disk = [ '/x,,hde' ]", "10: disk: hde is no vdev: xvda, sda1, hdc, d0p1 are"),
        ("vif = [ 'devid=1', '', 'devid=1' ]", "24: vif: devid 1 is given twice"),
        (
            "vif = [ 'mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:01' ]",
            "34: vif: this mac is given twice",
        ),
        ("vif = [ 'brigde=x' ]", "9: vif: unknown parameter brigde"),
        ("rtc_timeoffset = 'x'", "18: rtc_timeoffset: x is no number of seconds"),
        ("pci = ['01:00.0']", "1: pci cannot be had: hardware is domain 0's"),
        (
            "bootloader = 'pygrub'",
            "1: bootloader cannot be had: there are no boot loaders: name a kernel",
        ),
    ] {
        assert_eq!(told(text), [format!("a.cfg:2:{error}")], "{text}");
    }
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let (dumped, _) = reading("name='a'; kernel='k'; on_crash='coredump-restart'");
    assert_eq!(dumped.unwrap().on.crash, Action::CoredumpRestart);
    for (text, warning) in [
        ("apic = 1", "1: warning: apic has no effect: it is about HVM domains"),
        ("vnc = 1", "1: warning: vnc has no effect: there are no displays"),
        ("kernal = 'x'", "1: warning: unknown key kernal: did you mean kernel?"),
        ("autoballon = 'off'", "1: warning: unknown key autoballon: it has no effect"),
        (
            "on_crash = 'coredump-restart'",
            "12: warning: on_crash: no core is written: there is nowhere to write one",
        ),
        ("name = '7'", "8: warning: name: 7 looks like a domain's number"),
        (
            "vif = [ '', 'mtu=9000' ]",
            "7: warning: vif: mtu has no effect: packets have up to 1500 bytes",
        ),
    ] {
        assert_eq!(told(text), [format!("a.cfg:2:{warning}")], "{text}");
    }
}

#[test]
fn later_texts_override_earlier_ones() {
    let sources = [
        Source { name: "a.cfg", text: "name='a'; kernel='k'; memory=64" },
        Source { name: "command line", text: "memory=128; disk=['/x,,xvda']" },
        Source { name: "command line", text: "vcpus=0" },
    ];
    let wrong = read(&sources);
    let message = wrong.diagnostics[0].render(&sources);
    assert_eq!(message, "command line:1:7: vcpus: 0 is less than 1\n    vcpus=0\n          ^\n");
    let right = read(&sources[..2]).domain.unwrap();
    assert_eq!((right.memory_kib, right.disks.len()), (128 << 10, 1));
}

proptest::proptest! {
    #[test]
    fn no_values_make_it_panic(
        key in proptest::sample::select(keys::names().collect::<Vec<_>>()),
        value in "'[ -~]{0,12}'|[0-9a-fx]{1,20}|\\[('[a-z0-9,=:/-]{0,20}'|[0-9]{1,4}|\\[\\])?\\]",
    ) {
        let _ = reading(&format!("name='a'; kernel='k'; {key} = {value}"));
    }
}
