//! COM1: the hypervisor's and domain 0's only console.
//!
//! One UART, one lock, held for a whole log record so that records of several CPUs do not
//! mix. The lock is taken with interrupts off, because the receive interrupt takes it too.
//! A panic and an NMI must print even if the lock's holder will never let go: they break it.
//!
//! Output goes out in bursts of one FIFO (16 bytes) per status read: under an emulator every
//! port access costs about a thousand instructions' worth of time.

// UNSAFETY: owning a UART by its port number, and breaking the lock in a panic.
#![allow(unsafe_code)]

use core::fmt;

use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{FifoTriggerLevel, IER, LSR};
use uart_16550::{BaudRate, Config, Uart16550};
use x86_64::instructions::interrupts::without_interrupts;

use crate::console_ring::ConsoleRing;

/// I/O port of COM1.
const COM1: u16 = 0x3f8;
/// First and last of its ports.
pub const PORTS: (u16, u16) = (COM1, COM1 + 7);
/// The ISA interrupt of COM1.
pub const COM1_IRQ: u8 = 4;
/// Bytes that the transmit FIFO takes after one look at the line status.
const FIFO: usize = 16;

/// The UART; `None` until [`init`] found one, or with `console=none`.
static COM: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// Sets COM1 to 115200 8n1 with FIFOs. Without a UART there the hypervisor runs silent.
pub fn init() {
    // SAFETY: 1. 0x3f8 to 0x3ff are COM1 by PC convention. 2. Nothing else drives them: this
    // is the only owner, and guests get no I/O ports.
    let Ok(mut uart) = (unsafe { Uart16550::new_port(COM1) }) else { return };
    let config = Config {
        baud_rate: BaudRate::Baud115200,
        fifo_trigger_level: Some(FifoTriggerLevel::One),
        ..Config::DEFAULT
    };
    if uart.init(config).is_ok() {
        *COM.lock() = Some(uart);
    }
}

/// Ends all output: `console=none`.
pub fn disable() {
    without_interrupts(|| *COM.lock() = None);
}

/// Lets the UART raise its interrupt for received bytes.
pub fn enable_receive_interrupt() {
    without_interrupts(|| {
        if let Some(uart) = COM.lock().as_mut() {
            uart.enable_interrupts(IER::DATA_READY);
        }
    });
}

/// Takes what has been received, at most `buffer.len()` bytes; returns how many.
pub fn receive(buffer: &mut [u8]) -> usize {
    without_interrupts(|| COM.lock().as_mut().map_or(0, |uart| uart.receive_bytes(buffer)))
}

/// What the hypervisor said, port or not.
pub static RING: ConsoleRing = ConsoleRing::new();

/// Writes the hypervisor's own text, `\n` as `\r\n`, as one unbroken piece; it is kept, too.
pub fn write_fmt(text: fmt::Arguments<'_>) {
    without_interrupts(|| {
        let mut com = COM.lock();
        let mut own = Own { port: com.as_mut().map(Burst::new) };
        // Writing cannot fail; a `Display` that does loses its own text only.
        let _ = fmt::write(&mut own, text);
    });
}

/// The hypervisor's own text on its way. The console's lock is held.
struct Own<'a> {
    port: Option<Burst<'a>>,
}

impl fmt::Write for Own<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        RING.put(text.as_bytes());
        if let Some(port) = &mut self.port {
            port.bytes(text.as_bytes());
        }
        Ok(())
    }
}

/// Writes bytes as they are, but `\n` as `\r\n`, as one unbroken piece: a guest's output.
pub fn write_bytes(bytes: &[u8]) {
    without_interrupts(|| {
        if let Some(uart) = COM.lock().as_mut() {
            Burst::new(uart).bytes(bytes);
        }
    });
}

/// Waits until the last byte has left the port, for a while: before the machine is reset.
pub fn drain() {
    // At 115200 baud a full FIFO takes 1.4 ms; a status read takes a microsecond at best.
    const TRIES: u32 = 20_000;
    without_interrupts(|| {
        // Whoever holds the lock now will not use it again: the machine is ending.
        let Some(mut com) = COM.try_lock() else { return };
        if let Some(uart) = com.as_mut() {
            for _ in 0..TRIES {
                if uart.lsr().contains(LSR::TRANSMITTER_EMPTY) {
                    return;
                }
                core::hint::spin_loop();
            }
        }
    });
}

/// Takes the lock away from whoever holds it.
///
/// # Safety
/// The holder must never run again, or the caller must never return: a panic, an NMI that
/// ends in one.
pub unsafe fn break_lock() {
    // SAFETY: the caller's duty is the condition of `force_unlock`.
    unsafe { COM.force_unlock() };
}

/// Collects output and sends it one FIFO at a time.
struct Burst<'a> {
    uart: &'a mut Uart16550<PioBackend>,
    pending: [u8; FIFO],
    length: usize,
    previous: u8,
}

impl<'a> Burst<'a> {
    fn new(uart: &'a mut Uart16550<PioBackend>) -> Self {
        Self { uart, pending: [0; FIFO], length: 0, previous: 0 }
    }

    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.pending.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
        if self.length == FIFO {
            self.flush();
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' && self.previous != b'\r' {
                self.byte(b'\r');
            }
            self.byte(byte);
            self.previous = byte;
        }
    }

    fn flush(&mut self) {
        if let Some(pending) = self.pending.get(..self.length) {
            self.uart.send_bytes_exact(pending);
        }
        self.length = 0;
    }
}

impl Drop for Burst<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
