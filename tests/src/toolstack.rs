//! A toolstack on the simulated machine: domain 0's guest makes, fills and ends other domains by
//! `domctl`, and asks about the machine by `sysctl`, as on the real one. Only their memory is filled
//! from outside, frame by frame.

use std::sync::atomic::Ordering;

use hypervisor::platform::FrameAccess;
use pv_abi::domctl::*;
use pv_abi::hypercall as nr;
use pv_abi::memory::XENMEM_POPULATE_PHYSMAP;
use pv_abi::sysctl::{Sysctl, XEN_SYSCTL_INTERFACE_VERSION};
use pv_abi::traps::{VGCF_IN_KERNEL, VGCF_ONLINE};
use pv_abi::types::{DomId, Mfn};
use pv_abi::x86_32::{FLAT_RING1_CS, FLAT_RING1_DS, VcpuGuestContext, pfn_to_cr3};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::guest::{Guest, Spec};

/// Where a domain that [`Guest::build_domain`] made has its first page.
pub const BASE: u64 = 0x8000_0000;
/// Page tables of such a domain: its last frames.
pub const TABLES: usize = 4;

/// A domain that was made by `domctl`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its number.
    pub id: DomId,
    /// Its frames, by pseudo-physical number.
    pub frames: Vec<Mfn>,
}

impl Made {
    /// Its root page table.
    pub fn root(&self) -> Mfn {
        self.frames[self.frames.len() - TABLES]
    }
}

impl Guest {
    /// Domain 0 with `cpus` vCPUs, each on a CPU of its own; only the first runs.
    pub fn toolstack(cpus: u32) -> Guest {
        Guest::with(Spec { base: BASE, pages: 320, vcpus: cpus, ..Spec::default() })
    }

    /// A domctl about `domain`: the result, the domain and the structure afterwards.
    pub fn domctl<T>(&mut self, cmd: u32, domain: DomId, argument: &T) -> (i64, DomId, T)
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        let mut op = Domctl {
            cmd,
            interface_version: XEN_DOMCTL_INTERFACE_VERSION,
            domain,
            _pad: [0; 3],
            u: [0xee; 128],
        };
        argument.write_to_prefix(&mut op.u).expect("it fits");
        let at = self.arg(&op);
        let result = self.call(nr::DOMCTL, &[at]);
        let op: Domctl = self.read(at);
        let (after, _) = T::read_from_prefix(&op.u).expect("it fits");
        (result, op.domain, after)
    }

    /// A sysctl: the result, and the structure afterwards.
    pub fn sysctl<T>(&mut self, cmd: u32, argument: &T) -> (i64, T)
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        let mut op =
            Sysctl { cmd, interface_version: XEN_SYSCTL_INTERFACE_VERSION, u: [0xee; 128] };
        argument.write_to_prefix(&mut op.u).expect("it fits");
        let at = self.arg(&op);
        let result = self.call(nr::SYSCTL, &[at]);
        let op: Sysctl = self.read(at);
        let (after, _) = T::read_from_prefix(&op.u).expect("it fits");
        (result, after)
    }

    /// A domctl whose structure does not matter.
    pub fn command(&mut self, cmd: u32, domain: DomId) -> i64 {
        self.domctl(cmd, domain, &0_u32).0
    }

    /// What there is to know of the domain of that number.
    pub fn about(&mut self, domain: DomId) -> Result<Getdomaininfo, i64> {
        match self.domctl(XEN_DOMCTL_GETDOMAININFO, domain, &Getdomaininfo::new_zeroed()) {
            (0, found, info) if found == domain => Ok(info),
            (0, ..) => Err(-3),
            (errno, ..) => Err(errno),
        }
    }

    /// What a small PV domain is made with.
    pub fn config(vcpus: u32) -> Createdomain {
        Createdomain {
            max_vcpus: vcpus,
            max_evtchn_port: 1023,
            max_grant_frames: -1,
            max_maptrack_frames: -1,
            grant_opts: 2,
            ..Createdomain::new_zeroed()
        }
    }

    /// Makes a 32-bit domain with `vcpus` vCPUs and room for `pages` pages. It has none.
    pub fn new_domain(&mut self, vcpus: u32, pages: u64) -> DomId {
        let config = Guest::config(vcpus);
        let (result, id, _) = self.domctl(XEN_DOMCTL_CREATEDOMAIN, DomId::new(0), &config);
        assert_eq!(result, 0, "createdomain");
        let max = MaxVcpus { max: vcpus };
        assert_eq!(self.domctl(XEN_DOMCTL_MAX_VCPUS, id, &max).0, 0, "max_vcpus");
        let size = AddressSize { size: 32 };
        assert_eq!(self.domctl(XEN_DOMCTL_SET_ADDRESS_SIZE, id, &size).0, 0, "set_address_size");
        let max = MaxMem { max_memkb: pages * 4 };
        assert_eq!(self.domctl(XEN_DOMCTL_MAX_MEM, id, &max).0, 0, "max_mem");
        id
    }

    /// Gives a domain frames for the pseudo-physical numbers from `first` on.
    pub fn populate(&mut self, id: DomId, first: u32, count: u32) -> Vec<Mfn> {
        let numbers: Vec<u32> = (first..first + count).collect();
        let (done, frames) = self.reservation(XENMEM_POPULATE_PHYSMAP, &numbers, 0, id);
        frames.into_iter().take(done as usize).map(|mfn| Mfn::new(mfn.into())).collect()
    }

    /// Makes a domain of one vCPU whose `pages` pages are mapped from [`BASE`] on, its page tables
    /// read-only. It is paused, and ready to run.
    pub fn build_domain(&mut self, pages: u32) -> Made {
        let id = self.new_domain(1, pages.into());
        let frames = self.populate(id, 0, pages);
        assert_eq!(frames.len(), pages as usize, "memory for the domain");
        let made = Made { id, frames };
        self.write_tables(&made);
        assert_eq!(self.set_context(&made, 0), 0, "setvcpucontext");
        made
    }

    fn write_tables(&self, made: &Made) {
        let first_table = made.frames.len() - TABLES;
        let [root, l2, top, l1] = made.frames[first_table..] else { panic!("four tables") };
        let set = |table: Mfn, index: usize, entry: u64| {
            self.machine().words(table)[index].store(entry, Ordering::Relaxed);
        };
        set(root, 2, l2.raw() << 12 | 1);
        set(root, 3, top.raw() << 12 | 1);
        set(l2, 0, l1.raw() << 12 | 0x67);
        for (index, mfn) in made.frames.iter().enumerate() {
            let flags = if index >= first_table { 0x61 } else { 0x63 };
            set(l1, index, mfn.raw() << 12 | flags);
        }
    }

    /// `setvcpucontext` with the domain's first page tables.
    pub fn set_context(&mut self, made: &Made, vcpu: u32) -> i64 {
        let mut context = VcpuGuestContext::new_zeroed();
        context.flags = VGCF_ONLINE | VGCF_IN_KERNEL;
        context.user_regs.cs = FLAT_RING1_CS;
        context.user_regs.ss = FLAT_RING1_DS;
        context.user_regs.eip = BASE as u32;
        context.user_regs.esp = BASE as u32 + 4096;
        context.ctrlreg[3] = pfn_to_cr3(made.root().raw() as u32);
        let at = self.page_at(20).va;
        self.write(at, &context);
        let argument = Vcpucontext { vcpu, _pad: 0, ctxt: at };
        self.domctl(XEN_DOMCTL_SETVCPUCONTEXT, made.id, &argument).0
    }
}
