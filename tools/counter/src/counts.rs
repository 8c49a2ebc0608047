//! The numbers, and the socket at which they are told.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::sides::Side;

/// Instructions of each side. Code that QEMU makes adds to them.
pub struct Counts([AtomicU64; Side::ALL.len()]);

impl Counts {
    /// None yet.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; Side::ALL.len()])
    }

    /// A side's.
    pub fn of(&self, side: Side) -> &AtomicU64 {
        let [hypervisor, domain0, domains, programs] = &self.0;
        match side {
            Side::Hypervisor => hypervisor,
            Side::Domain0 => domain0,
            Side::Domains => domains,
            Side::Programs => programs,
        }
    }
}

/// The line that is told.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (side, name)) in Side::ALL.into_iter().enumerate() {
            let blank = if number > 0 { " " } else { "" };
            write!(f, "{blank}{name} {}", self.of(side).load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// Has a thread tell everybody who connects to the socket `at`.
pub fn tell(counts: &'static Counts, at: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(at)?;
    thread::Builder::new().name("counter".into()).spawn(move || {
        for stream in listener.incoming() {
            // Who has gone needs no line.
            let _ = stream.and_then(|mut stream| writeln!(stream, "{counts}"));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_connects_is_told() {
        static COUNTS: Counts = Counts::new();
        COUNTS.of(Side::Hypervisor).store(7, Ordering::Relaxed);
        COUNTS.of(Side::Programs).store(u64::MAX, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("counter-{}", std::process::id()));
        tell(&COUNTS, &socket).unwrap();
        let line = || io::read_to_string(UnixStream::connect(&socket).unwrap()).unwrap();
        assert_eq!(line(), "hypervisor 7 domain0 0 domains 0 programs 18446744073709551615\n");
        COUNTS.of(Side::Domains).store(1, Ordering::Relaxed);
        assert!(line().contains("domains 1 "));
        assert!(tell(&COUNTS, &socket).is_err(), "somebody listens there already");
        std::fs::remove_file(&socket).unwrap();
    }
}
