//! Two vCPUs on two CPUs that make random hypercalls at once, edit page tables, storm themselves
//! with events, execute privileged instructions and fault.
//!
//! `seed=N ops=N` on the command line; a run is the same rounds for the same seed, though not the
//! same interleaving. Each vCPU has its own buffer for arguments; both share the pages that become
//! tables. vCPU 0 probes what may trap; vCPU 1 begins anew with its next round. Left out is what a
//! kernel cannot survive by right: its own shutdown, other stacks and handlers, breakpoints; and
//! far transfers, which QEMU 7.2 executes wrongly. Expected: the hypervisor answers in the end,
//! whatever it answered before.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::hypercall as nr;
use pv_guests::pages::{Page, entry, l1_slot, mfn_of, pfn_of, root, write32};
use pv_guests::{Outcome, StartInfo, check, code, guest, vcpus};
use ring1::events;
use ring1::println;
use ring1::probe::probe;

guest!(run);

code! {
    cli: "cli", "ret";
    sti: "sti", "ret";
    clts: "clts", "ret";
    wbinvd: "wbinvd", "ret";
    hlt: "hlt", "ret";
    read_cr(n: u32): "mov eax, cr0", "mov eax, cr2", "mov eax, cr3", "mov eax, cr4", "ret";
    write_cr0(value: u32): "mov eax, [esp + 4]", "mov cr0, eax", "ret";
    write_cr3(value: u32): "mov eax, [esp + 4]", "mov cr3, eax", "ret";
    write_cr4(value: u32): "mov eax, [esp + 4]", "mov cr4, eax", "ret";
    lidt(at: u32): "mov eax, [esp + 4]", "lidt [eax]", "ret";
    lgdt(at: u32): "mov eax, [esp + 4]", "lgdt [eax]", "ret";
    ltr(selector: u32): "mov eax, [esp + 4]", "ltr ax", "ret";
    rdmsr(msr: u32): "mov ecx, [esp + 4]", "rdmsr", "ret";
    wrmsr(msr: u32, value: u32): "mov ecx, [esp + 4]", "mov eax, [esp + 8]", "xor edx, edx", "wrmsr", "ret";
    inb(port: u32): "mov edx, [esp + 4]", "in al, dx", "ret";
    invlpg(at: u32): "mov eax, [esp + 4]", "invlpg [eax]", "ret";
    rdpmc(n: u32): "mov ecx, [esp + 4]", "rdpmc", "ret";
    interrupt: "int 0x30", "ret";
    load_ds(selector: u32): "push ds", "mov eax, [esp + 8]", "mov ds, ax", "pop ds", "ret";
    load_fs(selector: u32): "mov eax, [esp + 4]", "mov fs, ax", "ret";
    load_gs(selector: u32): "mov eax, [esp + 4]", "mov gs, ax", "ret";
    invalid: "ud2", "ret";
    divide_by_zero: "xor ecx, ecx", "div ecx", "ret";
    step: "pushf", "or dword ptr [esp], 0x100", "popf", "nop", "ret";
    load(at: u32): "mov eax, [esp + 4]", "mov eax, [eax]", "ret";
    jump(to: u32): "mov eax, [esp + 4]", "call eax", "ret";
}

/// Where the hypervisor and its window begin: nobody's to read or to execute.
const HYPERVISOR: u32 = 0xf580_0000;

/// Pages that become tables, grants and queues.
const SHARED: usize = 12;
/// Rounds of vCPU 0 after which it says how far it is.
const REPORT: u32 = 5_000;
/// Pages from the start of memory that this program lies in, and more.
const OWN: u32 = 4096;

/// Marsaglia's xorshift; never 0.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    /// Mostly small, else at an edge.
    fn number(&mut self) -> u32 {
        match self.below(8) {
            0 => self.next(),
            1 => [0x7ff0, 0x7ff1, 0xffff_ffff, 0x8000_0000, 0xffff_f000, 4095]
                [self.below(6) as usize],
            _ => self.below(12),
        }
    }
}

/// What both vCPUs need.
static FIRST: AtomicU32 = AtomicU32::new(0);
static SEED: AtomicU32 = AtomicU32::new(1);
static STOP: AtomicU32 = AtomicU32::new(0);
static SECOND_MADE: AtomicU32 = AtomicU32::new(0);
static SECOND_BUFFER: AtomicU32 = AtomicU32::new(0);

