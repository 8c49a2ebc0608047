//! The kernel as a domain that domain 0 built.
//!
//! What domain 0 has from the hypervisor, such a domain has from domain 0, over pages and event
//! channels that its start info page names: its console, and XenStore.

pub mod console;
pub mod control;
pub mod driver;
pub mod store;
mod sysrq;

use pv_abi::start_info::SIF_INITDOMAIN;
use ring1::abi::StartInfo;

/// Whether the start info page is that of a domain that domain 0 built.
pub fn is_domu(start_info: &StartInfo) -> bool {
    start_info.flags & SIF_INITDOMAIN == 0
}
