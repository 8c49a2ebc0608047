//! The table of verbs, in the order of xl's help.

use super::arguments::{Arguments, Flag};
use super::{Operands, Outcome, Session, Verb};
use super::{complete, console, create, devices, domains, host, info, list, resources, scheduler};
use super::{shutdown, top, vcpus};

/// What any number of operands is written as.
const ANY: usize = usize::MAX;

const fn verb(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    (needs, takes): (usize, usize),
    operands: Operands,
    run: fn(&mut Session<'_>, &Arguments<'_>) -> Outcome,
) -> Verb {
    Verb { name, summary, usage, flags: &[], needs, takes, operands, run }
}

impl Verb {
    const fn with(mut self, flags: &'static [Flag]) -> Self {
        self.flags = flags;
        self
    }
}

/// Every verb.
pub static VERBS: &[Verb] = &[
    verb(
        "create",
        "<ConfigFile> [options] [vars]",
        "Create a domain from config file <filename>",
        (0, ANY),
        Operands::File,
        create::create,
    )
    .with(create::FLAGS),
    verb(
        "list",
        "[options] [Domain...]",
        "List information about all/some domains",
        (0, ANY),
        Operands::Domains,
        list::list,
    )
    .with(list::FLAGS),
    verb(
        "destroy",
        "[options] <Domain>",
        "Terminate a domain immediately",
        (1, 1),
        Operands::Domain,
        domains::destroy,
    )
    .with(&[Flag::plain('f', "", "Permit destroying domain 0.")]),
    verb(
        "shutdown",
        "[options] <-a|Domain>",
        "Issue a shutdown signal to a domain",
        (0, 1),
        Operands::Domain,
        shutdown::shutdown,
    )
    .with(&[
        Flag::plain('a', "all", "Shutdown all guest domains."),
        Flag::plain('F', "", "Fallback to the power button for guests that do not listen."),
        Flag::plain('w', "wait", "Wait for guest(s) to shutdown; given twice, for their end."),
    ]),
    verb(
        "reboot",
        "[options] <-a|Domain>",
        "Issue a reboot signal to a domain",
        (0, 1),
        Operands::Domain,
        shutdown::reboot,
    )
    .with(&[
        Flag::plain('a', "all", "Reboot all guest domains."),
        Flag::plain('F', "", "Fallback to a reset for guests that do not listen."),
        Flag::plain('w', "wait", "Wait for guest(s) to reboot."),
    ]),
    verb(
        "pause",
        "<Domain>",
        "Pause execution of a domain",
        (1, 1),
        Operands::Domain,
        domains::pause,
    ),
    verb(
        "unpause",
        "<Domain>",
        "Unpause a paused domain",
        (1, 1),
        Operands::Domain,
        domains::unpause,
    ),
    verb(
        "console",
        "[options] <Domain>",
        "Attach to domain's console (Ctrl-] leaves it)",
        (1, 1),
        Operands::Domain,
        console::console,
    )
    .with(console::FLAGS),
    verb(
        "mem-max",
        "<Domain> <MemMB['b'[bytes]|'k'[KB]|'m'[MB]|'g'[GB]|'t'[TB]]>",
        "Set the maximum amount reservation for a domain",
        (2, 2),
        Operands::Domain,
        resources::mem_max,
    ),
    verb(
        "mem-set",
        "<Domain> <MemMB['b'[bytes]|'k'[KB]|'m'[MB]|'g'[GB]|'t'[TB]]>",
        "Set the current memory usage for a domain",
        (2, 2),
        Operands::Domain,
        resources::mem_set,
    ),
    verb(
        "vcpu-list",
        "[Domain...]",
        "List the VCPUs for all/some domains",
        (0, ANY),
        Operands::Domains,
        vcpus::list,
    ),
    verb(
        "vcpu-pin",
        "<Domain> <VCPU|all> <Hard affinity|-|all> [<Soft affinity|-|all>]",
        "Set which CPUs a VCPU can use",
        (3, 4),
        Operands::Domain,
        vcpus::pin,
    ),
    verb(
        "vcpu-set",
        "[option] <Domain> <vCPUs>",
        "Set the number of active VCPUs allowed for the domain",
        (2, 2),
        Operands::Domain,
        vcpus::set,
    )
    .with(&[Flag::plain(
        'i',
        "ignore-host",
        "Don't limit the vCPU based on the host CPU count",
    )]),
    verb(
        "vm-list",
        "",
        "List guest domains, excluding dom0",
        (0, 0),
        Operands::None,
        list::vm_list,
    ),
    verb("info", "[name]", "Get information about Xen host", (0, 1), Operands::None, info::info),
    verb(
        "sched-credit",
        "[-d <Domain> [-w[=WEIGHT]|-c[=CAP]]] [-s]",
        "Get/set credit scheduler parameters",
        (0, 0),
        Operands::None,
        scheduler::credit,
    )
    .with(scheduler::FLAGS),
    verb(
        "sched-credit2",
        "[-d <Domain> [-w[=WEIGHT]|-c[=CAP]]] [-s]",
        "Get/set credit2 scheduler parameters",
        (0, 0),
        Operands::None,
        scheduler::credit,
    )
    .with(scheduler::FLAGS),
    verb(
        "domid",
        "<DomainName>",
        "Convert a domain name to domain id",
        (1, 1),
        Operands::Domain,
        domains::domid,
    ),
    verb(
        "domname",
        "<DomainId>",
        "Convert a domain id to domain name",
        (1, 1),
        Operands::None,
        domains::domname,
    ),
    verb(
        "rename",
        "<Domain> <NewDomainName>",
        "Rename a domain",
        (2, 2),
        Operands::Domain,
        domains::rename,
    ),
    verb(
        "trigger",
        "<Domain> <nmi|reset|init|power|sleep|s3resume> [<VCPU>]",
        "Send a trigger to a domain",
        (2, 3),
        Operands::DomainAnd(domains::TRIGGER_NAMES),
        domains::trigger,
    ),
    verb(
        "sysrq",
        "<Domain> <letter>",
        "Send a sysrq to a domain",
        (2, 2),
        Operands::Domain,
        domains::sysrq,
    ),
    verb(
        "debug-keys",
        "<Keys>",
        "Send debug keys to Xen",
        (1, 1),
        Operands::None,
        host::debug_keys,
    ),
    verb("dmesg", "[-c]", "Read and/or clear dmesg buffer", (0, 0), Operands::None, host::dmesg)
        .with(&[Flag::plain('c', "clear", "Clear dmesg buffer as well as printing it")]),
    verb(
        "log",
        "",
        "Read what domains have printed, line by line, and what became of them",
        (0, 0),
        Operands::None,
        host::log,
    ),
    verb(
        "top",
        "[options]",
        "Monitor a host and the domains in real time",
        (0, 0),
        Operands::None,
        top::top,
    )
    .with(top::FLAGS),
    verb(
        "network-attach",
        "<Domain> [mac=<mac>] [bridge=<bridge>] [ip=<ip>] [script=<script>] \
         [backend=<BackDomain>] [vifname=<name>] [rate=<rate>] [mtu=<mtu>]",
        "Create a new virtual network device",
        (1, ANY),
        Operands::Domain,
        devices::network_attach,
    ),
    verb(
        "network-list",
        "<Domain(s)>",
        "List virtual network interfaces for a domain",
        (1, ANY),
        Operands::Domains,
        devices::network_list,
    ),
    verb(
        "network-detach",
        "<Domain> <DevId|mac>",
        "Destroy a domain's virtual network device",
        (2, 2),
        Operands::Domain,
        devices::network_detach,
    ),
    verb(
        "block-attach",
        "<Domain> <disk-spec-component(s)>...",
        "Create a new virtual block device",
        (2, ANY),
        Operands::Domain,
        devices::block_attach,
    ),
    verb(
        "block-list",
        "<Domain(s)>",
        "List virtual block devices for a domain",
        (1, ANY),
        Operands::Domains,
        devices::block_list,
    ),
    verb(
        "block-detach",
        "[option] <Domain> <DevId>",
        "Destroy a domain's virtual block device",
        (2, 2),
        Operands::Domain,
        devices::block_detach,
    )
    .with(&[Flag::plain('f', "force", "Do not wait for the domain to release the device.")]),
    verb(
        "uptime",
        "[-s] [Domain...]",
        "Print uptime for all/some domains",
        (0, ANY),
        Operands::Domains,
        host::uptime,
    )
    .with(&[Flag::plain('s', "", "One line per domain, with the time of day.")]),
    verb(
        "help",
        "[Command]",
        "This list, or more about one command",
        (0, 1),
        Operands::Verb,
        |_, _| Ok(()),
    )
    .with(&[Flag::plain('l', "long", "All commands; they are listed in any case.")]),
    verb(
        "complete",
        "[Word...]",
        "Print what the last of the words could become (for shells)",
        (0, ANY),
        Operands::None,
        complete::complete,
    ),
];
