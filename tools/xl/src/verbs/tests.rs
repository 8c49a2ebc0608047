//! Each verb against a machine of vectors: what it prints, to the letter, what it does to the
//! machine, and with what it ends.

mod create;
mod devices;
mod halt;
mod top;

use std::string::String;
use std::vec::Vec;

use super::{FAILED, INTERRUPTED, OK, Session, run};
use crate::fake::{FakeFiles, FakeMachine, FakeTerminal};
use crate::terminal::{Input, InputMode, Size};
use crate::toolstack::{Errno, Error};

/// A machine and somebody who types at it.
struct Scene {
    machine: FakeMachine,
    terminal: FakeTerminal,
    files: FakeFiles,
}

impl Scene {
    fn new() -> Self {
        let (terminal, files) = (FakeTerminal::default(), FakeFiles::default());
        Self { machine: FakeMachine::new(), terminal, files }
    }

    /// Runs a line; blanks part its words.
    fn run(&mut self, line: &str) -> u8 {
        self.terminal.out.clear();
        self.terminal.err.clear();
        self.machine.acts.clear();
        let words: Vec<&str> = line.split(' ').collect();
        let Self { machine, terminal, files } = self;
        run(&mut Session { toolstack: machine, terminal, files }, &words)
    }

    /// Runs a line that prints to standard output only, and succeeds.
    fn out(&mut self, line: &str) -> String {
        assert_eq!((self.run(line), self.terminal.err.as_str()), (OK, ""), "{line}");
        self.terminal.out.clone()
    }

    /// Runs a line that says nothing and succeeds, and returns what it did.
    fn acts(&mut self, line: &str) -> String {
        assert_eq!((self.run(line), self.terminal.err.as_str()), (OK, ""), "{line}");
        assert_eq!(self.terminal.out, "", "{line}");
        self.machine.acts.join("; ")
    }

    /// Runs a line that fails with status 1, and returns what it says about it.
    fn fails(&mut self, line: &str) -> String {
        assert_eq!((self.run(line), self.terminal.out.as_str()), (FAILED, ""), "{line}");
        self.terminal.err.clone()
    }
}

#[test]
fn list_has_xl_s_columns() {
    let mut scene = Scene::new();
    let all = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0   750     1     r-----   11794.3
web                                          1    64     2     -b----       0.3
";
    assert_eq!(scene.out("list"), all);
    let verbose = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label
web                                          1    64     2     -b----       0.3 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5        -                -
";
    assert_eq!(scene.out("list -v web"), verbose);
    assert_eq!(scene.out("list 1 --verbose"), verbose);
    let pool = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   Security Label         Cpupool
web                                          1    64     2     -b----       0.3                -          Pool-0
";
    assert_eq!(scene.out("list -Zc web"), pool);
    scene.machine.web().name.clear();
    *scene.machine.web() = crate::toolstack::DomainInfo {
        blocked: false,
        paused: true,
        shutdown: Some(3),
        dying: true,
        ..scene.machine.web().clone()
    };
    assert!(scene.out("list -v 1").ends_with(
        "(null)                                       1    64     2     --pscd       0.3 \
         59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5        3                -\n"
    ));
    scene.machine.web().shutdown = Some(9);
    assert!(scene.out("list 1").contains("--ps?d"));
}

#[test]
fn vm_list_leaves_domain_0_out() {
    let expected = "\
UUID                                  ID    name
59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5  1    web                           \n";
    assert_eq!(Scene::new().out("vm-list"), expected);
}

#[test]
fn domains_are_found_by_name_and_number() {
    let mut scene = Scene::new();
    assert_eq!(scene.acts("pause web"), "pause d1");
    assert_eq!(scene.acts("pause 1"), "pause d1");
    assert_eq!(
        scene.fails("pause wbe"),
        "wbe is an invalid domain identifier (rc=-6); did you mean web?\n"
    );
    assert_eq!(scene.fails("pause 7"), "7 is an invalid domain identifier (rc=-6)\n");
    assert_eq!(scene.fails("pause +1"), "+1 is an invalid domain identifier (rc=-6)\n");
    assert_eq!(scene.fails("pause 65537"), "65537 is an invalid domain identifier (rc=-6)\n");
    // A name that looks like a number is a name first.
    scene.machine.web().name = "0".into();
    assert_eq!(scene.acts("pause 0"), "pause d1");
}

