//! Isolation, point 3: the entries that map the machine-to-physical table cannot be changed, nor
//! can its contents but for the domain's own frames.
//!
//! Xen 4.17 `arch/x86/mm.c` (`mod_l2_entry` refuses hypervisor slots; MMU_MACHPHYS_UPDATE needs a
//! reference to the frame). Expected: errors, and everything as before.
#![no_std]
#![no_main]
use pv_abi::mmu::{MMU_MACHPHYS_UPDATE, MMU_PT_UPDATE_PRESERVE_AD};
use pv_guests::pages::{self, KRW, Page, TABLE, read64};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must};

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    let m2p = pages::m2p();
    check!(m2p >= 0xf580_0000, "the M2P at {m2p:#x}");
    // Entries of the L2 in slot 3 that belong to the hypervisor.
    let l2 = pages::mfn_in(read64(pages::root() + 3 * 8));
    for va in [m2p, m2p + 0x1000, 0xffe0_0000, 0xffff_f000] {
        let slot = (u64::from(l2) << 12) + u64::from((va >> 21) & 511) * 8;
        for command in [0, u64::from(MMU_PT_UPDATE_PRESERVE_AD)] {
            for value in [0, page.entry(TABLE), page.entry(TABLE | pages::PSE)] {
                let result = pages::update(slot | command, value);
                check!(result.is_err(), "window entry of {va:#x} became {value:#x}");
            }
        }
        check!(pages::map(va, page.entry(KRW)).is_err(), "mapped a page at {va:#x}");
        check!(pages::map(va, 0).is_err(), "unmapped {va:#x}");
    }
    // M2P entries: own frames may be renamed, others not.
    let update = |mfn: u32, pfn: u32| {
        pages::update((u64::from(mfn) << 12) | u64::from(MMU_MACHPHYS_UPDATE), u64::from(pfn))
    };
    let pfn = pages::pfn_of(page.mfn);
    must(update(page.mfn, 0x1234), "renaming a frame of its own")?;
    check_eq!(pages::pfn_of(page.mfn), 0x1234, "the renamed frame");
    must(update(page.mfn, pfn), "renaming it back")?;
    for mfn in [0, 0x100, 0x101, 0xf_ffff, 0x0fff_ffff] {
        check!(update(mfn, 1).is_err(), "renamed frame {mfn:#x}, which is not the domain's");
    }
    Ok(())
}
