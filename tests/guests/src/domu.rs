//! A second domain, built by this one out of itself.
//!
//! A micro-guest that runs as domain 0 makes another domain that runs *the same image* at the
//! same addresses: its pages are copied as they are at that moment, variables included, and page
//! tables are made for them through foreign mappings. The new domain starts like any other, at
//! `_start` with a start info page, but its main function is the one that it was built for:
//!
//! ```ignore
//! fn run(_: &'static StartInfo) -> Outcome {
//!     let mut domu = Domu::create(1)?;                // paused, with memory, empty
//!     let port = domu.unbound_port()?;                // that it may bind to
//!     domu::letter(0).store(port.raw(), Relaxed);     // it finds this, being a copy
//!     domu.fill(main_of_domu)?;
//!     domu.unpause()?;
//!     must(calls::poll(&[port], deadline), "an event from the other domain")?;
//!     check!(domu.letter(1)? == 42, "what it says");  // read through a mapping
//!     domu.destroy()
//! }
//!
//! fn main_of_domu(_: &'static StartInfo) -> ! {
//!     let port = must_bind(letter(0).load(Relaxed));  // the remote domain is 0
//!     letter(1).store(42, Relaxed);
//!     calls::evtchn_send(port);
//!     calls::poweroff()
//! }
//! ```
//!
//! | to say something | use |
//! |---|---|
//! | to the domain, before it starts | any variable; [`letter`] before [`Domu::fill`] |
//! | to it, or from it, while it runs | [`Domu::letter`], [`Domu::set_letter`], events, grants |
//! | that it ends, and how | `calls::shutdown(reason)`; [`Domu::shutdown_code`] |
//!
//! In the new domain everything of this package works as in domain 0 (pages, roots, checks of
//! one's own), but its words are not printed: the console is domain 0's. It has frame *n* at
//! `VIRT_BASE + n * 4096`, as domain 0 does: the image, then the p2m list, the start info page and
//! the page tables, then [`SPARE`] pages that nobody uses. Pages that domain 0 has unmapped cannot
//! be copied, so build the domain before taking the image apart.
#![allow(unsafe_code)] // UNSAFETY: copies the image; changes mappings of one page of its own.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use pv_abi::domctl::*;
use pv_abi::errno::Errno;
use pv_abi::event_channel::{EVTCHNOP_ALLOC_UNBOUND, EvtchnAllocUnbound};
use pv_abi::hypercall::{DOMCTL, EVENT_CHANNEL_OP, MEMORY_OP, MMU_UPDATE};
use pv_abi::memory::XENMEM_POPULATE_PHYSMAP;
use pv_abi::mmu::{MMUEXT_INVLPG_LOCAL, MmuUpdate};
use pv_abi::traps::{VGCF_IN_KERNEL, VGCF_ONLINE};
use pv_abi::types::{DOMID_SELF, DomId, Port, VcpuId};
use ring1::abi::{
    self, FLAT_RING1_CS, FLAT_RING1_DS, FLAT_RING1_SS, MemoryReservation, StartInfo,
    VcpuGuestContext,
};
use ring1::calls::outcome;
use ring1::entry::{self, VIRT_BASE};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::call::address_of;
use crate::pages::{self, KRO, KRW, P, PAGE, TABLE};
use crate::verdict::{Outcome, Stop, must};
use crate::{hypercall, with_argument};

/// Pages beyond those that the new domain starts with.
pub const SPARE: u32 = 16;
/// Words that both sides find at the same place.
pub const LETTERS: usize = 64;
/// Frames that the domain can have.
const MOST: usize = 768;
/// Page tables: the root, one table of level 2 each for the kernel's slot and for slot 3, and
/// two of level 1.
const TABLES: u32 = 5;
/// The root's slot of `VIRT_BASE`.
const KERNEL_SLOT: u32 = VIRT_BASE >> 30;

