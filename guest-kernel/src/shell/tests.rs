//! The shell against a kernel of vectors.

use super::complete::Complete;
use super::kernel::*;
use super::*;
use crate::block::ram::RamDisk;
use crate::block::registry::Shared;
use crate::net::traffic::Order;
use alloc::sync::Arc;
use core::fmt;
use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec as StdVec;
use std::{format, vec};

/// A kernel with a few files, whose programs end at once. The program `exitN` exits with N,
/// `signalN` dies of signal N, every other echoes nothing and exits with 0.
struct Fake {
    files: BTreeMap<&'static str, &'static str>,
    spawned: StdVec<StdVec<String>>,
    ended: BTreeMap<u32, ExitStatus>,
    killed: StdVec<(u32, u8)>,
    stopped: StdVec<Shutdown>,
    asked: StdVec<String>,
    memory: MemoryInfo,
    sensitive_ok: bool,
    disk: Shared,
}

impl Fake {
    fn new() -> Self {
        let files = BTreeMap::from([
            ("/etc/motd", "Welcome.\n"),
            ("/etc/no-newline", "abc"),
            ("/bin/hello", ""),
            ("/bin/exit3", ""),
            ("/bin/signal11", ""),
            ("/bin/sensitive3", ""),
            ("/bin/stops", ""),
        ]);
        let memory = MemoryInfo {
            total: 100,
            free: 90,
            kernel: 7,
            page_tables: [1; 3],
            ..MemoryInfo::default()
        };
        Self {
            files,
            spawned: StdVec::new(),
            ended: BTreeMap::new(),
            killed: StdVec::new(),
            stopped: StdVec::new(),
            asked: StdVec::new(),
            memory,
            sensitive_ok: true,
            disk: Arc::new(RamDisk::new(64 << 10, 512).expect("fits")),
        }
    }
}

