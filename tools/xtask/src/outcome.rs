//! How a boot ended, and the exit codes that tell it.
//!
//! The hypervisor ends QEMU through the `isa-debug-exit` device: a write of code
//! c to port 0xf4 makes QEMU exit with `c << 1 | 1`. Codes 0x10 to 0x15 are domain
//! 0's shutdown reason (`SHUTDOWN_*` of Xen's `sched.h`), 0x20 is a hypervisor
//! panic, 0x21 a refused domain 0 or command line, 0x22 the debug key `Q`.
//!
//! Bochs has no such device; there the hypervisor's last log line says the same:
//! `d0 shut down: REASON`, `PANIC: …`, an error about the command line or domain 0,
//! and the debug key's `quitting`.

/// The text of `run --help` on exit codes.
pub const EXIT_CODES: &str = "Exit codes:
  0    domain 0 powered off (with --exec: the guest's exit state), or debug key Q
  1    the build failed
  2    wrong usage, or a file that cannot be booted
  10   domain 0 rebooted
  11   domain 0 suspended
  12   domain 0 crashed
  13   domain 0's watchdog expired
  14   domain 0 asked for a soft reset
  20   the hypervisor panicked
  21   the hypervisor refused domain 0's image or its own command line
  22   --exec: the guest powered off without telling an exit state
  30   the emulator failed, or the machine was reset without a shutdown
  124  --timeout expired
  130  interrupted";

/// Why a domain shut down, numbered as Xen's `SHUTDOWN_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `SHUTDOWN_poweroff`
    Poweroff = 0,
    /// `SHUTDOWN_reboot`
    Reboot = 1,
    /// `SHUTDOWN_suspend`
    Suspend = 2,
    /// `SHUTDOWN_crash`
    Crash = 3,
    /// `SHUTDOWN_watchdog`
    Watchdog = 4,
    /// `SHUTDOWN_soft_reset`
    SoftReset = 5,
}

impl Reason {
    const ALL: [(Self, &str); 6] = [
        (Self::Poweroff, "poweroff"),
        (Self::Reboot, "reboot"),
        (Self::Suspend, "suspend"),
        (Self::Crash, "crash"),
        (Self::Watchdog, "watchdog"),
        (Self::SoftReset, "soft"),
    ];
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Domain 0 shut down.
    Shutdown(Reason),
    /// The hypervisor panicked.
    Panic,
    /// The hypervisor refused domain 0's image or its own command line.
    Refused,
    /// Someone pressed the hypervisor's debug key `Q`.
    Quit,
    /// The time was up.
    TimedOut,
    /// The person or the tool had seen enough.
    Stopped,
    /// The emulator ended in another way; the text says which.
    Failed(String),
}

impl Outcome {
    /// What QEMU's exit status says.
    pub fn from_qemu(status: i32) -> Self {
        let code = if status & 1 == 1 { status >> 1 } else { -1 };
        match code {
            0x10..=0x15 => Self::Shutdown(Reason::ALL[(code - 0x10) as usize].0),
            0x20 => Self::Panic,
            0x21 => Self::Refused,
            0x22 => Self::Quit,
            _ if status == 0 => Self::Failed(
                "the machine was reset or stopped without a shutdown (a triple fault?)".into(),
            ),
            _ => Self::Failed(format!("QEMU ended with status {status}")),
        }
    }

    /// What a line of the console says, for emulators without an exit device.
    pub fn from_line(line: &str) -> Option<Self> {
        let text = hypervisor_text(line)?;
        if let Some(reason) = text.strip_prefix("d0 shut down: ") {
            let word = reason.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
            let found = Reason::ALL.iter().find(|(_, name)| *name == word);
            return found.map(|(reason, _)| Self::Shutdown(*reason));
        }
        if let Some(error) = text.strip_prefix("error: ") {
            let fatal = error.starts_with("command line") || error.contains("domain 0");
            return fatal.then_some(Self::Refused);
        }
        if text.starts_with("PANIC") {
            Some(Self::Panic)
        } else if text.starts_with("quit") {
            Some(Self::Quit)
        } else {
            None
        }
    }

