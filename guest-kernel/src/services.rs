//! What the shell asks of the kernel, done.
#![allow(unsafe_code)] // UNSAFETY: crashes on purpose, in three ways.

use crate::block::registry::{self, Shared};
use crate::fs::file::{
    BLOCKS, CHARACTERS, DIRECTORY, FIFO, Flags, LINK, REGULAR, SOCKET, Status, TYPE,
};
use crate::fs::tree::Last;
use crate::mm::frames::{self, Use};
use crate::mm::{fault, space};
use crate::net::traffic::Order;
use crate::shell::kernel::{
    Account, Errno, ExitStatus, FileInfo, FileKind, Ground, HypercallStat, MemoryInfo, Pid,
    ProcessInfo, ProcessState, Shutdown, Uptime,
};
use crate::shell::xenstore::{self, Patience};
use crate::shell::{Kernel, Terminal};
use crate::signal::{Info, SIGCONT};
use crate::store::local::Connection;
use crate::syscall::errno::{ECHILD, EPERM};
use crate::task::children::{self, News, Reaped, Wanted};
use crate::task::scheduler::{self, CHILDREN};
use crate::task::{State, process, signal};
use crate::toolstack::command;
use crate::{device, fs, net, socket, time, tty};
use ::xenstore::client::Client;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use core::sync::atomic::Ordering;
use pv_abi::{sched, version};
use ring1::console;
use ring1::events::{self, Masked};
use ring1::{abi, calls, entry, hypercall};

/// What the shell wants to hear of its children, besides their end.
const NEWS: News = News { stops: true, continues: false };

/// The kernel as the shell sees it.
pub struct Services {
    start_info: &'static abi::StartInfo,
}

impl Services {
    /// For the shell's task.
    pub fn new(start_info: &'static abi::StartInfo) -> Self {
        Self { start_info }
    }

    /// Whether this is domain 0; says so if not.
    fn has_toolstack(&self, terminal: &mut dyn Terminal) -> bool {
        let has = !crate::domu::is_domu(self.start_info);
        if !has {
            let _ = writeln!(terminal, "only domain 0 has a toolstack");
        }
        has
    }
}

fn info<'a>(name: &'a str, status: &Status) -> FileInfo<'a> {
    let kind = match status.mode & TYPE {
        DIRECTORY => FileKind::Directory,
        REGULAR => FileKind::File,
        LINK => FileKind::Other('l'),
        BLOCKS => FileKind::Other('b'),
        CHARACTERS => FileKind::Other('c'),
        FIFO => FileKind::Other('p'),
        SOCKET => FileKind::Other('s'),
        _ => FileKind::Other('?'),
    };
    FileInfo { name, kind, size: status.size, mode: status.mode & 0o7777 }
}

fn exit_status(status: u32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Exited((status >> 8) as u8),
        children::STOPPED => ExitStatus::Stopped((status >> 8) as u8),
        signal => ExitStatus::Killed(signal as u8),
    }
}

/// A person at the console, who may have enough of waiting.
struct Person;

impl Patience<Connection> for Person {
    fn wait(&mut self, connection: &Connection) -> bool {
        let _masked = Masked::new();
        loop {
            if connection.has_received() {
                return true;
            }
            while tty::has_input() {
                if tty::read_byte() == tty::CTRL_C {
                    return false;
                }
            }
            scheduler::sleep(scheduler::CONSOLE, 0);
        }
    }
}

