//! What domain 0 finds at its first instruction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hypervisor::mm::frame::{Owner, Type};
use hypervisor::platform::{FrameAccess, GuestAccess, Mmu};
use hypervisor::system::System;
use pv_abi::elfnote as note;
use pv_abi::start_info::{SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED};
use pv_abi::types::{DomId, Mfn, VcpuId};
use pv_abi::x86_32::StartInfo;
use pv_tests::check;
use pv_tests::elf::KernelElf;
use pv_tests::machine::FakeMachine;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::{Request, build, request};

const BASES: [u32; 2] = [0xc000_0000, 0x8000_0000];

/// Domain 0, seen through its own page tables.
struct Built {
    sys: Arc<System<FakeMachine>>,
    info: StartInfo,
    info_at: u64,
}

impl Built {
    /// Builds from `kernel`; all else is as `wanted` says.
    fn new(kernel: &KernelElf, wanted: Request<'_>) -> Built {
        let sys = pv_tests::boot::system(4096, 2);
        // Old contents everywhere: what the kernel relies on must have been zeroed.
        for mfn in 100..4096 {
            for word in sys.platform.words(Mfn::new(mfn)) {
                word.store(0x5555_5555_5555_5555, Ordering::Relaxed);
            }
        }
        let file = kernel.file();
        build(&sys, &Request { kernel: &file, ..wanted }).unwrap_or_else(|error| panic!("{error}"));
        check::invariants(&sys);
        let info_at = {
            let domain = sys.domain(DomId::new(0)).expect("it was built");
            let state = domain.vcpu(VcpuId::new(0)).expect("it has a vCPU").state.lock();
            let slot = &sys.platform.words(state.l4)[0];
            slot.store(state.root.raw() << 12 | 0x67, Ordering::Relaxed);
            sys.platform.load_root(state.l4);
            state.regs.rsi
        };
        let mut built = Built { sys, info: StartInfo::new_zeroed(), info_at };
        built.info = built.read(info_at);
        built
    }

    fn read<T: FromBytes + IntoBytes>(&self, va: u64) -> T {
        let mut value = T::new_zeroed();
        self.sys.platform.copy_from_guest(va, value.as_mut_bytes()).expect("it is mapped");
        value
    }

    fn bytes(&self, va: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.sys.platform.copy_from_guest(va, &mut bytes).expect("it is mapped");
        bytes
    }

    fn mfn_at(&self, va: u64) -> u64 {
        self.sys.platform.walk(va, false).expect("it is mapped").mfn.raw()
    }
}

#[test]
fn the_start_info_is_xens() {
    for base in BASES {
        let built = Built::new(
            &KernelElf::pv32(base),
            Request { command_line: b"console=hvc0 quiet", vcpus: 2, ..request(&[]) },
        );
        let info = &built.info;
        assert_eq!(&info.magic[..16], b"xen-3.0-x86_32p\0");
        assert_eq!(info.flags, SIF_PRIVILEGED | SIF_INITDOMAIN);
        assert_eq!(&info.cmd_line[..19], b"console=hvc0 quiet\0");
        assert_eq!((info.mod_start, info.mod_len), (0, 0));
        assert_eq!((info.first_p2m_pfn, info.nr_p2m_frames), (0, 0));
        let domain = built.sys.domain(DomId::new(0)).expect("it was built");
        assert_eq!(domain.pages.load(Ordering::Relaxed), info.nr_pages);
        assert_eq!(u64::from(info.shared_info), domain.shared_info.raw() << 12);
        assert_eq!(domain.vcpus().count(), 2);
        assert!(u64::from(info.nr_pages) > 3500, "most of the 4096 frames: {}", info.nr_pages);
        assert!(super::free(&built.sys) >= 100, "something is left for the hypervisor");
    }
}

#[test]
fn the_registers_are_xens() {
    let built = Built::new(&KernelElf::pv32(0xc000_0000), request(&[]));
    let domain = built.sys.domain(DomId::new(0)).expect("it was built");
    let vcpu = domain.vcpu(VcpuId::new(0)).expect("it has a vCPU");
    let state = vcpu.state.lock();
    assert_eq!(state.regs.rip, 0xc010_0010);
    assert_eq!((state.regs.cs, state.regs.ss), (0xe019, 0xe021));
    assert_eq!(state.segments, [0xe021; 4]);
    assert_eq!(state.regs.rflags, 0x202);
    assert_eq!(state.regs.rsi, built.info_at);
    let tables = u64::from(built.info.pt_base);
    let stack_top = tables + u64::from(built.info.nr_pt_frames) * 4096 + 4096;
    assert_eq!(state.regs.rsp, stack_top);
    assert_eq!((state.kernel_ss, state.kernel_sp), (0xe021, stack_top));
    assert!(vcpu.upcall_masked(&built.sys.platform), "no upcalls at first");
    assert_eq!(built.bytes(stack_top - 4096, 4096), vec![0; 4096], "a clean stack");
    assert!(vcpu.run.is_up());
}

