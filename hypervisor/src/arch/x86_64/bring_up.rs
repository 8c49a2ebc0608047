//! The boot CPU's way from the boot loader to a machine described.
//!
//! Each step stands on the ones before it, and on nothing else:
//!
//! 1. console, log, exception handlers: from here on a bug has a voice;
//! 2. the boot loader's information, the command line, ACPI: copied out of memory that will
//!    be reused;
//! 3. memory: what is RAM, what of it is free; the final address space is built from it;
//! 4. the switch: final page tables, the CPU's own stack, GDT, TSS, IDT;
//! 5. interrupt controllers, clock, timer, console input;
//! 6. the other CPUs.
//!
//! Then the library takes over, on the boot CPU's own stack, with interrupts off.

// UNSAFETY: each step changes what the machine is; the order above makes it sound.
#![allow(unsafe_code)]
// A machine on which these steps fail runs nothing: a panic is the report.
#![allow(clippy::panic)]

use spin::Once;

use super::early::EarlyMemory;
use super::layout::{MAX_CPUS, PAGE_SIZE};
use super::paging::Root;
use super::tables::FrameTables;
use super::{
    address_space, apic, backtrace, clock, cpu, cpu_area, cpus, device_window, end, entry,
    firmware, gdt, idt, image, interrupts, io_apic, logger, pic, rtc, serial, smp, tables, timer,
};
use crate::cmdline::{self, ConsoleTarget, Counters, Options};
use crate::machine::acpi::{Madt, Processor};
use crate::machine::multiboot::{BootInfo, CommandLine, Module};
use crate::machine::ranges::{MemoryMap, RamRanges};

/// The machine, as the library needs to know it.
pub struct Hardware {
    /// The command line, understood.
    pub options: Options,
    /// The command line, as it was given.
    pub command_line: CommandLine,
    /// What the boot loader loaded: domain 0's kernel, perhaps its initrd. Their memory is
    /// not free.
    pub modules: heapless::Vec<Module, 4>,
    /// The firmware's memory map.
    pub memory_map: MemoryMap,
    /// RAM that nobody uses: what the frame allocator gets.
    pub free: RamRanges,
    /// Bytes of RAM in the machine.
    pub total_ram: u64,
    /// Bytes of RAM that the hypervisor keeps: image, tables, stacks.
    pub own_ram: u64,
    /// The frame table and the machine-to-physical tables.
    pub tables: FrameTables,
    /// A page of low memory where CPUs can be started.
    pub start_page: Option<u64>,
    /// Processors and interrupt controllers.
    pub madt: Madt,
    /// The root of the hypervisor's address space.
    pub root: Root,
}

static HARDWARE: Once<Hardware> = Once::new();

/// Where the video memory of a PC begins.
const LOW_MEMORY_END: u64 = 0xa_0000;

