//! What is in the store before anybody has written: the nodes that Xen's tools make for domain 0.
//!
//! `/tool/xenstored` and `/local` are the server's own. The rest is what `xen-init-dom0` and `xl`
//! leave there, so that whoever looks for domain 0 where Xen has it finds it.

use super::local::{Closed, Connection};
use xenstore::client::{Client, Error, Store};

/// Domain 0's handle, as its nodes below `/vm` are named.
const HANDLE: &str = "00000000-0000-0000-0000-000000000000";

/// Makes the nodes for a domain 0 with so much memory.
pub fn populate(memory_kib: u64) -> Result<(), Error<Closed>> {
    let mut client = Client::new(Connection::new());
    let memory = alloc::format!("{memory_kib}");
    let home = "/local/domain/0";
    let vm = alloc::format!("/vm/{HANDLE}");
    for (below, value) in [
        ("domid", "0"),
        ("name", "Domain-0"),
        ("vm", vm.as_str()),
        ("memory/target", memory.as_str()),
        ("memory/static-max", memory.as_str()),
    ] {
        client.write(&alloc::format!("{home}/{below}"), value.as_bytes())?;
    }
    for (below, value) in [("uuid", HANDLE), ("name", "Domain-0")] {
        client.write(&alloc::format!("{vm}/{below}"), value.as_bytes())?;
    }
    Ok(())
}
