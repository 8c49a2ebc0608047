//! `create`: reading, refusing, and the order in which a domain comes up.

use super::{FAILED, OK, Scene};
use crate::toolstack::Error;

const WEB: &str = "name = 'shop'\nkernel = '/k'\nramdisk = '/r'\nmemory = 64\n";

fn scene() -> Scene {
    let mut scene = Scene::new();
    for (name, text) in [("shop.cfg", WEB), ("/k", "kernel!"), ("/r", "ram")] {
        scene.files.0.insert(name.into(), text.into());
    }
    scene
}

#[test]
fn a_domain_is_made_and_runs() {
    let mut scene = scene();
    assert_eq!(scene.run("create shop.cfg"), OK);
    assert_eq!(scene.machine.acts, ["create shop kernel 7 ramdisk 3", "unpause d2"]);
    assert_eq!(scene.terminal.err, "Parsing config from shop.cfg\n");
    assert_eq!(scene.acts("create -q -p shop.cfg"), "create shop kernel 7 ramdisk 3");
    assert_eq!(
        scene.acts("create -q /dev/null name='a' kernel='/k';memory=8"),
        "create a kernel 7 ramdisk 0; unpause d2"
    );
}

#[test]
fn the_command_line_overrides_the_file() {
    let mut scene = scene();
    scene.acts("create -q --defconfig=shop.cfg memory=128;vcpus=2 disk=['/x,,xvda']");
    let config = &scene.machine.configs[&2];
    assert_eq!((config.memory_kib, config.vcpus, config.disks.len()), (128 << 10, 2, 1));
    assert_eq!(scene.run("create shop.cfg memory=x"), FAILED);
    assert_eq!(
        scene.terminal.err,
        "Parsing config from shop.cfg\n\
         command line:1:8: a string needs quotes\n    memory=x\n           ^\n"
    );
}

#[test]
fn dry_runs_print_the_domain() {
    let mut scene = scene();
    let expected = "\
{
    \"c_info\": {
        \"type\": \"pv\",
        \"name\": \"shop\"
    },
    \"b_info\": {
        \"max_vcpus\": 1,
        \"avail_vcpus\": [
            0
        ],
        \"max_memkb\": 65536,
        \"target_memkb\": 65536,
        \"sched_params\": {},
        \"kernel\": \"/k\",
        \"ramdisk\": \"/r\",
        \"type.pv\": {}
    },
    \"disks\": [
        {
            \"pdev_path\": \"/x\",
            \"vdev\": \"xvda\",
            \"format\": \"raw\",
            \"readwrite\": 1,
            \"is_cdrom\": 0,
            \"direct_io_safe\": false,
            \"discard_enable\": true,
            \"trusted\": true
        }
    ],
    \"nics\": [
        {
            \"devid\": 0,
            \"mac\": \"00:16:3e:00:00:01\",
            \"trusted\": true
        }
    ],
    \"on_poweroff\": \"destroy\",
    \"on_reboot\": \"restart\",
    \"on_watchdog\": \"destroy\",
    \"on_crash\": \"destroy\",
    \"on_soft_reset\": \"destroy\"
}
";
    let line = "create -qn shop.cfg disk=['/x,,xvda'] vif=['mac=00:16:3E:00:00:01']";
    assert_eq!(scene.out(line), expected);
    assert!(scene.machine.acts.is_empty());
    // What runs is listed with what it has now.
    scene.acts("create -qp shop.cfg cap=50");
    let listed = scene.out("list -l shop");
    assert!(
        listed.starts_with("[\n    {\n        \"domid\": 2,\n        \"config\": {\n"),
        "{listed}"
    );
    assert!(listed.contains("\"uuid\": \"59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5\""));
    assert!(listed.contains("\"max_memkb\": 131072") && listed.contains("\"cap\": 50"));
    assert!(scene.out("list -l 0").contains("\"name\": \"Domain-0\""));
}

#[test]
fn what_cannot_be_made_is_told() {
    let mut scene = scene();
    let mut fails = |line: &str, status: u8, error: &str| {
        assert_eq!(scene.run(line), status, "{line}");
        assert_eq!(scene.terminal.err, error, "{line}");
        assert!(scene.machine.acts.is_empty());
    };
    fails("create", 6, "Config file not specified: xl create FILE\n");
    fails("create a b", 6, "One config file is wanted: other words are KEY=VALUE\n");
    let missing = "Failed to read config file: b.cfg: No such file or directory\n";
    fails("create -q b.cfg", 3, missing);
    let kernel = "cannot read the kernel: /z: No such file or directory\n";
    fails("create -q shop.cfg kernel='/z'", 3, kernel);
    let ramdisk = "cannot read the ramdisk: /z: No such file or directory\n";
    fails("create -q shop.cfg ramdisk='/z'", 3, ramdisk);
    scene.files.0.insert("bytes.cfg".into(), b"name = 'a'\n# \xff\n".to_vec());
    scene.files.0.insert("long.cfg".into(), std::vec![b' '; (1 << 20) + 1]);
    let mut fails = |line: &str, error: &str| {
        assert_eq!(scene.run(line), 3, "{line}");
        assert_eq!(scene.terminal.err, error, "{line}");
    };
    let bytes = "Failed to read config file: bytes.cfg: line 2 is not UTF-8\n";
    fails("create -q bytes.cfg", bytes);
    let long = "Failed to read config file: long.cfg: more than 1024 KiB: that is no domain file\n";
    fails("create -q long.cfg", long);
    scene.machine.refuse = Some(Error::NoMemory { wanted_kib: 65536, free_kib: 1024 });
    assert_eq!(scene.run("create -q shop.cfg"), 3);
    assert_eq!(
        scene.terminal.err,
        "cannot create domain shop: 65536 KiB of memory are needed, 1024 KiB are free\n"
    );
}

#[test]
fn warnings_do_not_stop_it_and_quiet_hides_them() {
    let mut scene = scene();
    assert_eq!(scene.run("create shop.cfg vnc=1"), OK);
    assert!(scene.terminal.err.contains("vnc has no effect: there are no displays"));
    assert_eq!(scene.acts("create -q shop.cfg vnc=1").split(';').count(), 2);
}

#[test]
fn the_console_is_taken_up_before_the_domain_runs() {
    let mut scene = scene();
    scene.machine.console.push_back(b"hello\n".to_vec());
    assert_eq!(scene.out("create -qc shop.cfg"), "hello\n");
    let expected = ["create shop kernel 7 ramdisk 3", "open d2", "unpause d2", "close d2"];
    assert_eq!(scene.machine.acts, expected);
    scene.machine.no_consoles = true;
    assert_eq!(scene.run("create -qc shop.cfg"), OK);
    let error = "Unable to attach console: this machine has no consoles\n";
    assert_eq!(scene.terminal.err, error);
    assert_eq!(scene.machine.acts[1..], ["unpause d2"]);
}

#[test]
fn foreground_stays_until_the_end() {
    let mut scene = scene();
    scene.machine.meanwhile.push_back(|machine| machine.domains[2].shutdown = Some(0));
    scene.machine.meanwhile.push_back(|machine| drop(machine.domains.pop()));
    assert_eq!(scene.run("create -qF shop.cfg"), OK);
    assert_eq!(scene.terminal.err, "Waiting for 1 domains\nDomain 2 has been destroyed\n");
}
