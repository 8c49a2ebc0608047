//! What the toolstack remembers of each domain: what it was made from, so that it can be made
//! again, and what nobody else knows.

use crate::restarts::ShortLives;
use crate::sync::Guarded;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use pv_abi::types::DomId;
use xl::config::DomainConfig;
use xl::terminal::Blob;
use xl::toolstack::Creation;
use xl::uuid::Uuid;

/// What is remembered of a domain.
pub struct Record {
    /// Its file, as changed since.
    pub config: DomainConfig,
    /// Its kernel's file.
    pub kernel: Box<dyn Blob>,
    /// Its ramdisk's file.
    pub ramdisk: Option<Box<dyn Blob>>,
    /// Its handle.
    pub uuid: Uuid,
    /// System time when it was made.
    pub made_ns: u64,
    /// Whether it has shut down and that was seen to.
    pub ended: bool,
    /// Those of its lives that came before, by restarts.
    pub short_lives: ShortLives,
}

impl Record {
    /// What to make such a domain from, once more. This one cannot be made again afterwards.
    pub fn again(&mut self) -> Creation {
        let config = self.config.clone();
        let kernel = core::mem::replace(&mut self.kernel, Box::new(Vec::new()));
        Creation { config, kernel, ramdisk: self.ramdisk.take() }
    }
}

/// All domains that this toolstack made, by number.
static RECORDS: Guarded<BTreeMap<u16, Record>> = Guarded::new(BTreeMap::new());

/// Remembers a new domain.
pub fn insert(domain: DomId, record: Record) {
    RECORDS.with(|records| records.insert(domain.raw(), record));
}

/// Forgets a domain.
pub fn remove(domain: DomId) -> Option<Record> {
    RECORDS.with(|records| records.remove(&domain.raw()))
}

/// Lends what is known of a domain; `f` runs with upcalls masked.
pub fn with<R>(domain: DomId, f: impl FnOnce(&mut Record) -> R) -> Option<R> {
    RECORDS.with(|records| records.get_mut(&domain.raw()).map(f))
}

/// The name of a domain.
pub fn name(domain: DomId) -> Option<String> {
    with(domain, |record| record.config.name.clone())
}

/// The domain of this name.
pub fn find(name: &str) -> Option<DomId> {
    RECORDS.with(|records| {
        let found = records.iter().find(|(_, record)| record.config.name == name);
        found.map(|(number, _)| DomId::new(*number))
    })
}
