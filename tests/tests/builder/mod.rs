//! The builder of domain 0: what it builds, and what it refuses and how.

mod built;
mod hostile;
mod refusals;

use std::sync::Arc;

use hypervisor::builder::{BuildError, Request, build};
use hypervisor::domain::Domain;
use hypervisor::system::System;
use pv_tests::machine::FakeMachine;

/// What is free, to see that nothing is lost.
fn free(sys: &System<FakeMachine>) -> u64 {
    sys.memory.free_and_total().0
}

/// A request for `kernel` with one vCPU and nothing else.
fn request(kernel: &[u8]) -> Request<'_> {
    Request { kernel, initrd: &[], command_line: b"", memory_bytes: None, vcpus: 1 }
}

/// Builds on a machine of 16 MiB with two CPUs; a refusal must leave nothing behind.
fn try_build(request: &Request<'_>) -> Result<Arc<System<FakeMachine>>, BuildError> {
    let sys = pv_tests::boot::system(4096, 2);
    let before = free(&sys);
    match build(&sys, request).map(|_: &Domain| ()) {
        Ok(()) => Ok(sys),
        Err(error) => {
            assert_eq!(free(&sys), before, "memory is lost: {error}");
            assert!(sys.domains.iter().next().is_none(), "half a domain is left: {error}");
            pv_tests::check::invariants(&sys);
            Err(error)
        }
    }
}
