//! What a domain 0 finds in its start info page, and that p2m and M2P agree.
//!
//! `xen/include/public/xen.h` (struct start_info, "start of day memory layout"). Expected: magic,
//! flags, an own command line, tables inside the kernel's mapping, an M2P entry for each p2m entry
//! that leads back to it, distinct frames.
#![no_std]
#![no_main]
use pv_abi::start_info::{SIF_INITDOMAIN, SIF_PRIVILEGED};
use pv_guests::pages::{self, PAGE, mfn_of_pfn, pfn_of};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest};
use ring1::entry::{VIRT_BASE, builder_stack, image};

guest!(run);

fn run(start: &'static StartInfo) -> Outcome {
    let magic = core::ffi::CStr::from_bytes_until_nul(&start.magic).unwrap_or_default();
    check!(magic.to_bytes().starts_with(b"xen-3."), "magic {magic:?}");
    check!(magic.to_bytes().ends_with(b"-x86_32p"), "magic {magic:?}");
    check_eq!(start.flags & (SIF_PRIVILEGED | SIF_INITDOMAIN), 3, "flags of domain 0");
    check!(start.nr_pages >= 1024, "{} pages", start.nr_pages);
    check_eq!(start.shared_info % PAGE, 0, "offset of the shared info frame");
    check!(start.cmd_line.contains(&0), "the command line does not end");
    check_eq!((start.mod_start, start.mod_len), (0, 0), "a module that nobody gave");

    let end = VIRT_BASE + start.nr_pages * PAGE;
    let [.., data] = image();
    let here = core::ptr::from_ref(start) as u32;
    check!(here >= data.end && here < end, "start info at {here:#x}");
    check!(here.is_multiple_of(PAGE), "start info at {here:#x}");
    check!(start.pt_base >= data.end && start.pt_base < end, "tables at {:#x}", start.pt_base);
    check!(start.nr_pt_frames >= 4, "{} page-table frames", start.nr_pt_frames);
    check!(start.mfn_list >= data.end && start.mfn_list < end, "p2m at {:#x}", start.mfn_list);
    check!(builder_stack() > start.pt_base, "boot stack at {:#x}", builder_stack());

    for pfn in 0..start.nr_pages {
        let mfn = mfn_of_pfn(pfn);
        // The M2P leads back, so no two pages share a frame.
        let back = pfn_of(mfn);
        if back != pfn {
            check!(false, "page {pfn:#x} is frame {mfn:#x}, which is page {back:#x}");
            break;
        }
    }
    let shared = start.shared_info / PAGE;
    check!(
        !(0..start.nr_pages).any(|pfn| mfn_of_pfn(pfn) == shared),
        "shared info among the pages"
    );
    check!(pages::mfn_of(start.pt_base) != 0, "frame 0 as a page table");
    Ok(())
}
