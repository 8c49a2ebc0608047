//! Grant tables: one's own table, and the uses of what others granted.
//!
//! `grant_table_op` takes arrays and gives each element a status of its own (`GNTST_*`); the call
//! itself fails only where the array is not memory of ours.
#![allow(unsafe_code)] // UNSAFETY: hypercalls read and write memory through their arguments.

use crate::abi::{GnttabCopy, GnttabSetupTable};
use crate::calls::{Result, outcome};
use crate::hypercall::raw;
use pv_abi::errno::Errno;
use pv_abi::grant_table::{
    GNTST_ADDRESS_TOO_BIG, GNTST_BAD_DOMAIN, GNTST_EAGAIN, GNTST_NO_DEVICE_SPACE, GNTST_NO_SPACE,
    GNTST_OKAY, GNTST_PERMISSION_DENIED, GNTTABOP_COPY, GNTTABOP_MAP_GRANT_REF,
    GNTTABOP_SETUP_TABLE, GNTTABOP_UNMAP_GRANT_REF, GnttabMapGrantRef, GnttabUnmapGrantRef,
};
use pv_abi::hypercall;
use pv_abi::types::DomId;

/// What a status says: nothing, or an error. Where Linux has one for a status it is that one.
pub fn status(status: i16) -> Result {
    Err(match status {
        GNTST_OKAY => return Ok(()),
        GNTST_BAD_DOMAIN => Errno::ESRCH,
        GNTST_PERMISSION_DENIED => Errno::EPERM,
        GNTST_NO_DEVICE_SPACE | GNTST_NO_SPACE => Errno::ENOSPC,
        GNTST_ADDRESS_TOO_BIG => Errno::E2BIG,
        GNTST_EAGAIN => Errno::EAGAIN,
        _ => Errno::EINVAL,
    })
}

/// # Safety
/// What the elements let the hypervisor read, write and map is the caller's to give.
unsafe fn operation<T>(command: u32, elements: &mut [T]) -> Result {
    let (at, count) = (elements.as_mut_ptr().expose_provenance() as u32, elements.len() as u32);
    // SAFETY: 1. The elements are borrowed for the call. 2. The caller's promise.
    outcome(unsafe { raw(hypercall::GRANT_TABLE_OP, command, at, count, 0, 0) }).map(|_| ())
}

/// Has a domain's table lie in at least so many frames as `frames` has room for, and tells which
/// machine frames they are: the first ones.
pub fn setup_table(domain: DomId, frames: &mut [u32]) -> Result {
    let mut setup = GnttabSetupTable {
        dom: domain,
        _pad0: [0; 2],
        nr_frames: frames.len() as u32,
        status: 0,
        _pad1: [0; 2],
        frame_list: frames.as_mut_ptr().expose_provenance() as u32,
    };
    // SAFETY: 1. It is the command's structure, and the list that it names is borrowed.
    unsafe { operation(GNTTABOP_SETUP_TABLE, core::slice::from_mut(&mut setup)) }?;
    status(setup.status)
}

/// `GNTTABOP_map_grant_ref`.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn map(elements: &mut [GnttabMapGrantRef]) -> Result {
    // SAFETY: 1. The caller's promise.
    unsafe { operation(GNTTABOP_MAP_GRANT_REF, elements) }
}

/// `GNTTABOP_unmap_grant_ref`.
///
/// # Safety
/// No mapping that Rust relies on may change.
pub unsafe fn unmap(elements: &mut [GnttabUnmapGrantRef]) -> Result {
    // SAFETY: 1. The caller's promise.
    unsafe { operation(GNTTABOP_UNMAP_GRANT_REF, elements) }
}

/// `GNTTABOP_copy`.
///
/// # Safety
/// Where an element's destination is a frame of this domain, its bytes are the caller's to write.
pub unsafe fn copy(elements: &mut [GnttabCopy]) -> Result {
    // SAFETY: 1. The caller's promise.
    unsafe { operation(GNTTABOP_COPY, elements) }
}
