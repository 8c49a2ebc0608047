//! Non-maskable interrupts: somebody wants to know where this kernel is.
//!
//! One comes whatever was interrupted, with state taken and lines half written, so that little can be
//! done at once: [`note`] keeps where it came, and makes an upcall pending. The upcall comes as soon as
//! upcalls are not masked, mostly at once, and [`report`] prints.
//!
//! Nothing here sends any: `xl trigger DOMAIN nmi` does, to see whether a domain that does not answer still
//! takes interrupts. As Linux does with one of which nobody knows the reason, the kernel goes on.

use crate::task::scheduler;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ring1::println;
use ring1::shared;
use ring1::trap::TrapFrame;

/// One was noted that has not been reported.
static NOTED: AtomicBool = AtomicBool::new(false);
/// Where it came: `eip`, `cs` (with the upcall mask), the task's number (0: before there were any).
static AT: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

/// Keeps where an NMI came. Any code may have been interrupted, with anything taken.
pub fn note(frame: &TrapFrame) {
    let task = scheduler::try_current().map_or(0, |task| task.pid);
    for (place, value) in AT.iter().zip([frame.eip, frame.cs, task]) {
        place.store(value, Ordering::Relaxed);
    }
    NOTED.store(true, Ordering::Relaxed);
    shared::upcall_pending().store(1, Ordering::SeqCst);
}

/// Prints what was noted, if anything was. For the upcall handler.
pub fn report() {
    if !NOTED.swap(false, Ordering::Relaxed) {
        return;
    }
    let [eip, cs, task] = AT.each_ref().map(|place| place.load(Ordering::Relaxed));
    let masked = if cs >> 16 & 0xff != 0 { ", upcalls masked" } else { "" };
    if !ring1::console::at_line_start() {
        println!();
    }
    println!("Uhhuh. NMI received, reason unknown: ring {}, eip {eip:#010x}{masked}", cs & 3);
    match scheduler::with_task(task, |task| task.name()) {
        Some(name) => println!("It interrupted {name}[{task}], which goes on."),
        None => println!("What it interrupted goes on."),
    }
}
