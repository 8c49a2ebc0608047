//! What a PV guest may know of its processor: `cpuid` with the prefix that has it emulated, and
//! the features that the emulation of other instructions goes by.
//!
//! A feature is shown if the machine has it and it is on the list here: those that Xen 4.17 gives
//! PV guests (`arch-x86/cpufeatureset.h`, letters A), less what needs state or MSRs that this
//! hypervisor does not switch (AVX-512, protection keys, speculation control, FSGSBASE) and less
//! what it does not offer (`sysenter`). What depends on another feature goes with it: AVX and
//! its kin with XSAVE, some with long mode. The rest of a leaf is the machine's, or zero.
//!
//! Without the prefix the instruction does not trap, and tells the whole truth about the
//! processor; that is the guest's to know.

use pv_abi::cpuid::{
    XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, XEN_CPUID_FIRST_LEAF,
    XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK, XEN_CPUID_MAX_NUM_LEAVES, XEN_CPUID_SIGNATURE_EBX,
    XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX,
};
use pv_abi::vectors;

use super::msr::HYPERCALL_PAGE;
use crate::guest::Ctx;
use crate::hypercall::version::{MAJOR, MINOR};
use crate::platform::Platform;
use crate::trap::bounce;
use crate::trap::control::CR4_OSXSAVE;
use crate::width::Width;

/// The last leaf of each range that is shown.
const BASIC_MAX: u32 = 0xd;
const EXTENDED_FIRST: u32 = 0x8000_0000;
const EXTENDED_MAX: u32 = 0x8000_0008;

const fn bits(numbers: &[u32]) -> u32 {
    let mut set = 0;
    let mut rest = numbers;
    while let Some((number, others)) = rest.split_first() {
        set |= 1 << *number;
        rest = others;
    }
    set
}

/// Leaf 1, ecx: SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
const LEAF_1_C: u32 = bits(&[0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 28, 29, 30]);
/// Leaf 1, edx: FPU DE TSC MSR PAE MCE CX8 APIC MCA CMOV PAT CLFLUSH MMX FXSR SSE SSE2 SS HTT.
const LEAF_1_D: u32 = bits(&[0, 2, 4, 5, 6, 7, 8, 9, 14, 15, 16, 19, 23, 24, 25, 26, 27, 28]);
/// Leaf 1, ecx, of the hardware domain's kernel: EIST. It reads the firmware's tables by it.
const EIST: u32 = 1 << 7;
/// Leaf 1, edx, of the hardware domain's kernel: MTRR. It stands for `platform_op`'s memory types.
const MTRR: u32 = 1 << 12;
/// Leaf 1, ecx: what long mode alone has, XSAVE, OSXSAVE, what XSAVE's AVX state carries, and that there is a hypervisor.
const CX16: u32 = 1 << 13;
const XSAVE: u32 = 1 << 26;
const OSXSAVE: u32 = 1 << 27;
const AVX_1_C: u32 = bits(&[12, 28, 29]);
const HYPERVISOR: u32 = 1 << 31;

/// Leaf 7, ebx: BMI1 AVX2 FDP-EXCP-ONLY BMI2 ERMS NO-FPU-SEL RDSEED ADX CLFLUSHOPT CLWB SHA.
const LEAF_7_B: u32 = bits(&[3, 5, 6, 8, 9, 13, 18, 19, 23, 24, 29]);
/// Leaf 7, ecx: PREFETCHWT1 GFNI VAES VPCLMULQDQ RDPID CLDEMOTE.
const LEAF_7_C: u32 = bits(&[0, 8, 9, 10, 22, 25]);
/// Leaf 7, edx: FSRM MD-CLEAR SERIALIZE.
const LEAF_7_D: u32 = bits(&[4, 10, 14]);
/// Leaf 7, subleaf 1, eax: AVX-VNNI FZRM FSRS FSRCS.
const LEAF_7_1_A: u32 = bits(&[4, 10, 11, 12]);
/// Of those, what needs AVX state: AVX2; VAES and VPCLMULQDQ; AVX-VNNI.
const AVX_7_B: u32 = 1 << 5;
const AVX_7_C: u32 = bits(&[9, 10]);
const AVX_7_1_A: u32 = 1 << 4;

/// Leaf 0xd, subleaf 1, eax: XSAVEOPT XSAVEC XGETBV1.
const LEAF_D_1_A: u32 = bits(&[0, 1, 2]);

