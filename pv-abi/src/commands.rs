//! Which of this crate's numbers are the commands of which hypercall, told by their names.
//!
//! For whoever lists or prints them: the hypervisor itself has a match.

use crate::hypercall as nr;
use crate::manifest::{Constant, TABLES};

/// The commands of a hypercall that have one kind of name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The hypercall.
    pub hypercall: u32,
    /// In which module the numbers are.
    module: &'static str,
    /// How their names begin.
    prefix: &'static str,
}

const fn family(hypercall: u32, module: &'static str, prefix: &'static str) -> Family {
    Family { hypercall, module, prefix }
}

/// All that there are.
pub const FAMILIES: &[Family] = &[
    family(nr::MMU_UPDATE, "mmu", "MMU_"),
    family(nr::PLATFORM_OP, "platform", "XENPF_"),
    family(nr::MEMORY_OP, "memory::numbers", "XENMEM_"),
    family(nr::XEN_VERSION, "version", "XENVER_"),
    family(nr::CONSOLE_IO, "console", "CONSOLEIO_"),
    family(nr::GRANT_TABLE_OP, "grant_table::numbers", "GNTTABOP_"),
    family(nr::VM_ASSIST, "vm_assist", "VMASST_TYPE_"),
    family(nr::VCPU_OP, "vcpu", "VCPUOP_"),
    family(nr::MMUEXT_OP, "mmu", "MMUEXT_"),
    family(nr::NMI_OP, "nmi", "XENNMI_"),
    family(nr::SCHED_OP, "sched", "SCHEDOP_"),
    family(nr::CALLBACK_OP, "callback", "CALLBACKTYPE_"),
    family(nr::EVENT_CHANNEL_OP, "event_channel", "EVTCHNOP_"),
    family(nr::PHYSDEV_OP, "physdev::numbers", "PHYSDEVOP_"),
    family(nr::DOMCTL, "domctl::numbers", "XEN_DOMCTL_"),
    family(nr::SYSCTL, "sysctl::numbers", "XEN_SYSCTL_"),
];

/// Hypercalls whose commands are in capitals; with all others that tells flags from commands.
const CAPITALS: &[u32] = &[nr::MMU_UPDATE, nr::MMUEXT_OP];

/// Numbers that are named like commands and are none.
const NO_COMMANDS: &[&str] = &["XENMEM_resource_"];

impl Family {
    /// Its commands, in the order in which they are declared.
    pub fn commands(self) -> impl Iterator<Item = &'static Constant> {
        let capitals = CAPITALS.contains(&self.hypercall);
        constants(self.module).filter(move |constant| {
            let Some(rest) = constant.c.strip_prefix(self.prefix) else { return false };
            (capitals || !rest.starts_with(|c: char| c.is_ascii_uppercase()))
                && !NO_COMMANDS.iter().any(|no| constant.c.starts_with(no))
        })
    }

    /// The version of the interface that its structures begin with, if they do.
    pub fn interface_version(self) -> Option<u32> {
        constants(self.module)
            .find(|constant| constant.c.strip_prefix(self.prefix) == Some("INTERFACE_VERSION"))
            .map(|constant| constant.value as u32)
    }
}

/// The families of a hypercall.
pub fn of(hypercall: u32) -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().filter(move |family| family.hypercall == hypercall)
}

/// What begins the names of hypercalls.
const HYPERCALL: &str = "__HYPERVISOR_";

/// Every hypercall that has a number.
pub fn hypercalls() -> impl Iterator<Item = &'static Constant> {
    constants("hypercall").filter(|constant| constant.c.starts_with(HYPERCALL))
}

/// A hypercall's name, without what all begin with.
pub fn hypercall_name(number: u32) -> Option<&'static str> {
    let found = hypercalls().find(|constant| constant.value == i128::from(number))?;
    found.c.strip_prefix(HYPERCALL)
}

/// A command's name, without what all of its family begin with.
pub fn command_name(hypercall: u32, command: u32) -> Option<&'static str> {
    of(hypercall).find_map(|family| {
        let found = family.commands().find(|constant| constant.value == i128::from(command))?;
        found.c.strip_prefix(family.prefix)
    })
}

fn constants(module: &'static str) -> impl Iterator<Item = &'static Constant> {
    TABLES.iter().filter(move |table| table.module == module).flat_map(|table| table.constants)
}