#[repr(C, align(4096))]
struct Own(UnsafeCell<[u32; 1024]>);
// SAFETY: 1. Reached by raw pointer and atomics alone.
unsafe impl Sync for Own {}

/// The page whose mapping changes: frames of the other domain are seen through it.
static WINDOW: Own = Own(UnsafeCell::new([0; 1024]));
/// The page of letters.
static LETTER: Own = Own(UnsafeCell::new([0; 1024]));
/// The new domain's main function, in its copy.
static MAIN: AtomicU32 = AtomicU32::new(0);

/// The main function of the other domain.
pub type Main = fn(&'static StartInfo) -> !;

/// A word that domain 0 sets before it copies the image, and that it reads in the copy.
pub fn letter(index: usize) -> &'static AtomicU32 {
    assert!(index < LETTERS);
    let at = LETTER.0.get().cast::<AtomicU32>().wrapping_add(index);
    // SAFETY: 1. Within the page, which is never unmapped. 2. Everybody uses atomics.
    unsafe { &*at }
}

/// The main function, if this is the new domain; for [`guest!`](crate::guest) alone.
#[doc(hidden)]
pub fn own_main() -> Option<Main> {
    let main = MAIN.load(Ordering::Relaxed) as usize;
    // SAFETY: 1. `fill` stored a function of this type, and the image is at the same place.
    (main != 0).then(|| unsafe { core::mem::transmute::<usize, Main>(main) })
}

/// Makes a domctl about `domain`; the argument is read and written. What came back in eax, and
/// the domain then.
pub fn domctl<T>(cmd: u32, domain: DomId, argument: &mut T) -> (i32, DomId)
where
    T: FromBytes + IntoBytes + Immutable,
{
    let mut op = Aligned(Domctl {
        cmd,
        interface_version: XEN_DOMCTL_INTERFACE_VERSION,
        domain,
        _pad: [0; 3],
        u: [0; 128],
    });
    let size = size_of::<T>();
    op.0.u[..size].copy_from_slice(argument.as_bytes());
    let result = hypercall(DOMCTL, &[address_of(&mut op)]);
    compiler_fence(Ordering::SeqCst);
    argument.as_mut_bytes().copy_from_slice(&op.0.u[..size]);
    (result, op.0.domain)
}

#[repr(align(8))]
struct Aligned(Domctl);

/// A command about a domain whose structure does not matter.
pub fn command(cmd: u32, domain: DomId) -> Result<u32, Errno> {
    outcome(domctl(cmd, domain, &mut 0_u32).0)
}

/// What there is to know of the domain `id`, or the next higher one.
pub fn info(id: DomId) -> Result<Getdomaininfo, Errno> {
    let mut info = Getdomaininfo::new_zeroed();
    outcome(domctl(XEN_DOMCTL_GETDOMAININFO, id, &mut info).0).map(|_| info)
}

/// Maps frame `mfn` of domain `owner` at `va`, a page of this domain's image or pool.
pub fn map_foreign(owner: DomId, va: u32, mfn: u32, flags: u64) -> Result<(), Errno> {
    let slot = pages::machine_of(pages::l1_slot(va));
    let mut update = MmuUpdate { ptr: slot, val: pages::entry(mfn, flags) };
    let mut done = 0_u32;
    let arguments = [address_of(&mut update), 1, address_of(&mut done), u32::from(owner.raw())];
    outcome(hypercall(MMU_UPDATE, &arguments))?;
    pages::extended(MMUEXT_INVLPG_LOCAL, va, 0).map(|_| ())
}

/// The other domain.
pub struct Domu {
    /// Its number.
    pub id: DomId,
    /// Its frames, from the image's first on.
    frames: [u32; MOST],
    /// How many.
    count: u32,
    vcpus: u32,
}

