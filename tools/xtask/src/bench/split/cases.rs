//! What is measured: a command of a guest's shell, which does the same thing so many times.

/// At whose shell the command is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The domU's.
    Domu,
    /// Domain 0's.
    Domain0,
}

/// A row.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Whose shell.
    pub at: At,
    /// What one of those things is.
    pub unit: &'static str,
    /// How often it is done at least; then three times as often.
    pub few: u64,
    /// The command, for so many.
    pub line: fn(u64) -> String,
}

/// Address of the domU's network interface.
pub const DOMU: &str = "00:16:3e:00:00:01";
/// Domain 0's own, where the machine has no card.
const DOMAIN_0: &str = "00:16:3e:00:00:00";
/// Sectors of a block of 4 KiB.
const BLOCK: u64 = 8;

const fn domu(name: &'static str, unit: &'static str, few: u64, line: fn(u64) -> String) -> Case {
    Case { name, at: At::Domu, unit, few, line }
}

const fn domain0(name: &'static str, few: u64, line: fn(u64) -> String) -> Case {
    Case { name, at: At::Domain0, unit: "packet", few, line }
}

fn blkio(disk: &str, verb: &str, blocks: u64, bytes: u64) -> String {
    format!("blkio {disk} {verb} 0 {} {bytes}", blocks * BLOCK)
}

/// The rows in order. `xvda` is memory of domain 0's, `xvdb` a virtio disk of the machine's; both have
/// 16 MiB, or 4096 blocks.
pub const CASES: &[Case] = &[
    // The bound: a request, its answer and their events, without data or a grant.
    domu("ring alone", "request", 1000, |count| format!("blkio xvda flush 0 {count}")),
    domu("read 4 KiB, RAM", "block", 1000, |count| blkio("xvda", "read", count, 4096)),
    domu("write 4 KiB, RAM", "block", 1000, |count| blkio("xvda", "write", count, 4096)),
    domu("read 1 MiB, RAM", "block", 1280, |count| blkio("xvda", "read", count, 1 << 20)),
    domu("write 1 MiB, RAM", "block", 1280, |count| blkio("xvda", "write", count, 1 << 20)),
    domu("read 4 KiB, virtio", "block", 1000, |count| blkio("xvdb", "read", count, 4096)),
    domu("write 4 KiB, virtio", "block", 1000, |count| blkio("xvdb", "write", count, 4096)),
    domu("read 1 MiB, virtio", "block", 1280, |count| blkio("xvdb", "read", count, 1 << 20)),
    domu("write 1 MiB, virtio", "block", 1280, |count| blkio("xvdb", "write", count, 1 << 20)),
    domu("send 64 B", "packet", 2000, |count| format!("netio eth0 {DOMAIN_0} 64 {count}")),
    domu("send 1514 B", "packet", 2000, |count| format!("netio eth0 {DOMAIN_0} 1514 {count}")),
    domu("send 64 KiB GSO", "packet", 200, |count| format!("netio eth0 {DOMAIN_0} 65535 {count}")),
    domain0("receive 64 B", 1920, |count| format!("netio eth0 {DOMU} 64 {count} 64")),
    domain0("receive 1514 B", 1920, |count| format!("netio eth0 {DOMU} 1514 {count} 64")),
    domain0("receive 64 KiB GSO", 200, |count| format!("netio eth0 {DOMU} 65535 {count} 2")),
];
