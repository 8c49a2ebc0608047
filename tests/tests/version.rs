//! `xen_version`, `vm_assist`, `physdev_op`, `console_io`, debug registers.

use pv_abi::physdev::{PHYSDEVOP_EOI, PHYSDEVOP_SET_IOBITMAP, PHYSDEVOP_SET_IOPL};
use pv_abi::x86_32::PhysdevSetIobitmap;
use pv_abi::{console, features, hypercall as nr, version as v, vm_assist};
use pv_tests::guest::{Guest, Spec};

const EPERM: i64 = -1;
const E2BIG: i64 = -7;
const EFAULT: i64 = -14;
const ENODEV: i64 = -19;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const ENODATA: i64 = -61;
const NOWHERE: u64 = 0x1_0000;

fn unprivileged() -> Guest {
    Guest::with(Spec { id: 1, privileged: false, ..Spec::default() })
}

fn ask(guest: &mut Guest, command: u32, at: u64) -> i64 {
    guest.call(nr::XEN_VERSION, &[command.into(), at])
}

/// The text that a command copies out, and that the bytes after its field stay as they were.
fn text(guest: &mut Guest, command: u32, size: u64) -> String {
    let page = guest.page();
    guest.write(page.va, &[0xee_u8; 2048]);
    assert_eq!(ask(guest, command, page.va), 0);
    assert_eq!(guest.read::<u8>(page.va + size), 0xee, "no more than its field");
    let bytes: [u8; 2048] = guest.read(page.va);
    let end = bytes.iter().position(|b| *b == 0).expect("it ends");
    assert!(bytes[end..size as usize].iter().all(|b| *b == 0), "and nothing leaks after it");
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

#[test]
fn the_version_is_of_the_abi() {
    let mut guest = Guest::pv32();
    assert_eq!(ask(&mut guest, v::XENVER_VERSION, 0), 4 << 16 | 17);
    assert_eq!(ask(&mut guest, v::XENVER_PAGESIZE, 0), 4096);
    assert_eq!(ask(&mut guest, v::XENVER_PAGESIZE, 1), EINVAL);
    assert_eq!(text(&mut guest, v::XENVER_EXTRAVERSION, 16), ".0-ferrule");
    assert!(text(&mut guest, v::XENVER_CAPABILITIES, 1024).contains("xen-3.0-x86_32p"));
    text(&mut guest, v::XENVER_CHANGESET, 64);
    let page = guest.page();
    assert_eq!(ask(&mut guest, v::XENVER_COMPILE_INFO, page.va), 0);
    let info: v::CompileInfo = guest.read(page.va);
    assert_eq!((&info.compiler[..6], &info.compile_by[..8]), (&b"rustc "[..], &b"ferrule\0"[..]));
    assert_eq!(text(&mut guest, v::XENVER_GUEST_HANDLE, 16), "");
    *guest.domain().handle.lock() = *b"a handle of 16\0\0";
    assert_eq!(text(&mut guest, v::XENVER_GUEST_HANDLE, 16), "a handle of 16");
    assert_eq!(text(&mut guest, v::XENVER_COMMANDLINE, 1024), "");
    guest.sys.command_line.call_once(|| "noreboot loglvl=debug".try_into().unwrap());
    assert_eq!(text(&mut guest, v::XENVER_COMMANDLINE, 1024), "noreboot loglvl=debug");
    for command in [11, 99, u32::MAX] {
        assert_eq!(ask(&mut guest, command, 0), ENOSYS);
    }
}

#[test]
fn every_field_faults_where_there_is_no_memory() {
    let mut guest = Guest::pv32();
    for command in [1, 2, 3, 4, 5, 6, 8, 9] {
        assert_eq!(ask(&mut guest, command, NOWHERE), EFAULT, "{command}");
        assert_eq!(ask(&mut guest, command, 0xffff_fffe), EFAULT, "{command}");
        let read_only = guest.va_of(guest.root);
        assert_eq!(ask(&mut guest, command, read_only), EFAULT, "{command}");
    }
}

#[test]
fn the_hypervisors_part_begins_where_the_window_does() {
    let mut guest = Guest::pv32();
    let at = guest.arg(&[0u32, 0x1234_5678]);
    assert_eq!(ask(&mut guest, v::XENVER_PLATFORM_PARAMETERS, at), 0);
    assert_eq!(guest.read::<[u32; 2]>(at), [0xf580_0000, 0x1234_5678]);
}

#[test]
fn features_depend_on_the_domain() {
    let features = |guest: &mut Guest| {
        let at = guest.arg(&[0u32, 0]);
        assert_eq!(ask(guest, v::XENVER_GET_FEATURES, at), 0);
        guest.read::<u32>(at + 4)
    };
    let has = |word: u32, feature: u32| word >> feature & 1 != 0;
    let mut guest = Guest::pv32();
    let word = features(&mut guest);
    for on in [
        features::XENFEAT_MMU_PT_UPDATE_PRESERVE_AD,
        features::XENFEAT_HIGHMEM_ASSIST,
        features::XENFEAT_DOM0,
    ] {
        assert!(has(word, on), "{on}");
    }
    for off in [
        features::XENFEAT_WRITABLE_PAGE_TABLES,
        features::XENFEAT_WRITABLE_DESCRIPTOR_TABLES,
        features::XENFEAT_AUTO_TRANSLATED_PHYSMAP,
        features::XENFEAT_SUPERVISOR_MODE_KERNEL,
        features::XENFEAT_PAE_PGDIR_ABOVE_4GB,
    ] {
        assert!(!has(word, off), "{off}");
    }
    let bit = u64::from(vm_assist::VMASST_TYPE_PAE_EXTENDED_CR3);
    guest.call(nr::VM_ASSIST, &[vm_assist::VMASST_CMD_ENABLE.into(), bit]);
    assert!(has(features(&mut guest), features::XENFEAT_PAE_PGDIR_ABOVE_4GB));
    assert!(!has(features(&mut unprivileged()), features::XENFEAT_DOM0));
    let at = guest.arg(&[1u32, 0]);
    assert_eq!(ask(&mut guest, v::XENVER_GET_FEATURES, at), EINVAL);
}

#[test]
fn some_of_it_is_for_privileged_eyes() {
    let mut guest = unprivileged();
    let page = guest.page();
    assert_eq!(ask(&mut guest, v::XENVER_COMMANDLINE, page.va), 0);
    assert_eq!(&guest.read::<[u8; 9]>(page.va), b"<denied>\0");
    assert_eq!(ask(&mut guest, v::XENVER_BUILD_ID, 0), EPERM);
    assert_eq!(ask(&mut Guest::pv32(), v::XENVER_BUILD_ID, 0), ENODATA);
}

#[test]
fn assists_are_switched_one_by_one() {
    let mut guest = Guest::pv32();
    let enable = u64::from(vm_assist::VMASST_CMD_ENABLE);
    let disable = u64::from(vm_assist::VMASST_CMD_DISABLE);
    let of_both_widths = [
        vm_assist::VMASST_TYPE_4GB_SEGMENTS,
        vm_assist::VMASST_TYPE_4GB_SEGMENTS_NOTIFY,
        vm_assist::VMASST_TYPE_WRITABLE_PAGETABLES,
        vm_assist::VMASST_TYPE_PAE_EXTENDED_CR3,
        vm_assist::VMASST_TYPE_ARCHITECTURAL_IOPL,
        vm_assist::VMASST_TYPE_RUNSTATE_UPDATE_FLAG,
    ];
    for bit in of_both_widths.map(u64::from) {
        assert_eq!(guest.call(nr::VM_ASSIST, &[enable, bit]), 0);
        assert!(guest.domain().assists(bit as u32));
        assert_eq!(guest.call(nr::VM_ASSIST, &[disable, bit]), 0);
        assert!(!guest.domain().assists(bit as u32));
    }
    for bad in [6, 31, 32, 63, 64, 0xffff_ffff] {
        assert_eq!(guest.call(nr::VM_ASSIST, &[enable, bad]), EINVAL, "{bad}");
    }
    assert_eq!(guest.call(nr::VM_ASSIST, &[2, 0]), ENOSYS);
    assert_eq!(guest.call(nr::VM_ASSIST, &[2, 6]), EINVAL);
}

#[test]
fn the_console_takes_lines_of_any_length() {
    let mut guest = Guest::pv32();
    let write = u64::from(console::CONSOLEIO_WRITE);
    let text: Vec<u8> = (0..5000).map(|i| b'a' + (i % 26) as u8).collect();
    let at = guest.arg(text.as_slice());
    assert_eq!(guest.call(nr::CONSOLE_IO, &[write, 5000, at]), 0);
    assert_eq!(guest.machine().take_output().as_bytes(), text);
    assert!(guest.continuations > 0, "not all at once");
    for (count, calls) in [(0, 0), (1024, 0), (1025, 1)] {
        guest.continuations = 0;
        assert_eq!(guest.call(nr::CONSOLE_IO, &[write, count, at]), 0);
        assert_eq!(guest.machine().take_output().len() as u64, count);
        assert_eq!(guest.continuations, calls);
    }
    let end = guest.base + 4096 * guest.frames.len() as u64;
    assert_eq!(guest.call(nr::CONSOLE_IO, &[write, 256, end - 128]), EFAULT);
    assert_eq!(guest.machine().take_output().len(), 128, "what was readable");
    assert_eq!(guest.call(nr::CONSOLE_IO, &[write, 0xffff_ffff, 0xffff_fff0]), EFAULT);
    assert_eq!(guest.call(nr::CONSOLE_IO, &[2, 1, at]), ENOSYS);
    assert_eq!(unprivileged().call(nr::CONSOLE_IO, &[write, 1, at]), EPERM);
}

#[test]
fn the_console_gives_what_was_typed() {
    let mut guest = Guest::pv32();
    let read = u64::from(console::CONSOLEIO_READ);
    let at = guest.page().va;
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 16, at]), 0);
    guest.machine().type_in(b"hello");
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 2, at]), 2);
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 16, at + 2]), 3);
    assert_eq!(&guest.read::<[u8; 5]>(at), b"hello");
    guest.machine().type_in(b"more");
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 0, at]), 0);
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 4, NOWHERE]), EFAULT);
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 4, at]), 4, "nothing was lost");
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 0x8000_0000, at]), E2BIG);
    guest.machine().type_in(&[b'x'; 2000]);
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 2000, at]), 1024, "some now, more later");
    assert_eq!(guest.call(nr::CONSOLE_IO, &[read, 2000, at]), 976);
}