#[test]
fn both_clocks_run_from_the_first_instruction() {
    let built = Built::new(&KernelElf::pv32(0xc000_0000), request(&[]));
    let domain = built.sys.domain(DomId::new(0)).expect("it was built");
    let words = built.sys.platform.half_words(domain.shared_info);
    let word = |at: usize| words[at / 4].load(Ordering::Relaxed);
    assert_eq!(word(2048 + 2 * 128), 2, "the wall clock has been written once");
    assert_eq!(word(32), 2, "so has system time of vCPU 0");
    assert_ne!(word(32 + 24), 0, "guests divide by its multiplier");
}

#[test]
fn upcalls_are_masked_for_all_vcpus_of_the_shared_info() {
    let built = Built::new(&KernelElf::pv32(0xc000_0000), request(&[]));
    let shared = built.sys.domain(DomId::new(0)).expect("it was built").shared_info;
    let bytes = built.sys.platform.bytes(shared);
    for vcpu in 0..32 {
        assert_eq!(bytes[64 * vcpu + 1].load(Ordering::Relaxed), 1, "vCPU {vcpu}");
    }
}

#[test]
fn the_kernel_is_where_it_wants_to_be_and_its_bss_is_zero() {
    for base in BASES {
        let kernel = KernelElf::pv32(base);
        let built = Built::new(&kernel, request(&[]));
        let base = u64::from(base);
        assert_eq!(built.bytes(base + 0x10_1000, 0xffd), kernel.segments[1].data);
        // To the end of the page that bss ends in.
        assert_eq!(built.bytes(base + 0x10_1ffd, 0x2003), vec![0; 0x2003]);
        let stub: [u8; 10] = built.read(base + 0x10_0000 + 17 * 32);
        assert_eq!(stub, [0xb8, 17, 0, 0, 0, 0xcd, 0x82, 0xc3, 0xcc, 0xcc]);
    }
}

#[test]
fn without_a_note_the_hypercall_page_is_the_kernels_own() {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    kernel.remove(note::XEN_ELFNOTE_HYPERCALL_PAGE);
    let built = Built::new(&kernel, request(&[]));
    assert_eq!(built.bytes(0xc010_0000, 0x1000), kernel.segments[0].data);
}

#[test]
fn p2m_and_m2p_agree_for_every_page() {
    for base in BASES {
        let built = Built::new(&KernelElf::pv32(base), request(&[]));
        for pfn in 0..built.info.nr_pages {
            let mfn: u32 = built.read(u64::from(built.info.mfn_list) + 4 * u64::from(pfn));
            assert_eq!(built.sys.memory.m2p(Mfn::new(mfn.into())), u64::from(pfn));
            assert_eq!(built.read::<u32>(0xf580_0000 + 4 * u64::from(mfn)), pfn);
            let frame = built.sys.memory.frame(Mfn::new(mfn.into())).expect("a frame");
            assert_eq!(frame.owner(), Owner::Domain(DomId::new(0)));
        }
    }
}

#[test]
fn all_is_mapped_in_order_up_to_4_mib_and_page_tables_read_only() {
    for base in BASES {
        let built = Built::new(&KernelElf::pv32(base), request(&[]));
        let base = u64::from(base);
        let tables = u64::from(built.info.pt_base);
        let tables = tables..tables + 4096 * u64::from(built.info.nr_pt_frames);
        let mut kinds = Vec::new();
        for pfn in 0..1024_u64 {
            let va = base + pfn * 4096;
            let mfn = built.mfn_at(va);
            let listed: u32 = built.read(u64::from(built.info.mfn_list) + 4 * pfn);
            assert_eq!(mfn, u64::from(listed));
            let writable = built.sys.platform.walk(va, true).is_ok();
            assert_eq!(writable, !tables.contains(&va), "{va:#x}");
            if !writable {
                kinds.push(built.sys.memory.frame(Mfn::new(mfn)).expect("a frame").load().kind());
            }
        }
        assert!(built.sys.platform.walk(base + 1024 * 4096, false).is_err(), "the end");
        let expected: &[Type] = match base {
            0xc000_0000 => &[Type::L3, Type::L2Top, Type::L1, Type::L1],
            _ => &[Type::L3, Type::L2, Type::L2Top, Type::L1, Type::L1],
        };
        assert_eq!(kinds, expected);
        let root = built.mfn_at(u64::from(built.info.pt_base));
        let word = built.sys.memory.frame(Mfn::new(root)).expect("a frame").load();
        assert!(word.pinned());
        assert_eq!(word.type_count(), 2, "the pin and vCPU 0");
    }
}