#[test]
fn single_acts() {
    let mut scene = Scene::new();
    assert_eq!(scene.acts("unpause web"), "unpause d1");
    assert_eq!(scene.acts("destroy web"), "destroy d1");
    assert_eq!(scene.acts("destroy -f 0"), "destroy d0");
    assert_eq!(
        scene.fails("destroy 0"),
        "Not destroying domain 0; use -f to force.\n\
         This can only be done when using a disaggregated hardware domain and toolstack.\n\n"
    );
    assert_eq!(scene.acts("rename web shop"), "rename d1 shop");
    assert_eq!(scene.fails("rename web \u{7}"), "Can't rename domain 'web': that is no name.\n");
    assert_eq!(scene.acts("mem-set web 48"), "target d1 49152");
    assert_eq!(scene.acts("mem-max web 1g"), "max d1 1048576");
    assert_eq!(scene.fails("mem-set web 0"), "invalid memory size: 0\n");
    assert_eq!(scene.fails("mem-max web 1x"), "invalid memory size: 1x\n");
    assert_eq!(scene.acts("trigger web nmi"), "trigger d1 Nmi 0");
    assert_eq!(scene.acts("trigger web s3resume 1"), "trigger d1 S3Resume 1");
    assert_eq!(scene.fails("trigger web nme"), "Invalid trigger \"nme\"\n");
    assert_eq!(scene.fails("trigger web nmi x"), "Invalid vcpuid \"x\"\n");
    assert_eq!(scene.acts("sysrq web s"), "sysrq d1 s");
    assert_eq!(scene.acts("debug-keys rq"), "keys rq");
    assert_eq!(scene.out("domid web"), "1\n");
    assert_eq!(scene.out("domname 1"), "web\n");
    assert_eq!(
        scene.fails("domid wbe"),
        "Can't get domid of domain name 'wbe', maybe this domain does not exist.\n"
    );
    assert_eq!(
        scene.fails("domname 7"),
        "Can't get domain name of domain id '7', maybe this domain does not exist.\n"
    );
    assert_eq!(scene.fails("domname x"), "Invalid domain id.\n\n");
}

#[test]
fn refusals_are_told_with_their_reason() {
    let mut scene = Scene::new();
    let errno = Errno::EBUSY;
    scene.machine.refuse = Some(Error::Hypervisor { call: "domctl destroydomain", errno });
    assert_eq!(scene.fails("destroy web"), "destroy failed: domctl destroydomain: EBUSY\n");
    scene.machine.refuse = Some(Error::NameTaken);
    assert_eq!(
        scene.fails("rename web shop"),
        "Can't rename domain 'web': a domain of that name already exists\n"
    );
    let path = String::from("/local/domain/1/memory/target");
    scene.machine.refuse = Some(Error::Store { path, error: "EQUOTA" });
    assert_eq!(
        scene.fails("mem-set web 64"),
        "cannot set domid 1 dynamic max memory to : 64: \
         XenStore: /local/domain/1/memory/target: EQUOTA\n"
    );
    scene.machine.refuse = Some(Error::Unsupported("SysRq"));
    assert_eq!(scene.fails("sysrq web s"), "sysrq failed: this machine has no SysRq\n");
}