impl Kernel for Services {
    fn list(&mut self, path: &str, entry: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno> {
        let tree = fs::root::tree();
        let directory = tree.find(&tree.root(), path.as_bytes(), Last::Follow)?;
        let mut names = Vec::new();
        directory.mount.system.entries(directory.inode, 0, &mut |found| {
            if !matches!(found.name, b"." | b"..") {
                names.push(String::from_utf8_lossy(found.name).into_owned());
            }
            true
        })?;
        for name in names {
            // What went meanwhile is not listed.
            if let Ok(place) = tree.find(&directory, name.as_bytes(), Last::Keep) {
                entry(&info(&name, &place.status()?));
            }
        }
        Ok(())
    }

    fn stat(&mut self, path: &str, found: &mut dyn FnMut(&FileInfo<'_>)) -> Result<(), Errno> {
        let tree = fs::root::tree();
        let place = tree.find(&tree.root(), path.as_bytes(), Last::Follow)?;
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        found(&info(name, &place.status()?));
        Ok(())
    }

    fn read(&mut self, path: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        fs::open(path, Flags::empty())?.read_at(offset, buffer)
    }

    fn spawn(&mut self, path: &str, args: &[&str], ground: Ground) -> Result<Pid, Errno> {
        let arguments: Vec<&[u8]> = args.iter().map(|argument| argument.as_bytes()).collect();
        // It must not run before it has the terminal.
        let _masked = Masked::new();
        let pid = process::spawn(path, &arguments)?;
        if ground == Ground::Fore {
            tty::set_foreground(pid);
        }
        Ok(Pid(pid))
    }

    fn wait(&mut self, pid: Pid) -> Result<ExitStatus, Errno> {
        let me = scheduler::current().pid;
        tty::set_foreground(pid.0);
        // It stopped before: as `fg` of other shells.
        let _ = signal::send_group(pid.0, Info::kernel(SIGCONT));
        let result = loop {
            let _masked = Masked::new();
            match children::reap(me, Wanted::Pid(pid.0), NEWS) {
                Reaped::Ended(_, status, _) | Reaped::Changed(_, status) => {
                    break Ok(exit_status(status));
                }
                Reaped::NoChild => break Err(ECHILD),
                Reaped::Running => scheduler::sleep(CHILDREN + me, 0),
            }
        };
        tty::set_foreground(tty::SHELL);
        result
    }

    fn reap(&mut self) -> Option<(Pid, ExitStatus)> {
        children::bury();
        match children::reap(scheduler::current().pid, Wanted::Any, NEWS) {
            Reaped::Ended(pid, status, _) | Reaped::Changed(pid, status) => {
                Some((Pid(pid), exit_status(status)))
            }
            _ => None,
        }
    }

    fn kill(&mut self, pid: Pid, number: u8) -> Result<(), Errno> {
        let me = scheduler::current().pid;
        if pid.0 == me {
            return Err(EPERM);
        }
        signal::send(pid.0, Info::sent(u32::from(number), me))
    }

    fn processes(&mut self, process: &mut dyn FnMut(&ProcessInfo<'_>)) {
        children::bury();
        // Collected first: the callback prints, which must not happen with the scheduler taken.
        let (_, _, _, running) = scheduler::statistics();
        let mut list = Vec::new();
        scheduler::for_each(|task| {
            let state = match task.state() {
                State::Running => ProcessState::Running,
                State::Ready => ProcessState::Ready,
                State::Sleeping => ProcessState::Sleeping,
                State::Stopped => ProcessState::Stopped,
                State::Zombie => ProcessState::Zombie,
            };
            let now = if state == ProcessState::Running { running } else { 0 };
            list.push((
                task.pid,
                task.parent.load(Ordering::Relaxed),
                if task.process.is_some() { 3 } else { 1 },
                state,
                task.cpu_ns.load(Ordering::Relaxed) + now,
                task.process.as_ref().map_or(0, process::Process::resident),
                task.name(),
            ));
        });
        for (pid, parent, ring, state, cpu_ns, frames, name) in &list {
            process(&ProcessInfo {
                pid: Pid(*pid),
                parent: Pid(*parent),
                ring: *ring,
                state: *state,
                cpu_ns: *cpu_ns,
                frames: *frames,
                name,
            });
        }
    }

    fn memory(&mut self) -> MemoryInfo {
        children::bury();
        let counts = frames::counts();
        MemoryInfo {
            total: counts.total() - counts.of(Use::Ballooned),
            free: counts.of(Use::Free),
            kernel: counts.of(Use::Kernel),
            boot: counts.of(Use::Boot),
            heap: counts.of(Use::Heap),
            user: counts.of(Use::User),
            page_tables: [counts.of(Use::Table1), counts.of(Use::Table2), counts.of(Use::Table3)],
            copy_on_write: counts.copy_on_write,
            address_spaces: space::count(),
            demand_zero_faults: u64::from(fault::DEMAND.load(Ordering::Relaxed)),
            copy_faults: u64::from(fault::COPIES.load(Ordering::Relaxed)),
        }
    }

    fn cpu(&mut self, fact: &mut dyn FnMut(&str, fmt::Arguments<'_>)) {
        let leaf = core::arch::x86::__cpuid(0);
        let vendor: Vec<u8> =
            [leaf.ebx, leaf.edx, leaf.ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
        fact("vendor", format_args!("{}", core::str::from_utf8(&vendor).unwrap_or("?")));
        let mut model = Vec::new();
        if core::arch::x86::__cpuid(0x8000_0000).eax >= 0x8000_0004 {
            for number in 0x8000_0002..=0x8000_0004 {
                let leaf = core::arch::x86::__cpuid(number);
                for word in [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx] {
                    model.extend(word.to_le_bytes());
                }
            }
            let text = core::str::from_utf8(&model).unwrap_or("?");
            fact("model", format_args!("{}", text.trim_matches(['\0', ' '])));
        }
        fact("ring", format_args!("1 (kernel), 3 (processes)"));
        let mhz = time::tsc_hz() / 1_000_000;
        fact("tsc", format_args!("{mhz} MHz"));
        let mut buffer = [0; 1024];
        if let Ok(number) = calls::xen_version() {
            let text = calls::xen_version_text(version::XENVER_EXTRAVERSION, &mut buffer);
            let (major, minor) = (number >> 16, number & 0xffff);
            fact("interface", format_args!("Xen {major}.{minor}{}", text.unwrap_or("")));
        }
        if let Ok(text) = calls::xen_version_text(version::XENVER_CAPABILITIES, &mut buffer) {
            fact("capabilities", format_args!("{}", text.trim()));
        }
        let mut vcpus = 0;
        while vcpus < 128
            && calls::vcpu_op(pv_abi::vcpu::VCPUOP_IS_UP, pv_abi::types::VcpuId::new(vcpus)).is_ok()
        {
            vcpus += 1;
        }
        fact("vcpus", format_args!("{vcpus} (this kernel runs on the first)"));
        let magic = self.start_info.magic.split(|byte| *byte == 0).next().unwrap_or_default();
        fact("guest", format_args!("{}", core::str::from_utf8(magic).unwrap_or("?")));
    }

    fn uptime(&mut self) -> Uptime {
        let (idle_ns, timer_events, context_switches, _) = scheduler::statistics();
        Uptime { up_ns: time::uptime(), idle_ns, timer_events, context_switches }
    }

    fn hypercalls(&mut self, stat: &mut dyn FnMut(&HypercallStat<'_>)) {
        for number in 0..hypercall::SLOTS as u32 {
            let cost = hypercall::cost(number);
            if cost.calls > 0 {
                stat(&HypercallStat {
                    number,
                    name: hypercall::name(number),
                    calls: cost.calls,
                    total_ns: time::ticks_to_ns(cost.ticks),
                });
            }
        }
    }

    fn sensitive(&mut self, out: &mut dyn fmt::Write) -> bool {
        ring1::sensitive::report(out)
    }

    fn xl(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        if self.has_toolstack(terminal) { command::run(words, terminal) } else { 1 }
    }

    fn devices(&mut self, each: &mut dyn FnMut(&str)) {
        device::paths().iter().for_each(|path| each(path));
    }

    fn restart_device(&mut self, path: &str) -> Result<(), Errno> {
        device::restart(path).map_err(|errno| Errno::new(errno.raw().into()))
    }

    fn mounts(&mut self, mounted: &mut dyn FnMut(&str, &str, &str, bool)) {
        for mount in fs::root::tree().mounts() {
            mounted(&mount.source, &mount.path, mount.system.kind(), mount.read_only);
        }
    }

    fn mount(
        &mut self,
        source: &str,
        path: &str,
        kind: &str,
        read_only: bool,
    ) -> Result<(), Errno> {
        let tree = fs::root::tree();
        let on = tree.find(&tree.root(), path.as_bytes(), Last::Follow)?;
        fs::root::mount(source, on, kind, read_only)
    }

    fn unmount(&mut self, what: &str) -> Result<(), Errno> {
        fs::root::unmount(&fs::root::tree().root(), what.as_bytes())
    }

    fn sync(&mut self) -> Result<(), Errno> {
        fs::root::sync()
    }

    fn disks(&mut self) -> Vec<(String, Shared)> {
        let mut disks = Vec::new();
        registry::for_each(|name, disk| disks.push((name.into(), Arc::clone(disk))));
        disks
    }

    fn churn(&mut self, rounds: u32, alive: u32, terminal: &mut dyn Terminal) -> u8 {
        if self.has_toolstack(terminal) { command::churn(rounds, alive, terminal) } else { 1 }
    }

    fn account(&mut self, account: Account, terminal: &mut dyn Terminal) -> u8 {
        command::account(account, terminal)
    }

    fn xenstore(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        let mut client = Client::new(Connection::waking(scheduler::CONSOLE));
        xenstore::run(&mut client, &mut Person, words, terminal)
    }

    fn ifconfig(&mut self, words: &[&str], terminal: &mut dyn Terminal) -> u8 {
        socket::command::ifconfig(words, terminal)
    }

    fn send_frames(&mut self, interface: &str, order: &Order) -> Result<u64, Errno> {
        let interface = net::registry::find(interface).ok_or(Errno::ENODEV)?;
        net::send::send(interface.as_ref(), order).ok_or(Errno::EINVAL)
    }

    fn ping(&mut self, to: Ipv4Addr, count: u16, terminal: &mut dyn Terminal) -> u8 {
        socket::command::ping(to, count, terminal)
    }

    fn halt_domains(&mut self, terminal: &mut dyn Terminal) {
        if !crate::domu::is_domu(self.start_info) {
            command::halt(terminal);
        }
    }

    fn shutdown(&mut self, how: Shutdown) {
        if matches!(how, Shutdown::Poweroff | Shutdown::Reboot) {
            fs::root::stop();
        }
        console::flush();
        match how {
            Shutdown::Poweroff => calls::shutdown(sched::SHUTDOWN_POWEROFF),
            Shutdown::Reboot => calls::shutdown(sched::SHUTDOWN_REBOOT),
            Shutdown::Panic => panic!("asked to crash"),
            Shutdown::Fault => {
                // Between the map of all frames and the heap, nothing is mapped.
                let hole = crate::mm::stacks::STACKS;
                let _ = ring1::probe::read_u32(hole);
                panic!("reading {hole:#x} did not fault");
            }
            Shutdown::LoseStack => {
                events::mask();
                // SAFETY: 1. Nothing after this runs: the trap cannot be delivered, and the
                // hypervisor ends the domain.
                unsafe {
                    core::arch::asm!("mov esp, {}", "ud2", in(reg) entry::VIRT_BASE - 0x1000,
                        options(noreturn));
                }
            }
        }
    }
}

/// The serial terminal.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::write_bytes(text.as_bytes());
        Ok(())
    }
}

impl Terminal for Serial {
    fn read_byte(&mut self) -> Option<u8> {
        Some(tty::read_byte())
    }

    fn has_input(&mut self) -> bool {
        tty::has_input()
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        console::write_bytes(bytes);
    }

    fn at_line_start(&self) -> bool {
        console::at_line_start()
    }
}
