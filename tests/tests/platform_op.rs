//! `platform_op`: each command through the real dispatch, for guests of both widths.

use std::sync::Arc;

use hypervisor::width::Width;
use pv_abi::errno::Errno;
use pv_abi::hypercall::PLATFORM_OP;
use pv_abi::platform::*;
use pv_tests::guest::{Guest, Spec};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

const EPERM: i64 = Errno::EPERM.to_ret();
const ESRCH: i64 = Errno::ESRCH.to_ret();
const ENXIO: i64 = Errno::ENXIO.to_ret();
const EACCES: i64 = Errno::EACCES.to_ret();
const EFAULT: i64 = Errno::EFAULT.to_ret();
const ENODEV: i64 = Errno::ENODEV.to_ret();
const EINVAL: i64 = Errno::EINVAL.to_ret();
const ENOSYS: i64 = Errno::ENOSYS.to_ret();
const EOPNOTSUPP: i64 = Errno::EOPNOTSUPP.to_ret();

fn both() -> impl Iterator<Item = Guest> {
    [Width::Pv32, Width::Pv64]
        .into_iter()
        .map(|width| Guest::with(Spec { width, vcpus: 2, ..Spec::default() }))
}

fn operation<T: IntoBytes + Immutable>(cmd: u32, structure: &T) -> PlatformOp {
    let mut op =
        PlatformOp { cmd, interface_version: XENPF_INTERFACE_VERSION, ..PlatformOp::new_zeroed() };
    let bytes = structure.as_bytes();
    op.u[..bytes.len()].copy_from_slice(bytes);
    op
}

fn call<T: IntoBytes + Immutable + FromBytes>(
    guest: &mut Guest,
    cmd: u32,
    structure: &T,
) -> (i64, T) {
    let at = guest.arg(&operation(cmd, structure));
    let result = guest.call(PLATFORM_OP, &[at]);
    let op: PlatformOp = guest.read(at);
    (result, T::read_from_prefix(&op.u).expect("it fits").0)
}

#[test]
fn who_asks_and_how() {
    let zero = Guest::pv32();
    let mut one =
        Guest::on(Arc::clone(&zero.sys), Spec { id: 1, privileged: false, ..Spec::default() });
    let time = Settime32 { secs: 1, nsecs: 2, system_time: 3 };
    assert_eq!(call(&mut one, XENPF_SETTIME32, &time).0, EPERM);
    let mut op = operation(XENPF_SETTIME32, &time);
    op.interface_version -= 1;
    let at = one.arg(&op);
    assert_eq!(one.call(PLATFORM_OP, &[at]), EACCES, "before privilege is asked for");
    assert_eq!(one.call(PLATFORM_OP, &[0x10_0000]), EFAULT);
}

/// The wall clock in the shared page: version, seconds, nanoseconds.
fn wallclock(guest: &Guest) -> (u32, u32, u32) {
    use hypervisor::platform::FrameAccess;
    use std::sync::atomic::Ordering;
    let at = match guest.domain().width() {
        Width::Pv32 => core::mem::offset_of!(pv_abi::x86_32::SharedInfo, wc_version),
        Width::Pv64 => core::mem::offset_of!(pv_abi::x86_64::SharedInfo, wc_version),
    };
    let words = guest.machine().half_words(guest.domain().shared_info);
    let word = |i: usize| words[at / 4 + i].load(Ordering::Relaxed);
    (word(0), word(1), word(2))
}

#[test]
fn setting_the_time_tells_every_domain() {
    for width in [Width::Pv32, Width::Pv64] {
        let mut zero = Guest::with(Spec { width, ..Spec::default() });
        let other = match width {
            Width::Pv32 => Width::Pv64,
            Width::Pv64 => Width::Pv32,
        };
        let one = Guest::on(
            Arc::clone(&zero.sys),
            Spec { id: 1, privileged: false, width: other, ..Spec::default() },
        );
        zero.load();
        // At system time 3.5 s it was 2001-09-09 and a quarter of a second.
        let time = Settime64 {
            secs: 1_000_000_000,
            nsecs: 250_000_000,
            mbz: 0,
            system_time: 3_500_000_000,
        };
        assert_eq!(call(&mut zero, XENPF_SETTIME64, &time).0, 0);
        for guest in [&zero, &one] {
            let (version, seconds, ns) = wallclock(guest);
            assert_eq!((version & 1, seconds, ns), (0, 999_999_996, 750_000_000));
        }
        let before = wallclock(&one).0;
        let time = Settime32 { secs: 7, nsecs: 0, system_time: 0 };
        assert_eq!(call(&mut zero, XENPF_SETTIME32, &time).0, 0);
        let (version, seconds, ns) = wallclock(&one);
        assert_eq!((version, seconds, ns), (before + 2, 7, 0));
        let wrong = Settime64 { secs: 1, nsecs: 0, mbz: 1, system_time: 0 };
        assert_eq!(call(&mut zero, XENPF_SETTIME64, &wrong).0, EINVAL);
        assert_eq!(wallclock(&one).1, 7);
        // Nonsense is believed, and wraps.
        let far = Settime64 { secs: u64::MAX, nsecs: u32::MAX, mbz: 0, system_time: u64::MAX };
        assert_eq!(call(&mut zero, XENPF_SETTIME64, &far).0, 0);
    }
}

