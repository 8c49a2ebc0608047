//! Putting the domain together, and taking it apart again if something is missing.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use pv_abi::start_info::XEN_LEGACY_MAX_VCPUS;
use pv_abi::types::{Mfn, VcpuId};
use pv_abi::x86_32;
use pv_image::kernel::Kernel;
use pv_image::layout::{Layout, PAGE};
use pv_image::notes::Role;
use pv_image::start::Facts;

use super::contents::Contents;
use super::memory::{DomainMemory, FRAMES_BELOW_4_GIB};
use super::{BuildError, DOMAIN_0, Request, hypercall_page, start, tables, vcpus};
use crate::domain::Domain;
use crate::error::Stop;
use crate::mm::frame::{Owner, Type};
use crate::mm::frame_box::FrameBox;
use crate::mm::memory::INVALID_M2P;
use crate::mm::types::PageTypes;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

const OWNER: Owner = Owner::Domain(DOMAIN_0);

/// Takes memory, fills it, and adds the domain to the machine.
// Not inlined, here and below: large values on a small stack, one after the other.
#[inline(never)]
pub(super) fn assemble<'s, P: Platform>(
    sys: &'s System<P>,
    kernel: &Kernel<'_>,
    layout: &Layout,
    pages: u64,
    request: &Request<'_>,
) -> Result<&'s Domain, BuildError> {
    let width = kernel.file.width;
    // A narrow guest is told addresses and names roots in 32 bits.
    let low = (width == Width::Pv32 && sys.memory.frame_count() > FRAMES_BELOW_4_GIB)
        .then(|| layout.pfn(layout.tables));
    let shared_info = sys
        .memory
        .allocate_below(Owner::Hypervisor, 0, Mfn::new(FRAMES_BELOW_4_GIB))
        .map_err(|_| BuildError::NoLowMemory)?;
    let low = low.filter(|_| !kernel.high_root);
    let memory = match DomainMemory::take(&sys.memory, OWNER, pages, low) {
        Ok(memory) => memory,
        Err(error) => {
            sys.memory.release(shared_info, 0);
            return Err(error);
        }
    };
    sys.platform.zero(shared_info);
    // Upcalls are masked for every vCPU that there could be, as Xen has it.
    let infos = sys.platform.bytes(shared_info).chunks(size_of::<x86_32::VcpuInfo>());
    for info in infos.take(XEN_LEGACY_MAX_VCPUS) {
        if let Some(mask) = info.get(offset_of!(x86_32::VcpuInfo, evtchn_upcall_mask)) {
            mask.store(1, Ordering::Relaxed);
        }
    }
    let outcome = fill(sys, &memory, kernel, layout, shared_info, request)
        .and_then(|root| make_domain(sys, kernel, layout, pages, shared_info, root, request));
    if outcome.is_err() {
        for mfn in memory.frames() {
            sys.memory.set_m2p(mfn, INVALID_M2P);
        }
        memory.give_back(&sys.memory);
        sys.memory.release(shared_info, 0);
    }
    outcome
}

/// Writes everything that the domain finds in its memory; returns its root page table.
#[inline(never)]
fn fill<P: Platform>(
    sys: &System<P>,
    memory: &DomainMemory,
    kernel: &Kernel<'_>,
    layout: &Layout,
    shared_info: Mfn,
    request: &Request<'_>,
) -> Result<Mfn, BuildError> {
    let width = kernel.file.width;
    let contents = Contents { platform: &sys.platform, memory, start: layout.start };
    for (address, segment) in kernel.segments() {
        let size = segment.data.len() as u64;
        contents.write(address, segment.data)?;
        contents.zero(address.wrapping_add(size), segment.memory_size.saturating_sub(size))?;
    }
    contents.zero_tail(kernel.end)?;
    contents.write(layout.initrd, request.initrd)?;
    if !request.initrd.is_empty() {
        contents.zero_tail(layout.initrd.saturating_add(request.initrd.len() as u64))?;
    }
    if let Some(page) = kernel.hypercall_page {
        for (number, at) in (0..).zip((page..page.saturating_add(PAGE)).step_by(STUB_STEP)) {
            contents.write(at, &hypercall_page::stub(width, number))?;
        }
    }
    write_p2m(sys, &contents, layout, width)?;
    let facts = Facts {
        layout,
        role: Role::Domain0,
        pages: memory.pages(),
        shared_info,
        initrd_len: request.initrd.len() as u64,
        mod_start_pfn: kernel.mod_start_pfn,
        command_line: request.command_line,
        store: None,
        console: None,
    };
    start::write_info(&contents, width, &facts)?;
    contents.zero(layout.stack, PAGE)?;
    tables::write(&contents, layout, width)
}

