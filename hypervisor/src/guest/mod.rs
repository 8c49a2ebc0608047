//! The running guest as the hypervisor's logic sees it: its registers and its memory.
//!
//! [`Ctx`] is what every handler gets. Guest memory is named by a virtual address
//! and nothing more: holding one proves nothing. It is copied in once and never
//! read again, so that what was checked is what is used.

pub mod regs;

use pv_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::domain::Domain;
use crate::domain::vcpu::{Vcpu, VcpuState};
use crate::platform::Platform;
use crate::system::System;
use crate::width::Width;
use regs::UserRegs;

/// The calling vCPU, and everything a handler may work on.
pub struct Ctx<'a, P: Platform> {
    /// The machine, shared by all CPUs.
    pub sys: &'a System<P>,
    /// The caller's domain.
    pub domain: &'a Domain,
    /// The kind of guest it is: the domain's, which does not change once a vCPU has run.
    pub width: Width,
    /// The caller, as other CPUs see it.
    pub vcpu: &'a Vcpu,
    /// The caller's own state; it is ours as long as it runs here.
    pub state: &'a mut VcpuState,
    /// Its registers.
    pub regs: &'a mut UserRegs,
}

impl<P: Platform> Ctx<'_, P> {
    /// The kind of guest.
    #[inline(always)]
    pub fn width(&self) -> Width {
        self.width
    }

    /// Copies a `T` from guest address `address`. `EFAULT` if it is not all readable.
    #[inline(always)]
    pub fn read<T: FromBytes + IntoBytes>(&self, address: u64) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.read_bytes(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies `value` to guest address `address`. `EFAULT` if it is not all writable.
    #[inline(always)]
    pub fn write<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> Result<(), Errno> {
        self.write_bytes(address, value.as_bytes())
    }

    /// Copies bytes from the guest. `EFAULT` if they are not all readable.
    #[inline(always)]
    pub fn read_bytes(&self, address: u64, to: &mut [u8]) -> Result<(), Errno> {
        if !self.width().range_ok(address, to.len() as u64) {
            return Err(Errno::EFAULT);
        }
        self.sys.platform.copy_from_guest(address, to).map_err(|_| Errno::EFAULT)
    }

    /// Copies bytes to the guest. `EFAULT` if they are not all writable.
    #[inline(always)]
    pub fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        if !self.width().range_ok(address, from.len() as u64) {
            return Err(Errno::EFAULT);
        }
        self.sys.platform.copy_to_guest(address, from).map_err(|_| Errno::EFAULT)
    }

    /// Copies a guest `long` (or handle, or frame number) from an array of them.
    #[inline(always)]
    pub fn read_long(&self, array: u64, index: u64) -> Result<u64, Errno> {
        let at = self.element(array, index)?;
        match self.width() {
            Width::Pv32 => Ok(u64::from(self.read::<u32>(at)?)),
            Width::Pv64 => self.read::<u64>(at),
        }
    }

    /// Copies a `long` to an array of them.
    #[inline(always)]
    pub fn write_long(&self, array: u64, index: u64, value: u64) -> Result<(), Errno> {
        let at = self.element(array, index)?;
        match self.width() {
            Width::Pv32 => self.write(at, &(value as u32)),
            Width::Pv64 => self.write(at, &value),
        }
    }

    #[inline(always)]
    fn element(&self, array: u64, index: u64) -> Result<u64, Errno> {
        index
            .checked_mul(self.width().long())
            .and_then(|offset| array.checked_add(offset))
            .ok_or(Errno::EFAULT)
    }
}