#[test]
fn io_privilege_is_set() {
    let mut guest = Guest::pv32();
    let iopl = u64::from(PHYSDEVOP_SET_IOPL);
    for level in 0..=4u32 {
        let at = guest.arg(&level);
        let expected = if level < 4 { 0 } else { EINVAL };
        assert_eq!(guest.call(nr::PHYSDEV_OP, &[iopl, at]), expected);
        assert_eq!(guest.enter(|ctx| ctx.state.iopl), level.min(3) as u8);
    }
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[iopl, NOWHERE]), EFAULT);
    let bitmap = u64::from(PHYSDEVOP_SET_IOBITMAP);
    for (address, ports, expected) in [
        (0xc000_0000, 65536, 0),
        (0, 0, 0),
        (0xc000_0000, 65537, EINVAL),
        (0xffff_e000, 1, 0),
        (0xffff_e001, 1, EINVAL),
    ] {
        let at = guest.arg(&PhysdevSetIobitmap { bitmap: address, nr_ports: ports, _pad: [] });
        assert_eq!(guest.call(nr::PHYSDEV_OP, &[bitmap, at]), expected, "{address:#x} {ports}");
    }
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[bitmap, NOWHERE]), EFAULT);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[PHYSDEVOP_EOI.into(), NOWHERE]), EFAULT);
    assert_eq!(guest.call(nr::PHYSDEV_OP, &[999, NOWHERE]), ENOSYS);
}

