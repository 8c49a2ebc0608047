//! Domains come and go.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use pv_abi::errno::Errno;
use pv_abi::types::DomId;

use super::requests::{OK, Request, number};
use super::{Action, ConnectionId, Server};
use crate::path::home;
use crate::perms::{Access, Permission, is_privileged};
use crate::watch::Special;
use crate::wire::payload;

/// The first number that no domain has: C's `DOMID_FIRST_RESERVED`.
const FIRST_RESERVED: u16 = 0x7ff0;

/// An introduced domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Introduced {
    /// Frame of its page.
    pub gfn: u64,
    /// The port that it offered.
    pub port: u32,
    /// Whether its shutdown has been told of already.
    pub(crate) shut_down: bool,
}

/// What the server knows of domains. Domain 0 is always introduced.
pub(crate) struct Domains {
    pub(crate) introduced: BTreeMap<DomId, Introduced>,
    /// For whom a domain acts.
    pub(crate) targets: BTreeMap<DomId, DomId>,
    connections: BTreeMap<DomId, BTreeSet<ConnectionId>>,
    introduce_perms: Arc<[Permission]>,
    release_perms: Arc<[Permission]>,
}

impl Default for Domains {
    fn default() -> Self {
        let nobody: Arc<[Permission]> = [Permission::new(Access::None, DomId::new(0))].into();
        Self {
            introduced: BTreeMap::new(),
            targets: BTreeMap::new(),
            connections: BTreeMap::new(),
            introduce_perms: nobody.clone(),
            release_perms: nobody,
        }
    }
}

impl Domains {
    pub(crate) fn joined(&mut self, domid: DomId, id: ConnectionId) {
        self.connections.entry(domid).or_default().insert(id);
    }

    pub(crate) fn left(&mut self, domid: DomId, id: ConnectionId) {
        if let Some(all) = self.connections.get_mut(&domid) {
            all.remove(&id);
            if all.is_empty() {
                self.connections.remove(&domid);
            }
        }
    }

    /// A domain's connections.
    pub(crate) fn connections(&self, domid: DomId) -> BTreeSet<ConnectionId> {
        self.connections.get(&domid).cloned().unwrap_or_default()
    }

    /// For whom a domain acts.
    pub(crate) fn target(&self, domid: DomId) -> Option<DomId> {
        self.targets.get(&domid).copied()
    }

    /// Who is told of a special event.
    pub(crate) fn special_perms(&self, what: Special) -> &[Permission] {
        match what {
            Special::Introduce => &self.introduce_perms,
            Special::Release => &self.release_perms,
        }
    }

    pub(crate) fn set_special_perms(&mut self, what: Special, perms: Arc<[Permission]>) {
        match what {
            Special::Introduce => self.introduce_perms = perms,
            Special::Release => self.release_perms = perms,
        }
    }

    fn is_introduced(&self, domid: DomId) -> bool {
        is_privileged(domid) || self.introduced.contains_key(&domid)
    }

    /// Forgets all about a domain but its connections.
    fn forget(&mut self, domid: DomId) {
        self.introduced.remove(&domid);
        self.targets.retain(|acting, target| *acting != domid && *target != domid);
        for what in Special::ALL {
            let mut perms = self.special_perms(what).to_vec();
            let Some((owner, _)) = perms.split_first_mut() else { continue };
            if owner.domid == domid {
                owner.domid = DomId::new(0);
            }
            perms.retain(|entry| entry.domid != domid);
            self.set_special_perms(what, perms.into());
        }
    }
}

impl Server {
    /// The domains that are introduced, domain 0 aside.
    pub fn introduced(&self) -> impl Iterator<Item = (DomId, Introduced)> {
        self.domains.introduced.iter().map(|(domid, introduced)| (*domid, *introduced))
    }