fn shared(random: &mut Random) -> Page {
    let va = FIRST.load(Ordering::Relaxed) + random.below(SHARED as u32) * 4096;
    Page { va, mfn: mfn_of(va) }
}

/// A frame: mostly one of the shared pages.
fn frame(random: &mut Random) -> u32 {
    let any = match random.below(12) {
        0 => random.next() % 0x7f00,
        1 => return mfn_of(root()),
        2 => 1 + random.below(0x400),
        _ => return shared(random).mfn,
    };
    // Not this program itself: it would write to its code.
    if pfn_of(any) < OWN { shared(random).mfn } else { any }
}

/// Puts a random structure at `at`.
fn argument(random: &mut Random, at: u32) {
    for word in 0..12 {
        let value = match random.below(6) {
            0 => frame(random),
            1 => shared(random).va,
            2 => at + 64 + 4 * random.below(8),
            _ => random.number(),
        };
        write32(at + 4 * word, value);
    }
}

/// One entry of a multicall at `at`, with its argument at `arg`.
fn one(random: &mut Random, at: u32, arg: u32) {
    argument(random, arg);
    let words = |args: [u32; 7]| {
        for (index, word) in
            [args[0], 0, args[1], args[2], args[3], args[4], args[5], args[6]].iter().enumerate()
        {
            write32(at + 4 * index as u32, *word);
        }
    };
    let cmd = random.below(16);
    let flags = [0, 1, 3, 5, 7, 0x63, 0x67, 0x83, 0x1e3][random.below(9) as usize];
    match random.below(24) {
        0..5 => {
            let (table, index) = (shared(random), random.below(8));
            let target = if random.below(3) == 0 {
                // The entry that maps a shared page.
                let slot = l1_slot(shared(random).va);
                u64::from(mfn_of(slot & !4095)) << 12 | u64::from(slot & 4095)
            } else {
                table.slot(index)
            };
            let value = entry(frame(random), flags);
            for (word, half) in
                [target as u32, (target >> 32) as u32, value as u32, (value >> 32) as u32]
                    .iter()
                    .enumerate()
            {
                write32(arg + 4 * word as u32, *half);
            }
            words([nr::MMU_UPDATE, arg, 1, 0, 0x7ff0, 0, 0]);
        }
        5..9 => {
            let va = shared(random).va;
            let value = entry(frame(random), flags);
            words([
                nr::UPDATE_VA_MAPPING,
                va,
                value as u32,
                (value >> 32) as u32,
                random.below(8),
                0,
                0,
            ]);
        }
        9..13 => {
            let command =
                [0, 1, 2, 4, 4, 6, 7, 8, 10, 11, 13, 16, 17, 19][random.below(14) as usize];
            // Pages that are cleared or copied to are shared ones; roots are none.
            let to = shared(random);
            let first = if matches!(command, 7 | 11 | 13) { to.va } else { to.mfn };
            for (word, value) in [command, first, frame(random)].iter().enumerate() {
                write32(arg + 4 * word as u32, *value);
            }
            words([nr::MMUEXT_OP, arg, 1, 0, 0x7ff0, 0, 0]);
        }
        13..17 => words([nr::EVENT_CHANNEL_OP, cmd, arg, 0, 0, 0, 0]),
        17 | 18 => {
            // Not the command that fills the log.
            let command = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12][random.below(12) as usize];
            words([nr::GRANT_TABLE_OP, command, arg, 1, 0, 0, 0]);
        }
        19 => {
            let command = [3, 4, 6, 7, 8, 9, 12][random.below(7) as usize];
            words([nr::VCPU_OP, command, random.below(3), arg, 0, 0, 0]);
        }
        20 => {
            let soon = 1 + random.below(1 << 20);
            words([nr::SET_TIMER_OP, soon, 0, 0, 0, 0, 0]);
        }
        21 => words([nr::XEN_VERSION, random.below(12), arg, 0, 0, 0, 0]),
        22 => {
            let number = [nr::MEMORY_OP, nr::PHYSDEV_OP, nr::PLATFORM_OP, nr::DOMCTL]
                [random.below(4) as usize];
            let command =
                if number == nr::MEMORY_OP { 2 + random.below(3) } else { random.below(40) };
            let first = if matches!(number, nr::PLATFORM_OP | nr::DOMCTL) { arg } else { command };
            words([number, first, arg, 0, 0, 0, 0]);
        }
        _ => words([50 + random.below(12), random.number(), arg, random.number(), 0, 0, 0]),
    }
}