#[test]
fn debug_registers_are_checked() {
    let mut guest = Guest::pv32();
    let mut set = |n: u64, value: u64| guest.call(nr::SET_DEBUGREG, &[n, value]);
    for n in 0..4 {
        assert_eq!(set(n, 0xc000_0000 + n), 0);
        assert_eq!(set(n, 0xffff_ffff), 0);
    }
    assert_eq!(set(6, 0xffff_ffff), 0);
    assert_eq!(set(7, 0x2000), EPERM, "GD");
    assert_eq!(set(7, 0x2_0001), EPERM, "I/O");
    assert_eq!(set(7, 0xffff_d0ff & !0xaaaa_0000), 0);
    assert_eq!(set(8, 0), ENODEV);
    assert_eq!(set(0xffff_ffff, 0), ENODEV);
    let mut get = |n: u64| guest.call(nr::GET_DEBUGREG, &[n]);
    assert_eq!(get(0), -1);
    assert_eq!(get(6) as u32, 0xffff_efff);
    assert_eq!(get(4), get(6));
    assert_eq!(get(7) as u32, 0x5555_04ff);
    assert_eq!(get(5), get(7));
    assert_eq!(get(8), ENODEV);
    assert_eq!(guest.machine().this().debug_registers[7], 0x5555_04ff);
}
