//! Making a domain, and giving it its vCPUs.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::{DomId, Mfn, VcpuId};
use pv_abi::x86_32;

use super::limits::Limits;
use super::pause::Pauses;
use super::vcpu::Vcpu;
use super::{Domain, MAX_VCPUS};
use crate::mm::footprint::Footprint;
use crate::mm::frame::Owner;
use crate::mm::frame_box::FrameBox;
use crate::mm::m2p_window::HV_START_PV32;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

impl<P: Platform> System<P> {
    /// Makes domain `id`: paused, 64 bits wide, without memory and vCPUs; its `shared_info` below
    /// 4 GiB, with upcalls masked for every vCPU that there could be.
    ///
    /// `EEXIST`: there is such a domain, or no such number; `ENOMEM`: nothing is left behind.
    pub fn create_domain(&self, id: DomId, limits: Limits) -> Result<&Domain, Errno> {
        let below = Mfn::new(FRAMES_BELOW_4_GIB);
        let shared_info = self.memory.allocate_below(Owner::Hypervisor, 0, below)?;
        self.platform.zero(shared_info);
        for info in self.platform.bytes(shared_info).chunks(VCPU_INFO_SIZE as usize).take(MAX_VCPUS)
        {
            if let Some(mask) = info.get(offset_of!(x86_32::VcpuInfo, evtchn_upcall_mask)) {
                mask.store(1, Ordering::Relaxed);
            }
        }
        let give_back = |_: &Errno| self.memory.release(shared_info, 0);
        let domain = self.domain_box(id, shared_info, limits).inspect_err(give_back)?;
        let added = match self.domains.add(domain) {
            Ok(added) => added,
            Err(domain) => {
                self.discard_domain(domain);
                self.memory.release(shared_info, 0);
                return Err(Errno::EEXIST);
            }
        };
        added.events.set_max_port(limits.event_channel);
        self.lend(added, shared_info);
        Ok(added)
    }

    // Not inlined: a domain passes through the stack, which is small.
    #[inline(never)]
    fn domain_box(
        &self,
        id: DomId,
        shared_info: Mfn,
        limits: Limits,
    ) -> Result<FrameBox<Domain>, Errno> {
        FrameBox::new(&self.memory, &self.platform, || {
            let domain = Domain::new(id, Width::Pv64, false, shared_info, HV_START_PV32);
            let footprint = Footprint::nowhere(self.memory.frame_count());
            Domain { limits, pauses: Pauses::once(), footprint, ..domain }
        })
    }

    /// Makes a domain without memory 32 bits wide: its vCPUs get tables of level 4 of the
    /// hypervisor's.
    ///
    /// `ENOMEM`: nothing has changed.
    pub fn narrow(&self, domain: &Domain) -> Result<(), Errno> {
        let mut tables = heapless::Vec::<Mfn, MAX_VCPUS>::new();
        for _ in domain.vcpus() {
            match self.hypervisor_frame() {
                // There is room: as many vCPUs as that there can be.
                Ok(table) => drop(tables.push(table)),
                Err(full) => {
                    for table in tables {
                        self.memory.release(table, 0);
                    }
                    return Err(full);
                }
            }
        }
        for (vcpu, table) in domain.vcpus().zip(tables) {
            self.platform.init_vcpu_l4(table);
            // Nobody has it: the vCPU has not run, and only requests of domain control touch it.
            if let Some(mut state) = vcpu.state.try_lock() {
                state.l4 = table;
            }
        }
        domain.set_width(Width::Pv32);
        Ok(())
    }

