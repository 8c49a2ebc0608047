//! Throws random system calls and random code at the kernel.
//!
//! `fuzz [calls|code] [ROUNDS] [SEED]`: both, 40 rounds of each, seed 1 by default. A round is a child
//! that makes 60 system calls with hostile arguments, or jumps into a page of random bytes; it may
//! end in any way, or is killed after a moment. Expected: the kernel lives on; status 0.
//!
//! Not for a Linux that one needs: its files are in reach. Left out are calls that would reach other
//! processes (`kill` and its like, `fork`), and far transfers, which QEMU 7.2 executes in Ring 3 with the kernel's rights.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: it is all about calls and code that nobody vouches for.

use core::arch::asm;
use guest_programs::memory::{self, PAGE};
use guest_programs::sys::{self, nr};
use guest_programs::{Args, println};

guest_programs::entry!(main);

/// Numbers that are called: the ones our kernel has, and some that it has not.
const NUMBERS: &[usize] = &[
    3,
    4,
    5,
    6,
    7,
    11,
    13,
    19,
    20,
    27,
    29,
    33,
    34,
    41,
    42,
    43,
    45,
    54,
    57,
    63,
    64,
    65,
    66,
    75,
    77,
    78,
    79,
    91,
    96,
    97,
    102,
    104,
    105,
    114,
    116,
    119,
    122,
    125,
    132,
    136,
    140,
    142,
    145,
    146,
    147,
    150,
    158,
    162,
    163,
    168,
    172,
    173,
    174,
    175,
    176,
    177,
    179,
    180,
    181,
    183,
    186,
    191,
    192,
    195,
    197,
    203,
    205,
    213,
    219,
    220,
    221,
    240,
    242,
    243,
    258,
    264,
    265,
    266,
    267,
    295,
    308,
    309,
    311,
    330,
    331,
    340,
    355,
    359,
    361,
    362,
    363,
    364,
    365,
    366,
    367,
    368,
    369,
    370,
    371,
    372,
    373,
    386,
    403,
    404,
    406,
    407,
    413,
    414,
    421,
    1 << 31,
];
/// Opcodes of far transfers, and the group with indirect ones.
const FAR: [u8; 5] = [0x9a, 0xca, 0xcb, 0xcf, 0xff];
/// How long a child may take, in steps of a millisecond.
const PATIENCE: u32 = 40;

/// Marsaglia's xorshift; never 0.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

fn main(args: Args) -> u8 {
    let what = args.get(1).unwrap_or("both");
    let rounds = args.number(2).unwrap_or(40);
    let seed = args.number(3).unwrap_or(1);
    let mut totals = [0; 3];
    for round in 0..rounds {
        let random =
            || Random(seed.wrapping_mul(0x9e37_79b9) ^ (round + 1).wrapping_mul(0x85eb_ca6b) | 1);
        if what != "code" {
            totals[child(|| calls(random()))] += 1;
        }
        if what != "calls" {
            totals[child(|| code(random()))] += 1;
        }
    }
    let [ended, killed, stopped] = totals;
    println!(
        "{ended} ended by themselves or by a fault, {killed} were killed, {stopped} not started"
    );
    u8::from(stopped > 0)
}

/// Runs `act` in a child: 0 when it ended, 1 when it had to be killed, 2 when there was none.
fn child(act: impl FnOnce()) -> usize {
    let pid = match sys::fork() {
        Ok(0) => {
            // No waiting for the keyboard, and no noise.
            for fd in 0..3 {
                let _ = sys::close(fd);
            }
            act();
            sys::exit(0)
        }
        Ok(pid) => pid,
        Err(_) => return 2,
    };
    for _ in 0..PATIENCE {
        // SAFETY: 1. WNOHANG, without a place for the status.
        if unsafe { sys::call(nr::WAITPID, &[pid, 0, 1]) } != Ok(0) {
            return 0;
        }
        let _ = sys::sleep_ms(1);
    }
    let _ = sys::kill(pid, 9);
    let _ = sys::wait(pid);
    1
}

fn calls(mut random: Random) {
    let area = memory::map(4).map_or(0, |area| {
        area.iter_mut().for_each(|byte| *byte = random.next() as u8);
        area.as_ptr().expose_provenance()
    });
    for _ in 0..60 {
        let nr = NUMBERS[random.below(NUMBERS.len())];
        let arguments: [usize; 6] = core::array::from_fn(|_| argument(&mut random, area));
        // SAFETY: 1. None: it may well end this process.
        let _ = unsafe { sys::call(nr, &arguments) };
    }
}

fn argument(random: &mut Random, area: usize) -> usize {
    let near = random.below(64);
    match random.below(12) {
        0..=2 => random.below(8),
        3 | 4 => area + random.below(4 * PAGE),
        5 => area + 4 * PAGE - near,
        6 => 0x8000_0000 - near,
        7 => 0x8010_0000 + near,
        8 => 0xf580_0000 + near,
        9 => usize::MAX - near,
        10 => random.below(1 << 20) * PAGE,
        _ => random.next() as usize,
    }
}

fn code(mut random: Random) {
    // Readable, writable, executable.
    // SAFETY: 1. Nothing of this program is at that address.
    let Ok(page) = (unsafe { memory::map_at(0x2000_0000, 2 * PAGE, 7) }) else { return };
    for offset in 0..2 * PAGE {
        let byte = random.next() as u8;
        // SAFETY: 1. The pages were just mapped for this.
        unsafe { memory::poke(page + offset, if FAR.contains(&byte) { 0x90 } else { byte }) };
    }
    let start = page + random.below(PAGE);
    // SAFETY: 1. None: it may well end this process.
    unsafe { asm!("jmp {0}", in(reg) start, options(noreturn)) }
}
