//! Trap, upcall and Ring 3 code whose instructions are part of what is measured.
//!
//! The same steps as pvbench's `start32.S`: the handlers do the least that a handler can.
#![allow(unsafe_code)] // UNSAFETY: hypercalls and shared memory, from assembly and by pointer.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use pv_abi::types::Port;
use pv_guests::vcpus;
use ring1::shared;

/// How a fault handler skips a two-byte instruction and returns: 1 by `iret`, 2 by hypercall.
pub static RETURN_BY: AtomicU32 = AtomicU32::new(1);
/// Upcalls so far.
pub static UPCALLS: AtomicU32 = AtomicU32::new(0);
static SAVED_ESP: AtomicU32 = AtomicU32::new(0);

/// Makes hypercall number `$n` through its slot of the hypercall page, with up to three arguments,
/// or four of which the last is `DOMID_SELF`.
macro_rules! hypercall {
    ($n:expr, $a:expr, $b:expr, $c:expr, SELF) => {
        $crate::entries::hypercall!(@ $n, $a, $b, $c,
            "push esi", "mov esi, 0x7ff0", "pop esi")
    };
    ($n:expr) => { $crate::entries::hypercall!($n, 0u32, 0u32, 0u32) };
    ($n:expr, $a:expr) => { $crate::entries::hypercall!($n, $a, 0u32, 0u32) };
    ($n:expr, $a:expr, $b:expr) => { $crate::entries::hypercall!($n, $a, $b, 0u32) };
    ($n:expr, $a:expr, $b:expr, $c:expr) => {
        $crate::entries::hypercall!(@ $n, $a, $b, $c, "", "", "")
    };
    (@ $n:expr, $a:expr, $b:expr, $c:expr, $save:literal, $load:literal, $restore:literal) => {{
        let result: i32;
        // SAFETY: 1. The slot is in the page that the hypervisor filled. 2. Argument registers are
        // declared as clobbered or saved. 3. Arguments name spare pages and values that live on.
        unsafe {
            core::arch::asm!(
                $save, $load,
                "call hypercall_page + {slot}",
                $restore,
                slot = const $n * 32,
                out("eax") result,
                inout("ebx") $a => _,
                inout("ecx") $b => _,
                inout("edx") $c => _,
                out("edi") _,
            );
        }
        result
    }};
}
pub(crate) use hypercall;

/// Page fault: err eip cs eflags; skips the two-byte load.
#[unsafe(naked)]
pub extern "C" fn page_fault() {
    naked_asm!(
        "add esp, 4",
        "add dword ptr [esp], 2",
        "cmp dword ptr [{by}], 2",
        "je hypercall_page + 23 * 32",
        "iretd",
        by = sym RETURN_BY,
    )
}

/// Invalid opcode: eip cs eflags; skips `ud2`.
#[unsafe(naked)]
pub extern "C" fn undefined() {
    naked_asm!(
        "add dword ptr [esp], 2",
        "cmp dword ptr [{by}], 2",
        "je hypercall_page + 23 * 32",
        "iretd",
        by = sym RETURN_BY,
    )
}

/// int 0x80 from Ring 3. eax: 0 returns by `iret`, 1 by hypercall, 2 ends the stay with ebx.
#[unsafe(naked)]
pub extern "C" fn system_call() {
    naked_asm!(
        "test eax, eax",
        "jnz 2f",
        "iretd",
        "2: cmp eax, 1",
        "je hypercall_page + 23 * 32",
        "mov eax, ebx",
        "mov esp, [{saved}]",
        "pop edi", "pop esi", "pop ebx", "pop ebp",
        "mov ecx, 0xe021",
        "mov ds, ecx",
        "mov es, ecx",
        "mov byte ptr [shared_info_page + {mask}], 0",
        "ret",
        saved = sym SAVED_ESP,
        mask = const shared::UPCALL_MASK_OFFSET,
    )
}

/// The event callback of a vCPU: `$work` looks at its ports.
macro_rules! upcall {
    ($(#[$doc:meta])* $name:ident, $work:ident) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub extern "C" fn $name() {
            naked_asm!(
                "push eax", "push ecx", "push edx",
                "cld",
                "call {work}",
                "pop edx", "pop ecx", "pop eax",
                "jmp hypercall_page + 23 * 32",
                work = sym $work,
            )
        }
    };
}
upcall!(
    /// vCPU 0's.
    upcall,
    upcall_work
);
upcall!(
    /// vCPU 1's.
    second_upcall,
    second_work
);

extern "C" fn upcall_work() {
    UPCALLS.fetch_add(1, Ordering::Relaxed);
    ring1::events::dispatch(came);
}

extern "C" fn second_work() {
    vcpus::upcall_pending(1).store(0, Ordering::SeqCst);
    let mut words = vcpus::pending_sel(1).swap(0, Ordering::SeqCst);
    while words != 0 {
        let word = words.trailing_zeros() as usize;
        words &= words - 1;
        loop {
            let bits = shared::pending(word).load(Ordering::SeqCst)
                & !shared::mask(word).load(Ordering::SeqCst);
            if bits == 0 {
                break;
            }
            let bit = bits.trailing_zeros();
            shared::pending(word).fetch_and(!(1 << bit), Ordering::SeqCst);
            came(Port::new(word as u32 * 32 + bit));
        }
    }
}

/// Events that came, by port.
static SEEN: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

fn came(port: Port) {
    if let Some(count) = SEEN.get(port.raw() as usize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many events have come to a port.
pub fn seen(port: Port) -> u32 {
    SEEN.get(port.raw() as usize).map_or(0, |count| count.load(Ordering::Relaxed))
}

/// u32 (eip, esp, n, what): Ring 3 at `eip` with esi = n, edi = what; returns its ticks.
#[unsafe(naked)]
pub extern "C" fn user_enter(_eip: u32, _esp: u32, _n: u32, _what: u32) -> u32 {
    naked_asm!(
        "push ebp", "push ebx", "push esi", "push edi",
        "mov [{saved}], esp",
        "mov eax, [esp + 20]",
        "mov edx, [esp + 24]",
        "mov esi, [esp + 28]",
        "mov edi, [esp + 32]",
        "push 0xe033",
        "push edx",
        "push 0x202",
        "push 0xe02b",
        "push eax",
        "mov ecx, 0xe033",
        "mov ds, ecx",
        "mov es, ecx",
        "jmp hypercall_page + 23 * 32",
        saved = sym SAVED_ESP,
    )
}

/// Ring 3: `esi` system calls with eax = edi.
#[unsafe(naked)]
pub extern "C" fn user_calls() {
    naked_asm!(
        "rdtsc",
        "mov ebp, eax",
        "2: mov eax, edi",
        "int 0x80",
        "dec esi",
        "jnz 2b",
        "rdtsc",
        "sub eax, ebp",
        "mov ebx, eax",
        "mov eax, 2",
        "int 0x80",
        "ud2",
    )
}

/// Ring 3: `esi` loads from edi, each of which faults.
#[unsafe(naked)]
pub extern "C" fn user_faults() {
    naked_asm!(
        "rdtsc",
        "mov ebp, eax",
        "2: mov eax, [edi]",
        "dec esi",
        "jnz 2b",
        "rdtsc",
        "sub eax, ebp",
        "mov ebx, eax",
        "mov eax, 2",
        "int 0x80",
        "ud2",
    )
}