impl Domu {
    /// Makes a paused domain of `vcpus` vCPUs with memory for a copy of this one. Nothing is in it.
    pub fn create(vcpus: u32) -> Outcome<Domu> {
        let mut config = Createdomain::new_zeroed();
        config.max_vcpus = vcpus;
        config.max_evtchn_port = 1023;
        config.max_grant_frames = -1;
        config.max_maptrack_frames = -1;
        config.grant_opts = 2;
        let (result, id) = domctl(XEN_DOMCTL_CREATEDOMAIN, DomId::new(0), &mut config);
        must(outcome(result), "createdomain")?;
        let count = Self::image_pages() + 2 + TABLES + SPARE;
        if count as usize > MOST || last_pfn(count) >= PAGE / 4 {
            return Err(Stop::Error("the image is too large to be copied"));
        }
        let mut domu = Domu { id, frames: [0; MOST], count, vcpus };
        domu.set(XEN_DOMCTL_MAX_VCPUS, &mut MaxVcpus { max: vcpus }, "max_vcpus")?;
        domu.set(XEN_DOMCTL_SET_ADDRESS_SIZE, &mut AddressSize { size: 32 }, "set_address_size")?;
        let max_memkb = u64::from(count + 256) * 4;
        domu.set(XEN_DOMCTL_MAX_MEM, &mut MaxMem { max_memkb }, "max_mem")?;
        domu.populate()?;
        Ok(domu)
    }

    /// Pages of the image.
    fn image_pages() -> u32 {
        let [text, _, data] = entry::image();
        (data.end - text.start) / PAGE
    }

