//! Behaviour that a domain can opt into: which `vm_assist` types there are.

use pv_abi::vm_assist::{
    VMASST_TYPE_4GB_SEGMENTS, VMASST_TYPE_4GB_SEGMENTS_NOTIFY, VMASST_TYPE_ARCHITECTURAL_IOPL,
    VMASST_TYPE_M2P_STRICT, VMASST_TYPE_PAE_EXTENDED_CR3, VMASST_TYPE_RUNSTATE_UPDATE_FLAG,
    VMASST_TYPE_WRITABLE_PAGETABLES,
};

use crate::width::Width;

/// The assists that a guest of either width may ask for.
///
/// As on Xen, the two on segments do nothing: under long mode's paging a pv32 guest has all
/// of its 4 GiB segments.
const VALID: u64 = 1 << VMASST_TYPE_4GB_SEGMENTS
    | 1 << VMASST_TYPE_4GB_SEGMENTS_NOTIFY
    | 1 << VMASST_TYPE_WRITABLE_PAGETABLES
    | 1 << VMASST_TYPE_PAE_EXTENDED_CR3
    | 1 << VMASST_TYPE_ARCHITECTURAL_IOPL
    | 1 << VMASST_TYPE_RUNSTATE_UPDATE_FLAG;

/// The assists that exist for a guest of this width, by number.
pub const fn valid(width: Width) -> u64 {
    match width {
        Width::Pv32 => VALID,
        Width::Pv64 => VALID | 1 << VMASST_TYPE_M2P_STRICT,
    }
}
