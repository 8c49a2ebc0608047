//! Starting an emulator so that it cannot outlive us.
//!
//! A runner that is killed must not leave a machine running. Linux's
//! parent-death signal sees to that without a watchdog process.
#![allow(unsafe_code)] // UNSAFETY: code between fork and exec is unsafe by nature (`pre_exec`).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Starts `command`; the kernel kills it when the calling thread ends.
pub fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    // SAFETY: 1. the closure runs after fork in a copy of a process that may have
    //            threads: it makes one system call and neither allocates nor locks.
    //         2. it captures nothing, so no destructor runs there.
    unsafe {
        command.pre_exec(|| {
            set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
        });
    }
    command.spawn().with_context(|| {
        format!(
            "cannot start {program}; on Debian `tools/setup run` (for Bochs `tools/setup test`) \
             installs it"
        )
    })
}
