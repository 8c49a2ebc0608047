//! Vectors of physical interrupts, and who is told.
//!
//! Interrupts arrive while a guest or the idle loop runs, never in the middle of Ring 0's
//! work: so what is called from here may take any lock. Whoever receives them (the library)
//! registers one [`Receiver`].

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;

use super::{apic, console, shootdown, switch};
use crate::guest::regs::UserRegs;
use crate::irq::VECTORS;
use crate::trace::{self, What};

/// Devices of domains: vectors that `irq` gives out.
const FIRST_DEVICE: u8 = *VECTORS.start();
const LAST_DEVICE: u8 = *VECTORS.end();

/// Received bytes wait in COM1.
pub const COM1: u8 = 0xf1;
/// The one-shot timer of this CPU ran out.
pub const TIMER: u8 = 0xf8;
/// Another CPU wants this one to look at its work.
pub const KICK: u8 = 0xf9;
/// Another CPU waits for this one to drop cached translations.
pub const FLUSH: u8 = 0xfa;
/// The local APIC changed its mind; no end of interrupt. Its low four bits are set, as old
/// CPUs demand.
pub const SPURIOUS: u8 = 0xff;

/// Where the masked PICs would deliver: 16 vectors from here; only spurious ones arrive.
pub const PIC_BASE: u8 = 0x20;

/// What the rest of the hypervisor does about interrupts. Called on the CPU that was
/// interrupted, interrupts off, after the end of interrupt was signalled.
pub trait Receiver: Sync {
    /// This CPU's deadline has passed.
    fn timer(&self);
    /// Another CPU asked this one to look at its run queue and flags.
    fn kick(&self);
    /// The console has bytes for the guest (`console::read`).
    fn console_input(&self);
    /// A device that is a domain's raised `vector`; the end of interrupt has *not* been signalled
    /// yet, so that a level can be masked before it would interrupt again.
    fn device(&self, vector: u8);
    /// The person at the console pressed a debug key; `frame` is what was interrupted.
    fn debug_key(&self, key: u8, frame: &UserRegs);
}

static RECEIVER: Once<&'static dyn Receiver> = Once::new();

/// Says who is told of interrupts; the first call counts.
pub fn set_receiver(receiver: &'static dyn Receiver) {
    RECEIVER.call_once(|| receiver);
}

/// Who is told, if anybody is yet.
pub fn receiver() -> Option<&'static dyn Receiver> {
    RECEIVER.get().copied()
}

/// Serves the interrupt that built `frame`, of a guest or of the idle loop.
pub fn dispatch(frame: &UserRegs) {
    let vector = u8::try_from(frame.entry_vector).unwrap_or(SPURIOUS);
    let is_pic = (PIC_BASE..PIC_BASE + 16).contains(&vector);
    if vector == SPURIOUS || is_pic {
        return;
    }
    if (FIRST_DEVICE..=LAST_DEVICE).contains(&vector)
        && let Some(receiver) = receiver()
    {
        receiver.device(vector);
    }
    apic::end_of_interrupt();
    if let Some(sys) = switch::system() {
        trace::note_cpu(sys, What::Interrupt { vector });
    }
    match vector {
        FIRST_DEVICE..=LAST_DEVICE => {}
        TIMER => {
            if let Some(receiver) = receiver() {
                receiver.timer();
            }
        }
        KICK => {
            if let Some(receiver) = receiver() {
                receiver.kick();
            }
        }
        FLUSH => shootdown::answer(super::machine::flush_tlb),
        COM1 => console::on_interrupt(frame),
        _ => log::warn!("interrupt {vector:#x} has no use"),
    }
}

/// NMIs that nobody asked for.
static NMIS: AtomicU64 = AtomicU64::new(0);

/// Counts an NMI. Nothing is printed here: the interrupted code may hold the console.
pub fn note_nmi() {
    NMIS.fetch_add(1, Ordering::Relaxed);
}

/// NMIs so far.
pub fn nmi_count() -> u64 {
    NMIS.load(Ordering::Relaxed)
}