    /// A domain is no more. What it owned is removed, its connections are closed, and
    /// `@releaseDomain` fires.
    pub fn domain_died(&mut self, domid: DomId) {
        if is_privileged(domid) {
            return;
        }
        for id in self.domains.connections(domid) {
            self.close(id);
        }
        let changes = self.store.release(domid);
        let was_introduced = self.domains.is_introduced(domid);
        self.domains.forget(domid);
        self.fire(&changes, None);
        if was_introduced {
            self.fire_special(Special::Release, domid);
            self.actions.push_back(Action::Release(domid));
        }
        self.forget_tickets(domid);
        self.store.ledger.close(domid);
        self.resume();
    }

    /// A domain has shut down or crashed, and still exists. `@releaseDomain` fires, once until
    /// `RESUME`.
    pub fn domain_shut_down(&mut self, domid: DomId) {
        if let Some(introduced) = self.domains.introduced.get_mut(&domid)
            && !introduced.shut_down
        {
            introduced.shut_down = true;
            self.fire_special(Special::Release, domid);
        }
    }

    pub(super) fn introduce(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let mut words = payload::strings(request.payload);
        let (Some(domid), Some(gfn), Some(port)) = (words.next(), words.next(), words.next())
        else {
            return Err(Errno::EINVAL);
        };
        let domid = real_domain(domid)?;
        // The frame's number is signed in Xen's protocol; its bits are what counts.
        let gfn = number::<i64>(gfn).map(i64::cast_unsigned).or_else(|_| number::<u64>(gfn))?;
        let port = number::<u32>(port)?;
        if port == 0 {
            return Err(Errno::EINVAL);
        }
        let introduced = Introduced { gfn, port, shut_down: false };
        let before = self.domains.introduced.insert(domid, introduced);
        self.actions.push_back(Action::Introduce { domid, gfn, port });
        if before.is_none() {
            self.fire_special(Special::Introduce, domid);
        } else {
            for id in self.domains.connections(domid) {
                self.close(id);
            }
        }
        Ok(OK.to_vec())
    }

    pub(super) fn release(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let domid = self.known_domain(request)?;
        self.domain_died(domid);
        Ok(OK.to_vec())
    }

    pub(super) fn resume_domain(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let domid = self.known_domain(request)?;
        if let Some(introduced) = self.domains.introduced.get_mut(&domid) {
            introduced.shut_down = false;
        }
        Ok(OK.to_vec())
    }

    pub(super) fn set_target(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let mut words = payload::strings(request.payload);
        let (Some(domid), Some(target)) = (words.next(), words.next()) else {
            return Err(Errno::EINVAL);
        };
        let (domid, target) = (DomId::new(number(domid)?), DomId::new(number(target)?));
        if !self.domains.is_introduced(domid) || !self.domains.is_introduced(target) {
            return Err(Errno::ENOENT);
        }
        self.domains.targets.insert(domid, target);
        Ok(OK.to_vec())
    }

    pub(super) fn domain_path(&self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let domid = DomId::new(number(request.one()?)?);
        Ok(payload::join(&[home(domid).as_bytes()]))
    }

    pub(super) fn is_introduced(&self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let domid = DomId::new(number(request.one()?)?);
        let is_caller = domid == DomId::SELF;
        let introduced = is_caller || self.domains.is_introduced(domid);
        Ok(payload::join(&[if introduced { b"T" } else { b"F" }]))
    }

    /// The introduced domain that the payload names.
    fn known_domain(&self, request: &Request<'_>) -> Result<DomId, Errno> {
        let domid = real_domain(request.one()?)?;
        if self.domains.is_introduced(domid) { Ok(domid) } else { Err(Errno::ENOENT) }
    }
}

/// A number that a domain other than domain 0 can have.
fn real_domain(text: &[u8]) -> Result<DomId, Errno> {
    match number::<u16>(text)? {
        0 | FIRST_RESERVED.. => Err(Errno::EINVAL),
        number => Ok(DomId::new(number)),
    }
}
