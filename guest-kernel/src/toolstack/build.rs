//! The domain builder: a kernel, a ramdisk and a few numbers become a paused domain.
//!
//! # Order
//!
//! First everything is looked at that can be wrong with the kernel, while there is no domain. Then
//! the domain is created and filled while its pages are plain memory; its page tables get their
//! types all at once, when their root is pinned, which is when the hypervisor checks them. Last come
//! the first vCPU's registers. Whatever fails, [`NewDomain`] takes everything back.

use core::fmt;

use super::contents::Contents;
use super::new_domain::{Limits, NewDomain};
use crate::control::domctl;
use alloc::boxed::Box;
use pv_abi::errno::Errno;
use pv_abi::mmu::MMUEXT_PIN_L3_TABLE;
use pv_abi::traps::{VGCF_IN_KERNEL, VGCF_ONLINE};
use pv_abi::types::{DomId, Mfn, VcpuId};
use pv_image::kernel::Kernel;
use pv_image::layout::{Layout, PAGE, RINGS, Wanted};
use pv_image::notes::Role;
use pv_image::refusal::Refusal;
use pv_image::start::{Facts, Ring, info32};
use pv_image::tables::Tables;
use pv_image::width::Width;
use ring1::abi::{self, FLAT_RING1_CS, FLAT_RING1_DS, FLAT_RING1_SS, VcpuGuestContext};
use ring1::calls;
use xl::terminal::Blob;
use zerocopy::{FromZeros, IntoBytes};

/// EFLAGS at the start: interrupts on (events are masked), and the bit that is always set.
const EFLAGS: u32 = 0x202;
/// Bits of addresses of the frames that a narrow kernel's root may lie in, unless it says more.
const NARROW_ROOT: u8 = 32;

/// What is to be built.
pub struct Request<'a> {
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// The ramdisk.
    pub ramdisk: Option<&'a dyn Blob>,
    /// The kernel's command line, without a NUL.
    pub command_line: &'a [u8],
    /// Its memory, KiB.
    pub memory_kib: u64,
    /// The handle by which toolstacks know it.
    pub handle: [u8; 16],
    /// What else it may have.
    pub limits: Limits,
}

/// A paused domain that needs nothing but XenStore to start.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    /// Its number.
    pub id: DomId,
    /// Its way to XenStore.
    pub store: Ring,
    /// Its console.
    pub console: Ring,
}

/// Why a domain could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// Kernel, sizes or command line.
    Image(Refusal),
    /// The machine has not that much memory left.
    NoMemory {
        /// How much was wanted, KiB.
        wanted_kib: u64,
    },
    /// Domain 0 has too little memory itself.
    OwnMemory,
    /// Something was to be written outside of the domain: a mistake of the builder's.
    Outside {
        /// Where.
        address: u64,
    },
    /// A hypercall refused.
    Call {
        /// Which.
        call: &'static str,
        /// What it returned.
        errno: Errno,
    },
}

impl BuildError {
    /// Makes an error of what `call` returned.
    pub fn call(call: &'static str) -> impl Fn(Errno) -> BuildError {
        move |errno| BuildError::Call { call, errno }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(refusal) => refusal.explain(f, "the domain", "the"),
            Self::NoMemory { wanted_kib } => {
                write!(f, "the machine does not have {wanted_kib} KiB of free memory")
            }
            Self::OwnMemory => write!(f, "domain 0 has too little memory to build a domain"),
            Self::Outside { address } => {
                write!(f, "the domain has no memory at {address:#x} (a bug of the builder)")
            }
            Self::Call { call, errno } => write!(f, "{call}: {errno}"),
        }
    }
}

impl From<Refusal> for BuildError {
    fn from(refusal: Refusal) -> BuildError {
        BuildError::Image(refusal)
    }
}

/// Builds a domain; it is paused, and nothing is left of it if this fails.
pub fn build(request: &Request<'_>) -> Result<Built, BuildError> {
    // Refuses 64-bit kernels.
    let kernel = Kernel::read(request.kernel, Role::DomU, request.command_line)?;
    let pages = request.memory_kib / (PAGE / 1024);
    let initrd_len = request.ramdisk.map_or(0, Blob::len);
    let wanted = Wanted { initrd_len, ring_pages: RINGS, ..kernel.wanted(pages) };
    let layout = Layout::new(&wanted).map_err(Refusal::from)?;
    let domain = NewDomain::create(request.handle, &request.limits)?;
    let frames = domain.populate(pages, if kernel.high_root { 0 } else { NARROW_ROOT })?;
    let contents = Contents { domain: domain.id(), frames: &frames, start: layout.start };
    let ring = |page: u64| {
        let mfn = contents.frame(layout.rings + page * PAGE)?;
        Ok::<Ring, BuildError>(Ring { mfn, port: domain.port_for_domain_0()? })
    };
    let (store, console) = (ring(0)?, ring(1)?);
    fill(&contents, &kernel, &layout, request, &domain, (store, console))?;
    domain.grant_rings(console.mfn, store.mfn)?;
    let root = contents.frame(layout.tables)?;
    pin(domain.id(), root)?;
    start(domain.id(), &kernel, &layout, root)?;
    Ok(Built { id: domain.finish(), store, console })
}

