//! The page tables that the builder hands over: linear, read-only where they map tables, writable
//! elsewhere, with at least 512 KiB of slack behind the boot stack.
//!
//! `xen/include/public/xen.h` ("start of day memory layout": points 3 to 6). Expected: as said; the
//! first 1 MiB below the image is mapped, too.
#![no_std]
#![no_main]
use pv_guests::pages::{self, P, PAGE, PSE, RW, US, l1_slot, l2_slot, mfn_in, mfn_of, read64};
use pv_guests::{Outcome, StartInfo, check, check_eq, expect, guest};
use ring1::entry::{VIRT_BASE, builder_stack};

guest!(run);

fn run(start: &'static StartInfo) -> Outcome {
    for slot in [2, 3] {
        check!(read64(pages::root() + slot * 8) & P != 0, "slot {slot} of the root is empty");
    }
    let tables = start.pt_base..start.pt_base + start.nr_pt_frames * PAGE;
    let stack_end = (builder_stack() + PAGE - 1) & !(PAGE - 1);
    let slack_end = stack_end + 512 * 1024;
    let mut va = VIRT_BASE;
    while va < slack_end {
        let l2 = read64(l2_slot(va));
        check!(l2 & P != 0, "{va:#x} has no L1");
        if l2 & P == 0 {
            break;
        }
        check!(l2 & PSE == 0, "{va:#x} is a large page");
        let entry = read64(l1_slot(va));
        let shared = va == ring1::entry::shared_info_address();
        let writable = !tables.contains(&va);
        check!(entry & P != 0, "{va:#x} is not mapped");
        check_eq!(entry & RW != 0, writable, "{va:#x} is writable");
        check_eq!(entry & US, 0, "the user bit of {va:#x}");
        check!(shared || mfn_in(entry) == mfn_of(va), "{va:#x} maps frame {:#x}", mfn_in(entry));
        va += PAGE;
    }
    expect::none("the last page of the slack", || pages::write32(slack_end - PAGE, 1));
    Ok(())
}
