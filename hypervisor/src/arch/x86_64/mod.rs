//! The x86-64 machine layer: from reset to a described machine, and every privileged
//! instruction after that.
//!
//! `boot` → `console` → `firmware` → `paging` → `cpu` → `timer` → `smp`, in the order in
//! which `main` calls them. `layout` is the address space on one page.

pub mod boot;
pub mod clock;
pub mod layout;
pub mod logger;
pub mod serial;
