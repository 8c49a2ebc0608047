//! What there is of the ABI, and that the sources say the truth about it.

use hypervisor::hypercall::limits::LIMITS;
use hypervisor::hypercall::table;
use hypervisor::support::WHOLE;
use pv_abi::{commands, hypercall as nr};
use pv_tests::support::cover::Sources;
use pv_tests::support::{Status, probe, status};

#[test]
fn every_command_answers_as_its_subsystem_says() {
    let mut wrong = Vec::new();
    for family in commands::FAMILIES {
        for command in family.commands() {
            let number = command.value as u32;
            let answer = probe::command(*family, number);
            if let Err(error) = status(family.hypercall, number, answer) {
                wrong.push(format!("{}: {error}", command.c));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hypercalls_that_are_not_in_the_table_say_enosys() {
    for hypercall in commands::hypercalls() {
        let number = hypercall.value as u32;
        let listed = table::SUPPORTED.iter().any(|(there, _)| *there == number);
        if !listed {
            let answer = status(number, WHOLE, probe::whole(number));
            assert!(matches!(answer, Ok(Status::Refused(..))), "{}: {answer:?}", hypercall.c);
        }
    }
}

#[test]
fn names_in_the_table_are_those_of_the_headers() {
    for (number, name) in table::SUPPORTED {
        let mut all = commands::hypercalls();
        let found = all.find(|hypercall| hypercall.value == i128::from(*number));
        assert_eq!(found.map(|h| h.c), Some(format!("__HYPERVISOR_{name}").as_str()));
    }
}

#[test]
fn limits_name_commands_that_exist() {
    for (hypercall, limits) in LIMITS {
        for limit in *limits {
            let known = commands::of(*hypercall)
                .flat_map(|family| family.commands())
                .any(|command| command.value == i128::from(limit.command));
            assert!(known || limit.command == WHOLE, "hypercall {hypercall}: {limit:?}");
        }
    }
}

#[test]
fn asking_tells_what_is_there_from_what_is_not() {
    let sched = commands::of(nr::SCHED_OP).next().expect("sched_op has commands");
    assert_eq!(probe::command(*sched, pv_abi::sched::SCHEDOP_YIELD), 0);
    assert_eq!(probe::command(*sched, 63), -38);
    let mmuext = commands::of(nr::MMUEXT_OP).next().expect("mmuext_op has commands");
    assert_eq!(probe::command(*mmuext, pv_abi::mmu::MMUEXT_TLB_FLUSH_LOCAL), 0);
    assert_eq!(probe::command(*mmuext, 63), -38);
    assert_eq!(mmuext.commands().count(), 20);
}

#[test]
fn what_is_there_is_tested() {
    let sources = Sources::read();
    let mut untested = Vec::new();
    for family in commands::FAMILIES {
        for command in family.commands() {
            let answer = probe::command(*family, command.value as u32);
            let there = status(family.hypercall, command.value as u32, answer);
            let refused = matches!(there, Ok(Status::Refused(_, "")));
            if !refused && sources.covering(command.rust).is_empty() {
                untested.push(command.c);
            }
        }
    }
    assert!(untested.is_empty(), "no test names {untested:?}");
}