/// Who takes over when the machine stands.
static NEXT: Once<fn(&'static Hardware) -> !> = Once::new();

/// Brings the machine up and calls `next`.
pub fn start(magic: u32, information: u32, next: fn(&'static Hardware) -> !) -> ! {
    clock::start();
    serial::init();
    logger::init();
    let handlers = entry::addresses();
    // SAFETY: the stubs save everything and end in iretq.
    unsafe {
        idt::init_for_boot(&handlers);
        idt::load();
    }
    log::info!("Ferrule {}: a Ring 0 hypervisor for Xen PV guests", env!("CARGO_PKG_VERSION"));
    let boot_info = match firmware::boot_info(magic, information) {
        Ok(info) => info,
        Err(error) => refuse(&error),
    };
    let options = read_options(&boot_info);
    let hardware = HARDWARE.call_once(|| describe(options, boot_info));
    NEXT.call_once(|| next);

    // SAFETY: 1. The new tables map image, stack and consoles as the old ones do, or better
    // protected. 2. CPU 0's area is built. 3. `own_stack` never returns.
    unsafe {
        cpu::init_control_registers();
        hardware.root.load();
        gdt::init(0);
        idt::init(&handlers_of(&hardware.options));
        core::arch::asm!(
            "mov rsp, {top}",
            "xor ebp, ebp",
            "call {next}",
            "ud2",
            top = in(reg) cpu_area::first_stack(0),
            next = sym own_stack,
            options(noreturn)
        );
    }
}

/// The gates' stubs for good.
fn handlers_of(options: &Options) -> [u64; 256] {
    let noted = options.trace.is_some() || options.counters == Counters::On;
    if noted { entry::traced_addresses() } else { entry::addresses() }
}

/// Tells the person at the console why there will be no domain, and ends.
fn refuse(why: &dyn core::fmt::Display) -> ! {
    log::error!("{why}");
    end::finish(end::code::REFUSED)
}

fn read_options(boot_info: &BootInfo) -> Options {
    let line = boot_info.command_line.as_str();
    let (at_end, debug_exit) = cmdline::parse_end(line);
    end::configure(at_end, debug_exit);
    let options = match cmdline::parse(line) {
        Ok(options) => options,
        Err(error) => refuse(&error),
    };
    log::set_max_level(options.log_level);
    if options.console == ConsoleTarget::None {
        serial::disable();
    }
    log::debug!("command line: {line}");
    options
}

/// Builds the final address space, and the description of the machine.
fn describe(options: Options, boot_info: BootInfo) -> Hardware {
    let mut madt = firmware::interrupt_controllers(boot_info.root_pointer);
    order_cpus(&mut madt, &options);
    let ram = boot_info.memory.usable_ram();
    let mut free = ram.clone();
    // The first MiB: firmware data, the other CPUs' way up. Never used for anything else.
    free.remove(0, 1 << 20);
    let own = image::physical();
    let blob = firmware::symbol_blob_size(own.end);
    let own_end = (own.end + blob).next_multiple_of(PAGE_SIZE);
    free.remove(own.start, own_end);
    // One page of the first MiB is needed: above the BIOS's data, below its own.
    let mut low = ram.clone();
    low.remove(0, PAGE_SIZE);
    for module in &boot_info.modules {
        free.remove(module.start, module.end);
        low.remove(module.start, module.end);
    }
    let start_page = low.take(PAGE_SIZE, PAGE_SIZE, LOW_MEMORY_END);
    let mut early = EarlyMemory::new(free);
    // SAFETY: 1. The boot page tables are loaded, `ram` is the firmware's. 2. This runs once,
    // and each piece is made once. 3. The blob lies behind the image, out of the free ranges.
    let (root, tables) = unsafe {
        backtrace::set_symbols(own.end, blob);
        let root = address_space::create(&mut early, &ram);
        let tables = tables::create(root, &mut early, &ram);
        map_devices(root, &mut early, &madt);
        (root, tables)
    };
    create_cpu_areas(root, &mut early, &madt);
    let own_ram = early.taken() + (own_end - own.start);
    let mut free = early.into_free();
    // Nobody takes from the free memory before the boot CPU has left this stack.
    let stack = image::physical_boot_stack();
    free.add(stack.start, stack.end);
    Hardware {
        options,
        modules: boot_info.modules,
        command_line: boot_info.command_line,
        memory_map: boot_info.memory,
        total_ram: ram.total(),
        own_ram: own_ram - (stack.end - stack.start),
        free,
        tables,
        start_page,
        madt,
        root,
    }
}

/// Puts the CPU we run on first, and keeps as many as the command line and we allow.
fn order_cpus(madt: &mut Madt, options: &Options) {
    // CPUID leaf 1: the initial APIC id, EBX bits 31 to 24.
    let this = core::arch::x86_64::__cpuid(1).ebx >> 24;
    match madt.processors.iter().position(|cpu| cpu.apic_id == this) {
        Some(at) => madt.processors.swap(0, at),
        None => {
            madt.processors.clear();
            // The list is empty, so there is room.
            let _ = madt.processors.push(Processor { apic_id: this, acpi_id: 0 });
        }
    }
    let wanted = options.max_cpus.map_or(MAX_CPUS, |count| count as usize);
    madt.processors.truncate(wanted.min(MAX_CPUS));
}

/// # Safety
/// As [`address_space::map_mmio`], with what ACPI says about devices.
unsafe fn map_devices(root: Root, early: &mut EarlyMemory, madt: &Madt) {
    // SAFETY: 1. This CPU runs alone. 2. ACPI names the registers' addresses.
    unsafe {
        let registers = match apic::is_x2apic() {
            true => None,
            false => Some(address_space::map_mmio(root, early, madt.local_apic, PAGE_SIZE)),
        };
        apic::set_registers(registers);
        for io_apic in &madt.io_apics {
            let physical = u64::from(io_apic.address);
            let registers = address_space::map_mmio(root, early, physical, PAGE_SIZE);
            io_apic::add(registers, io_apic.gsi_base);
        }
        device_window::create(root, early);
    }
}

fn create_cpu_areas(root: Root, early: &mut EarlyMemory, madt: &Madt) {
    for (cpu, processor) in madt.processors.iter().enumerate() {
        // SAFETY: 1. `root` is the idle root. 2. Once per CPU.
        unsafe { cpu_area::create(root, early, cpu) };
        cpus::set_apic_id(cpu, processor.apic_id);
    }
}

/// Lets what is typed at COM1 interrupt this CPU.
fn listen(madt: &Madt) {
    if io_apic::route_console(madt, serial::COM1_IRQ, interrupts::COM1, 0) {
        serial::enable_receive_interrupt();
    } else {
        log::warn!("no I/O APIC has COM1's interrupt: the console has no input");
    }
}

/// Where the boot CPU arrives on its own stack, in the final address space.
extern "C" fn own_stack() -> ! {
    let (Some(hardware), Some(next)) = (HARDWARE.get(), NEXT.get()) else {
        unreachable!("`start` sets both");
    };
    cpus::set_online();
    pic::disable();
    apic::init();
    io_apic::mask_all();
    timer::init();
    clock::set_wallclock_base_ns(rtc::wallclock_base_ns());
    listen(&hardware.madt);
    match hardware.start_page {
        // SAFETY: `describe` chose a page of RAM that neither a module nor the heap has.
        Some(page) => unsafe { smp::start_others(&hardware.madt, page) },
        None => log::warn!("no free page below 640 KiB: the other CPUs stay off"),
    }
    log::info!("{} CPUs", cpus::online());
    log::info!(
        "memory: Ring 0 uses {} KiB of {} KiB",
        hardware.own_ram >> 10,
        hardware.total_ram >> 10
    );
    next(hardware)
}