impl Kernel for Fake {
    fn list(&mut self, path: &str, entry: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno> {
        let path = path.trim_matches('/');
        match path {
            // Unsorted on purpose.
            "" => ["etc", "bin"].into_iter().for_each(|name| {
                entry(&FileInfo { name, kind: FileKind::Directory, size: 0, mode: 0o755 });
            }),
            "etc" | "bin" => self.files.iter().rev().for_each(|(file, content)| {
                if let Some(name) = file.strip_prefix(&format!("/{path}/")) {
                    let (size, kind) = (content.len() as u64, FileKind::File);
                    entry(&FileInfo { name, kind, size, mode: 0o644 });
                }
            }),
            _ => return Err(Errno::ENOENT),
        }
        Ok(())
    }

    fn stat(&mut self, path: &str, found: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno> {
        if ["/", "/etc", "/bin", "etc", "bin"].contains(&path) {
            found(&FileInfo { name: path, kind: FileKind::Directory, size: 0, mode: 0o755 });
            return Ok(());
        }
        let content = self.files.get(path).ok_or(Errno::ENOENT)?;
        let size = content.len() as u64;
        found(&FileInfo { name: path, kind: FileKind::File, size, mode: 0o644 });
        Ok(())
    }

    fn read(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let content = self.files.get(path).ok_or(Errno::ENOENT)?.as_bytes();
        let rest = &content[offset as usize..];
        let count = rest.len().min(buffer.len()).min(5);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn spawn(&mut self, path: &str, args: &[&str], _: Ground) -> Result<Pid, Errno> {
        if path.starts_with("/etc") {
            return Err(Errno::ENOEXEC);
        }
        self.files.get(path).ok_or(Errno::ENOENT)?;
        self.spawned.push(args.iter().map(ToString::to_string).collect());
        let status = match args[0].strip_prefix("signal") {
            Some(signal) => ExitStatus::Killed(signal.parse().unwrap()),
            None if args[0] == "stops" => ExitStatus::Stopped(20),
            None => ExitStatus::Exited(
                args[0].strip_prefix("exit").map_or(0, |status| status.parse().unwrap()),
            ),
        };
        let pid = 10 + self.spawned.len() as u32;
        self.ended.insert(pid, status);
        Ok(Pid(pid))
    }

    fn wait(&mut self, pid: Pid) -> Result<ExitStatus, Errno> {
        self.ended.remove(&pid.0).ok_or(Errno::ECHILD)
    }

    fn reap(&mut self) -> Option<(Pid, ExitStatus)> {
        self.ended.pop_first().map(|(pid, status)| (Pid(pid), status))
    }

    fn kill(&mut self, pid: Pid, signal: u8) -> Result<(), Errno> {
        self.killed.push((pid.0, signal));
        if pid.0 == 999 { Err(Errno::ESRCH) } else { Ok(()) }
    }

    fn processes(&mut self, process: &mut dyn FnMut(&ProcessInfo<'_>)) {
        let mut list = StdVec::from([(1, 1)]);
        list.extend(self.ended.keys().map(|&pid| (pid, 3)));
        for (pid, ring) in list {
            process(&ProcessInfo {
                pid: Pid(pid),
                parent: Pid(0),
                ring,
                state: ProcessState::Running,
                cpu_ns: 1_234_567_890,
                frames: 12,
                name: "a-name",
            });
        }
    }

    fn memory(&mut self) -> MemoryInfo {
        self.memory
    }

    fn cpu(&mut self, fact: &mut dyn FnMut(&str, fmt::Arguments<'_>)) {
        fact("vendor", format_args!("{}", "FerruleTest"));
    }

    fn uptime(&mut self) -> Uptime {
        Uptime { up_ns: 61_002_000_000, idle_ns: 500_000_000, timer_events: 3, context_switches: 4 }
    }

    fn hypercalls(&mut self, stat: &mut dyn FnMut(&HypercallStat<'_>)) {
        stat(&HypercallStat { number: 1, name: "mmu_update", calls: 4, total_ns: 8000 });
    }

    fn sensitive(&mut self, out: &mut dyn fmt::Write) -> bool {
        out.write_str("the table\n").unwrap();
        self.sensitive_ok
    }

    fn xl(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        if let ["complete", "--", typed @ ..] = words {
            if *typed == ["pause", "w"] || *typed == ["pause", ""] {
                terminal.write_bytes(b"web\nwww\n");
            }
            return 0;
        }
        let _ = writeln!(terminal, "xl {}", words.join(" "));
        3
    }

    fn ifconfig(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        let _ = writeln!(terminal, "ifconfig {}", words.join(" "));
        0
    }

    fn send_frames(&mut self, interface: &str, order: &Order) -> Result<u64, Errno> {
        if interface == "eth0" { Ok(order.count / 10) } else { Err(Errno::ENODEV) }
    }

    fn ping(&mut self, to: Ipv4Addr, count: u16, terminal: &mut dyn Terminal) -> u8 {
        let _ = writeln!(terminal, "ping {to} {count}");
        0
    }

    fn disks(&mut self) -> StdVec<(String, Shared)> {
        vec![("ram0".into(), Arc::clone(&self.disk))]
    }

    fn xenstore(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        let _ = writeln!(terminal, "xenstore {}", words.join(" "));
        0
    }

    fn devices(&mut self, device: &mut dyn FnMut(&str)) {
        device("backend/vbd/1/51712");
    }

    fn restart_device(&mut self, path: &str) -> Result<(), Errno> {
        if path == "backend/vbd/1/51712" { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn mounts(&mut self, mounted: &mut dyn FnMut(&str, &str, &str, bool)) {
        mounted("rootfs", "/", "rootfs", true);
    }

    fn mount(
        &mut self,
        source: &str,
        path: &str,
        kind: &str,
        read_only: bool,
    ) -> Result<(), Errno> {
        self.asked.push(format!("mount {source} {path} {kind} {read_only}"));
        Ok(())
    }

    fn unmount(&mut self, what: &str) -> Result<(), Errno> {
        self.asked.push(format!("umount {what}"));
        Err(Errno::EINVAL)
    }

    fn sync(&mut self) -> Result<(), Errno> {
        self.asked.push("sync".to_string());
        Ok(())
    }

    fn account(&mut self, account: Account, terminal: &mut dyn Terminal) -> u8 {
        let _ = writeln!(terminal, "{account:?}");
        u8::from(account == Account::Compare)
    }

    fn churn(&mut self, rounds: u32, alive: u32, terminal: &mut dyn Terminal) -> u8 {
        let _ = writeln!(terminal, "{rounds} beside {alive}");
        0
    }

    fn halt_domains(&mut self, terminal: &mut dyn Terminal) {
        let _ = writeln!(terminal, "domains halt");
    }

    fn shutdown(&mut self, how: Shutdown) {
        self.stopped.push(how);
    }
}

/// A terminal that keeps its output.
#[derive(Default)]
struct Paper {
    input: StdVec<u8>,
    text: String,
}

impl fmt::Write for Paper {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        Ok(())
    }
}

impl Terminal for Paper {
    fn read_byte(&mut self) -> Option<u8> {
        (!self.input.is_empty()).then(|| self.input.remove(0))
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.text.push_str(std::str::from_utf8(bytes).unwrap());
    }

    fn at_line_start(&self) -> bool {
        self.text.is_empty() || self.text.ends_with('\n')
    }
}

/// Runs `line` for a script: its output without the frame around it, and the status.
fn output(kernel: &mut Fake, line: &str) -> (String, u8) {
    let mut paper = Paper::default();
    let status = exec(
        kernel,
        &mut paper,
        &line.replace('%', "%25").replace('\n', "%0A"),
        Script::Transcript,
    );
    let end = format!("exit-state: {status}\n");
    let text = paper.text.strip_prefix(&format!("$ {line}\n")).unwrap().to_string();
    (text.strip_suffix(&end).unwrap().to_string(), status)
}

fn check(line: &str, text: &str, status: u8) {
    assert_eq!(output(&mut Fake::new(), line), (text.to_string(), status), "{line}");
}

#[test]
fn a_plain_script_shows_nothing_but_output() {
    let mut paper = Paper::default();
    let status = exec(&mut Fake::new(), &mut paper, "echo%20a;echo%20b", Script::Plain);
    assert_eq!((paper.text.as_str(), status), ("a\nb\n", commands::OK));
}

#[test]
fn xl_gets_the_words_behind_it() {
    let mut paper = Paper::default();
    let status = exec(&mut Fake::new(), &mut paper, "xl%20list%20-l", Script::Plain);
    assert_eq!((paper.text.as_str(), status), ("xl list -l\n", 3));
}

#[test]
fn xl_completes_its_words_itself() {
    let mut kernel = Fake::new();
    let mut completed = |before: &str| {
        let mut names = StdVec::new();
        Names(&mut kernel).candidates(before, &mut |found| {
            names.push(format!("{}{}", found.name, found.tail));
        });
        names
    };
    assert_eq!(completed("xl pause w"), ["web ", "www "]);
    assert_eq!(completed("ls; xl  pause "), ["web ", "www "]);
    // Where it has nothing to say, there are files.
    assert_eq!(completed("xl create "), completed("ls "));
    // More words than a command can have.
    let many = "xl ".to_string() + &"x ".repeat(WORDS_MAX + 1);
    assert_eq!(completed(&many), completed("ls "));
}

#[test]
fn devices_are_listed_and_restarted() {
    check("devices", "backend/vbd/1/51712\n", 0);
    check("devices restart backend/vbd/1/51712", "", 0);
    check("devices restart x", "x: no such file or directory\n", 1);
    check("devices stop x", "devices: restart PATH, or nothing\n", commands::USAGE);
}

#[test]
fn file_systems_are_mounted_and_unmounted() {
    let mut kernel = Fake::new();
    let mut run = |line: &str| exec(&mut kernel, &mut Paper::default(), line, Script::Plain);
    assert_eq!(run("mount%20/dev/xvda%20/mnt"), commands::OK);
    assert_eq!(run("mount%20-r%20-t%20ext4%20/dev/vda%20/mnt;sync"), commands::OK);
    assert_eq!(run("umount%20/mnt"), commands::FAILED);
    for wrong in ["mount%20a", "mount%20-x%20a%20b", "mount%20-t", "mount%20a%20b%20c", "umount"] {
        assert_eq!(run(wrong), commands::USAGE, "{wrong}");
    }
    let asked =
        ["mount /dev/xvda /mnt auto false", "mount /dev/vda /mnt ext4 true", "sync", "umount /mnt"];
    assert_eq!(kernel.asked, asked);
    check("mount", "rootfs on / type rootfs (ro)\n", 0);
}

#[test]
fn disks_are_listed_and_used() {
    let list = "NAME        SECTORS      KIB RO SECTOR\nram0            128       64  0    512\n";
    check("lsblk", list, 0);
    check("blkio ram0 sum", "ram0 0+128 d7978eeb\n64 KiB in 0 us\n", 0);
    let filled = "ram0 2+3 e3cb8b91\n1 KiB in 0 us\nram0 0+128 92ea8903\n64 KiB in 0 us\n";
    check("blkio ram0 fill 2 3; blkio ram0 sum", filled, 0);
    check("blkio ram0 sum 500", "ram0 500+0 00000000\n0 KiB in 0 us\n", 0);
    check("blkio vda sum", "blkio: no disk vda; `lsblk` lists them\n", commands::FAILED);
    check("blkio ram0 eat", "blkio: eat? One of sum, fill, read, write, flush\n", commands::USAGE);
    // What is written is zeroes: what is read meanwhile is not looked at.
    let again = "ram0 8+16\n8 KiB in 0 us\nram0 0+128\n64 KiB in 0 us\n4 flushes in 0 us\n\
        ram0 8+16 d8f49994\n8 KiB in 0 us\n";
    check(
        "blkio ram0 write 8 16 4096; blkio ram0 read 0 999 512; blkio ram0 flush 0 4; blkio ram0 sum 8 16",
        again,
        0,
    );
    check(
        "blkio ram0 read 0 8 1000",
        "blkio: BYTES are whole sectors of 512, 1048576 at most\n",
        commands::USAGE,
    );
    check(
        "blkio ram0 read 0 8 0",
        "blkio: BYTES are whole sectors of 512, 1048576 at most\n",
        commands::USAGE,
    );
    check("blkio ram0 sum x", "blkio: SECTOR, COUNT and BYTES are numbers\n", commands::USAGE);
}

#[test]
fn frames_are_sent() {
    let mac = "00:16:3e:00:00:01";
    let sent = "20 frames of 64 bytes in 0 us, 2 lost\n";
    check(&format!("netio eth0 {mac} 64 20 8"), sent, 0);
    check(&format!("netio eth9 {mac} 64 20"), "eth9: no such device\n", commands::FAILED);
    let wrong = "netio: a MAC, and one to three numbers behind it\n";
    check("netio eth0 nobody 64 20", wrong, commands::USAGE);
}

#[test]
fn what_is_held_is_told_kept_and_compared() {
    check("holdings", "Tell\n", 0);
    check("holdings keep", "Keep\n", 0);
    check("holdings compare", "Compare\n", 1);
    check("holdings x", "holdings: keep, compare, or nothing\n", commands::USAGE);
}

#[test]
fn churn_takes_two_numbers() {
    check("churn 3", "3 beside 0\n", 0);
    check("churn 3 200", "3 beside 200\n", 0);
    check("churn x", "churn: ROUNDS and BESIDE are numbers\n", commands::USAGE);
}

#[test]
fn a_transcript() {
    let mut paper = Paper::default();
    let status = exec(
        &mut Fake::new(),
        &mut paper,
        "cat%20/etc/motd;echo%20a%0a%0Aexit3",
        Script::Transcript,
    );
    assert_eq!(status, 3);
    assert_eq!(paper.text, "$ cat /etc/motd;echo a\nWelcome.\na\n$ exit3\nexit-state: 3\n");
}

#[test]
fn a_marker_starts_a_line() {
    check("cat /etc/no-newline", "abc\n", 0);
}

#[test]
fn bad_encoding_is_refused() {
    for (encoded, reason) in [
        ("ls%2", "without two"),
        ("ls%zz", "without two"),
        ("%ff", "UTF-8"),
        (&"x".repeat(2000), "1024"),
    ] {
        let mut paper = Paper::default();
        assert_eq!(
            exec(&mut Fake::new(), &mut paper, encoded, Script::Transcript),
            commands::USAGE
        );
        assert!(paper.text.contains(reason) && paper.text.ends_with("exit-state: 2\n"));
    }
}

#[test]
fn files() {
    check("ls", "drwxr-xr-x         0  bin/\ndrwxr-xr-x         0  etc/\n", 0);
    check("ls /etc", "-rw-r--r--         9  motd\n-rw-r--r--         3  no-newline\n", 0);
    check("ls /etc/motd", "-rw-r--r--         9  /etc/motd\n", 0);
    check("ls /nowhere", "/nowhere: no such file or directory\n", 1);
    check("cat /nowhere /etc/motd", "/nowhere: no such file or directory\nWelcome.\n", 1);
    check("cat", "usage: cat FILE...\n", 2);
    check("echo a 'b  c'", "a b  c\n", 0);
    check("echo", "\n", 0);
}

#[test]
fn programs_run_by_name_and_by_run() {
    let mut kernel = Fake::new();
    assert_eq!(output(&mut kernel, "hello a 'b c'"), (String::new(), 0));
    assert_eq!(output(&mut kernel, "run hello"), (String::new(), 0));
    assert_eq!(output(&mut kernel, "/bin/hello"), (String::new(), 0));
    let expected = [vec!["hello", "a", "b c"], vec!["hello"], vec!["/bin/hello"]]
        .map(|words| words.into_iter().map(ToString::to_string).collect::<StdVec<_>>());
    assert_eq!(kernel.spawned, expected);
    check("exit3; echo $?", "3\n", 0);
    check("signal11", "signal11: segmentation fault (signal 11)\n", 139);
    check("nothing", "nothing: no such command or program; try `help`, `ls /bin`\n", 127);
    check("/etc/motd", "/etc/motd: not a program that this kernel can run\n", 126);
    check("run", "usage: run PROGRAM [ARGUMENT...]\n", 2);
}

#[test]
fn background_programs() {
    check("exit3 & wait 11", "[11] started\n[11] ended, status 3\n", 3);
    check(
        "exit3 & signal11 & wait",
        "[11] started\n[12] started\n[11] ended, status 3\n[12] segmentation fault (signal 11)\n",
        0,
    );
    check("ls &", "ls: only programs can run in the background\n", 2);
    check("wait 7", "wait: 7: no such child\n", 1);
    let mut paper = Paper { input: b"exit3 &\r".to_vec(), ..Paper::default() };
    run(&mut Fake::new(), &mut paper);
    assert!(paper.text.contains("[11] started\n[11] ended, status 3\n"), "{}", paper.text);
}

#[test]
fn kill_and_its_signals() {
    let mut kernel = Fake::new();
    for line in ["kill 5", "kill -9 5 6", "kill -INT 7", "kill -SIGKILL 8"] {
        assert_eq!(output(&mut kernel, line), (String::new(), 0), "{line}");
    }
    assert_eq!(kernel.killed, [(5, 15), (5, 9), (6, 9), (7, 2), (8, 9)]);
    check("kill 999", "kill: 999: no such process\n", 1);
    check("kill x", "kill: x is not a process number\n", 2);
    check("kill -FOO 5", "kill: no signal FOO; see `help kill`\n", 2);
    check("kill -0 5", "kill: no signal 0; see `help kill`\n", 2);
    check("kill -9", "usage: kill [-SIGNAL] PID...\n", 2);
}

#[test]
fn what_the_kernel_tells() {
    check(
        "ps",
        "  PID  PPID RING STATE         TIME  PAGES NAME\n    1     0    1 running      1.234     12 a-name\n",
        0,
    );
    check("cpu", "vendor         FerruleTest\n", 0);
    check("uptime", "up 61.002 s, of it idle 0.500 s\n3 timer events, 4 task switches\n", 0);
    let (text, _) = output(&mut Fake::new(), "hypercalls");
    assert!(text.contains("  1 mmu_update                    4      2000           8\n"), "{text}");
    let (text, status) = output(&mut Fake::new(), "mem");
    assert!(status == 0 && text.contains("      100       400 the whole domain\n"), "{text}");
    let mut leaky = Fake::new();
    leaky.memory.free -= 2;
    let (text, status) = output(&mut leaky, "mem");
    assert!(status == 1 && text.contains("        2           not accounted for\n"), "{text}");
}

#[test]
fn sensitive_runs_both_halves() {
    let mut kernel = Fake::new();
    assert_eq!(output(&mut kernel, "sensitive"), ("the table\n".to_string(), 0));
    assert_eq!(kernel.spawned, [["sensitive3"]]);
    kernel.sensitive_ok = false;
    assert_eq!(output(&mut kernel, "sensitive").1, 1);
    kernel.sensitive_ok = true;
    kernel.files.remove("/bin/sensitive3");
    assert_eq!(output(&mut kernel, "sensitive").1, 1);
}

#[test]
fn stopping() {
    let mut kernel = Fake::new();
    let mut paper = Paper::default();
    let lines = "reboot;crash;crash%20fault;crash%20stack;poweroff";
    exec(&mut kernel, &mut paper, lines, Script::Transcript);
    use Shutdown::*;
    assert_eq!(kernel.stopped, [Reboot, Panic, Fault, LoseStack, Poweroff]);
    // A runner must see a marker even though the real poweroff never returns.
    assert!(paper.text.contains("exit-state: 0\n"));
    check("crash gently", "crash: gently? One of panic, fault, stack\n", 2);
    check("poweroff now", "poweroff: -f, or nothing\n", 2);
    for (line, text) in [("reboot", "domains halt\n"), ("reboot -f", "")] {
        assert_eq!(output(&mut kernel, line), (text.into(), 0));
    }
    assert_eq!(kernel.stopped.split_off(5), [Reboot, Reboot]);
}

#[test]
fn help_knows_every_command() {
    let (text, status) = output(&mut Fake::new(), "help");
    assert_eq!(status, 0);
    let mut last = "";
    for command in commands::COMMANDS {
        assert!(
            text.contains(&format!("\n  {} ", command.name))
                || text.starts_with(&format!("  {} ", command.name))
        );
        assert!(text.lines().all(|line| line.len() < 80));
        assert!(last < command.name, "sorted");
        last = command.name;
        let (more, status) = output(&mut Fake::new(), &format!("help {}", command.name));
        assert!(status == 0 && more.contains(command.summary));
        assert!(more.lines().all(|line| line.len() < 100));
    }
    check("help nothing", "help: no command nothing; `help` lists them\n", 1);
}

#[test]
fn an_error_runs_nothing_of_the_line() {
    check("echo a; echo 'b", "the ' in column 14 is never closed\n", 2);
}

#[test]
fn a_session() {
    let input = b"echo one\rec\tx\x03\x04\x1b[A\recho $?\rls /e\tmo\t\r";
    let mut paper = Paper { input: input.to_vec(), ..Paper::default() };
    run(&mut Fake::new(), &mut paper);
    for piece in [
        "Welcome.\n\rferrule# ",
        "echo one\none\n",
        "^C\n",
        "`poweroff` stops the machine.\n",
        "echo $?\n0\n",
        "motd \x1b[K\n-rw-r--r--         9  /etc/motd\n",
    ] {
        assert!(paper.text.contains(piece), "{piece:?} in {:?}", paper.text);
    }
}
