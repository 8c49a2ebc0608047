//! VCPUOP_register_vcpu_info moves vcpu_info into a page of the guest's.
//!
//! `xen/include/public/vcpu.h`; Xen 4.17 `common/domain.c` (map_vcpu_info). Expected: bad offsets
//! and foreign frames are refused; afterwards clock, cr2, masks and pending flags live in the new
//! place, the pending flag is set once; a second registration is -EINVAL.
#![no_std]
#![no_main]
use pv_abi::errno::Errno;
use pv_abi::types::VcpuId;
use pv_abi::vcpu::{VCPUOP_REGISTER_VCPU_INFO, VcpuRegisterVcpuInfo};
use pv_guests::pages::{Page, read32, read64};
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, must};
use ring1::calls;

guest!(run);

fn register(mfn: u32, offset: u32) -> Result<u32, Errno> {
    let mut info = VcpuRegisterVcpuInfo { mfn: u64::from(mfn), offset, rsvd: 0 };
    calls::vcpu_op_with(VCPUOP_REGISTER_VCPU_INFO, VcpuId::new(0), &mut info)
}

fn run(_: &'static StartInfo) -> Outcome {
    let page = Page::take();
    for offset in [4096 - 60, 4095, 4096, 0x1_0000, u32::MAX] {
        check_eq!(register(page.mfn, offset), Err(Errno::ENXIO), "offset {offset:#x}");
    }
    for offset in [1, 2, 3, 65] {
        check!(register(page.mfn, offset).is_err(), "offset {offset:#x}, not aligned");
    }
    check!(register(0xff_ffff, 0).is_err(), "a frame that does not exist");
    let table = Page::take().protect()?;
    must(pv_guests::roots::pin_l1(table), "pinning an L1")?;
    check!(register(table.mfn, 0).is_err(), "a page table");

    must(register(page.mfn, 0x100), "register_vcpu_info")?;
    let at = page.va + 0x100;
    check_eq!(read32(at) & 0xff, 1, "pending flag in the new place");
    check_eq!(read32(at) >> 8 & 0xff, 1, "upcall mask in the new place");
    check!(read64(at + 32 + 8) > 0, "no TSC time stamp in the new place");
    check!(read32(at + 32 + 24) > 0, "no TSC scale in the new place");
    // A page fault says its address there.
    let _ = ring1::probe::probe(|| read32(0x1234));
    check_eq!(read32(at + 8), 0x1234, "cr2 in the new place");
    check_eq!(register(page.mfn, 0x200), Err(Errno::EINVAL), "a second time");
    Ok(())
}
