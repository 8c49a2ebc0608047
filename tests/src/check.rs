//! What must hold after every step, whatever a guest does.

use std::sync::atomic::Ordering;

use hypervisor::mm::frame::{Owner, Type};
use hypervisor::mm::invariants::Found;
use hypervisor::platform::FrameAccess;
use hypervisor::system::System;
use pv_abi::types::Mfn;

use crate::machine::FakeMachine;

/// Panics unless the invariants of `mm` and `irq` hold and no CPU can still write, by way of a stale
/// translation, what its guest must not.
pub fn invariants(sys: &System<FakeMachine>) {
    if let Err(what) = broken(sys) {
        panic!("{what}");
    }
}

/// The first broken invariant, in words.
pub fn broken(sys: &System<FakeMachine>) -> Result<(), String> {
    let mut found = vec![Found::default(); sys.memory.frame_count() as usize];
    sys.check_invariants(&mut found)
        .map_err(|v| format!("{} at {}: {}{}", v.invariant, v.mfn, v.what, record(sys, v.mfn)))?;
    window(sys)?;
    hypervisor::irq::invariants::check(sys)?;
    match sys.platform.stale_writable(|mfn| may_be_written(sys, mfn)).first() {
        None => Ok(()),
        Some((cpu, va, mfn)) => {
            Err(format!("CPU {cpu} still writes {mfn} at {va:#x} through its TLB"))
        }
    }
}

/// What the frame's record says.
fn record(sys: &System<FakeMachine>, mfn: Mfn) -> String {
    let Some(frame) = sys.memory.frame(mfn) else { return String::new() };
    let word = frame.load();
    format!(
        " ({:?}, {:?}, {} of {} references, allocated {}, pinned {})",
        frame.owner(),
        word.kind(),
        word.type_count(),
        word.total(),
        word.allocated(),
        word.pinned(),
    )
}

/// Whether a guest may have a writable translation of the frame, if only for having had a
/// mapping of it.
pub(crate) fn may_be_written(sys: &System<FakeMachine>, mfn: Mfn) -> bool {
    let Some(frame) = sys.memory.frame(mfn) else { return false };
    let word = frame.load();
    let typed = word.type_count() > 0 || word.partial();
    matches!(frame.owner(), Owner::Domain(_)) && (!typed || word.kind() == Type::Writable)
}

/// The window's level-1 tables are the hypervisor's, and map its frames read-only.
fn window(sys: &System<FakeMachine>) -> Result<(), String> {
    let ram = sys.platform.ram();
    for index in 0..ram.m2p32_frames() {
        let table = Mfn::new((ram.first_free() + index / 512) as u64);
        let entry = sys.platform.words(table)[index % 512].load(Ordering::Relaxed);
        if entry & !0x20 != (1 + index as u64) << 12 | 1 {
            return Err(format!("entry {index} of the M2P's window became {entry:#x}"));
        }
    }
    Ok(())
}
