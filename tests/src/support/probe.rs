//! Asking the real dispatch what there is: one call with each command, all else zero.
//!
//! A domain 0 of its own makes each call, since some end it.

use pv_abi::callback::CALLBACKOP_REGISTER;
use pv_abi::commands::Family;
use pv_abi::hypercall as nr;
use pv_abi::sysctl::{XEN_SYSCTL_CPUPOOL_OP, XEN_SYSCTL_CPUPOOL_OP_INFO};
use pv_abi::types::DOMID_SELF;
use pv_abi::vm_assist::VMASST_CMD_ENABLE;

use crate::fifo::Fifo;
use crate::guest::Guest;

/// The answer to a hypercall without commands: a value, or a negative errno.
pub fn whole(hypercall: u32) -> i64 {
    Guest::pv32().call(hypercall, &[0; 6])
}

/// The answer to `command` of a family.
pub fn command(family: Family, command: u32) -> i64 {
    let mut guest = Guest::pv32();
    if family.hypercall == nr::EVENT_CHANNEL_OP {
        // The ABI that has all commands.
        Fifo::new(&mut guest);
    }
    let at = guest.page().va;
    let cmd = u64::from(command);
    let myself = u64::from(DOMID_SELF);
    let args = match family.hypercall {
        nr::VM_ASSIST => [VMASST_CMD_ENABLE.into(), cmd, 0, 0, 0, 0],
        nr::CALLBACK_OP => {
            guest.write(at, &command);
            [CALLBACKOP_REGISTER.into(), at, 0, 0, 0, 0]
        }
        nr::MMUEXT_OP => {
            guest.write(at, &command);
            [at, 1, 0, myself, 0, 0]
        }
        nr::MMU_UPDATE => {
            let page = guest.page();
            guest.write(at, &[page.maddr() | cmd, 0]);
            [at, 1, 0, myself, 0, 0]
        }
        // A count, or a vCPU, before the address.
        nr::CONSOLE_IO | nr::VCPU_OP => [cmd, 0, at, 0, 0, 0],
        _ => match family.interface_version() {
            Some(version) => {
                // Of pools there are operations, and 0 is none.
                let pools = (family.hypercall, command) == (nr::SYSCTL, XEN_SYSCTL_CPUPOOL_OP);
                let operation = if pools { XEN_SYSCTL_CPUPOOL_OP_INFO } else { 0 };
                guest.write(at, &[command, version, operation]);
                [at, 0, 0, 0, 0, 0]
            }
            // Where there is a count, it is one.
            None => [cmd, at, 1, 0, 0, 0],
        },
    };
    guest.call(family.hypercall, &args)
}