    /// `run`'s exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Shutdown(Reason::Poweroff) | Self::Quit | Self::Stopped => 0,
            Self::Shutdown(reason) => 9 + *reason as u8,
            Self::Panic => 20,
            Self::Refused => 21,
            Self::Failed(_) => 30,
            Self::TimedOut => 124,
        }
    }

    /// A sentence for a person.
    pub fn describe(&self) -> String {
        match self {
            Self::Shutdown(Reason::Poweroff) => "domain 0 powered off".into(),
            Self::Shutdown(Reason::Reboot) => "domain 0 rebooted".into(),
            Self::Shutdown(Reason::Suspend) => "domain 0 suspended".into(),
            Self::Shutdown(Reason::Crash) => "domain 0 crashed".into(),
            Self::Shutdown(Reason::Watchdog) => "domain 0's watchdog expired".into(),
            Self::Shutdown(Reason::SoftReset) => "domain 0 asked for a soft reset".into(),
            Self::Panic => "the hypervisor panicked".into(),
            Self::Refused => "the hypervisor refused domain 0 or its command line".into(),
            Self::Quit => "ended by debug key Q".into(),
            Self::TimedOut => "the time was up".into(),
            Self::Stopped => "stopped".into(),
            Self::Failed(why) => why.clone(),
        }
    }
}

/// The text of a hypervisor's log line `(FR) [0.012] text`, or nothing for a guest's line.
pub fn hypervisor_text(line: &str) -> Option<&str> {
    let (_, text) = line.strip_prefix("(FR) [")?.split_once("] ")?;
    Some(text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_follow_the_protocol() {
        assert_eq!(Outcome::from_qemu(0x21), Outcome::Shutdown(Reason::Poweroff));
        assert_eq!(Outcome::from_qemu(0x10 << 1 | 1).exit_code(), 0);
        let codes: Vec<_> =
            (0x11..=0x15).map(|code| Outcome::from_qemu(code << 1 | 1).exit_code()).collect();
        assert_eq!(codes, [10, 11, 12, 13, 14]);
        assert_eq!(Outcome::from_qemu(0x20 << 1 | 1).exit_code(), 20);
        assert_eq!(Outcome::from_qemu(0x21 << 1 | 1).exit_code(), 21);
        assert_eq!(Outcome::from_qemu(0x22 << 1 | 1).exit_code(), 0);
        for other in [0, 1, 2, 0x16 << 1 | 1, 139] {
            assert_eq!(Outcome::from_qemu(other).exit_code(), 30, "{other}");
        }
        assert_eq!(Outcome::TimedOut.exit_code(), 124);
    }

    #[test]
    fn lines_say_the_same() {
        let seen = |line| Outcome::from_line(line);
        let shut = "(FR) [1.234] d0 shut down: crash\r";
        assert_eq!(seen(shut), Some(Outcome::Shutdown(Reason::Crash)));
        let soft = "(FR) [1.234] d0 shut down: soft_reset";
        assert_eq!(seen(soft), Some(Outcome::Shutdown(Reason::SoftReset)));
        assert_eq!(seen("(FR) [0.500] PANIC at src/main.rs:1:2"), Some(Outcome::Panic));
        let refused = "(FR) [0.500] error: domain 0: not an ELF file";
        assert_eq!(seen(refused), Some(Outcome::Refused));
        let option = "(FR) [0.000] error: command line: unknown option 'x'";
        assert_eq!(seen(option), Some(Outcome::Refused));
        assert_eq!(seen("(FR) [0.500] warning: PANICs are rare"), None);
        assert_eq!(seen("d0 shut down: poweroff"), None); // a guest's line
    }
}
