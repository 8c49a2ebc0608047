//! A domain while it is made.
//!
//! Until it is [finished](NewDomain::finish) it belongs to whoever makes it: dropped before, it is
//! destroyed with all that it has got by then, so that an attempt that fails leaves nothing behind.

use super::build::BuildError;
use crate::control::domctl;
use crate::mm::foreign::{Access, Foreign};
use alloc::vec::Vec;
use pv_abi::domctl::Createdomain;
use pv_abi::grant_table::{
    GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE, GTF_PERMIT_ACCESS, GrantEntryV1,
};
use pv_abi::types::{DomId, Mfn, Port};
use ring1::{calls, grants};
use zerocopy::{FromZeros, IntoBytes};

/// log2 of the pages that memory is asked for at a time: 2 MiB.
const LARGE: u32 = 9;
/// KiB that a domain may have beyond its memory, as `libxl` allows.
const MAXIMUM_SLACK_KIB: u64 = 1024;

/// What a domain may have, apart from memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Its vCPUs.
    pub vcpus: u32,
    /// The highest event channel.
    pub event_channel: u32,
    /// Frames of its grant table; `None`: the hypervisor's default.
    pub grant_frames: Option<u32>,
    /// Frames of its list of mapped grants; `None`: the hypervisor's default.
    pub maptrack_frames: Option<u32>,
    /// The latest version of its grant table.
    pub grant_version: u8,
}

/// A domain that is not finished.
#[derive(Debug)]
pub struct NewDomain {
    id: DomId,
    finished: bool,
}

impl NewDomain {
    /// Creates a domain: paused, 32 bits wide, with vCPUs and without memory.
    pub fn create(handle: [u8; 16], limits: &Limits) -> Result<NewDomain, BuildError> {
        let frames = |limit: Option<u32>| limit.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1);
        let mut config = Createdomain::new_zeroed();
        config.handle = handle;
        config.max_vcpus = limits.vcpus;
        config.max_evtchn_port = limits.event_channel;
        config.max_grant_frames = frames(limits.grant_frames);
        config.max_maptrack_frames = frames(limits.maptrack_frames);
        config.grant_opts = limits.grant_version.into();
        let id = domctl::create(&mut config).map_err(BuildError::call("domctl createdomain"))?;
        let domain = NewDomain { id, finished: false };
        domctl::max_vcpus(id, limits.vcpus).map_err(BuildError::call("domctl max_vcpus"))?;
        domctl::set_address_size(id, 32).map_err(BuildError::call("domctl set_address_size"))?;
        Ok(domain)
    }

    /// Its number.
    pub fn id(&self) -> DomId {
        self.id
    }

    /// Gives it `pages` frames of memory, zeroed, at the pseudo-physical numbers from 0 on; returns
    /// which they are. `address_bits`: the width of their addresses, 0 if that does not matter.
    pub fn populate(&self, pages: u64, address_bits: u8) -> Result<Vec<u32>, BuildError> {
        let kib = pages.saturating_mul(4);
        domctl::max_mem(self.id, kib.saturating_add(MAXIMUM_SLACK_KIB))
            .map_err(BuildError::call("domctl max_mem"))?;
        let none = BuildError::NoMemory { wanted_kib: kib };
        let count = u32::try_from(pages).map_err(|_| none)?;
        let mut frames = Vec::new();
        frames.try_reserve_exact(count as usize).map_err(|_| BuildError::OwnMemory)?;
        // As far as there are large pieces, then page by page.
        let mut large: Vec<u32> = (0..count >> LARGE).map(|piece| piece << LARGE).collect();
        let flags = pv_abi::memory::memf_address_bits(address_bits);
        let done = calls::populate_physmap(self.id, &mut large, LARGE, flags).unwrap_or(0);
        for first in large.iter().take(done as usize) {
            frames.extend(*first..*first + (1 << LARGE));
        }
        let rest = frames.len();
        frames.extend(rest as u32..count);
        let single = frames.get_mut(rest..).unwrap_or_default();
        if !single.is_empty() {
            let done = calls::populate_physmap(self.id, single, 0, flags).unwrap_or(0);
            if (done as usize) < single.len() {
                return Err(none);
            }
        }
        Ok(frames)
    }

    /// A port of its that domain 0 may bind to.
    pub fn port_for_domain_0(&self) -> Result<Port, BuildError> {
        calls::evtchn_alloc_unbound(self.id, DomId::new(0))
            .map_err(BuildError::call("evtchn alloc_unbound"))
    }

    /// The frame of its shared info page.
    pub fn shared_info(&self) -> Result<Mfn, BuildError> {
        domctl::info(self.id)
            .map(|info| Mfn::new(info.shared_info_frame))
            .map_err(BuildError::call("domctl getdomaininfo"))
    }

    /// Grants domain 0 the pages of its rings, by the entries that are kept for them, so that daemons
    /// that go by grants reach them without any privilege (`xc_dom_gnttab_seed` of Xen's tools).
    pub fn grant_rings(&self, console: Mfn, store: Mfn) -> Result<(), BuildError> {
        let mut frames = [0];
        grants::setup_table(self.id, &mut frames)
            .map_err(BuildError::call("grant table setup_table"))?;
        let table =
            Foreign::map(self.id, &frames.map(|frame| Mfn::new(frame.into())), Access::Write)
                .map_err(BuildError::call("mapping a new domain's grant table"))?;
        for (entry, page) in [(GNTTAB_RESERVED_CONSOLE, console), (GNTTAB_RESERVED_XENSTORE, store)]
        {
            let grant = GrantEntryV1 {
                flags: GTF_PERMIT_ACCESS,
                domid: DomId::new(0),
                // Frames of 32-bit guests are below 16 TiB.
                frame: page.raw() as u32,
            };
            table.write(entry as usize * size_of::<GrantEntryV1>(), grant.as_bytes());
        }
        Ok(())
    }

    /// It is all there: from now on it stays.
    pub fn finish(mut self) -> DomId {
        self.finished = true;
        self.id
    }
}

impl Drop for NewDomain {
    fn drop(&mut self) {
        if !self.finished {
            // It has never run and nobody else knows of it, so nothing holds it.
            let _ = domctl::destroy(self.id);
        }
    }
}