const STUB_STEP: usize = hypercall_page::STUB_LEN;

/// Writes the p2m list and the machine-to-physical tables: the only work that is done for each
/// page of the domain, so it goes by whole runs.
fn write_p2m<P: Platform>(
    sys: &System<P>,
    contents: &Contents<'_, P>,
    layout: &Layout,
    width: Width,
) -> Result<(), BuildError> {
    let long = width.long();
    let per_page = PAGE / long;
    for run in contents.memory.runs() {
        sys.memory.set_m2p_range(run.mfn, run.pfn, run.pages);
        let mut done = 0;
        while done < run.pages {
            let pfn = run.pfn.saturating_add(done);
            let index = pfn % per_page;
            let now = (run.pages - done).min(per_page - index);
            let list = contents.mfn_at(layout.p2m.saturating_add(pfn.saturating_mul(long)))?;
            let range = index as usize..(index + now) as usize;
            let first = run.mfn.raw().saturating_add(done);
            match width {
                Width::Pv32 => {
                    let entries = sys.platform.half_words(list).get(range).unwrap_or(&[]);
                    for (entry, mfn) in entries.iter().zip(first as u32..) {
                        entry.store(mfn, Ordering::Relaxed);
                    }
                }
                Width::Pv64 => {
                    let entries = sys.platform.words(list).get(range).unwrap_or(&[]);
                    for (entry, mfn) in entries.iter().zip(first..) {
                        entry.store(mfn, Ordering::Relaxed);
                    }
                }
            }
            done += now;
        }
    }
    contents.zero_tail(layout.p2m.saturating_add(contents.memory.pages().saturating_mul(long)))
}

/// Makes the domain over its filled memory, and adds it to the machine.
#[inline(never)]
fn make_domain<'s, P: Platform>(
    sys: &'s System<P>,
    kernel: &Kernel<'_>,
    layout: &Layout,
    pages: u64,
    shared_info: Mfn,
    root: Mfn,
    request: &Request<'_>,
) -> Result<&'s Domain, BuildError> {
    let width = kernel.file.width;
    let domain = FrameBox::new(&sys.memory, &sys.platform, || {
        Domain::new(DOMAIN_0, width, true, shared_info, kernel.hv_start)
    })
    .map_err(|_| BuildError::NoMemory)?;
    // There is room for the ranges that a new domain starts with.
    domain.permissions.give_hardware(sys).map_err(|_| BuildError::NoMemory)?;
    // Fits: Block numbers are 32 bits wide.
    domain.pages.store(pages as u32, Ordering::Relaxed);
    domain.max_pages.store(pages as u32, Ordering::Relaxed);

    let outcome = take_types(sys, &domain, shared_info, root).and_then(|()| {
        for number in 0..vcpus(request) {
            sys.create_vcpu(&domain, VcpuId::new(number)).map_err(|_| BuildError::NoMemory)?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        sys.discard_domain(domain);
        return Err(error);
    }
    if let Some(first) = domain.vcpus().next() {
        start::set_registers(&mut first.state.lock(), width, kernel, layout, root);
    }
    sys.domains.add(domain).map_err(|domain| {
        sys.discard_domain(domain);
        BuildError::Exists
    })
}

/// Takes the references that the domain starts with: its pinned root, loaded by vCPU 0, and
/// the hypervisor's own to the shared info page, which the domain never has to give away.
fn take_types<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    shared_info: Mfn,
    root: Mfn,
) -> Result<(), BuildError> {
    let kind = Type::root_of(domain.width());
    repeat(sys, domain, |types| types.pin(root, kind))?;
    repeat(sys, domain, |types| types.get(root, kind))?;
    sys.lend(domain, shared_info);
    Ok(())
}

/// Does a step until it is done: large address spaces take more than one request's budget.
fn repeat<P: Platform>(
    sys: &System<P>,
    domain: &Domain,
    step: impl Fn(&mut PageTypes<'_, P>) -> Result<(), Stop>,
) -> Result<(), BuildError> {
    loop {
        match step(&mut sys.page_types(domain)) {
            Ok(()) => return Ok(()),
            Err(Stop::Preempted) => {}
            Err(_) => return Err(BuildError::TablesRefused),
        }
    }
}