#[test]
fn vcpus() {
    let mut scene = Scene::new();
    let expected = "\
Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
web                                  1     0    1   -b-       0.1  1 / all
web                                  1     1    1   -b-       0.1  all / all
web                                  1     2    -   --p       0.1  all / all
web                                  1     3    -   --p       0.1  all / all
";
    assert_eq!(scene.out("vcpu-list web"), expected);
    assert_eq!(scene.out("vcpu-list").lines().count(), 6);
    assert_eq!(scene.acts("vcpu-pin web 0 1-2"), "pin d1 0 1-2 -");
    assert_eq!(scene.acts("vcpu-pin web 3 - 0"), "pin d1 3 - 0");
    assert_eq!(
        scene.acts("vcpu-pin web all all 1"),
        "pin d1 0 all 1; pin d1 1 all 1; pin d1 2 all 1; pin d1 3 all 1"
    );
    assert_eq!(scene.fails("vcpu-pin web x 1"), "Error: Invalid argument x as VCPU.\n");
    assert_eq!(
        scene.fails("vcpu-pin web 0 3-1"),
        "3-1: a CPU list has a range that ends before it starts\n"
    );
    scene.machine.refuse = Some(Error::NoSuchDomain);
    assert_eq!(
        scene.fails("vcpu-pin web 0 1"),
        "Could not set affinity for vcpu `0': there is no such domain\n"
    );
    assert_eq!(scene.acts("vcpu-set web 4"), "vcpus d1 4");
    assert_eq!(scene.acts("vcpu-set web 0"), "");
    assert_eq!(scene.fails("vcpu-set web x"), "Error: Invalid argument.\n");
    assert_eq!(
        scene.fails("vcpu-set web 5"),
        "You are overcommmitting! You have 4 physical CPUs and want 5 vCPUs! \
         Aborting, use --ignore-host to continue\n"
    );
    assert_eq!(scene.fails("vcpu-set -i web 5"), "Domain 1 has 4 vCPUs, 5 are too many.\n");
}

#[test]
fn shares() {
    let mut scene = Scene::new();
    let all = "\
Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us
Name                                ID Weight  Cap
Domain-0                             0    256    0
web                                  1    512   50
";
    assert_eq!(scene.out("sched-credit"), all);
    assert_eq!(
        scene.out("sched-credit -s"),
        "Cpupool Pool-0: tslice=30ms ratelimit=1000us migration-delay=0us\n"
    );
    let web = "\
Name                                ID Weight  Cap
web                                  1    512   50
";
    assert_eq!(scene.out("sched-credit2 -d web"), web);
    assert_eq!(scene.acts("sched-credit -d web -w 1024"), "share d1 1024 50");
    assert_eq!(scene.acts("sched-credit --domain=web --cap=0 -w9"), "share d1 9 0");
    for (line, error) in [
        ("sched-credit -w 5", "Must specify a domain.\n"),
        ("sched-credit -d web -w 0", "0 is no weight: 1 to 65535 are\n"),
        ("sched-credit -d web -c 65535", "65535 is no cap: 0 to 65534 are\n"),
        (
            "sched-credit -d web -s",
            "Specifying a cpupool or schedparam is not allowed with domain options.\n",
        ),
    ] {
        assert_eq!(scene.fails(line), error);
    }
}

#[test]
fn info_and_dmesg() {
    let mut scene = Scene::new();
    let info = scene.out("info");
    assert!(info.starts_with(
        "host                   : ferrule\nrelease                : 0.1.0\n\
         version                : #1\nmachine                : i686\nnr_cpus                : 4\n"
    ));
    for line in [
        "cpu_mhz                : 2400.125",
        "hw_caps                : bfebfbff:00000001:00000000:00000000:00000000:00000000:00000000:00000000",
        "virt_caps              :",
        "total_memory           : 1024",
        "free_memory            : 210",
        "xen_version            : 4.17-ferrule",
        "xen_caps               : xen-3.0-x86_32p",
        "platform_params        : virt_start=0xf5800000",
        "xen_commandline        : console=com1",
    ] {
        assert!(info.lines().any(|shown| shown == line), "{line}\n{info}");
    }
    assert_eq!(scene.out("info xen_caps"), "xen-3.0-x86_32p\n");
    assert_eq!(scene.out("dmesg"), "(XEN) one\n(XEN) two\n");
    assert_eq!(scene.machine.acts, ["messages Keep"]);
    assert_eq!(scene.out("log"), "(d1) one\nxl: d1 (web) has crashed: destroy\n");
    scene.out("dmesg --clear");
    assert_eq!(scene.machine.acts, ["messages Clear"]);
}

