//! What the toolstack says in XenStore about each domain, and asks of it there.
//!
//! Each request borrows a connection that nobody uses at the moment, and makes one if there is none:
//! tasks that talk to the store at the same time do not wait for each other.

use crate::store::local::Connection;
use crate::store_nodes::{self, Domain, Permission};
use crate::sync::Guarded;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use pv_abi::types::DomId;
use xenstore::client::{self, Change, Client, Store, Transport};
use xenstore::perms::{self, Access};
use xenstore::wire::errors;
use xl::toolstack::{Error, Result};
use xl::uuid::Uuid;

/// How the store fails.
pub type Failure = client::Error<<Connection as Transport>::Error>;

/// Connections that nobody uses.
static IDLE: Guarded<Vec<Client<Connection>>> = Guarded::new(Vec::new());

/// Runs `work` with a connection; `path` is what an error is said to be about.
pub fn with<R>(
    path: &str,
    work: impl FnOnce(&mut Client<Connection>) -> core::result::Result<R, Failure>,
) -> Result<R> {
    let idle = IDLE.with(Vec::pop);
    let mut client = idle.unwrap_or_else(|| Client::new(Connection::new()));
    let done = work(&mut client);
    if matches!(done, Ok(_) | Err(client::Error::Refused(_))) {
        IDLE.with(|idle| idle.push(client));
    }
    done.map_err(|failure| failed(path, failure))
}

/// What the store's failure is to verbs; `path` is what it is said to be about.
pub fn failed(path: &str, failure: Failure) -> Error {
    let error = match failure {
        client::Error::Refused(errno) => errors::name(errno),
        _ => "the store is not there",
    };
    Error::Store { path: path.into(), error }
}

/// Says what there is to say about a new domain, and connects it to the store.
pub fn announce(domain: &Domain<'_>) -> Result<()> {
    let nodes = store_nodes::nodes(domain);
    let guest = [perms::Permission::new(Access::None, domain.id)];
    let domain_0 = [
        perms::Permission::new(Access::None, DomId::new(0)),
        perms::Permission::new(Access::Read, domain.id),
    ];
    let folders = [store_nodes::home(domain.id), store_nodes::vm(domain.uuid)];
    let mut changes = Vec::new();
    for node in &nodes {
        let path = &node.path;
        changes.push(Change::Write { path, value: node.value.as_bytes() });
        // A node has its parent's permissions from its start.
        if node.permission == Permission::Guest {
            changes.push(Change::SetPerms { path, permissions: &guest });
        } else if folders.contains(path) {
            changes.push(Change::SetPerms { path, permissions: &domain_0 });
        }
    }
    with(&store_nodes::home(domain.id), |client| {
        client.transact(|store| store.change_all(&changes))?;
        client.introduce(domain.id, domain.store.mfn.raw(), domain.store.port.raw())
    })
}

/// Disconnects a domain.
pub fn release(domain: DomId) {
    // One that was never introduced is none the worse.
    let _ = with(&store_nodes::home(domain), |client| client.release(domain));
}

/// Takes away all that is said of a domain.
pub fn withdraw(domain: DomId, uuid: Uuid) {
    for path in [store_nodes::home(domain), store_nodes::vm(uuid)] {
        // Of one that could not be made not all is said.
        let _ = with(&path, |client| client.rm(&path));
    }
}

/// How many nodes there are, as the store itself counts.
pub fn nodes() -> Result<u64> {
    let report = with("/", |client| client.control(&["memreport"]))?;
    let count = report.lines().find_map(|line| line.strip_prefix("nodes: ")?.parse().ok());
    count.ok_or_else(|| Error::Other("the store does not say how many nodes it has".into()))
}

fn node(domain: DomId, name: &str) -> String {
    format!("{}/{name}", store_nodes::home(domain))
}

/// Writes a node of a domain's home.
pub fn write(domain: DomId, name: &str, value: &str) -> Result<()> {
    let path = node(domain, name);
    with(&path, |client| client.write(&path, value.as_bytes()))
}

/// Writes a domain's name wherever it stands.
pub fn rename(domain: DomId, uuid: Uuid, name: &str) -> Result<()> {
    write(domain, "name", name)?;
    let path = format!("{}/name", store_nodes::vm(uuid));
    with(&path, |client| client.write(&path, name.as_bytes()))
}