/// Leaf 0x80000001, ecx: LAHF CMP-LEGACY ABM SSE4A MISALIGNSSE 3DNOWPREFETCH XOP FMA4 TBM.
const EXTENDED_1_C: u32 = bits(&[0, 1, 5, 6, 7, 8, 11, 16, 21]);
/// Leaf 0x80000001, edx: SYSCALL NX MMXEXT FFXSR RDTSCP LM 3DNOWEXT 3DNOW.
const EXTENDED_1_D: u32 = bits(&[11, 20, 22, 25, 27, 29, 30, 31]);
/// Of those, what needs AVX state: XOP FMA4; what needs long mode: LAHF; SYSCALL LM.
const AVX_EXTENDED: u32 = bits(&[11, 16]);
const LONG_C: u32 = 1 << 0;
const LONG_D: u32 = bits(&[11, 29]);
/// RDTSCP in it, RDPID in leaf 7's ecx: both read TSC_AUX.
const RDTSCP: u32 = 1 << 27;
const RDPID: u32 = 1 << 22;
/// What AMD repeats of leaf 1's edx there.
const COMMON: u32 = 0x0183_f3ff;
/// Leaf 0x80000007, edx: the TSC keeps its rate.
const INVARIANT_TSC: u32 = 1 << 8;
/// Leaf 0x80000008, ebx: CLZERO, and that FXSAVE saves all pointers.
const EXTENDED_8_B: u32 = bits(&[0, 2]);

/// XCR0 bits that are offered where the machine has them: x87, SSE, AVX.
const XCR0_OFFERED: u64 = 0b111;
/// XCR0: AVX.
pub const XCR0_AVX: u64 = 0b100;

/// Who made the processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendor {
    /// GenuineIntel.
    Intel,
    /// AuthenticAMD and HygonGenuine.
    Amd,
    /// Others.
    Other,
}

/// Who made the processor.
pub fn vendor<P: Platform>(ctx: &Ctx<'_, P>) -> Vendor {
    match ctx.sys.platform.cpuid(0, 0)[1].to_le_bytes() {
        [b'G', b'e', b'n', b'u'] => Vendor::Intel,
        [b'A', b'u', b't', b'h'] | [b'H', b'y', b'g', b'o'] => Vendor::Amd,
        _ => Vendor::Other,
    }
}

/// The bits that a guest may have in XCR0; none if there is no XSAVE for it.
pub fn xcr0_offered<P: Platform>(platform: &P) -> u64 {
    let [max, ..] = platform.cpuid(0, 0);
    if max < 0xd || platform.cpuid(1, 0)[2] & XSAVE == 0 {
        return 0;
    }
    u64::from(platform.cpuid(0xd, 0)[0]) & XCR0_OFFERED
}

/// Whether the guest has TSC_AUX.
pub fn has_tsc_aux<P: Platform>(ctx: &Ctx<'_, P>) -> bool {
    leaf(ctx, 0x8000_0001, 0)[3] & RDTSCP != 0 || leaf(ctx, 7, 0)[2] & RDPID != 0
}

/// eax, ebx, ecx, edx of a leaf.
pub fn leaf<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32, subleaf: u32) -> [u32; 4] {
    let platform = &ctx.sys.platform;
    match leaf {
        0..=BASIC_MAX if leaf <= platform.cpuid(0, 0)[0] => basic(ctx, leaf, subleaf),
        XEN_CPUID_FIRST_LEAF.. if leaf < EXTENDED_FIRST => hypervisor(ctx, leaf, subleaf),
        EXTENDED_FIRST..=EXTENDED_MAX if leaf <= platform.cpuid(EXTENDED_FIRST, 0)[0] => {
            extended(ctx, leaf)
        }
        _ => [0; 4],
    }
}

/// A mask that hides `features` unless the guest may have AVX state.
fn unless_avx<P: Platform>(ctx: &Ctx<'_, P>, features: u32) -> u32 {
    if xcr0_offered(&ctx.sys.platform) & XCR0_AVX != 0 { !0 } else { !features }
}

/// A mask that hides `features` from a 32-bit guest.
fn unless_long<P: Platform>(ctx: &Ctx<'_, P>, features: u32) -> u32 {
    match ctx.width() {
        Width::Pv32 => !features,
        Width::Pv64 => !0,
    }
}

/// Whether the hardware domain's kernel asks.
fn is_hardware_kernel<P: Platform>(ctx: &Ctx<'_, P>) -> bool {
    ctx.domain.privileged && bounce::in_kernel(ctx)
}

fn basic<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32, subleaf: u32) -> [u32; 4] {
    let [a, b, c, d] = ctx.sys.platform.cpuid(leaf, subleaf);
    match (leaf, subleaf) {
        (0, _) => [a.min(BASIC_MAX), b, c, d],
        (1, _) => {
            let leaked = if is_hardware_kernel(ctx) { (EIST, MTRR) } else { (0, 0) };
            let mut shown = (LEAF_1_C | leaked.0) & unless_avx(ctx, AVX_1_C);
            shown &= unless_long(ctx, CX16);
            if xcr0_offered(&ctx.sys.platform) == 0 {
                shown &= !XSAVE;
            }
            let osxsave = if shows_osxsave(ctx) { OSXSAVE } else { 0 };
            // ebx: no initial APIC id.
            let b = b & 0x00ff_ffff;
            [a, b, c & shown | osxsave | HYPERVISOR, d & (LEAF_1_D | leaked.1)]
        }
        (2 | 4, _) => [a, b, c, d],
        (7, 0) => [
            a.min(1),
            b & LEAF_7_B & unless_avx(ctx, AVX_7_B),
            c & LEAF_7_C & unless_avx(ctx, AVX_7_C),
            d & LEAF_7_D,
        ],
        (7, 1) => [a & LEAF_7_1_A & unless_avx(ctx, AVX_7_1_A), 0, 0, 0],
        (0xd, _) => extended_state(ctx, subleaf, [a, b]),
        _ => [0; 4],
    }
}

