//! Takes all memory, and all process slots, that the kernel will give.
//!
//! A child maps and touches memory until it is refused or killed, at most 1 GiB; then processes are
//! forked until that is refused, at most 500. Each time everything must come back. Expected: only
//! `ok` lines; status 0; `mem` shows as much free memory as before.
#![no_std]
#![no_main]

use guest_programs::check::Checks;
use guest_programs::memory::{self, PAGE};
use guest_programs::sys::{self, Ended, Errno};
use guest_programs::{Args, println};

guest_programs::entry!(main);

const MIB: usize = 1 << 20;
const MOST_MIB: usize = 1024;
const MOST_PROCESSES: usize = 500;

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    for round in 1..=2 {
        let ended = match sys::fork() {
            Ok(0) => sys::exit(eat()),
            Ok(pid) => sys::wait(pid),
            Err(errno) => Err(errno),
        };
        // Linux kills who touches the last page; a kernel that promises no more than it has refuses.
        let good = matches!(ended, Ok(Ended::Exited(0) | Ended::Killed(9 | 11)));
        checks.that(good, format_args!("round {round}: all memory taken ({ended:?})"));
        checks.child(|| u8::from(memory::map(256).is_err()), Ended::Exited(0), "and given back");
    }

    let mut pids = [0; MOST_PROCESSES];
    let (mut count, mut refused) = (0, None);
    for pid in &mut pids {
        match sys::fork() {
            Ok(0) => {
                let _ = sys::sleep_ms(600_000);
                sys::exit(0)
            }
            Ok(child) => (*pid, count) = (child, count + 1),
            Err(errno) => {
                refused = Some(errno);
                break;
            }
        }
    }
    println!("{count} processes, then {refused:?}");
    let good = matches!(refused, None | Some(Errno::EAGAIN | Errno::ENOMEM));
    checks.that(good && count > 10, format_args!("many processes, and a proper refusal"));
    let killed = pids[..count].iter().filter(|&&pid| sys::kill(pid, 9).is_ok()).count();
    checks.same(killed, count, "all can be killed");
    let waited = pids[..count].iter().filter(|&&pid| sys::wait(pid) == Ok(Ended::Killed(9)));
    checks.same(waited.count(), count, "and waited for");
    checks.child(|| 7, Ended::Exited(7), "there is room again");
    checks.status()
}

fn eat() -> u8 {
    for taken in 0..MOST_MIB {
        let Ok(area) = memory::map(MIB / PAGE) else {
            println!("{taken} MiB, then no more");
            return 0;
        };
        area.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    }
    println!("{MOST_MIB} MiB, and that is enough");
    0
}