#[test]
fn uptimes() {
    let mut scene = Scene::new();
    let expected = "\
Name                                ID Uptime
Domain-0                             0 1 day,  3:46:40
web                                  1  1:02:03
";
    assert_eq!(scene.out("uptime"), expected);
    assert_eq!(scene.out("uptime -s web"), " 02:00:00 up  1:02, web (1)\n");
    scene.machine.web().age_ns = 200_000_000_000_000;
    assert!(scene.out("uptime web").ends_with("1 2 days,  7:33:20\n"));
}

#[test]
fn shutdown_asks_and_waits() {
    let mut scene = Scene::new();
    assert_eq!(scene.run("shutdown web"), OK);
    assert_eq!(scene.machine.acts, ["Poweroff d1"]);
    assert_eq!(scene.terminal.err, "Shutting down domain 1\n");
    scene.machine.meanwhile.push_back(|_| ());
    scene.machine.meanwhile.push_back(|machine| machine.web().shutdown = Some(0));
    assert_eq!(scene.run("reboot -w web"), OK);
    assert_eq!(
        scene.terminal.err,
        "Rebooting domain 1\nWaiting for 1 domains\nDomain 1 has been shut down, reason code 0\n"
    );
    // Twice: it has to be gone.
    scene.machine.meanwhile.push_back(|machine| drop(machine.domains.pop()));
    assert_eq!(scene.run("shutdown -aww"), OK);
    assert_eq!(
        scene.terminal.err,
        "Shutting down domain 1\nWaiting for 1 domains\nDomain 1 has been destroyed\n"
    );
    assert_eq!(scene.run("shutdown"), FAILED);
    assert_eq!(scene.terminal.err, "You must specify -a or a domain id.\n\n");
}

#[test]
fn a_wait_can_be_broken_off() {
    let mut scene = Scene::new();
    scene.terminal.keys.extend([b"x".to_vec(), b"\x03".to_vec()]);
    assert_eq!(scene.run("shutdown -w web"), INTERRUPTED);
    scene.terminal.ended = Some(Input::Gone);
    assert_eq!(scene.run("shutdown -w web"), INTERRUPTED);
    // The end of a file that is standard input breaks nothing off.
    scene.terminal.ended = Some(Input::End);
    scene.machine.meanwhile.push_back(|machine| machine.web().shutdown = Some(0));
    assert_eq!(scene.run("shutdown -w web"), OK);
}

#[test]
fn a_guest_that_does_not_listen() {
    let mut scene = Scene::new();
    scene.machine.refuse = Some(Error::NoParavirtualControl);
    assert_eq!(
        scene.fails("shutdown web"),
        "Shutting down domain 1\n\
         PV control interface not available: external graceful shutdown not possible.\n\
         Use \"-F\" to fallback to ACPI power event.\n\
         shutdown failed: PV control interface not available\n"
    );
    scene.machine.refuse = Some(Error::NoParavirtualControl);
    assert_eq!(scene.run("reboot -F web"), OK);
    assert_eq!(scene.machine.acts, ["trigger d1 Reset 0"]);
    assert_eq!(
        scene.terminal.err,
        "Rebooting domain 1\nPV control interface not available: sending ACPI reset button event.\n"
    );
}

#[test]
fn a_console_is_left_by_ctrl_bracket() {
    let mut scene = Scene::new();
    scene.machine.console.extend([b"login: ".to_vec(), Vec::new(), b"bye".to_vec(), Vec::new()]);
    scene.terminal.keys.extend([b"roo".to_vec(), b"t\n\x1dlost".to_vec()]);
    assert_eq!(scene.out("console web"), "login: bye");
    assert_eq!(scene.machine.typed, b"root\n");
    assert_eq!(scene.machine.acts, ["open d1", "close d1"]);
    assert_eq!(scene.terminal.modes, [InputMode::Raw, InputMode::Line, InputMode::Line]);
}

