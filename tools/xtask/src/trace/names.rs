//! Names for the numbers of a trace: `pv-abi`'s.

use pv_abi::commands;
use pv_abi::manifest::TABLES;
use pv_abi::vectors;
use trace_format::What;

/// A hypercall and its command: `event_channel_op send`.
pub fn hypercall(number: u8, command: u32) -> String {
    let Some(name) = commands::hypercall_name(u32::from(number)) else {
        return format!("hypercall {number}");
    };
    match commands::command_name(u32::from(number), command) {
        Some(command) => format!("{name} {command}"),
        None => name.to_owned(),
    }
}

/// An exception, or a software interrupt.
pub fn trap(vector: u8) -> String {
    let name = match vector {
        vectors::DIVIDE_ERROR => "#DE",
        vectors::DEBUG => "#DB",
        vectors::BREAKPOINT => "#BP",
        vectors::INVALID_OPCODE => "#UD",
        vectors::DEVICE_NOT_AVAILABLE => "#NM",
        vectors::GENERAL_PROTECTION => "#GP",
        vectors::PAGE_FAULT => "#PF",
        other => return format!("int {other:#x}"),
    };
    name.into()
}

/// A virtual interrupt.
fn virq(number: u8) -> String {
    let table = TABLES.iter().find(|table| table.module == "virq");
    let found = table.and_then(|table| {
        let mut all = table.constants.iter();
        all.find(|one| one.c.starts_with("VIRQ_") && one.value == i128::from(number))
    });
    found.map_or_else(|| format!("virq {number}"), |one| one.c.to_owned())
}

/// What an instant is called.
pub fn instant(what: What) -> Option<String> {
    match what {
        What::Upcall => Some("upcall".into()),
        What::Virq { virq: number } => Some(virq(number)),
        What::Interrupt { vector } => Some(format!("interrupt {vector:#x}")),
        What::Subcall { number, command } => Some(hypercall(number, command)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_headers() {
        assert_eq!(hypercall(32, 4), "event_channel_op send");
        assert_eq!(hypercall(29, 1), "sched_op block");
        assert_eq!(hypercall(3, 0xe021), "stack_switch");
        assert_eq!(hypercall(200, 0), "hypercall 200");
        assert_eq!(virq(0), "VIRQ_TIMER");
        assert_eq!((trap(14).as_str(), trap(0x80).as_str()), ("#PF", "int 0x80"));
    }
}
