//! `/etc/resolv.conf`: who knows names, told to programs.
//!
//! What DHCP says comes and goes while the root may be read-only, so the file is in `/run`, and
//! `/etc/resolv.conf` is a symbolic link to it.

use super::plan::{NAME_SERVERS, Settings};
use alloc::string::String;
use core::fmt::Write;
use core::net::Ipv4Addr;
use heapless::Vec;

/// Name servers.
pub type Servers = Vec<Ipv4Addr, NAME_SERVERS>;

/// The name servers of a host with these settings.
pub fn servers(settings: Option<&Settings>) -> Servers {
    settings.map(|settings| settings.name_servers.clone()).unwrap_or_default()
}

/// The file's text.
pub fn text(servers: &Servers) -> String {
    let mut text = String::new();
    for server in servers {
        // A string refuses nothing.
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// Writes the file anew.
///
/// # Errors
/// Those of the file system.
#[cfg(all(target_os = "none", target_arch = "x86"))]
pub fn write(servers: &Servers) -> crate::fs::file::Result {
    use crate::fs::file::Flags;
    use crate::fs::root;
    use crate::fs::tree::Wanted;

    let tree = root::tree();
    let wanted = Wanted { create: Some(0o644), truncate: true, ..Wanted::default() };
    let file = tree.open(&tree.root(), b"/run/resolv.conf", Flags::WRITE_ONLY, &wanted)?;
    let text = text(servers);
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let count = file.write(rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}
