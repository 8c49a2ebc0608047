//! Subcommands that do not exist: -ENOSYS (or the errno that Xen has), for every hypercall with any.
//!
//! Xen 4.17, the default branch of each handler. Expected: as in the table, and no crash.
#![no_std]
#![no_main]
use pv_abi::hypercall as nr;
use pv_guests::pages::Page;
use pv_guests::{Outcome, StartInfo, check_eq, guest, hypercall};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    let rows = [
        ("memory_op", nr::MEMORY_OP, 60, -38),
        ("xen_version", nr::XEN_VERSION, 77, -38),
        ("console_io", nr::CONSOLE_IO, 77, -38),
        ("vm_assist", nr::VM_ASSIST, 77, -38),
        ("vcpu_op", nr::VCPU_OP, 77, -38),
        ("sched_op", nr::SCHED_OP, 77, -38),
        ("event_channel_op", nr::EVENT_CHANNEL_OP, 77, -38),
        ("physdev_op", nr::PHYSDEV_OP, 777, -38),
    ];
    for (name, number, command, wanted) in rows {
        // vcpu_op takes the vCPU second, vm_assist the assist.
        let second = if matches!(number, nr::VCPU_OP | nr::VM_ASSIST) { 0 } else { page.va };
        for high in [0, 0x8000_0000, 0x7fff_0000] {
            if high != 0 && matches!(number, nr::MEMORY_OP) {
                continue; // The upper bits are where a continuation starts.
            }
            let result = hypercall(number, &[command | high, second, page.va]);
            check_eq!(result, wanted, "{name} {:#x}", command | high);
        }
    }
    Ok(())
}
