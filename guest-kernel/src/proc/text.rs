//! What the files of `/proc` say, of plain numbers: Linux's formats (proc(5)), with zeroes for what this
//! kernel does not count.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// Ticks of `/proc/stat` and `/proc/PID/stat` in nanoseconds (`AT_CLKTCK` is 100).
const TICK_NS: u64 = 10_000_000;
/// KiB of a page.
const PAGE_KIB: u64 = 4;

/// A task, as these files tell of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Its number.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// `R`, `S`, `T` or `Z`.
    pub state: char,
    /// Its program's name, and the arguments, as far as they are kept.
    pub line: String,
    /// Whether it is one of the kernel's own.
    pub is_kernel: bool,
    /// Nanoseconds on the CPU.
    pub cpu_ns: u64,
    /// Of its children that were waited for.
    pub children_cpu_ns: u64,
    /// Nanoseconds after the kernel's start at which it began.
    pub started_ns: u64,
    /// User frames that it maps.
    pub pages: u32,
    /// The foreground group, if it has a terminal.
    pub foreground: Option<u32>,
}

impl Facts {
    /// Its program's name.
    pub fn name(&self) -> &str {
        let name = self.line.split(' ').next().unwrap_or_default();
        name.get(..15).unwrap_or(name)
    }

    /// `/proc/PID/stat`.
    pub fn stat(&self) -> String {
        // Device 5:1, the console, and the group that reads from it.
        let (terminal, foreground) = match self.foreground {
            Some(group) => (0x501, group.cast_signed()),
            None => (0, -1),
        };
        let ticks = |ns: u64| ns / TICK_NS;
        let (own, children) = (ticks(self.cpu_ns), ticks(self.children_cpu_ns));
        let bytes = u64::from(self.pages) * PAGE_KIB * 1024;
        format!(
            "{} ({}) {} {} {} {} {terminal} {foreground} 0 0 0 0 0 {own} 0 {children} 0 20 0 1 0 {} \
             {bytes} {} 4294967295 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n",
            self.pid,
            self.name(),
            self.state,
            self.parent,
            self.group,
            self.session,
            ticks(self.started_ns),
            self.pages
        )
    }

    /// `/proc/PID/status`, in part.
    pub fn status(&self) -> String {
        let state = match self.state {
            'R' => "running",
            'T' => "stopped",
            'Z' => "zombie",
            _ => "sleeping",
        };
        let kib = u64::from(self.pages) * PAGE_KIB;
        format!(
            "Name:\t{}\nState:\t{} ({state})\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\nUid:\t0\t0\t0\t0\n\
             Gid:\t0\t0\t0\t0\nVmSize:\t{kib:8} kB\nVmRSS:\t{kib:8} kB\nThreads:\t1\n",
            self.name(),
            self.state,
            self.parent,
            pid = self.pid
        )
    }

    /// `/proc/PID/statm`, in part.
    pub fn statm(&self) -> String {
        format!("{pages} {pages} 0 0 0 0 0\n", pages = self.pages)
    }

    /// `/proc/PID/cmdline`: words that end with NUL; of a task of the kernel, nothing.
    pub fn command_line(&self) -> String {
        if self.is_kernel || self.state == 'Z' {
            return String::new();
        }
        let mut line = self.line.replace(' ', "\0");
        line.push('\0');
        line
    }
}

/// The machine, as these files tell of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    /// Nanoseconds since the kernel's start.
    pub up_ns: u64,
    /// Of those, idle.
    pub idle_ns: u64,
    /// Switches between tasks.
    pub switches: u64,
    /// Seconds since 1970 at the kernel's start.
    pub boot_time: u64,
    /// Pages of memory.
    pub pages: u32,
    /// Free ones.
    pub free_pages: u32,
    /// Tasks that could run.
    pub running: u32,
    /// All tasks.
    pub tasks: u32,
    /// The number of the youngest.
    pub last_pid: u32,
    /// Ticks of the time-stamp counter in a second.
    pub hz: u64,
}