/// Whether leaf 1 says that XSAVE is switched on. By the guest's CR4; and, for whoever asks by
/// the prefix from the kernel, as soon as it is offered: Linux decides by that whether it is.
fn shows_osxsave<P: Platform>(ctx: &Ctx<'_, P>) -> bool {
    let asked = ctx.regs.entry_vector == u32::from(vectors::INVALID_OPCODE);
    let by_kernel = asked && bounce::in_kernel(ctx);
    ctx.state.cr4 & CR4_OSXSAVE != 0 || by_kernel && xcr0_offered(&ctx.sys.platform) != 0
}

/// Leaf 0xd. `machine` is what eax and ebx of the subleaf are on the machine.
fn extended_state<P: Platform>(ctx: &Ctx<'_, P>, subleaf: u32, machine: [u32; 2]) -> [u32; 4] {
    /// Bytes of the legacy region and the header, and of AVX state behind them.
    const LEGACY: u32 = 576;
    const AVX: u32 = 256;
    let offered = xcr0_offered(&ctx.sys.platform);
    let size = |xcr0: u64| LEGACY + if xcr0 & XCR0_AVX != 0 { AVX } else { 0 };
    match subleaf {
        _ if offered == 0 => [0; 4],
        0 => [offered as u32, size(ctx.state.special.xcr0), size(offered), 0],
        // ebx is for XSAVEC, by XCR0, which the processor has from the guest.
        1 => [machine[0] & LEAF_D_1_A, machine[1], 0, 0],
        2 if offered & XCR0_AVX != 0 => [machine[0], machine[1], 0, 0],
        _ => [0; 4],
    }
}

fn extended<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32) -> [u32; 4] {
    let [a, b, c, d] = ctx.sys.platform.cpuid(leaf, 0);
    match leaf {
        EXTENDED_FIRST => [a.min(EXTENDED_MAX), b, c, d],
        0x8000_0001 => {
            let c = c & EXTENDED_1_C & unless_avx(ctx, AVX_EXTENDED) & unless_long(ctx, LONG_C);
            let d = d & EXTENDED_1_D & unless_long(ctx, LONG_D);
            let common = match vendor(ctx) {
                Vendor::Amd => self::leaf(ctx, 1, 0)[3] & COMMON,
                _ => 0,
            };
            [a, b, c, d | common]
        }
        0x8000_0002..=0x8000_0006 => [a, b, c, d],
        0x8000_0007 if ctx.domain.privileged => [0, 0, 0, d & INVARIANT_TSC],
        EXTENDED_MAX => [a, b & EXTENDED_8_B, 0, 0],
        _ => [0; 4],
    }
}

/// The hypervisor's own leaves (`arch-x86/cpuid.h`).
fn hypervisor<P: Platform>(ctx: &Ctx<'_, P>, leaf: u32, subleaf: u32) -> [u32; 4] {
    const LAST: u32 = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
    match (leaf - XEN_CPUID_FIRST_LEAF, subleaf) {
        (0, _) => [LAST, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX],
        (1, _) => [MAJOR << 16 | MINOR, 0, 0, 0],
        // One hypercall page, made by writing this MSR.
        (2, _) => [1, HYPERCALL_PAGE, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0],
        (3, _) => time(ctx, subleaf),
        (5, 0) => {
            let address_bits = ctx.sys.platform.cpuid(EXTENDED_MAX, 0)[0];
            [0, address_bits & XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK, 0, 0]
        }
        // 4 is for HVM guests.
        _ => [0; 4],
    }
}

/// The leaf about the TSC, which is the machine's: not emulated, without offset.
fn time<P: Platform>(ctx: &Ctx<'_, P>, subleaf: u32) -> [u32; 4] {
    let clock = ctx.sys.platform.pvclock();
    // ns = (ticks << shift) * mul >> 32.
    let per_ms = (1_000_000u64 << 32) / u64::from(clock.tsc_to_system_mul.max(1));
    let shift = u32::from(clock.tsc_shift.unsigned_abs()).min(31);
    let khz = if clock.tsc_shift >= 0 { per_ms >> shift } else { per_ms << shift } as u32;
    match subleaf {
        0 => {
            let rdtscp = self::leaf(ctx, 0x8000_0001, 0)[3] & RDTSCP != 0;
            let flags = u32::from(clock.tsc_stable) << 1 | u32::from(rdtscp) << 2;
            [flags, 0, khz, 0]
        }
        1 => [0, 0, clock.tsc_to_system_mul, i32::from(clock.tsc_shift) as u32],
        2 => [khz, 0, 0, 0],
        _ => [0; 4],
    }
}
