//! The commands: one table, from which `help`, completion and dispatch all come.
//!
//! A command is a function of its context and its arguments; it returns an exit status (0 success,
//! 1 failure, 2 wrong usage, 126 cannot be run, 127 unknown), as programs do.

mod disks;
mod files;
mod machine;
mod mounts;
mod network;
mod process;

use super::kernel::{Errno, Kernel, Terminal};

pub use process::{announce_ended, run_program};

/// Success.
pub const OK: u8 = 0;
/// The command could not do what it was asked to.
pub const FAILED: u8 = 1;
/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// The file is there, but is not a program.
pub const NOT_RUNNABLE: u8 = 126;
/// Neither a command nor a program.
pub const NOT_FOUND: u8 = 127;

/// What a command works with.
pub struct Context<'a> {
    /// The kernel.
    pub kernel: &'a mut dyn Kernel,
    /// Where output goes.
    pub terminal: &'a mut dyn Terminal,
    /// The command ended in `&`.
    pub background: bool,
    /// The shell runs lines for a script, not for a person ([`super::exec`]).
    pub scripted: bool,
}

impl Context<'_> {
    /// Prints one line.
    pub fn line(&mut self, text: core::fmt::Arguments<'_>) {
        // A terminal cannot refuse output in a way that a command could answer.
        let _ = self.terminal.write_fmt(text);
        let _ = self.terminal.write_str("\n");
    }

    /// Prints `what: error` and returns [`FAILED`].
    pub fn failed(&mut self, what: &str, error: Errno) -> u8 {
        self.line(format_args!("{what}: {error}"));
        FAILED
    }
}

/// One command.
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// What follows it, for `help`.
    pub arguments: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// What else there is to say, for `help NAME`.
    pub details: &'static str,
    /// How many arguments it takes.
    pub takes: core::ops::RangeInclusive<usize>,
    /// Does it. The first argument is not the name.
    pub run: fn(&mut Context<'_>, &[&str]) -> u8,
}