#[test]
fn a_console_ends_with_its_domain_or_its_input() {
    let mut scene = Scene::new();
    scene.machine.console.extend([b"bye".to_vec()]);
    assert_eq!(scene.out("console -t pv -n 0 web"), "bye");
    scene.machine.console.extend([Vec::new(), Vec::new(), Vec::new()]);
    scene.terminal.ended = Some(Input::End);
    scene.terminal.keys.push_back(b"halt\n".to_vec());
    assert_eq!(scene.out("console web"), "");
    assert_eq!(scene.machine.typed, b"halt\n");
    assert_eq!(scene.fails("console -t serial web"), "console type supported are: pv\n");
    assert_eq!(scene.fails("console -n 1 web"), "there is console number 0 only\n");
    scene.machine.refuse = Some(Error::Unsupported("consoles"));
    assert_eq!(
        scene.fails("console web"),
        "Unable to attach console: this machine has no consoles\n"
    );
}

#[test]
fn help_and_mistakes() {
    let mut scene = Scene::new();
    let help = scene.out("help");
    assert!(help.starts_with(
        "Usage xl [-vftT] <subcommand> [args]\n\nxl full list of subcommands:\n\n \
         create              Create a domain from config file <filename>\n"
    ));
    assert_eq!(scene.out("--help"), help);
    assert_eq!(scene.out("help --long"), help);
    let list = "\
Usage: xl [-vtTf] list [options] [Domain...]

List information about all/some domains.

Options:

-l, --long              Output all VM details
-v, --verbose           Prints out UUIDs and security context
-Z, --context           Prints out security context
-c, --cpupool           Prints the cpupool the domain is in
-h, --help              Print this help.

";
    assert_eq!(scene.out("help list"), list);
    assert_eq!(scene.out("-v -ft list -h"), list);
    assert_eq!(scene.out("li --help"), list);
    assert!(scene.out("help create").contains("-f FILE, --defconfig=FILE Use the given"));
    for (line, error) in [
        ("lsit", "command not implemented: lsit; did you mean list?\n"),
        ("frobnicate", "command not implemented: frobnicate; `xl help` lists what there is\n"),
        ("d", "command d: which, destroy or domid?\n"),
        ("-x list", "unknown global option\n"),
        ("list --lnog", "option `--lnog' not supported. Did you mean --long?\n"),
        ("list -x", "option `x' not supported.\n"),
        ("help lsit", "command not implemented: lsit; did you mean list?\n"),
    ] {
        assert_eq!(scene.fails(line), error);
    }
    assert_eq!(scene.run("rename web"), FAILED);
    assert_eq!(scene.terminal.err, "'xl rename' requires at least 2 arguments.\n\n");
    assert!(scene.terminal.out.starts_with("Usage: xl [-vtTf] rename <Domain> <NewDomainName>\n"));
    assert_eq!(scene.run("pause a b"), 2);
    assert_eq!(scene.run("sysrq web ab"), FAILED);
    assert_eq!(scene.terminal.err, "Invalid sysrq.\n\n");
    let Scene { machine, terminal, files } = &mut scene;
    assert_eq!(run(&mut Session { toolstack: machine, terminal, files }, &[]), FAILED);
}

#[test]
fn words_are_completed() {
    let mut scene = Scene::new();
    assert_eq!(scene.out("complete -- dom"), "domid\ndomname\n");
    assert_eq!(scene.out("complete -- pause "), "Domain-0\nweb\n");
    assert_eq!(scene.out("complete -- list -v w"), "web\n");
    assert_eq!(scene.out("complete -- list web w"), "web\n");
    assert_eq!(scene.out("complete -- pause web w"), "");
    assert_eq!(
        scene.out("complete -- list --"),
        "--context\n--cpupool\n--help\n--long\n--verbose\n"
    );
    assert_eq!(scene.out("complete -- trigger web n"), "nmi\n");
    assert_eq!(scene.out("complete -- sched-credit -d w"), "web\n");
    assert_eq!(scene.out("complete -- sched-credit -w w"), "");
    assert_eq!(scene.out("complete -- help unp"), "unpause\n");
    assert_eq!(scene.out("complete -- nonsense x"), "");
    assert!(scene.out("complete").contains("create\n"));
}

/// A window of this size.
fn window(rows: u16, columns: u16) -> Option<Size> {
    Some(Size { rows, columns })
}
