//! Grants: pages of ours for other domains, pages of others for us.
//!
//! A domain lets another reach a page by an entry in its grant table, whose number it tells; the
//! other has the hypervisor map the page, or copy from or to it, by that number. Nobody reaches a
//! page that is not granted, and a page that somebody has mapped stays where it is.
//!
//! | to | there is |
//! |---|---|
//! | grant pages, and take them back | [`Own`] |
//! | map what others granted | [`Granted`] |
//! | copy from or to it | [`copy()`] |
//! | understand entries, and how one ends | [`table`] |
//!
//! The two halves of [`Own`] and [`Granted`] meet in the traits of `xenbus::access`, which
//! [`crate::device::Domain`] implements by what is here.
//!
//! **The table** is mapped at the first grant and grows by a frame whenever it is full, as far as the
//! hypervisor lets it. Its first entries are the toolstack's: they grant domain 0 the pages of the
//! console and of the store.

pub mod table;

#[cfg(all(target_os = "none", target_arch = "x86"))]
mod copy;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod granted;
#[cfg(all(target_os = "none", target_arch = "x86"))]
mod own;

#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use copy::copy;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use granted::Granted;
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub use own::{Own, entries_in_use};

/// Pages of the window for both.
#[cfg(all(target_os = "none", target_arch = "x86"))]
const PAGES: usize =
    ((crate::mm::window::SHARED_END - crate::mm::window::SHARED) / crate::mm::PAGE) as usize;

/// Where pages are mapped that are shared by grants, in either direction.
#[cfg(all(target_os = "none", target_arch = "x86"))]
static WINDOW: crate::mm::range::Range<{ PAGES / 32 }> =
    crate::mm::range::Range::new(crate::mm::window::SHARED);

/// Pages of ours and of others that are mapped now because they are shared.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn mapped() -> u32 {
    WINDOW.taken()
}
