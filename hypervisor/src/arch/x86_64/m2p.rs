//! The pv32 window of the machine-to-physical table: level-1 tables over its frames.
//!
//! The table itself is mapped writable for the hypervisor at `M2P32_RW`. Every pv32 guest has
//! the same frames read-only at the top of its 4 GiB, by the tables made here.

use core::sync::atomic::Ordering;

use pv_abi::errno::Errno;
use pv_abi::types::Mfn;

use super::layout::{M2P32_RW, PAGE_SIZE};
use super::machine::Machine;
use super::paging::Root;
use crate::mm::frame::Owner;
use crate::mm::m2p_window::{M2pWindow, WINDOW_SLOTS};
use crate::mm::memory::Memory;
use crate::mm::pte;
use crate::platform::FrameAccess;

/// Makes the window's tables; frames past its capacity (43 million, 166 GiB) are not shown.
///
/// `ENOMEM` if there is no memory for the tables.
pub fn window(machine: &Machine, memory: &Memory, root: Root) -> Result<M2pWindow, Errno> {
    let pages = (memory.frame_count() * 4).div_ceil(PAGE_SIZE);
    let mut tables = heapless::Vec::<Mfn, WINDOW_SLOTS>::new();
    let mut page = 0;
    while page < pages && !tables.is_full() {
        let table = memory.allocate(Owner::Hypervisor, 0)?;
        machine.zero(table);
        for word in machine.words(table) {
            if page == pages {
                break;
            }
            let physical = root.translate(M2P32_RW + page * PAGE_SIZE).ok_or(Errno::EFAULT)?;
            let entry = pte::make(Mfn::new(physical / PAGE_SIZE), pte::P | pte::A | pte::NX);
            word.store(entry, Ordering::Relaxed);
            page += 1;
        }
        tables.push(table).map_err(|_| Errno::ENOMEM)?;
    }
    Ok(M2pWindow::new(tables))
}