impl Command {
    const fn new(
        name: &'static str,
        arguments: &'static str,
        summary: &'static str,
        takes: core::ops::RangeInclusive<usize>,
        run: fn(&mut Context<'_>, &[&str]) -> u8,
        details: &'static str,
    ) -> Self {
        Self { name, arguments, summary, details, takes, run }
    }
}

const ANY: usize = super::parse::WORDS_MAX;

const STOPPING: &str = "\
In domain 0 the other domains are asked to shut down first, so that nothing is lost which they
hold back from their disks; those that serve others' devices last. They have 30 seconds, and
Ctrl-C goes on without them. -f asks nobody.";

/// All commands, in alphabetical order.
pub static COMMANDS: &[Command] = &[
    Command::new(
        "blkio",
        "DISK VERB [NUMBER...]",
        "read or write a disk, and measure it",
        2..=5,
        disks::blkio,
        "VERB is one of sum, fill, read, write, flush; numbers are SECTOR, COUNT, BYTES.\n\
         sum: reads sectors of 512 bytes (all of them, or COUNT from SECTOR on), and prints\n\
         their CRC-32. fill: writes a pattern over what is there, flushes, and prints the\n\
         CRC-32 of that. read, write: the same without a look at the contents.\n\
         BYTES are moved at a time, 65536 unless it is said.\n\
         flush: asks COUNT times that what was written lasts.",
    ),
    Command::new("cat", "FILE...", "print files", 1..=ANY, files::cat, ""),
    Command::new(
        "churn",
        "ROUNDS [BESIDE]",
        "make and end domains, and measure it",
        1..=2,
        machine::churn,
        "Makes and ends a small domain ROUNDS times beside BESIDE others. The status is 1 when\n\
         memory, ports, mappings, grants or XenStore are not as they were.",
    ),
    Command::new(
        "cpu",
        "",
        "the CPU, the rings and the hypervisor",
        0..=0,
        machine::cpu,
        "What CPUID and the hypervisor (xen_version) say, and which ring this kernel runs in.",
    ),
    Command::new(
        "crash",
        "[panic|fault|stack]",
        "crash this kernel on purpose",
        0..=1,
        machine::crash,
        "panic: the kernel panics and asks for SHUTDOWN_crash (the default).\n\
         fault: it reads an unmapped address first, and its own fault handler panics.\n\
         stack: it loses its stack, so that no trap can be delivered: the hypervisor ends it.\n\
         In each case the hypervisor reports the registers and lives on.",
    ),
    Command::new(
        "devices",
        "[restart PATH]",
        "halves of devices in this domain",
        0..=2,
        machine::devices,
        "Without arguments: the directories in XenStore of the front and back ends that have a\n\
         task here. restart: ends the task of one as if its driver had crashed, and starts another.",
    ),
    Command::new("echo", "[WORD...]", "print the arguments", 0..=ANY, files::echo, ""),
    Command::new("help", "[COMMAND]", "this list, or more about one command", 0..=1, help, ""),
    Command::new(
        "holdings",
        "[keep|compare]",
        "what is held of the machine and of others",
        0..=1,
        machine::holdings,
        "Event channels, mapped pages and grants of this domain, and in domain 0 the machine's free\n\
         pages and the nodes in XenStore. keep: remembers them. compare: the status is 1 when they\n\
         are not as they were then.",
    ),
    Command::new(
        "hypercalls",
        "",
        "hypercalls so far: counts and time per call",
        0..=0,
        machine::hypercalls,
        "One line for each hypercall that this kernel has made since boot.",
    ),
    Command::new(
        "ifconfig",
        "[HOW...]",
        "show the network, or set its address",
        0..=ANY,
        network::ifconfig,
        "HOW is `dhcp`, `off`, or ADDRESS/PREFIX [GATEWAY [NAME-SERVER...]]. At boot it is what the\n\
         kernel's command line says with Linux's `ip=`, or DHCP.",
    ),
    Command::new(
        "kill",
        "[-SIGNAL] PID...",
        "end processes",
        1..=ANY,
        process::kill,
        "SIGNAL is a number or one of HUP, INT, QUIT, ILL, KILL, SEGV, TERM (the default), CONT,\n\
         STOP.",
    ),
    Command::new("ls", "[PATH...]", "list directories", 0..=ANY, files::ls, ""),
    Command::new("lsblk", "", "list disks", 0..=0, disks::lsblk, ""),
    Command::new(
        "mem",
        "",
        "memory: frames by use, page tables",
        0..=0,
        machine::mem,
        "Page tables are frames that the hypervisor has typed as such: this kernel can only read\n\
         them, and changes them by hypercalls (mmu_update, update_va_mapping, mmuext_op).",
    ),
    Command::new(
        "mount",
        "[-t TYPE] [-r] [SOURCE DIRECTORY]",
        "mount a file system, or list them",
        0..=ANY,
        mounts::mount,
        "SOURCE is a disk, as /dev/xvda; TYPE one of ext2, ext4 (read-only), tmpfs, proc, or auto (the\n\
         default). -r mounts it so that it cannot be written.",
    ),
    Command::new(
        "netio",
        "IF MAC BYTES COUNT [BURST]",
        "send frames that nobody wants",
        4..=5,
        network::netio,
        "COUNT frames of BYTES from an interface (eth0) to the one whose address is MAC: its\n\
         stack throws them away. One with more than 1514 bytes is several segments of TCP in\n\
         one. With BURST there is a pause of 1 ms after so many.",
    ),
    Command::new(
        "ping",
        "ADDRESS [COUNT]",
        "ask another host whether it is there",
        1..=2,
        network::ping,
        "One request a second, 4 unless COUNT says otherwise. The status is 1 when one was not\n\
         answered. Ctrl-C ends it.",
    ),
    Command::new("poweroff", "[-f]", "stop the machine", 0..=1, machine::poweroff, STOPPING),
    Command::new("ps", "", "list tasks and processes", 0..=0, process::ps, ""),
    Command::new("reboot", "[-f]", "restart the machine", 0..=1, machine::reboot, STOPPING),
    Command::new(
        "run",
        "PROGRAM [ARGUMENT...]",
        "run a program in Ring 3",
        1..=ANY,
        process::run,
        "A name without a slash is looked for in /bin. `PROGRAM` alone does the same as\n\
         `run PROGRAM`. With `&` at the end the shell does not wait.\n\
         Ctrl-C ends the program, Ctrl-Z stops it.",
    ),
    Command::new(
        "sensitive",
        "",
        "the sensitive instructions, executed here",
        0..=0,
        machine::sensitive,
        "Executes each instruction that is sensitive but not privileged, in Ring 1 and in Ring 3,\n\
         and prints what it did, what it does in Ring 0, and what the PV ABI gives instead.\n\
         The status is 1 when a row differs from what is expected.",
    ),
    Command::new("sync", "", "write what waits in memory to the disks", 0..=0, mounts::sync, ""),
    Command::new(
        "umount",
        "DIRECTORY",
        "unmount a file system",
        1..=1,
        mounts::umount,
        "Writes what waits in memory first. What is in use is not unmounted.",
    ),
    Command::new("uptime", "", "time and counters since boot", 0..=0, machine::uptime, ""),
    Command::new("wait", "[PID]", "wait for background programs", 0..=1, process::wait, ""),
    Command::new(
        "xenstore",
        "VERB [ARGUMENT...]",
        "look at XenStore and change it",
        0..=ANY,
        machine::xenstore,
        super::xenstore::VERBS,
    ),
    Command::new(
        "xl",
        "VERB [ARGUMENT...]",
        "make, list and end domains",
        0..=ANY,
        machine::xl,
        "The verbs are those of Xen's xl: `xl help` lists them. Files are the ramdisk's.",
    ),
];

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Runs one command or program; `words` is not empty.
pub fn dispatch(context: &mut Context<'_>, words: &[&str]) -> u8 {
    let Some((&name, arguments)) = words.split_first() else { return OK };
    let Some(command) = find(name) else { return process::run(context, words) };
    if !command.takes.contains(&arguments.len()) {
        context.line(format_args!("usage: {}", Synopsis(command)));
        return USAGE;
    }
    if context.background && command.name != "run" {
        context.line(format_args!("{name}: only programs can run in the background"));
        return USAGE;
    }
    (command.run)(context, arguments)
}

/// A command's name and arguments.
struct Synopsis(&'static Command);

impl core::fmt::Display for Synopsis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let blank = if self.0.arguments.is_empty() { "" } else { " " };
        write!(f, "{}{blank}{}", self.0.name, self.0.arguments)
    }
}

fn help(context: &mut Context<'_>, arguments: &[&str]) -> u8 {
    let Some(&name) = arguments.first() else {
        for command in COMMANDS {
            let width = 32 - command.name.len();
            context.line(format_args!(
                "  {} {:width$}{}",
                command.name, command.arguments, command.summary
            ));
        }
        context.line(format_args!("Programs are in /bin (`ls /bin`): type a name to run one."));
        context.line(format_args!("Parts of a line: `;` and `&`. Tab completes, arrows recall."));
        return OK;
    };
    let Some(command) = find(name) else {
        context.line(format_args!("help: no command {name}; `help` lists them"));
        return FAILED;
    };
    context.line(format_args!("{}", Synopsis(command)));
    context.line(format_args!("  {}", command.summary));
    for line in command.details.lines() {
        context.line(format_args!("  {line}"));
    }
    OK
}
