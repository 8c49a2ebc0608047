//! The builder of domain 0.
//!
//! The hypervisor starts one domain itself: from a kernel and an initrd that the boot loader
//! left in memory. Domain 0 builds all others, through hypercalls. A kernel is an ELF file
//! with notes that say how it wants to be started; what they mean, and what the domain then
//! finds where, is thought out in [`pv_image`], which domain 0's builder uses, too.
//!
//! | file | does |
//! |---|---|
//! | [`memory`] | takes the frames |
//! | [`contents`] | writes into them |
//! | [`tables`] | the page tables |
//! | [`start`] | start info page and registers |
//! | [`hypercall_page`] | the stubs through which the guest calls |
//!
//! # Order
//!
//! First everything is looked at that can be wrong, while nothing is taken. Then memory is
//! taken and filled; the domain exists only as frames with its number. Then the page tables
//! get their types by the very functions that every guest's hypercalls use, so the invariants
//! of `mm` hold from the domain's first instruction. What still can fail by then is for want
//! of memory. Only then is the domain added to the machine. Whatever fails, everything taken
//! is given back: the domain never ran, so its frames can be released whatever refers to them.

pub mod contents;
pub mod hypercall_page;
pub mod memory;
pub mod start;
pub mod tables;

mod assemble;
mod error;

pub use error::BuildError;

use core::sync::atomic::Ordering;

use pv_abi::types::DomId;
use pv_image::kernel::Kernel;
use pv_image::layout::{Layout, PAGE, Wanted};
use pv_image::notes::Role;
use pv_image::refusal::Refusal;

use crate::domain::vcpu::Vcpu;
use crate::domain::{Domain, MAX_VCPUS};
use crate::mm::frame_box::FrameBox;
use crate::platform::Platform;
use crate::sched;
use crate::system::System;
use crate::time;
use crate::width::Width;

/// The number of the domain that is built.
const DOMAIN_0: DomId = DomId::new(0);
/// Frames that domain 0 is not given by default: for the hypervisor's later needs.
const RESERVE: u64 = 128;
/// Frames for one vCPU: itself, its L4, its extended state, its descriptor-table window.
const FRAMES_PER_VCPU: u64 = (1 << FrameBox::<Vcpu>::ORDER) + 8;
/// The most pages that a pv32 domain is given by default: 64 GiB, what PAE was made for.
const MAX_PAGES_PV32: u64 = 1 << 24;

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// The initrd; empty: none.
    pub initrd: &'a [u8],
    /// The kernel's command line, without a NUL.
    pub command_line: &'a [u8],
    /// Its memory in bytes (`dom0_mem`); `None`: all that is free, but for a reserve.
    pub memory_bytes: Option<u64>,
    /// Its vCPUs, 1 or more; at most [`MAX_VCPUS`] are made.
    pub vcpus: u32,
}

/// Builds domain 0 and starts its first vCPU.
pub fn build<'s, P: Platform>(
    sys: &'s System<P>,
    request: &Request<'_>,
) -> Result<&'s Domain, BuildError> {
    let kernel = Kernel::read(request.kernel, Role::Domain0, request.command_line)?;
    if sys.domain(DOMAIN_0).is_some() {
        return Err(BuildError::Exists);
    }
    let pages = size(sys, kernel.file.width, request);
    let initrd_len = request.initrd.len() as u64;
    let wanted = Wanted { initrd_len, ..kernel.wanted(pages) };
    let layout = Layout::new(&wanted).map_err(Refusal::from)?;
    let domain = assemble::assemble(sys, &kernel, &layout, pages, request)?;
    time::clock::publish_wallclock(sys, domain);
    if let Some(vcpu) = domain.vcpus().next() {
        sched::start(sys, domain, vcpu);
    }
    log::info!(
        "d0: kernel {} at {:#x} to {:#x}, entry {:#x}, {} MiB, {} vCPUs",
        kernel.name,
        kernel.start,
        kernel.end,
        kernel.entry,
        domain.pages.load(Ordering::Relaxed) >> 8,
        domain.vcpus().count(),
    );
    Ok(domain)
}

/// How many vCPUs are made.
fn vcpus(request: &Request<'_>) -> u32 {
    request.vcpus.clamp(1, MAX_VCPUS as u32)
}

/// The pages that domain 0 gets: what was asked for, as far as the machine has it.
fn size<P: Platform>(sys: &System<P>, width: Width, request: &Request<'_>) -> u64 {
    let own =
        RESERVE + FRAMES_PER_VCPU * u64::from(vcpus(request)) + (1 << FrameBox::<Domain>::ORDER);
    let most = match width {
        Width::Pv32 => MAX_PAGES_PV32,
        Width::Pv64 => u64::from(u32::MAX),
    };
    let (free, _) = sys.memory.free_and_total();
    let available = free.saturating_sub(own).min(most);
    match request.memory_bytes.map(|bytes| bytes / PAGE) {
        None => available,
        Some(wanted) if wanted > available => {
            log::warn!(
                "d0: dom0_mem asks for {} MiB, there are {} MiB",
                wanted >> 8,
                available >> 8
            );
            available
        }
        Some(wanted) => wanted,
    }
}