#[test]
fn cpus_are_described() {
    for mut guest in both() {
        let ask = |xen_cpuid| Pcpuinfo { xen_cpuid, apic_id: 77, ..Pcpuinfo::new_zeroed() };
        let (result, cpu) = call(&mut guest, XENPF_GET_CPUINFO, &ask(1));
        let flags = XEN_PCPU_FLAGS_ONLINE;
        let want = Pcpuinfo { xen_cpuid: 1, max_present: 1, flags, apic_id: 1, acpi_id: 0x81 };
        assert_eq!((result, cpu), (0, want));
        for none in [2, u32::MAX] {
            let (result, cpu) = call(&mut guest, XENPF_GET_CPUINFO, &ask(none));
            assert_eq!((result, cpu.flags, cpu.max_present), (0, XEN_PCPU_FLAGS_INVALID, 1));
            assert_eq!(cpu.apic_id, 77, "left alone");
        }
        let ask = |xen_cpuid| PcpuVersion { xen_cpuid, family: 9, ..PcpuVersion::new_zeroed() };
        guest.machine().this().cpuid.insert((1, 0), [0x0003_06d4, 0, 0, 0]);
        let (result, cpu) = call(&mut guest, XENPF_GET_CPU_VERSION, &ask(0));
        assert_eq!((result, cpu.max_present, &cpu.vendor_id), (0, 1, b"GenuineIntel"));
        assert_eq!((cpu.family, cpu.model, cpu.stepping), (6, 0x3d, 4), "a Broadwell");
        let (result, cpu) = call(&mut guest, XENPF_GET_CPU_VERSION, &ask(2));
        assert_eq!((result, cpu.vendor_id, cpu.family), (0, [0; 12], 0));
    }
}

#[test]
fn cpus_stay_as_they_are() {
    let mut guest = Guest::with(Spec { vcpus: 2, ..Spec::default() });
    assert_eq!(call(&mut guest, XENPF_CPU_ONLINE, &CpuOl { cpuid: 1 }).0, 0);
    assert_eq!(call(&mut guest, XENPF_CPU_ONLINE, &CpuOl { cpuid: 2 }).0, EINVAL);
    assert_eq!(call(&mut guest, XENPF_CPU_OFFLINE, &CpuOl { cpuid: 0 }).0, EOPNOTSUPP);
    assert_eq!(call(&mut guest, XENPF_CPU_OFFLINE, &CpuOl { cpuid: 1 }).0, EOPNOTSUPP);
    assert_eq!(call(&mut guest, XENPF_CPU_OFFLINE, &CpuOl { cpuid: u32::MAX }).0, EINVAL);
    assert_eq!(call(&mut guest, XENPF_CPU_HOTADD, &CpuHotadd::new_zeroed()).0, ENOSYS);
    assert_eq!(call(&mut guest, XENPF_MEM_HOTADD, &MemHotadd::new_zeroed()).0, ENOSYS);
    let park = |r#type, idle_nums| CoreParking { r#type, idle_nums };
    assert_eq!(call(&mut guest, XENPF_CORE_PARKING, &park(XEN_CORE_PARKING_SET, 0)).0, 0);
    assert_eq!(call(&mut guest, XENPF_CORE_PARKING, &park(XEN_CORE_PARKING_SET, 1)).0, EOPNOTSUPP);
    let (result, told) = call(&mut guest, XENPF_CORE_PARKING, &park(XEN_CORE_PARKING_GET, 9));
    assert_eq!((result, told.idle_nums), (0, 0));
    assert_eq!(call(&mut guest, XENPF_CORE_PARKING, &park(3, 0)).0, EINVAL);
}

