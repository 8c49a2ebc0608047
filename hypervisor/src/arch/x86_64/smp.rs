//! The other CPUs: from reset to the scheduler.
//!
//! A CPU that gets INIT and STARTUP begins in real mode at a page below 1 MiB (SDM volume 3,
//! section 9.4.4.1). The trampoline is copied there; it goes through protected mode straight
//! to long mode, on the boot page tables, which get the final tables' hypervisor slots first:
//! they alone still map the trampoline at its physical address. What a CPU needs to know
//! (stack, number) lies behind the code. CPUs are started one by one, so one copy does.

// UNSAFETY: assembly, and code copied to an address.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::layout::{DIRECT_MAP, IMAGE_VIRT};
use super::paging::Root;
use super::percpu::CpuInfo;
use super::{address_space, apic, clock, cpu, cpu_area, cpus, gdt, idt, switch, timer};
use crate::machine::acpi::Madt;

/// Where the trampoline runs: RAM on every PC, kept from everybody else.
const PAGE: u8 = 0x08;
const ADDRESS: u64 = (PAGE as u64) << 12;

global_asm!(
    r#"
    .section .rodata, "a", @progbits
    .balign 16
    .global trampoline_start, trampoline_end, trampoline_stack
    .code16
/* In: real mode, cs = PAGE << 8, ip = 0, IF=0. Runs at physical {address}.
   Out: long mode on the boot page tables, at ap_high with rsp = trampoline_stack. */
trampoline_start:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    lgdtl   {address} + (trampoline_gdt - trampoline_start)
    movl    $0x11, %eax                 /* PE, ET; caches on */
    movl    %eax, %cr0
    ljmpl   $0x18, ${address} + (1f - trampoline_start)
    .code32
1:  movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %ss
    movl    $0x20, %eax                 /* CR4.PAE */
    movl    %eax, %cr4
    movl    $(boot_l4 - {virt}), %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx           /* EFER: LME, NXE */
    rdmsr
    orl     $0x900, %eax
    wrmsr
    movl    $0x80010033, %eax           /* CR0: PG WP NE ET MP PE */
    movl    %eax, %cr0
    ljmpl   $0x08, ${address} + (2f - trampoline_start)
    .code64
2:  movq    {address} + (trampoline_stack - trampoline_start), %rsp
    movabsq $ap_high, %rax
    jmp     *%rax

    .balign 8
trampoline_gdt:
    .word   0x1f
    .long   boot_gdt - {virt}
    .balign 8
trampoline_stack:
    .quad   0
trampoline_end:

    .section .text.boot, "ax", @progbits
/* In: long mode, boot page tables, rsp = top of this CPU's stack. Out: does not return. */
ap_high:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %ebp, %ebp
    call    {main}
    ud2
    "#,
    address = const ADDRESS,
    virt = const IMAGE_VIRT,
    main = sym ap_main,
    options(att_syntax)
);

unsafe extern "C" {
    safe static trampoline_start: u8;
    safe static trampoline_stack: u8;
    safe static trampoline_end: u8;
    safe static boot_l4: u8;
}

/// The CPU that was started last has said that it runs.
static ARRIVED: AtomicBool = AtomicBool::new(false);

/// Starts every processor of `madt` but the first, which is this one.
pub fn start_others(madt: &Madt) {
    if madt.processors.len() < 2 {
        return;
    }
    let boot_root = &raw const boot_l4 as u64 - IMAGE_VIRT;
    // SAFETY: 1. The boot L4 is a page of the image's data, no longer loaded here. 2. The
    // idle root is complete.
    unsafe {
        let boot_root = Root::at(boot_root);
        address_space::copy_hypervisor_slots(boot_root.entries());
        let length = &raw const trampoline_end as usize - &raw const trampoline_start as usize;
        let target = (DIRECT_MAP + ADDRESS) as *mut u8;
        core::ptr::copy_nonoverlapping(&raw const trampoline_start, target, length);
    }
    for &apic_id in madt.processors.iter().skip(1) {
        // Numbers have no gaps: a CPU that does not come leaves its number to the next.
        let number = cpus::online() as usize;
        cpus::set_apic_id(number, apic_id);
        if !start(number, apic_id) {
            log::warn!("the CPU with APIC id {apic_id} does not start");
        }
    }
}

/// Starts one CPU; whether it arrived.
fn start(number: usize, apic_id: u32) -> bool {
    let offset = &raw const trampoline_stack as u64 - &raw const trampoline_start as u64;
    let stack = cpu_area::first_stack(number);
    // SAFETY: within the copied trampoline, 8-byte aligned as its original, and no CPU runs
    // it now.
    unsafe { ((DIRECT_MAP + ADDRESS + offset) as *mut u64).write_volatile(stack) };
    ARRIVED.store(false, Ordering::Release);
    apic::send_init(apic_id);
    // Real boards want 10 ms between INIT and STARTUP; emulated CPUs are ready at once.
    wait(if cpu::is_virtual() { 0 } else { 10_000_000 }, &|| false);
    // The second STARTUP is for boards that lose the first.
    for _ in 0..2 {
        apic::send_startup(apic_id, PAGE);
        if wait(100_000_000, &|| ARRIVED.load(Ordering::Acquire)) {
            return true;
        }
    }
    false
}

/// Waits until `done`, at most `limit_ns`; the last answer.
fn wait(limit_ns: u64, done: &dyn Fn() -> bool) -> bool {
    let end = clock::now_ns() + limit_ns;
    while clock::now_ns() < end {
        if done() {
            return true;
        }
        core::hint::spin_loop();
    }
    done()
}

/// Where a started CPU arrives: on its own stack, boot page tables, boot GDT, no IDT.
extern "C" fn ap_main() -> ! {
    let info = CpuInfo::this();
    // SAFETY: 1. The idle root maps image and stack as the boot tables do. 2. This CPU's area
    // was made before it was started, the IDT filled.
    unsafe {
        cpu::init_control_registers();
        if let Some(root) = address_space::idle_root() {
            root.load();
        }
        gdt::init(info.cpu as usize);
        idt::load();
    }
    apic::init();
    timer::init_this_cpu();
    cpus::set_online();
    ARRIVED.store(true, Ordering::Release);
    switch::join()
}
