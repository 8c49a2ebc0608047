//! The other CPUs: from reset to the scheduler.
//!
//! A CPU that gets INIT and STARTUP begins in real mode at a page below 1 MiB (SDM volume 3,
//! section 9.4.4.1). The trampoline is copied to such a page, one that is RAM and holds no
//! boot module; it runs wherever that is, and goes through protected mode to long mode on the
//! boot page tables, which get the final tables' hypervisor slots first: they alone still map
//! the page at its physical address. What a CPU needs to know lies behind the code: where the
//! two far jumps go, and its stack. CPUs are started one by one, so one copy does.

// UNSAFETY: assembly, and code copied to an address.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::layout::{DIRECT_MAP, IMAGE_VIRT};
use super::paging::Root;
use super::percpu::CpuInfo;
use super::{address_space, apic, clock, cpu, cpu_area, cpus, gdt, idt, switch, timer};
use crate::machine::acpi::{Madt, Processor};

global_asm!(
    r#"
    .section .rodata, "a", @progbits
    .balign 16
    .global trampoline_start, trampoline_32, trampoline_64, trampoline_data, trampoline_end
    .code16
/* In: real mode, cs = the page's address >> 4, ip = 0, IF=0. trampoline_data is filled in.
   Out: long mode on the boot page tables, at ap_high with rsp = the given stack. */
trampoline_start:
    cli
    cld
    movw    %cs, %ax
    movw    %ax, %ds
    xorl    %ebp, %ebp
    movw    %ax, %bp
    shll    $4, %ebp                    /* ebp: the page's physical address */
    lgdtl   (trampoline_gdt - trampoline_start)
    movl    $0x11, %eax                 /* PE, ET; caches on */
    movl    %eax, %cr0
    ljmpl   *(trampoline_data - trampoline_start)
    .code32
trampoline_32:
    movl    $0x10, %eax
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
    ljmpl   *(trampoline_data + 8 - trampoline_start)(%ebp)
    .code64
trampoline_64:
    movq    (trampoline_data + 16 - trampoline_start)(%rbp), %rsp
    movabsq $ap_high, %rax
    jmp     *%rax

    .balign 8
trampoline_gdt:
    .word   0x1f
    .long   boot_gdt - {virt}
    .balign 8
trampoline_data:                        /* as struct Data */
    .skip   {data_size}
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
    virt = const IMAGE_VIRT,
    data_size = const size_of::<Data>(),
    main = sym ap_main,
    options(att_syntax)
);

/// What the trampoline finds behind its code.
#[repr(C)]
struct Data {
    /// Far pointer to `trampoline_32`: offset, then selector.
    to_32: [u32; 2],
    /// Far pointer to `trampoline_64`.
    to_64: [u32; 2],
    /// The CPU's first stack pointer.
    stack: u64,
}

/// Selectors of the boot GDT: 32-bit and 64-bit code.
const BOOT_CS32: u32 = 0x18;
const BOOT_CS64: u32 = 0x08;

unsafe extern "C" {
    safe static trampoline_start: u8;
    safe static trampoline_32: u8;
    safe static trampoline_64: u8;
    safe static trampoline_data: u8;
    safe static trampoline_end: u8;
    safe static boot_l4: u8;
}

/// Distance of a place in the trampoline from its start.
fn offset(place: &'static u8) -> u64 {
    &raw const *place as u64 - &raw const trampoline_start as u64
}

/// The CPU that was started last has said that it runs.
static ARRIVED: AtomicBool = AtomicBool::new(false);

/// Starts every processor of `madt` but the first, which is this one, by way of the page at
/// physical `page`.
///
/// # Safety
/// The page is RAM below 1 MiB that nobody uses.
pub unsafe fn start_others(madt: &Madt, page: u64) {
    if madt.processors.len() < 2 {
        return;
    }
    let boot_root = &raw const boot_l4 as u64 - IMAGE_VIRT;
    // SAFETY: 1. The boot L4 is a page of the image's data, no longer loaded here. 2. The
    // idle root is complete. 3. The page is ours (caller), and the trampoline is shorter.
    unsafe {
        address_space::copy_hypervisor_slots(Root::at(boot_root).entries());
        let target = (DIRECT_MAP + page) as *mut u8;
        let length = offset(&trampoline_end) as usize;
        core::ptr::copy_nonoverlapping(&raw const trampoline_start, target, length);
    }
    for &Processor { apic_id, .. } in madt.processors.iter().skip(1) {
        // Numbers have no gaps: a CPU that does not come leaves its number to the next.
        let number = cpus::online() as usize;
        cpus::set_apic_id(number, apic_id);
        let data = Data {
            to_32: [(page + offset(&trampoline_32)) as u32, BOOT_CS32],
            to_64: [(page + offset(&trampoline_64)) as u32, BOOT_CS64],
            stack: cpu_area::first_stack(number),
        };
        let place = (DIRECT_MAP + page + offset(&trampoline_data)) as *mut Data;
        // SAFETY: within the copy, aligned as its original is in its page; no CPU runs it now.
        unsafe { place.write_volatile(data) };
        if !start(apic_id, page) {
            log::warn!("the CPU with APIC id {apic_id} does not start");
        }
    }
}

/// Starts one CPU at `page`; whether it arrived.
fn start(apic_id: u32, page: u64) -> bool {
    ARRIVED.store(false, Ordering::Release);
    apic::send_init(apic_id);
    // Real boards want 10 ms between INIT and STARTUP; emulated CPUs are ready at once.
    wait(if cpu::is_virtual() { 0 } else { 10_000_000 }, &|| false);
    // The second STARTUP is for boards that lose the first.
    for _ in 0..2 {
        apic::send_startup(apic_id, (page >> 12) as u8);
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