    /// Adds vCPU `id` to `domain`: offline, without a root page table, upcalls masked.
    ///
    /// `EINVAL`: no such number; `EEXIST`: the domain has it; `ENOMEM`: nothing is left behind.
    pub fn create_vcpu<'a>(&self, domain: &'a Domain, id: VcpuId) -> Result<&'a Vcpu, Errno> {
        if id.raw() as usize >= MAX_VCPUS {
            return Err(Errno::EINVAL);
        }
        if domain.vcpu(id).is_some() {
            return Err(Errno::EEXIST);
        }
        // A pv64 guest's own L4 is walked; it has no need of another.
        let l4 = match domain.width() {
            Width::Pv32 => self.hypervisor_frame()?,
            Width::Pv64 => Mfn::new(0),
        };
        let result = self.hypervisor_frame().and_then(|fpu| {
            self.vcpu_in(domain, id, l4, fpu).inspect_err(|_| self.memory.release(fpu, 0))
        });
        if result.is_err() && l4.raw() != 0 {
            self.memory.release(l4, 0);
        }
        let vcpu = result?;
        if domain.pauses.any() {
            vcpu.run.hold();
        }
        domain.add_vcpu(vcpu);
        domain.vcpu(id).ok_or(Errno::EINVAL)
    }

    /// Takes apart a domain that is not in [`System::domains`]: gives back its own frames and its
    /// vCPUs'. Its memory is the caller's.
    pub fn discard_domain(&self, mut domain: FrameBox<Domain>) {
        for slot in &mut domain.get_mut().vcpus {
            if let Some(mut vcpu) = core::mem::take(slot).try_into_inner() {
                let state = vcpu.get_mut().state.get_mut();
                self.memory.release(state.fpu, 0);
                if state.l4.raw() != 0 {
                    self.memory.release(state.l4, 0);
                }
                self.windows.give_back(vcpu.window);
                vcpu.free(&self.memory);
            }
        }
        domain.events.free_table(&self.memory);
        if let Some(map) = domain.get_mut().memory_map.get_mut().take() {
            map.free(&self.memory);
        }
        domain.free(&self.memory);
    }

    #[inline(never)]
    fn vcpu_in(
        &self,
        domain: &Domain,
        id: VcpuId,
        l4: Mfn,
        fpu: Mfn,
    ) -> Result<FrameBox<Vcpu>, Errno> {
        let window = self.windows.take().ok_or(Errno::ENOMEM)?;
        self.vcpu_at(domain, id, window, l4, fpu).inspect_err(|_| self.windows.give_back(window))
    }

    fn vcpu_at(
        &self,
        domain: &Domain,
        id: VcpuId,
        window: u32,
        l4: Mfn,
        fpu: Mfn,
    ) -> Result<FrameBox<Vcpu>, Errno> {
        self.platform.create_window(window, &mut || {
            let mfn = self.hypervisor_frame().ok()?;
            self.platform.zero(mfn);
            Some(mfn)
        })?;
        let info = info_address(domain, id);
        if l4.raw() != 0 {
            self.platform.init_vcpu_l4(l4);
        }
        self.platform.init_extended_state(fpu);
        let vcpu = FrameBox::new(&self.memory, &self.platform, || {
            Vcpu::new(id, domain.id, window, info, l4, fpu)
        })?;
        vcpu.set_upcall_mask(&self.platform, true);
        Ok(vcpu)
    }

    fn hypervisor_frame(&self) -> Result<Mfn, Errno> {
        self.memory.allocate(Owner::Hypervisor, 0)
    }
}

/// The first frame at 4 GiB.
const FRAMES_BELOW_4_GIB: u64 = 1 << 20;

/// Machine address of a vCPU's `vcpu_info` in `shared_info`: 64 bytes each from the start, in
/// both widths.
pub(super) fn info_address(domain: &Domain, id: VcpuId) -> u64 {
    (domain.shared_info.raw() << 12) + u64::from(id.raw()) * VCPU_INFO_SIZE
}

/// Bytes of a `vcpu_info` in `shared_info`, in both widths.
const VCPU_INFO_SIZE: u64 = 64;

const _: () = assert!(
    size_of::<pv_abi::x86_32::VcpuInfo>() as u64 == VCPU_INFO_SIZE
        && size_of::<pv_abi::x86_64::VcpuInfo>() as u64 == VCPU_INFO_SIZE
);
