//! What XenStore says of a domain from its start: the nodes that xl makes, with their owners.
//!
//! Pure: the toolstack writes them when it makes a domain, in one transaction. Drivers, guests and
//! people find a domain's rings, name and memory by these paths, so they are Xen's to the letter
//! (`libxl__domain_build`, `libxl__domain_make` of Xen 4.17).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pv_abi::types::DomId;
use pv_image::start::Ring;
use xl::uuid::Uuid;

/// Bytes of output that a console daemon keeps, as xl tells it.
const CONSOLE_LIMIT: u32 = 1_048_576;

/// Who may do what with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Domain 0 writes it, the domain reads it.
    Domain0,
    /// It is the domain's own.
    Guest,
}

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its path.
    pub path: String,
    /// Its value; often empty.
    pub value: String,
    /// Who may do what.
    pub permission: Permission,
}

/// What the nodes depend on.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// Its number.
    pub id: DomId,
    /// Its name.
    pub name: &'a str,
    /// Its handle.
    pub uuid: Uuid,
    /// Memory that it has, KiB.
    pub memory_kib: u64,
    /// Memory that it may have, KiB.
    pub max_memory_kib: u64,
    /// vCPUs that are to be up.
    pub vcpus: u32,
    /// vCPUs that it has.
    pub max_vcpus: u32,
    /// Its way to XenStore.
    pub store: Ring,
    /// Its console.
    pub console: Ring,
    /// It serves devices to other domains.
    pub is_driver: bool,
}

/// A domain's home.
pub fn home(id: DomId) -> String {
    format!("/local/domain/{}", id.raw())
}

/// Where the toolstack's side of a domain is.
pub fn vm(uuid: Uuid) -> String {
    format!("/vm/{uuid}")
}

/// What is said of a domain, in the order in which it is to be written.
pub fn nodes(domain: &Domain<'_>) -> Vec<Node> {
    use Permission::{Domain0, Guest};
    let home = home(domain.id);
    let vm = vm(domain.uuid);
    let mut nodes = Vec::new();
    let mut say = |path: String, value: &str, permission: Permission| {
        nodes.push(Node { path, value: value.to_string(), permission });
    };
    say(vm.clone(), "", Domain0);
    say(format!("{vm}/name"), domain.name, Domain0);
    say(format!("{vm}/uuid"), &domain.uuid.to_string(), Domain0);
    say(home.clone(), "", Domain0);
    say(format!("{home}/vm"), &vm, Domain0);
    say(format!("{home}/name"), domain.name, Domain0);
    say(format!("{home}/domid"), &domain.id.raw().to_string(), Domain0);
    for folder in ["cpu", "memory", "device", "control", "store", "console"] {
        say(format!("{home}/{folder}"), "", Domain0);
    }
    // What guests answer and announce is theirs.
    let own = [
        "control/shutdown",
        "control/sysrq",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/feature-balloon",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    ];
    for node in own {
        say(format!("{home}/{node}"), "", Guest);
    }
    if domain.is_driver {
        // Where a toolstack that runs there would keep its own: a driver domain knows itself by it.
        say(format!("{home}/libxl"), "", Guest);
    }
    let online = |vcpu: u32| if vcpu < domain.vcpus { "online" } else { "offline" };
    for vcpu in 0..domain.max_vcpus {
        say(format!("{home}/cpu/{vcpu}/availability"), online(vcpu), Domain0);
    }
    say(format!("{home}/memory/static-max"), &domain.max_memory_kib.to_string(), Domain0);
    say(format!("{home}/memory/target"), &domain.memory_kib.to_string(), Domain0);
    say(format!("{home}/memory/videoram"), "-1", Domain0);
    for (folder, ring) in [("store", domain.store), ("console", domain.console)] {
        say(format!("{home}/{folder}/ring-ref"), &ring.mfn.raw().to_string(), Domain0);
        say(format!("{home}/{folder}/port"), &ring.port.raw().to_string(), Domain0);
    }
    say(format!("{home}/console/limit"), &CONSOLE_LIMIT.to_string(), Domain0);
    say(format!("{home}/console/type"), "xenconsoled", Domain0);
    say(format!("{home}/console/output"), "pty", Domain0);
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::types::{Mfn, Port};

    fn domain(vcpus: u32) -> Vec<Node> {
        nodes_of(vcpus, false)
    }

    fn nodes_of(vcpus: u32, is_driver: bool) -> Vec<Node> {
        nodes(&Domain {
            id: DomId::new(7),
            name: "web",
            uuid: Uuid([0xab; 16]),
            memory_kib: 32768,
            max_memory_kib: 65536,
            vcpus,
            max_vcpus: 2,
            store: Ring { mfn: Mfn::new(500), port: Port::new(1) },
            console: Ring { mfn: Mfn::new(501), port: Port::new(2) },
            is_driver,
        })
    }

    fn find<'a>(nodes: &'a [Node], path: &str) -> &'a Node {
        nodes.iter().find(|node| node.path == path).unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn rings_memory_and_names_stand_where_xl_puts_them() {
        let all = domain(2);
        let value = |path: &str| find(&all, path).value.as_str();
        assert_eq!(value("/local/domain/7/store/ring-ref"), "500");
        assert_eq!(value("/local/domain/7/store/port"), "1");
        assert_eq!(value("/local/domain/7/console/ring-ref"), "501");
        assert_eq!(value("/local/domain/7/console/type"), "xenconsoled");
        assert_eq!(value("/local/domain/7/memory/target"), "32768");
        assert_eq!(value("/local/domain/7/memory/static-max"), "65536");
        assert_eq!(value("/local/domain/7/domid"), "7");
        let vm = "/vm/abababab-abab-abab-abab-abababababab";
        assert_eq!(value("/local/domain/7/vm"), vm);
        assert_eq!(value(&format!("{vm}/name")), "web");
    }

    #[test]
    fn a_guest_owns_what_it_answers_and_nothing_that_is_decided_for_it() {
        let all = domain(2);
        for path in ["control/shutdown", "control/feature-balloon", "data", "error"] {
            let node = find(&all, &format!("/local/domain/7/{path}"));
            assert_eq!(node.permission, Permission::Guest, "{path}");
        }
        for path in ["memory/target", "name", "control", "cpu/0/availability", "console/limit"] {
            let node = find(&all, &format!("/local/domain/7/{path}"));
            assert_eq!(node.permission, Permission::Domain0, "{path}");
        }
    }

    #[test]
    fn a_driver_domain_has_a_directory_by_which_it_knows_that_it_is_one() {
        let path = "/local/domain/7/libxl";
        assert_eq!(find(&nodes_of(1, true), path).permission, Permission::Guest);
        assert!(domain(1).iter().all(|node| node.path != path));
    }

    #[test]
    fn vcpus_beyond_the_wanted_ones_are_offline() {
        let all = domain(1);
        assert_eq!(find(&all, "/local/domain/7/cpu/0/availability").value, "online");
        assert_eq!(find(&all, "/local/domain/7/cpu/1/availability").value, "offline");
    }

    #[test]
    fn a_folder_is_said_before_what_is_in_it() {
        let all = domain(2);
        for (index, node) in all.iter().enumerate() {
            let parent = node.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let said_later = all.iter().skip(index).any(|later| later.path == parent);
            assert!(!said_later, "{} before {parent}", node.path);
        }
    }
}
