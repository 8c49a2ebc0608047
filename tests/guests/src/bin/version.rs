//! xen_version: what the hypervisor says it is.
//!
//! `xen/include/public/version.h`. Expected: version 4.x; texts that end and fit; capabilities that
//! name xen-3.0-x86_32p; the start of the hypervisor's addresses; features of a PV guest; page
//! size 4096; unknown commands -ENOSYS.
#![no_std]
#![no_main]
use pv_abi::hypercall::XEN_VERSION;
use pv_abi::version::*;
use pv_guests::pages::m2p;
use pv_guests::{Outcome, StartInfo, check, check_eq, guest, hypercall, must, with_argument};
use ring1::calls;

guest!(run);

fn run(_: &'static StartInfo) -> Outcome {
    let version = must(calls::xen_version(), "XENVER_version")?;
    check_eq!(version >> 16, 4, "major version");
    check_eq!(hypercall(XEN_VERSION, &[XENVER_PAGESIZE, 0]), 4096, "page size");
    for (command, length) in [
        (XENVER_EXTRAVERSION, XEN_EXTRAVERSION_LEN),
        (XENVER_CHANGESET, XEN_CHANGESET_INFO_LEN),
        (XENVER_COMMANDLINE, XEN_COMMANDLINE_LEN),
        (XENVER_CAPABILITIES, XEN_CAPABILITIES_INFO_LEN),
    ] {
        let mut buffer = [0xee_u8; 1100];
        check_eq!(with_argument(XEN_VERSION, command, &mut buffer), 0, "command {command}");
        let (text, rest) = buffer.split_at(length);
        check!(text.contains(&0), "text {command} does not end");
        check!(rest.iter().all(|byte| *byte == 0xee), "text {command} is longer than {length}");
    }
    let mut buffer = [0; 1024];
    let text = must(calls::xen_version_text(XENVER_CAPABILITIES, &mut buffer), "capabilities")?;
    check!(text.split(' ').any(|word| word == "xen-3.0-x86_32p"), "capabilities {text:?}");
    let mut start = 0u32;
    let result = with_argument(XEN_VERSION, XENVER_PLATFORM_PARAMETERS, &mut start);
    check_eq!(result, 0, "platform_parameters");
    check!(start >= 0xf580_0000 && start <= m2p(), "the hypervisor from {start:#x}");

    let mut features = FeatureInfo { submap_idx: 0, submap: 0 };
    check_eq!(with_argument(XEN_VERSION, XENVER_GET_FEATURES, &mut features), 0, "features 0");
    // Domain 0; page-table updates that preserve A and D; no writable or translated tables.
    let bits = features.submap;
    check_eq!(bits >> 5 & 1, 1, "mmu_pt_update_preserve_ad in {bits:#x}");
    check_eq!(bits & 0b111, 0, "writable tables, auto-translation in {bits:#x}");
    check_eq!(bits >> 11 & 1, 1, "dom0 in {bits:#x}");
    features = FeatureInfo { submap_idx: 1, submap: 7 };
    check!(with_argument(XEN_VERSION, XENVER_GET_FEATURES, &mut features) < 0, "features 1");
    let mut info = [0u8; 144];
    check_eq!(with_argument(XEN_VERSION, XENVER_COMPILE_INFO, &mut info), 0, "compile_info");
    for command in [11, 100, u32::MAX] {
        check_eq!(hypercall(XEN_VERSION, &[command, 0]), -38, "command {command}");
    }
    Ok(())
}
