//! Hypercall arguments that point where the guest may not read or write: -EFAULT, and nothing is
//! written.
//!
//! Xen 4.17 `arch/x86/usercopy.c`, compat `guest_handle_okay`. Expected: -EFAULT for pointers to
//! nothing, to the hypervisor's part, across 4 GiB, across the start of the M2P, to read-only pages
//! (for results), and across into an absent page.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::hypercall as nr;
use pv_abi::{console, event_channel, memory, mmu, sched, vcpu, version};
use pv_guests::call::ret;
use pv_guests::pages::{self, Page, map};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must};

guest!(run);

/// A hypercall, its first argument, and whether that comes before the pointer.
const READS: [(&str, u32, Option<u32>); 8] = [
    ("set_trap_table", nr::SET_TRAP_TABLE, None),
    ("console_io write", nr::CONSOLE_IO, Some(console::CONSOLEIO_WRITE)),
    ("evtchn send", nr::EVENT_CHANNEL_OP, Some(event_channel::EVTCHNOP_SEND)),
    ("sched poll", nr::SCHED_OP, Some(sched::SCHEDOP_POLL)),
    ("singleshot", nr::VCPU_OP, Some(vcpu::VCPUOP_SET_SINGLESHOT_TIMER)),
    ("mmu_update", nr::MMU_UPDATE, None),
    ("mmuext_op", nr::MMUEXT_OP, None),
    ("multicall", nr::MULTICALL, None),
];

fn call(number: u32, first: Option<u32>, pointer: u32) -> i32 {
    match (number, first) {
        (nr::CONSOLE_IO, Some(command)) => hypercall(number, &[command, 16, pointer]),
        (nr::VCPU_OP, Some(command)) => hypercall(number, &[command, 0, pointer]),
        (_, Some(command)) => hypercall(number, &[command, pointer]),
        (nr::MMU_UPDATE | nr::MMUEXT_OP, None) => hypercall(number, &[pointer, 1, 0, 0x7ff0]),
        (_, None) => hypercall(number, &[pointer, 1]),
    }
}

fn run(_: &'static StartInfo) -> Outcome {
    let efault = ret(Errno::EFAULT);
    let (page, absent) = (Page::take(), Page::take());
    must(map(absent.va, 0), "unmapping a page")?;
    let readonly = Page::take().protect()?;
    let m2p = pages::m2p();

    let nowhere =
        [1, 0x1000, absent.va - 2, absent.va, 0xffff_fffc, 0xffff_fff8, u32::MAX, m2p - 4];
    for (name, number, first) in READS {
        for pointer in nowhere {
            let result = call(number, first, pointer);
            check_eq!(result, efault, "{name} from {pointer:#x}");
        }
    }
    // Results go nowhere either; read-only pages and the M2P are no place for them.
    let unwritable = [readonly.va, readonly.va + 4092, m2p, m2p + 8, 0xffe0_0000, pages::root()];
    for pointer in nowhere.into_iter().chain(unwritable) {
        for (name, number, command) in [
            ("XENVER_extraversion", nr::XEN_VERSION, version::XENVER_EXTRAVERSION),
            ("XENVER_platform_parameters", nr::XEN_VERSION, version::XENVER_PLATFORM_PARAMETERS),
            ("XENMEM_machphys_mapping", nr::MEMORY_OP, memory::XENMEM_MACHPHYS_MAPPING),
        ] {
            let result = hypercall(number, &[command, pointer]);
            check_eq!(result, efault, "{name} to {pointer:#x}");
        }
        let result = hypercall(nr::VCPU_OP, &[vcpu::VCPUOP_GET_RUNSTATE_INFO, 0, pointer]);
        check_eq!(result, efault, "get_runstate_info to {pointer:#x}");
    }
    for index in 0..512 {
        check_eq!(readonly.read(index), 0, "entry {index} of the read-only page");
    }
    // The count of updates done is written even to where it cannot be: the call itself went well.
    let update = mmu::MmuUpdate {
        ptr: page.machine() | u64::from(mmu::MMU_MACHPHYS_UPDATE),
        val: u64::from(pages::pfn_of(page.mfn)),
    };
    let mut updates = [update];
    let at = pv_guests::call::address_of(&mut updates);
    let result = hypercall(nr::MMU_UPDATE, &[at, 1, readonly.va, 0x7ff0]);
    check!(result == 0 || result == efault, "mmu_update with a read-only count: {result}");
    check_eq!(readonly.read(0), 0, "the count in the read-only page");
    Ok(())
}
