//! The local APIC of each CPU: interrupts between CPUs, end of interrupt, the timer.
//!
//! Memory-mapped (xAPIC) unless the firmware left the CPU in x2APIC mode, in which the same
//! registers are MSRs (SDM volume 3, chapter 11). Register numbers below are xAPIC offsets;
//! the MSR of a register is 0x800 + offset / 16.

// UNSAFETY: device registers, MSRs.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::registers::model_specific::Msr;

use super::interrupts::{KICK, SPURIOUS};
use super::{cpus, idt};

const IA32_APIC_BASE: u32 = 0x1b;
const BASE_ENABLED: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const LOGICAL_DESTINATION: u32 = 0xd0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const ERROR_STATUS: u32 = 0x280;
const COMMAND_LOW: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_PERFORMANCE: u32 = 0x340;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

const MASKED: u32 = 1 << 16;
const TIMER_PERIODIC: u32 = 1 << 17;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;
const DELIVERY_NMI: u32 = 4 << 8;
const DELIVERY_INIT: u32 = 5 << 8;
const DELIVERY_STARTUP: u32 = 6 << 8;
const LEVEL_ASSERT: u32 = 1 << 14;
const ALL_BUT_SELF: u32 = 3 << 18;
const PENDING: u32 = 1 << 12;

/// Virtual address of the registers; zero before [`set_registers`]; `X2APIC` in that mode.
static REGISTERS: AtomicU64 = AtomicU64::new(0);
const X2APIC: u64 = 1;

/// Whether this CPU's APIC is in x2APIC mode: then nothing needs to be mapped.
pub fn is_x2apic() -> bool {
    // SAFETY: every CPU with an APIC has the MSR, and the boot code checked for one.
    unsafe { Msr::new(IA32_APIC_BASE).read() & BASE_X2APIC != 0 }
}

/// Says where the registers are mapped; `None` for x2APIC mode.
///
/// # Safety
/// The page of the local APIC's registers is mapped there, uncached, in every address space.
pub unsafe fn set_registers(address: Option<u64>) {
    REGISTERS.store(address.unwrap_or(X2APIC), Ordering::Release);
}

fn read(register: u32) -> u32 {
    match REGISTERS.load(Ordering::Relaxed) {
        0 => 0,
        // SAFETY: the MSRs of x2APIC mode exist in that mode; reading one changes nothing.
        X2APIC => unsafe { Msr::new(0x800 + (register >> 4)).read() as u32 },
        base => {
            let address = base + u64::from(register);
            // SAFETY: mapped registers (`set_registers`), aligned to 16 bytes.
            unsafe { (address as *const u32).read_volatile() }
        }
    }
}

fn write(register: u32, value: u32) {
    match REGISTERS.load(Ordering::Relaxed) {
        0 => {}
        // SAFETY: as in `read`; the value is for an interrupt controller, not for memory.
        X2APIC => unsafe { Msr::new(0x800 + (register >> 4)).write(value.into()) },
        base => {
            let address = base + u64::from(register);
            // SAFETY: as above.
            unsafe { (address as *mut u32).write_volatile(value) };
        }
    }
}

/// Enables this CPU's APIC: nothing masked by priority, all local sources off.
pub fn init() {
    // SAFETY: enabling what the boot code found present.
    unsafe {
        let mut base = Msr::new(IA32_APIC_BASE);
        let value = base.read();
        if value & BASE_ENABLED == 0 {
            base.write(value | BASE_ENABLED);
        }
    }
    for source in [LVT_TIMER, LVT_PERFORMANCE, LVT_LINT0, LVT_ERROR] {
        write(source, MASKED);
    }
    // The board's NMI line, on the CPU that has it wired.
    write(LVT_LINT1, DELIVERY_NMI);
    if REGISTERS.load(Ordering::Relaxed) != X2APIC {
        write(LOGICAL_DESTINATION, 0);
    }
    write(TASK_PRIORITY, 0);
    write(ERROR_STATUS, 0);
    write(SPURIOUS_VECTOR, 1 << 8 | u32::from(SPURIOUS));
}

/// This CPU's APIC id.
pub fn id() -> u32 {
    let id = read(ID);
    if REGISTERS.load(Ordering::Relaxed) == X2APIC { id } else { id >> 24 }
}

/// Ends the interrupt that is being served.
#[inline]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

fn command(apic_id: u32, command: u32) {
    if REGISTERS.load(Ordering::Relaxed) == X2APIC {
        let value = u64::from(apic_id) << 32 | u64::from(command);
        // SAFETY: the command register of x2APIC mode; what the callers send is meant.
        unsafe { Msr::new(0x800 + (COMMAND_LOW >> 4)).write(value) };
        return;
    }
    write(COMMAND_HIGH, apic_id << 24);
    write(COMMAND_LOW, command);
    while read(COMMAND_LOW) & PENDING != 0 {
        core::hint::spin_loop();
    }
}

/// Interrupts another CPU with `vector`.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, u32::from(vector) | LEVEL_ASSERT);
}

/// Resets another CPU, which then waits for [`send_startup`].
pub fn send_init(apic_id: u32) {
    command(apic_id, DELIVERY_INIT | LEVEL_ASSERT);
}

/// Starts a reset CPU in real mode at `page` << 12.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, DELIVERY_STARTUP | LEVEL_ASSERT | u32::from(page));
}

/// Sends an NMI to every other CPU: in a panic.
pub fn stop_others() {
    if cpus::online() > 1 {
        command(0, u32::from(idt::vector::NMI) | DELIVERY_NMI | LEVEL_ASSERT | ALL_BUT_SELF);
    }
}

/// Lets the timer raise `vector` every `ticks` ticks.
pub fn start_periodic_timer(vector: u8, ticks: u32) {
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(LVT_TIMER, u32::from(vector) | TIMER_PERIODIC);
    write(TIMER_INITIAL, ticks);
}

/// Makes the timer a stopped one-shot counter of every tick, which raises `vector`.
pub fn init_timer(vector: u8) {
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(LVT_TIMER, vector.into());
    write(TIMER_INITIAL, 0);
}

/// Makes the timer raise `vector` when the TSC reaches the deadline MSR's value.
pub fn init_deadline_timer(vector: u8) {
    write(LVT_TIMER, u32::from(vector) | TIMER_TSC_DEADLINE);
    // The mode must be set before the MSR is written (SDM volume 3, section 11.5.4.1).
    // SAFETY: a fence changes nothing.
    unsafe { core::arch::x86_64::_mm_mfence() };
}

/// Lets the one-shot timer count down from `ticks`; 0 stops it.
#[inline]
pub fn set_timer(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}

/// Ticks until the timer reaches zero.
pub fn timer_remaining() -> u32 {
    read(TIMER_CURRENT)
}

/// Makes the CPU with number `cpu` look at its work.
pub fn kick(cpu: u32) {
    send_to_cpu(cpu, KICK);
}

/// Interrupts the CPU with number `cpu` with `vector`.
pub fn send_to_cpu(cpu: u32, vector: u8) {
    if let Some(apic_id) = cpus::apic_id(cpu) {
        send(apic_id, vector);
    }
}

/// As [`timer::set_deadline_ns`](super::timer::set_deadline_ns).
#[inline]
pub fn set_deadline_ns(deadline_ns: Option<u64>) {
    super::timer::set_deadline_ns(deadline_ns);
}