/// Writes everything that the domain finds in its memory.
fn fill(
    contents: &Contents<'_>,
    kernel: &Kernel<'_>,
    layout: &Layout,
    request: &Request<'_>,
    domain: &NewDomain,
    (store, console): (Ring, Ring),
) -> Result<(), BuildError> {
    for (address, segment) in kernel.segments() {
        contents.write(address, segment.data)?;
    }
    if let Some(ramdisk) = request.ramdisk {
        contents.write_file(layout.initrd, ramdisk)?;
    }
    if let Some(page) = kernel.hypercall_page {
        domctl::hypercall_init(domain.id(), contents.frame(page)?)
            .map_err(BuildError::call("domctl hypercall_init"))?;
    }
    contents.write(layout.p2m, contents.frames.as_bytes())?;
    let facts = Facts {
        layout,
        role: Role::DomU,
        pages: contents.frames.len() as u64,
        shared_info: domain.shared_info()?,
        initrd_len: request.ramdisk.map_or(0, Blob::len),
        mod_start_pfn: kernel.mod_start_pfn,
        command_line: request.command_line,
        store: Some(store),
        console: Some(console),
    };
    contents.write(layout.start_info, info32(&facts).as_bytes())?;
    write_tables(contents, layout, kernel.file.width)
}

/// Writes the page tables, mapped all at once: there is one for 2 MiB of what they map.
fn write_tables(contents: &Contents<'_>, layout: &Layout, width: Width) -> Result<(), BuildError> {
    let tables = Tables::new(layout, width);
    let mapped = contents.map(layout.tables, layout.table_count as usize)?;
    tables.entries(|entry| {
        let table = entry.table.saturating_sub(tables.root());
        let target = contents.frame(layout.start + entry.target * PAGE)?;
        let at = table * PAGE + u64::from(entry.index) * 8;
        mapped.write_u64(at as usize, target.raw() << 12 | entry.flags);
        Ok(())
    })
}

/// Has the hypervisor check the page tables, and hold them.
fn pin(domain: DomId, root: Mfn) -> Result<(), BuildError> {
    let operation = calls::mmuext(MMUEXT_PIN_L3_TABLE, root.raw() as u32, 0);
    calls::mmuext_op_of(domain, &[operation])
        .map(|_| ())
        .map_err(BuildError::call("pinning a new domain's page tables"))
}

/// Sets the first vCPU's registers (`arch-x86/xen-x86_32.h`, "entry"): flat segments, the start
/// info's address in ESI, the stack pointer at the top of the boot stack.
fn start(domain: DomId, kernel: &Kernel<'_>, layout: &Layout, root: Mfn) -> Result<(), BuildError> {
    // It is large, and kernel stacks are not.
    let mut context = Box::new(VcpuGuestContext::new_zeroed());
    context.flags = VGCF_ONLINE | VGCF_IN_KERNEL;
    let registers = &mut context.user_regs;
    (registers.cs, registers.ss) = (FLAT_RING1_CS, FLAT_RING1_SS);
    (registers.ds, registers.es) = (FLAT_RING1_DS, FLAT_RING1_DS);
    (registers.fs, registers.gs) = (FLAT_RING1_DS, FLAT_RING1_DS);
    // The layout ends below the guest's last address.
    registers.eip = kernel.entry as u32;
    registers.esp = (layout.stack + PAGE) as u32;
    registers.esi = layout.start_info as u32;
    registers.eflags = EFLAGS;
    context.kernel_ss = FLAT_RING1_SS.into();
    context.kernel_sp = (layout.stack + PAGE) as u32;
    context.ctrlreg[3] = abi::pfn_to_cr3(root.raw() as u32);
    domctl::set_vcpu_context(domain, VcpuId::new(0), &context)
        .map_err(BuildError::call("domctl setvcpucontext"))
}