    fn set<T>(&self, cmd: u32, argument: &mut T, what: &str) -> Outcome
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        must(outcome(domctl(cmd, self.id, argument).0), what).map(|_| ())
    }

    /// Gives it its frames, at their pseudo-physical numbers.
    fn populate(&mut self) -> Outcome {
        for (frame, pfn) in self.frames.iter_mut().zip(first_pfn()..).take(self.count as usize) {
            *frame = pfn;
        }
        let mut argument = MemoryReservation {
            extent_start: address_of(&mut self.frames),
            nr_extents: self.count,
            extent_order: 0,
            mem_flags: 0,
            domid: self.id,
            _pad: [0; 2],
        };
        let done = with_argument(MEMORY_OP, XENMEM_POPULATE_PHYSMAP, &mut argument);
        compiler_fence(Ordering::SeqCst);
        crate::check_eq!(done as u32, self.count, "frames of the new domain");
        if done as u32 == self.count { Ok(()) } else { Err(Stop::Failed) }
    }

    /// The frame behind an address of its own mapping.
    pub fn frame_of(&self, va: u32) -> u32 {
        self.frames[((va - VIRT_BASE) / PAGE - first_pfn()) as usize]
    }

    /// A spare page of its: nobody uses it. `index` is below [`SPARE`].
    pub fn spare(&self, index: u32) -> u32 {
        va_of(Self::image_pages() + 2 + TABLES + index)
    }

    /// A port of this domain's that the other may bind to.
    pub fn unbound_port(&self) -> Outcome<Port> {
        let mut argument = EvtchnAllocUnbound {
            dom: DomId::new(DOMID_SELF),
            remote_dom: self.id,
            port: Port::new(0),
        };
        let result = with_argument(EVENT_CHANNEL_OP, EVTCHNOP_ALLOC_UNBOUND, &mut argument);
        must(outcome(result), "alloc_unbound")?;
        Ok(argument.port)
    }

    /// Copies the image, makes page tables and a start info page, and sets the first vCPU's state:
    /// when it is unpaused, it begins with `main`.
    pub fn fill(&mut self, main: Main) -> Outcome {
        MAIN.store(main as usize as u32, Ordering::Relaxed);
        let image = Self::image_pages();
        for index in 0..image {
            let va = va_of(index);
            // What is mapped there is not the image's.
            if va != entry::shared_info_address() && va != window() {
                self.write(index, |to| copy_page(va, to))?;
            }
        }
        MAIN.store(0, Ordering::Relaxed);
        let (p2m, info, root) = (image, image + 1, image + 2);
        let frames = self.frames;
        let count = self.count;
        self.write(p2m, |to| {
            for pfn in 0..PAGE / 4 {
                let index = pfn.wrapping_sub(first_pfn());
                let mfn = if index < count { frames[index as usize] } else { u32::MAX };
                pages::write32(to + pfn * 4, mfn);
            }
        })?;
        self.write_tables(root)?;
        self.write_info(info, p2m, root)?;
        self.set_context(frames[root as usize], va_of(info))
    }

    /// Root, two tables of level 2, two of level 1: everything writable but the tables.
    fn write_tables(&self, root: u32) -> Outcome {
        let [l3, l2, top, low, high] = [0, 1, 2, 3, 4].map(|n| self.frames[(root + n) as usize]);
        let first = first_pfn();
        self.write(root, |to| {
            write64(to, KERNEL_SLOT, pages::entry(l2, P));
            write64(to, 3, pages::entry(top, P));
        })?;
        self.write(root + 1, |to| {
            write64(to, 0, pages::entry(low, TABLE));
            write64(to, 1, pages::entry(high, TABLE));
        })?;
        let _ = l3;
        for (table, from) in [(root + 3, 0), (root + 4, 512)] {
            self.write(table, |to| {
                for pfn in from..from + 512 {
                    let index = pfn_index(pfn, first);
                    let Some(mfn) = self.frames.get(index).filter(|_| index < self.count as usize)
                    else {
                        continue;
                    };
                    let is_table = (root..root + TABLES).contains(&(index as u32));
                    let flags = if is_table { KRO } else { KRW };
                    write64(to, pfn - from, pages::entry(*mfn, flags));
                }
            })?;
        }
        Ok(())
    }

    fn write_info(&self, info: u32, p2m: u32, root: u32) -> Outcome {
        let known = must(self.info(), "getdomaininfo")?;
        let mut start = StartInfo::new_zeroed();
        start.magic[..15].copy_from_slice(b"xen-3.0-x86_32p");
        start.nr_pages = last_pfn(self.count) + 1;
        start.shared_info = (known.shared_info_frame << 12) as u32;
        start.pt_base = va_of(root);
        start.nr_pt_frames = TABLES;
        start.mfn_list = va_of(p2m);
        self.write(info, |to| {
            for (word, at) in start.as_bytes().as_chunks::<4>().0.iter().zip((to..).step_by(4)) {
                pages::write32(at, u32::from_le_bytes(*word));
            }
        })
    }

    fn set_context(&self, root: u32, info: u32) -> Outcome {
        let mut context = VcpuGuestContext::new_zeroed();
        context.flags = VGCF_ONLINE | VGCF_IN_KERNEL;
        let r = &mut context.user_regs;
        (r.cs, r.ss) = (FLAT_RING1_CS, FLAT_RING1_SS);
        (r.ds, r.es, r.fs, r.gs) = (FLAT_RING1_DS, FLAT_RING1_DS, FLAT_RING1_DS, FLAT_RING1_DS);
        r.eip = entry::start_address();
        r.esp = self.spare(SPARE - 1) + PAGE;
        r.esi = info;
        r.eflags = 0x202;
        context.kernel_ss = FLAT_RING1_SS.into();
        context.kernel_sp = r.esp;
        context.ctrlreg[3] = abi::pfn_to_cr3(root);
        self.set_vcpu(VcpuId::new(0), &mut context)
    }

    /// `setvcpucontext`.
    pub fn set_vcpu(&self, vcpu: VcpuId, context: &mut VcpuGuestContext) -> Outcome {
        let mut argument =
            Vcpucontext { vcpu: vcpu.raw(), _pad: 0, ctxt: address_of(context).into() };
        self.set(XEN_DOMCTL_SETVCPUCONTEXT, &mut argument, "setvcpucontext")
    }

    /// Writes to its page `index` (of its frames), seen at the address that `write` gets.
    fn write(&self, index: u32, write: impl FnOnce(u32)) -> Outcome {
        self.see(self.frames[index as usize], || write(window()))
    }

    /// Does `look` while one of its frames is mapped at [`window`].
    fn see<T>(&self, mfn: u32, look: impl FnOnce() -> T) -> Outcome<T> {
        must(map_foreign(self.id, window(), mfn, KRW), "mapping a frame of the other domain")?;
        compiler_fence(Ordering::SeqCst);
        let seen = look();
        compiler_fence(Ordering::SeqCst);
        must(pages::map(window(), 0), "unmapping it")?;
        Ok(seen)
    }

    /// Reads a word of its, at an address of its own mapping.
    pub fn read(&self, va: u32) -> Outcome<u32> {
        self.see(self.frame_of(va), || pages::read32(window() + va % PAGE))
    }

    /// Writes a word of its.
    pub fn set_word(&self, va: u32, value: u32) -> Outcome {
        self.see(self.frame_of(va), || pages::write32(window() + va % PAGE, value))
    }

    /// Reads a letter in its copy.
    pub fn letter(&self, index: usize) -> Outcome<u32> {
        self.read(letter_address(index))
    }

    /// Writes a letter in its copy.
    pub fn set_letter(&self, index: usize, value: u32) -> Outcome {
        self.set_word(letter_address(index), value)
    }

    /// `unpausedomain`.
    pub fn unpause(&self) -> Outcome {
        must(command(XEN_DOMCTL_UNPAUSEDOMAIN, self.id), "unpausedomain").map(|_| ())
    }

    /// `pausedomain`.
    pub fn pause(&self) -> Outcome {
        must(command(XEN_DOMCTL_PAUSEDOMAIN, self.id), "pausedomain").map(|_| ())
    }

    /// `destroydomain`. Its frames that this domain has mapped stay.
    pub fn destroy(&self) -> Outcome {
        must(command(XEN_DOMCTL_DESTROYDOMAIN, self.id), "destroydomain").map(|_| ())
    }

    /// `getdomaininfo`; `ESRCH` if it is gone.
    pub fn info(&self) -> Result<Getdomaininfo, Errno> {
        let info = info(self.id)?;
        if info.domain == self.id { Ok(info) } else { Err(Errno::ESRCH) }
    }

    /// Why it shut down, if it has.
    pub fn shutdown_code(&self) -> Outcome<Option<u32>> {
        let info = must(self.info(), "getdomaininfo")?;
        let code = info.flags >> XEN_DOMINF_SHUTDOWNSHIFT & XEN_DOMINF_SHUTDOWNMASK;
        Ok((info.flags & XEN_DOMINF_SHUTDOWN != 0).then_some(code))
    }

    /// Its vCPUs.
    pub fn vcpus(&self) -> u32 {
        self.vcpus
    }
}

/// Where frames of the other domain are seen.
fn window() -> u32 {
    WINDOW.0.get().expose_provenance() as u32
}

fn letter_address(index: usize) -> u32 {
    assert!(index < LETTERS);
    LETTER.0.get().expose_provenance() as u32 + index as u32 * 4
}

/// The pseudo-physical number of the image's first page.
fn first_pfn() -> u32 {
    let [text, ..] = entry::image();
    (text.start - VIRT_BASE) / PAGE
}

fn last_pfn(count: u32) -> u32 {
    first_pfn() + count - 1
}

fn pfn_index(pfn: u32, first: u32) -> usize {
    pfn.wrapping_sub(first) as usize
}

/// The address of the domain's page `index`.
fn va_of(index: u32) -> u32 {
    VIRT_BASE + (first_pfn() + index) * PAGE
}

fn write64(table: u32, index: u32, entry: u64) {
    pages::write32(table + index * 8 + 4, (entry >> 32) as u32);
    pages::write32(table + index * 8, entry as u32);
}

fn copy_page(from: u32, to: u32) {
    for offset in (0..PAGE).step_by(4) {
        pages::write32(to + offset, pages::read32(from + offset));
    }
}