/// One to four calls as one.
fn calls(random: &mut Random, buffer: u32) {
    let count = 1 + random.below(4);
    for index in 0..count {
        one(random, buffer + index * 32, buffer + 512 + index * 256);
    }
    vcpus::hypercall(nr::MULTICALL, [buffer, count, 0]);
}

/// An instruction that a kernel may not execute, one that is emulated, or one that faults.
fn instruction(random: &mut Random, buffer: u32) {
    let value = random.next();
    match random.below(28) {
        0 => cli(),
        1 => sti(),
        2 => clts(),
        3 => wbinvd(),
        4 => read_cr(0),
        5 => write_cr0(value),
        6 => write_cr3(value),
        7 => write_cr4(value),
        8 => lidt(buffer),
        9 => lgdt(buffer),
        10 => ltr(value & 0xffff),
        11 => rdmsr([0x1b, 0xc000_0080, 0x10, 0x174, value][value as usize % 5]),
        12 => wrmsr([0x1b, 0xc000_0080, 0x10, 0x174, value][value as usize % 5], value),
        13 => inb([0x60, 0x64, 0x20, 0xcf8, 0x3f8, value & 0xffff][value as usize % 6]),
        14 => invlpg(value),
        15 => rdpmc(value),
        16 => interrupt(),
        17 => load_ds(value & 0xfffb),
        18 => load_fs(value),
        19 => load_gs(value),
        20 => invalid(),
        21 => divide_by_zero(),
        22 => step(),
        23 => load(value),
        24 => load(HYPERVISOR | value),
        25 => jump(HYPERVISOR | value),
        26 => hlt(),
        // A store to what may be a page table.
        _ => {
            let page = shared(random);
            let at = page.va + 8 * random.below(512);
            write32(at, entry(frame(random), 1) as u32);
        }
    }
}

/// One round of a vCPU's.
fn round(random: &mut Random, buffer: u32) {
    if random.below(8) == 0 { instruction(random, buffer) } else { calls(random, buffer) }
}

/// vCPU 1: its rounds, each of which may end it.
extern "C" fn second() -> ! {
    while STOP.load(Ordering::Relaxed) == 0 {
        vcpus::upcall_mask(1).store(1, Ordering::Relaxed);
        SECOND_MADE.fetch_add(1, Ordering::Relaxed);
        // Each from a number of its own: what a round has drawn is lost if it traps.
        let number = SECOND_MADE.load(Ordering::Relaxed);
        let seed = SEED.load(Ordering::Relaxed).wrapping_mul(0x85eb_ca6b);
        let mut random = Random(seed.wrapping_add(number).wrapping_mul(0xc2b2_ae35) | 1);
        round(&mut random, SECOND_BUFFER.load(Ordering::Relaxed));
    }
    STOP.store(2, Ordering::Relaxed);
    loop {
        vcpus::poll(0, 0);
    }
}

/// `word=N` of the command line.
fn option(line: &[u8], word: &[u8]) -> Option<u32> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let digits = words.find_map(|w| w.strip_prefix(word)?.strip_prefix(b"="))?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn run(start: &'static StartInfo) -> Outcome {
    let seed = option(&start.cmd_line, b"seed").unwrap_or(1);
    let ops = option(&start.cmd_line, b"ops").unwrap_or(20_000);
    let buffer = Page::take().va;
    SECOND_BUFFER.store(Page::take().va, Ordering::Relaxed);
    FIRST.store(Page::take().va, Ordering::Relaxed);
    for _ in 1..SHARED {
        Page::take();
    }
    SEED.store(seed, Ordering::Relaxed);
    vcpus::start_over(1, second)?;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9) | 1);
    for number in 1..=ops {
        let _ = probe(|| round(&mut random, buffer));
        events::mask();
        if number % REPORT == 0 {
            println!("hostile: {number} of {ops}, {}", SECOND_MADE.load(Ordering::Relaxed));
        }
    }
    STOP.store(1, Ordering::Relaxed);
    while STOP.load(Ordering::Relaxed) != 2 {
        vcpus::yield_now();
    }
    println!("hostile: seed {seed}, {ops} and {} rounds", SECOND_MADE.load(Ordering::Relaxed));
    let version = vcpus::hypercall(nr::XEN_VERSION, [0, 0, 0]);
    check!(version > 0, "the hypervisor does not answer: {version}");
    Ok(())
}