#[test]
fn what_the_machine_lacks_is_refused() {
    let mut guest = Guest::pv32();
    for (cmd, errno) in [
        (XENPF_ADD_MEMTYPE, ENXIO),
        (XENPF_DEL_MEMTYPE, ENXIO),
        (XENPF_READ_MEMTYPE, EINVAL),
        (XENPF_MICROCODE_UPDATE, EINVAL),
        (XENPF_ENTER_ACPI_SLEEP, EPERM),
        (XENPF_GET_SYMBOL, EOPNOTSUPP),
        (XENPF_EFI_RUNTIME_CALL, ENOSYS),
        (XENPF_CHANGE_FREQ, ENOSYS),
        (XENPF_GETIDLETIME, ENOSYS),
        (0, ENOSYS),
        (u32::MAX, ENOSYS),
    ] {
        assert_eq!(call(&mut guest, cmd, &[0u32; 8]).0, errno, "{cmd}");
    }
    for (kind, errno) in [
        (XEN_FW_DISK_INFO, ESRCH),
        (XEN_FW_DISK_MBR_SIGNATURE, ESRCH),
        (XEN_FW_VBEDDC_INFO, ESRCH),
        (XEN_FW_KBD_SHIFT_FLAGS, ESRCH),
        (XEN_FW_EFI_INFO, ENOSYS),
        (0, EINVAL),
        (6, EINVAL),
    ] {
        assert_eq!(call(&mut guest, XENPF_FIRMWARE_INFO, &[kind, 0]).0, errno, "{kind}");
    }
    for kind in [XEN_PM_CX, XEN_PM_PX, XEN_PM_TX, XEN_PM_PDC] {
        assert_eq!(call(&mut guest, XENPF_SET_PROCESSOR_PMINFO, &[0, kind]).0, ENOSYS);
    }
    assert_eq!(call(&mut guest, XENPF_SET_PROCESSOR_PMINFO, &[0, 9]).0, EINVAL);
    for quirk_id in [QUIRK_NOIRQBALANCING, QUIRK_IOAPIC_BAD_REGSEL, QUIRK_IOAPIC_GOOD_REGSEL] {
        assert_eq!(call(&mut guest, XENPF_PLATFORM_QUIRK, &PlatformQuirk { quirk_id }).0, 0);
    }
    assert_eq!(call(&mut guest, XENPF_PLATFORM_QUIRK, &PlatformQuirk { quirk_id: 4 }).0, EINVAL);
}

#[test]
fn of_registers_the_time_can_be_read() {
    for mut guest in both() {
        guest.machine().advance_ns(12_345);
        let wide = guest.domain().width() == Width::Pv64;
        let run = |guest: &mut Guest, cpu: u32, entries: &[ResourceEntry]| {
            let array = guest.arg(entries);
            let handle =
                if wide { [array as u32, (array >> 32) as u32] } else { [array as u32, 0] };
            let op = [entries.len() as u32, cpu, handle[0], handle[1]];
            let (result, _) = call(guest, XENPF_RESOURCE_OP, &op);
            let back =
                (0..entries.len() as u64).map(|i| guest.read::<ResourceEntry>(array + i * 24));
            (result, back.collect::<Vec<_>>())
        };
        let read = |idx| ResourceEntry { cmd: XEN_RESOURCE_OP_MSR_READ, rsvd: 0, idx, val: 0 };
        let (result, back) = run(&mut guest, 1, &[read(0x10), read(0x10)]);
        assert_eq!((result, back[0].val, back[1].val), (2, 12_345, 12_345));
        let (result, back) = run(&mut guest, 0, &[read(0x10), read(0x1b)]);
        assert_eq!((result, back[1].cmd as i32), (1, EPERM as i32));
        let write = ResourceEntry { cmd: XEN_RESOURCE_OP_MSR_WRITE, ..read(0x10) };
        for (entry, errno) in [
            (write, EPERM),
            (ResourceEntry { rsvd: 1, ..read(0x10) }, EINVAL),
            (read(1 << 32 | 0x10), EINVAL),
            (ResourceEntry { cmd: 9, ..read(0x10) }, EOPNOTSUPP),
        ] {
            let (result, back) = run(&mut guest, 0, &[entry]);
            assert_eq!((result, back[0].cmd as i32), (0, errno as i32));
            assert_eq!(run(&mut guest, 9, &[entry]).0, 0, "before the CPU is looked at");
        }
        assert_eq!(run(&mut guest, 2, &[read(0x10)]).0, ENODEV);
        assert_eq!(run(&mut guest, 0, &[]).0, 0);
        assert_eq!(run(&mut guest, 0, &[read(0x10); 3]).0, EINVAL);
        let nowhere = [1, 0, 0x10_0000, 0];
        assert_eq!(call(&mut guest, XENPF_RESOURCE_OP, &nowhere).0, EFAULT);
    }
}
