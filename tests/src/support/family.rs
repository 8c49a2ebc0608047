//! The commands of each hypercall, by the names of `pv-abi`'s numbers.

use pv_abi::hypercall as nr;
use pv_abi::manifest::{Constant, TABLES};

/// How a command gets to its hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// `(cmd, &argument)`
    Argument,
    /// `(cmd, arguments, count)`
    Arguments,
    /// `(cmd, vcpu, &argument)`
    Vcpu,
    /// `(cmd, count, buffer)`
    Buffer,
    /// `(VMASST_CMD_enable, cmd)`
    Assist,
    /// `(CALLBACKOP_register, &{ type })`
    Callback,
    /// `(&{ cmd, interface version, .. })`
    Structure,
    /// `(&{ cmd, .. }, 1, null, DOMID_SELF)`
    Operations,
    /// `(&{ address | cmd, value }, 1, null, DOMID_SELF)`
    Updates,
}

/// The commands of a hypercall that have one kind of name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The hypercall.
    pub hypercall: u32,
    /// Where in `pv-abi` the numbers are.
    module: &'static str,
    /// How the names of the commands begin.
    prefix: &'static str,
    /// Whether what follows is in capitals; in all others it is not, and that tells commands
    /// from flags.
    capitals: bool,
    /// How they are called.
    pub how: How,
}

const fn family(hypercall: u32, module: &'static str, prefix: &'static str, how: How) -> Family {
    let capitals = matches!(how, How::Operations | How::Updates);
    Family { hypercall, module, prefix, capitals, how }
}

/// All that there are.
pub const FAMILIES: &[Family] = &[
    family(nr::MMU_UPDATE, "mmu", "MMU_", How::Updates),
    family(nr::PLATFORM_OP, "platform", "XENPF_", How::Structure),
    family(nr::MEMORY_OP, "memory::numbers", "XENMEM_", How::Argument),
    family(nr::XEN_VERSION, "version", "XENVER_", How::Argument),
    family(nr::CONSOLE_IO, "console", "CONSOLEIO_", How::Buffer),
    family(nr::GRANT_TABLE_OP, "grant_table::numbers", "GNTTABOP_", How::Arguments),
    family(nr::VM_ASSIST, "vm_assist", "VMASST_TYPE_", How::Assist),
    family(nr::VCPU_OP, "vcpu", "VCPUOP_", How::Vcpu),
    family(nr::MMUEXT_OP, "mmu", "MMUEXT_", How::Operations),
    family(nr::NMI_OP, "nmi", "XENNMI_", How::Argument),
    family(nr::SCHED_OP, "sched", "SCHEDOP_", How::Argument),
    family(nr::CALLBACK_OP, "callback", "CALLBACKTYPE_", How::Callback),
    family(nr::EVENT_CHANNEL_OP, "event_channel", "EVTCHNOP_", How::Argument),
    family(nr::PHYSDEV_OP, "physdev::numbers", "PHYSDEVOP_", How::Argument),
    family(nr::DOMCTL, "domctl", "XEN_DOMCTL_", How::Structure),
    family(nr::DOMCTL, "domctl::numbers", "XEN_DOMCTL_", How::Structure),
];

/// Numbers that are named like commands and are none.
const NO_COMMANDS: &[&str] = &["XENMEM_resource_"];

impl Family {
    /// Its commands, in the order of `pv-abi`.
    pub fn commands(&self) -> impl Iterator<Item = &'static Constant> + use<> {
        let Family { prefix, capitals, .. } = *self;
        constants(self.module).filter(move |constant| {
            let Some(rest) = constant.c.strip_prefix(prefix) else { return false };
            (capitals || !rest.starts_with(|c: char| c.is_ascii_uppercase()))
                && !NO_COMMANDS.iter().any(|no| constant.c.starts_with(no))
        })
    }

    /// The version of the interface that its structures begin with.
    pub fn interface_version(&self) -> u32 {
        constants(self.module)
            .find(|constant| constant.rust.ends_with("_INTERFACE_VERSION"))
            .map_or(0, |constant| constant.value as u32)
    }
}

/// The families of a hypercall.
pub fn of(hypercall: u32) -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter().filter(move |family| family.hypercall == hypercall)
}

/// Every hypercall that has a number.
pub fn hypercalls() -> impl Iterator<Item = &'static Constant> {
    constants("hypercall").filter(|constant| constant.c.starts_with("__HYPERVISOR_"))
}

fn constants(module: &str) -> impl Iterator<Item = &'static Constant> + use<> {
    let module = module.to_owned();
    TABLES.iter().filter(move |table| table.module == module).flat_map(|table| table.constants)
}