impl Machine {
    /// `/proc/stat`. What is not idle counts as the users'.
    pub fn stat(&self) -> String {
        let (busy, idle) =
            (self.up_ns.saturating_sub(self.idle_ns) / TICK_NS, self.idle_ns / TICK_NS);
        let mut text = String::new();
        for name in ["cpu ", "cpu0"] {
            let _ = writeln!(text, "{name} {busy} 0 0 {idle} 0 0 0 0 0 0");
        }
        let _ = write!(
            text,
            "intr 0\nctxt {}\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n",
            self.switches, self.boot_time, self.last_pid, self.running
        );
        text
    }

    /// `/proc/meminfo`, in part.
    pub fn memory(&self) -> String {
        let kib = |pages: u32| u64::from(pages) * PAGE_KIB;
        let mut text = String::new();
        let lines = [
            ("MemTotal", kib(self.pages)),
            ("MemFree", kib(self.free_pages)),
            ("MemAvailable", kib(self.free_pages)),
            ("Buffers", 0),
            ("Cached", 0),
            ("SwapTotal", 0),
            ("SwapFree", 0),
            ("Dirty", 0),
            ("Writeback", 0),
            ("AnonPages", 0),
            ("Mapped", 0),
            ("Shmem", 0),
            ("Slab", 0),
        ];
        for (name, value) in lines {
            let _ = writeln!(text, "{:<16}{value:>8} kB", format!("{name}:"));
        }
        text
    }

    /// `/proc/uptime`.
    pub fn uptime(&self) -> String {
        let seconds = |ns: u64| (ns / 1_000_000_000, ns / 10_000_000 % 100);
        let (up, idle) = (seconds(self.up_ns), seconds(self.idle_ns));
        format!("{}.{:02} {}.{:02}\n", up.0, up.1, idle.0, idle.1)
    }

    /// `/proc/loadavg`. Averages are not kept.
    pub fn load(&self) -> String {
        format!("0.00 0.00 0.00 {}/{} {}\n", self.running, self.tasks, self.last_pid)
    }

    /// `/proc/cpuinfo`, in part.
    pub fn processor(&self) -> String {
        let mhz = self.hz / 1_000_000;
        format!("processor\t: 0\nmodel name\t: Ferrule vCPU\ncpu MHz\t\t: {mhz}.000\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn facts() -> Facts {
        Facts {
            pid: 7,
            parent: 1,
            group: 7,
            session: 1,
            state: 'S',
            line: "sleep 100".into(),
            cpu_ns: 30_000_000,
            pages: 9,
            foreground: Some(7),
            ..Facts::default()
        }
    }

    #[test]
    fn a_tasks_numbers_are_where_readers_look_for_them() {
        let stat = facts().stat();
        let fields: Vec<&str> = stat.split_whitespace().collect();
        assert_eq!(fields[..8], ["7", "(sleep)", "S", "1", "7", "1", "1281", "7"]);
        // utime, priority, threads, rss, exit_signal;.
        assert_eq!([fields[13], fields[17], fields[19]], ["3", "20", "1"]);
        assert_eq!([fields[22], fields[23], fields[37]], ["36864", "9", "17"]);
        assert_eq!(fields.len(), 44);
        assert!(facts().status().contains("\nState:\tS (sleeping)\n"));
        assert_eq!(facts().command_line(), "sleep\x00100\0");
        assert_eq!(Facts { is_kernel: true, ..facts() }.command_line(), "");
        assert_eq!(Facts { line: "a-name-of-many-letters".into(), ..facts() }.name().len(), 15);
    }

    #[test]
    fn the_machines_numbers_are_linuxs() {
        let machine = Machine {
            up_ns: 12_340_000_000,
            idle_ns: 2_340_000_000,
            pages: 256,
            free_pages: 128,
            tasks: 3,
            running: 1,
            last_pid: 9,
            ..Machine::default()
        };
        assert!(machine.stat().starts_with("cpu  1000 0 0 234 0"));
        assert_eq!(machine.uptime(), "12.34 2.34\n");
        assert_eq!(machine.load(), "0.00 0.00 0.00 1/3 9\n");
        assert!(
            machine
                .memory()
                .starts_with("MemTotal:           1024 kB\nMemFree:             512 kB\n")
        );
    }
}
