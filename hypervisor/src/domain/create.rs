//! Making a domain, and giving it its vCPUs.

use pv_abi::errno::Errno;
use pv_abi::types::{Mfn, VcpuId};

use super::vcpu::Vcpu;
use super::{Domain, MAX_VCPUS};
use crate::mm::frame::Owner;
use crate::mm::frame_box::FrameBox;
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;

impl<P: Platform> System<P> {
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