#[test]
fn an_initrd_is_mapped_behind_the_kernel() {
    let initrd: Vec<u8> = (0..10_001_u32).map(|i| (i * 7) as u8).collect();
    let built =
        Built::new(&KernelElf::pv32(0xc000_0000), Request { initrd: &initrd, ..request(&[]) });
    assert_eq!(built.info.mod_start, 0xc010_4000);
    assert_eq!(built.info.mod_len, 10_001);
    assert_eq!(built.bytes(0xc010_4000, initrd.len()), initrd);
    assert_eq!(built.bytes(0xc010_4000 + 10_001, 2287), vec![0; 2287], "the rest of its page");
}

#[test]
fn an_initrd_can_be_passed_unmapped() {
    let initrd = vec![0xa5; 5 << 20];
    let mut kernel = KernelElf::pv32(0xc000_0000);
    kernel.set_number(note::XEN_ELFNOTE_MOD_START_PFN, 1);
    let built = Built::new(&kernel, Request { initrd: &initrd, ..request(&[]) });
    assert_eq!(built.info.flags & SIF_MOD_START_PFN, SIF_MOD_START_PFN);
    assert_eq!(built.info.mod_start, 1024, "behind the 4 MiB that are mapped");
    assert_eq!(built.info.mod_len, 5 << 20);
    for pfn in [1024, 1024 + 1279] {
        let mfn: u32 = built.read(u64::from(built.info.mfn_list) + 4 * pfn);
        let word = built.sys.platform.words(Mfn::new(mfn.into()))[511].load(Ordering::Relaxed);
        assert_eq!(word, 0xa5a5_a5a5_a5a5_a5a5);
    }
}

#[test]
fn a_large_initrd_takes_more_page_tables() {
    let initrd = vec![0x11; 9 << 20];
    let built =
        Built::new(&KernelElf::pv32(0x8000_0000), Request { initrd: &initrd, ..request(&[]) });
    assert_eq!(built.info.nr_pt_frames, 1 + 2 + 6, "12 MiB");
    assert_eq!(built.bytes(u64::from(built.info.mod_start) + (9 << 20) - 4, 4), [0x11; 4]);
}

#[test]
fn dom0_mem_decides_the_size() {
    let built = Built::new(
        &KernelElf::pv32(0xc000_0000),
        Request { memory_bytes: Some(6 << 20), ..request(&[]) },
    );
    assert_eq!(built.info.nr_pages, 1536);
    let built = Built::new(
        &KernelElf::pv32(0xc000_0000),
        Request { memory_bytes: Some(1 << 30), ..request(&[]) },
    );
    assert!(built.info.nr_pages < 4096, "as much as there is");
}

#[test]
fn an_older_kernel_says_it_in_a_section() {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    kernel.notes.clear();
    for segment in &mut kernel.segments {
        segment.address += 0xc000_0000;
    }
    kernel.xen_guest = Some(
        "GUEST_OS=old,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,HYPERCALL_PAGE=0x101,LOADER=generic,PAE=yes"
            .into(),
    );
    let built = Built::new(&kernel, request(&[]));
    let stub: [u8; 6] = built.read(0xc010_1000 + 29 * 32);
    assert_eq!(stub, [0xb8, 29, 0, 0, 0, 0xcd]);
    let domain = built.sys.domain(DomId::new(0)).expect("it was built");
    let state = domain.vcpu(VcpuId::new(0)).expect("it has a vCPU").state.lock();
    assert_eq!(state.regs.rip, 0xc010_0010, "e_entry");
}

#[test]
fn segments_need_not_lie_on_pages() {
    let mut kernel = KernelElf::pv32(0xc000_0000);
    kernel.segments[0].memory_size = 0x1003;
    kernel.segments[1].address = 0x10_1005;
    let built = Built::new(&kernel, request(&[]));
    assert_eq!(built.bytes(0xc010_1005, 0xffd), kernel.segments[1].data);
    assert_eq!(built.bytes(0xc010_1000, 3), [0; 3]);
    assert_eq!(built.bytes(0xc010_2002, 0x1803), vec![0; 0x1803]);
}
