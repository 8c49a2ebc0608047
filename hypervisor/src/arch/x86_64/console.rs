//! Console input: from the receive interrupt to the guest or to the debug keys.

use core::fmt;

use heapless::Deque;
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

use super::{interrupts, machine_keys, serial};
use crate::console_input::{InputSwitch, SWITCH_KEY, Target, Typed};
use crate::guest::regs::UserRegs;

/// Bytes that wait for the guest; what is typed beyond that is lost.
const CAPACITY: usize = 1024;

struct Input {
    switch: InputSwitch,
    waiting: Deque<u8, CAPACITY>,
}

static INPUT: Mutex<Input> =
    Mutex::new(Input { switch: InputSwitch::new(), waiting: Deque::new() });

/// Takes bytes that were typed for the guest; returns how many.
pub fn read(to: &mut [u8]) -> usize {
    without_interrupts(|| {
        let mut input = INPUT.lock();
        let mut count = 0;
        for slot in to {
            let Some(byte) = input.waiting.pop_front() else { break };
            *slot = byte;
            count += 1;
        }
        count
    })
}

/// Prints what a guest wrote.
pub fn write_guest(bytes: &[u8]) {
    serial::write_bytes(bytes);
}

/// COM1 has received something. `frame` is what was interrupted, for debug key `d`.
pub fn on_interrupt(frame: &UserRegs) {
    let mut received = [0; 16];
    loop {
        let count = serial::receive(&mut received);
        for &byte in received.iter().take(count) {
            on_byte(byte, frame);
        }
        if count < received.len() {
            return;
        }
    }
}

fn on_byte(byte: u8, frame: &UserRegs) {
    let typed = INPUT.lock().switch.typed(byte);
    match typed {
        Typed::Held => {}
        Typed::Switched(target) => {
            let who = match target {
                Target::Guest => "domain 0",
                Target::Hypervisor => "Ferrule",
            };
            serial::write_fmt(format_args!(
                "\n*** Serial input to {who} (type 'CTRL-a' three times to switch input)\n"
            ));
        }
        Typed::Deliver { to: Target::Guest, held, byte } => {
            {
                let waiting = &mut INPUT.lock().waiting;
                for _ in 0..held {
                    let _ = waiting.push_back(SWITCH_KEY);
                }
                let _ = waiting.push_back(byte);
            }
            if let Some(receiver) = interrupts::receiver() {
                receiver.console_input();
            }
        }
        Typed::Deliver { to: Target::Hypervisor, byte, .. } => match interrupts::receiver() {
            Some(receiver) => receiver.debug_key(byte, frame),
            None => machine_keys::press_alone(byte),
        },
    }
}

/// The console as something to write the hypervisor's own text to.
pub struct Out;

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        serial::write_fmt(format_args!("{text}"));
        Ok(())
    }
}
