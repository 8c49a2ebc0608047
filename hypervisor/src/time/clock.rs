//! The clocks that guests read: system time in every `vcpu_info`, wall clock time in `shared_info`.
//!
//! Both have a version. We make it odd, write, make it even; a reader that sees it odd,
//! or changed, reads again.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use pv_abi::time::{VcpuTimeInfo, XEN_PVCLOCK_TSC_STABLE_BIT};
use pv_abi::types::Mfn;
use pv_abi::{x86_32, x86_64};
use zerocopy::IntoBytes;

use super::wallclock;
use crate::domain::Domain;
use crate::domain::vcpu::Vcpu;
use crate::guest::Ctx;
use crate::platform::{Platform, PvClock};
use crate::system::System;
use crate::width::Width;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The clock in the form of `vcpu_time_info`; `version` is the caller's to set.
fn time_info(clock: &PvClock) -> VcpuTimeInfo {
    VcpuTimeInfo {
        version: 0,
        pad0: 0,
        tsc_timestamp: clock.tsc_timestamp,
        system_time: clock.system_time,
        tsc_to_system_mul: clock.tsc_to_system_mul,
        tsc_shift: clock.tsc_shift,
        flags: if clock.tsc_stable { XEN_PVCLOCK_TSC_STABLE_BIT } else { 0 },
        pad1: [0; 2],
    }
}

/// Shared words that begin with a version.
struct Versioned<'a>(&'a [AtomicU32]);

impl Versioned<'_> {
    /// Replaces everything after the version; returns the new version.
    fn write(&self, contents: &[u32]) -> u32 {
        let Some((version, words)) = self.0.split_first() else { return 0 };
        // The guest can write the version, so nothing relies on its being even.
        let odd = version.load(Ordering::Relaxed) | 1;
        version.store(odd, Ordering::Relaxed);
        // A reader that sees any of the new words sees the odd version, too.
        fence(Ordering::Release);
        for (word, value) in words.iter().zip(contents) {
            word.store(*value, Ordering::Relaxed);
        }
        // A reader that sees the new version sees all the new words.
        let even = odd.wrapping_add(1);
        version.store(even, Ordering::Release);
        even
    }
}

/// A structure as 32-bit words, without the first one.
fn words_after_version<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    let (chunks, _) = bytes.as_chunks::<4>();
    for (word, chunk) in words.iter_mut().zip(chunks.iter().skip(1)) {
        *word = u32::from_le_bytes(*chunk);
    }
    words
}

/// Words of `vcpu_time_info`.
const TIME_WORDS: usize = size_of::<VcpuTimeInfo>() / 4;

/// Writes the clock where `vcpu` looks for it.
///
/// The scale holds for good where the TSC is stable, so this is needed when the vCPU
/// starts and when its `vcpu_info` moves.
pub fn publish<P: Platform>(sys: &System<P>, domain: &Domain, vcpu: &Vcpu) {
    let offset = match domain.width() {
        Width::Pv32 => offset_of!(x86_32::VcpuInfo, time),
        Width::Pv64 => offset_of!(x86_64::VcpuInfo, time),
    };
    let info = vcpu.info_address();
    let start = ((info & 0xfff) as usize).saturating_add(offset) / 4;
    let frame = sys.platform.half_words(Mfn::new(info >> 12));
    if let Some(words) = frame.get(start..start.saturating_add(TIME_WORDS)) {
        let time = time_info(&sys.platform.pvclock());
        Versioned(words).write(&words_after_version::<{ TIME_WORDS - 1 }>(time.as_bytes()));
    }
}

/// Writes the wall clock into a domain's `shared_info`: when it is built, and when it or its
/// offset is set.
pub fn publish_wallclock<P: Platform>(sys: &System<P>, domain: &Domain) {
    let (start, high) = match domain.width() {
        Width::Pv32 => {
            let arch = offset_of!(x86_32::SharedInfo, arch);
            let high = arch + offset_of!(x86_32::ArchSharedInfo, wc_sec_hi);
            (offset_of!(x86_32::SharedInfo, wc_version), high)
        }
        Width::Pv64 => {
            let high = offset_of!(x86_64::SharedInfo, wc_sec_hi);
            (offset_of!(x86_64::SharedInfo, wc_version), high)
        }
    };
    // Until everything is written: another CPU may publish, too.
    let reading = wallclock::read(sys);
    let (seconds, ns) = (reading.base_ns / NS_PER_SECOND, reading.base_ns % NS_PER_SECOND);
    let seconds = seconds.wrapping_add_signed(domain.time_offset_s.load(Ordering::Relaxed));
    let frame = sys.platform.half_words(domain.shared_info);
    // The high half lies elsewhere on 32-bit; it changes every 136 years.
    if let Some(word) = frame.get(high / 4) {
        word.store((seconds >> 32) as u32, Ordering::Relaxed);
    }
    if let Some(words) = frame.get(start / 4..start / 4 + 3) {
        Versioned(words).write(&[seconds as u32, ns as u32]);
    }
}

/// Copies the clock to address `at` of the caller's, where users of it look. Once is enough,
/// as for [`publish`].
///
/// What cannot be written is not: the guest has not mapped it.
pub(crate) fn write_area<P: Platform>(ctx: &Ctx<'_, P>, at: u64) {
    // The version of its own: even before and after, odd in between.
    let Ok(version) = ctx.read::<u32>(at) else { return };
    let odd = version | 1;
    let time = VcpuTimeInfo { version: odd, ..time_info(&ctx.sys.platform.pvclock()) };
    let done = ctx.write(at, &odd).and_then(|()| {
        fence(Ordering::Release);
        ctx.write(at, &time)
    });
    if done.is_ok() {
        fence(Ordering::Release);
        let _ = ctx.write(at, &odd.wrapping_add(1));
    }
}
