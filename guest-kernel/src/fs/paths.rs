//! Where paths lead.

use super::device::{Console, Null, Zero};
use super::file::{File, Flags, Open, Result};
use crate::arch::abi::StartInfo;
use crate::errno::{EISDIR, ENOENT, EROFS};
use crate::initrd::Initrd;
use crate::mm::p2m;
use crate::sync::Guarded;
use alloc::sync::Arc;

static INITRD: Guarded<Initrd> = Guarded::new(Initrd::new(&[]));

/// Finds the initrd that the builder loaded as the module.
pub fn init(start_info: &StartInfo) {
    let at = if start_info.flags & pv_abi::start_info::SIF_MOD_START_PFN != 0 {
        p2m::address(pv_abi::types::Pfn::new(u64::from(start_info.mod_start)))
    } else {
        start_info.mod_start
    };
    if at != 0 && start_info.mod_len != 0 {
        let bytes = crate::mm::boot_bytes(at, start_info.mod_len);
        INITRD.with(|initrd| *initrd = Initrd::new(bytes));
    }
}

/// The initrd.
pub fn initrd() -> Initrd {
    INITRD.with(|initrd| *initrd)
}

/// Opens a path for reading, or a device for writing, too.
pub fn open(path: &str, flags: Flags) -> Result<Open> {
    let writing = flags.writes();
    let file: Arc<dyn File> = match path {
        "/dev/console" | "/dev/tty" => Arc::new(Console),
        "/dev/null" => Arc::new(Null),
        "/dev/zero" => Arc::new(Zero),
        path => {
            let member = initrd().find(path).ok_or(if writing { EROFS } else { ENOENT })?;
            if writing {
                return Err(if member.is_directory() { EISDIR } else { EROFS });
            }
            Arc::new(super::member::MemberFile { archive: initrd(), member })
        }
    };
    Ok(Open::new(file, flags))
}
