//! `platform_op(op)`: hardware platform operations of domain 0. The basics:
//! all commands, and the structures for the clock and for CPUs.

layouts! { in "platform.h";
    /// The argument: a command and room for its structure.
    struct PlatformOp("struct xen_platform_op", 136) {
        /// IN: one of `XENPF_*`.
        cmd: u32,
        /// IN: [`XENPF_INTERFACE_VERSION`], else `-EACCES`.
        interface_version: u32,
        /// IN and OUT: the command's structure.
        u: [u8; 128] => [
            "u", "u.settime32", "u.settime64", "u.platform_quirk", "u.pcpu_info", "u.pcpu_version",
            "u.cpu_ol", "u.cpu_add", "u.mem_add", "u.core_parking", "u.change_freq",
            "u.resource_op", "u.firmware_info", "u.set_pminfo"
        ],
    }

    /// Argument of [`XENPF_SETTIME32`]: the wall clock at a system time.
    struct Settime32("struct xenpf_settime32", 16) {
        /// IN: seconds since 1970.
        secs: u32,
        /// IN: nanoseconds.
        nsecs: u32,
        /// IN: system time in nanoseconds.
        system_time: u64,
    }

    /// Argument of [`XENPF_SETTIME64`]: the wall clock at a system time.
    struct Settime64("struct xenpf_settime64", 24) {
        /// IN: seconds since 1970.
        secs: u64,
        /// IN: nanoseconds.
        nsecs: u32,
        /// IN: zero.
        mbz: u32,
        /// IN: system time in nanoseconds.
        system_time: u64,
    }

    /// Argument of [`XENPF_PLATFORM_QUIRK`].
    struct PlatformQuirk("struct xenpf_platform_quirk", 4) {
        /// IN: `QUIRK_*`.
        quirk_id: u32,
    }

    /// Argument of [`XENPF_CHANGE_FREQ`].
    struct ChangeFreq("struct xenpf_change_freq", 16) {
        /// IN: zero.
        flags: u32,
        /// IN: physical CPU.
        cpu: u32,
        /// IN: its new frequency in Hz.
        freq: u64,
    }

    /// Argument of [`XENPF_GET_CPUINFO`].
    struct Pcpuinfo("struct xenpf_pcpuinfo", 20) {
        /// IN: physical CPU.
        xen_cpuid: u32,
        /// OUT: highest CPU that is present.
        max_present: u32,
        /// OUT: `XEN_PCPU_FLAGS_*`.
        flags: u32,
        /// OUT: APIC id.
        apic_id: u32,
        /// OUT: ACPI id.
        acpi_id: u32,
    }

    /// Argument of [`XENPF_GET_CPU_VERSION`].
    struct PcpuVersion("struct xenpf_pcpu_version", 32) {
        /// IN: physical CPU.
        xen_cpuid: u32,
        /// OUT: highest CPU that is present.
        max_present: u32,
        /// OUT: vendor, not terminated.
        vendor_id: [u8; 12],
        /// OUT: family.
        family: u32,
        /// OUT: model.
        model: u32,
        /// OUT: stepping.
        stepping: u32,
    }

    /// Argument of [`XENPF_CPU_ONLINE`] and [`XENPF_CPU_OFFLINE`].
    struct CpuOl("struct xenpf_cpu_ol", 4) {
        /// IN: physical CPU.
        cpuid: u32,
    }

    /// Argument of [`XENPF_CPU_HOTADD`].
    struct CpuHotadd("struct xenpf_cpu_hotadd", 12) {
        /// IN: APIC id.
        apic_id: u32,
        /// IN: ACPI id.
        acpi_id: u32,
        /// IN: proximity domain.
        pxm: u32,
    }

    /// Argument of [`XENPF_MEM_HOTADD`].
    struct MemHotadd("struct xenpf_mem_hotadd", 24) {
        /// IN: first frame.
        spfn: u64,
        /// IN: frame after the last.
        epfn: u64,
        /// IN: proximity domain.
        pxm: u32,
        /// IN: flags; the header names none.
        flags: u32,
    }

    /// An element of the array that [`XENPF_RESOURCE_OP`] names.
    struct ResourceEntry("struct xenpf_resource_entry", 24) {
        /// IN: `XEN_RESOURCE_OP_*`; OUT: of the one that failed, a negative errno.
        cmd: u32 => ["u", "u.cmd", "u.ret"],
        /// IN: zero.
        rsvd: u32,
        /// IN: which one.
        idx: u64,
        /// IN or OUT: what is in it.
        val: u64,
    }

    /// Argument of [`XENPF_CORE_PARKING`].
    struct CoreParking("struct xenpf_core_parking", 8) {
        /// IN: `XEN_CORE_PARKING_*`.
        r#type: u32 => ["type"],
        /// IN or OUT: number of CPUs that idle.
        idle_nums: u32,
    }
}

constants! { in "platform.h";
    /// Version that every operation carries.
    XENPF_INTERFACE_VERSION: u32 = 0x0300_0001;
    /// Sets the wall clock; 32-bit seconds.
    XENPF_SETTIME32: u32 = 17 => "XENPF_settime32";
    /// Adds a memory type (MTRR).
    XENPF_ADD_MEMTYPE: u32 = 31 => "XENPF_add_memtype";
    /// Takes a memory type away.
    XENPF_DEL_MEMTYPE: u32 = 32 => "XENPF_del_memtype";
    /// Tells a memory type.
    XENPF_READ_MEMTYPE: u32 = 33 => "XENPF_read_memtype";
    /// Loads microcode.
    XENPF_MICROCODE_UPDATE: u32 = 35 => "XENPF_microcode_update";
    /// Tells of a quirk.
    XENPF_PLATFORM_QUIRK: u32 = 39 => "XENPF_platform_quirk";
    /// Tells a CPU's version.
    XENPF_GET_CPU_VERSION: u32 = 48 => "XENPF_get_cpu_version";
    /// Calls an EFI runtime service.
    XENPF_EFI_RUNTIME_CALL: u32 = 49 => "XENPF_efi_runtime_call";
    /// Tells what the firmware told.
    XENPF_FIRMWARE_INFO: u32 = 50 => "XENPF_firmware_info";
    /// Puts the machine to sleep or off.
    XENPF_ENTER_ACPI_SLEEP: u32 = 51 => "XENPF_enter_acpi_sleep";
    /// Changes a CPU's frequency.
    XENPF_CHANGE_FREQ: u32 = 52 => "XENPF_change_freq";
    /// Tells idle times of CPUs.
    XENPF_GETIDLETIME: u32 = 53 => "XENPF_getidletime";
    /// Passes on ACPI power management tables.
    XENPF_SET_PROCESSOR_PMINFO: u32 = 54 => "XENPF_set_processor_pminfo";
    /// Tells a CPU's ids and state.
    XENPF_GET_CPUINFO: u32 = 55 => "XENPF_get_cpuinfo";
    /// Brings a CPU up.
    XENPF_CPU_ONLINE: u32 = 56 => "XENPF_cpu_online";
    /// Takes a CPU down.
    XENPF_CPU_OFFLINE: u32 = 57 => "XENPF_cpu_offline";
    /// Adds a CPU.
    XENPF_CPU_HOTADD: u32 = 58 => "XENPF_cpu_hotadd";
    /// Adds memory.
    XENPF_MEM_HOTADD: u32 = 59 => "XENPF_mem_hotadd";
    /// Sets or tells how many CPUs idle.
    XENPF_CORE_PARKING: u32 = 60 => "XENPF_core_parking";
    /// Reads and writes model specific registers.
    XENPF_RESOURCE_OP: u32 = 61 => "XENPF_resource_op";
    /// Sets the wall clock; 64-bit seconds.
    XENPF_SETTIME64: u32 = 62 => "XENPF_settime64";
    /// Tells the hypervisor's symbols.
    XENPF_GET_SYMBOL: u32 = 63 => "XENPF_get_symbol";
    /// Firmware: a disk's parameters.
    XEN_FW_DISK_INFO: u32 = 1;
    /// Firmware: a disk's signature.
    XEN_FW_DISK_MBR_SIGNATURE: u32 = 2;
    /// Firmware: the monitor's EDID.
    XEN_FW_VBEDDC_INFO: u32 = 3;
    /// Firmware: of EFI.
    XEN_FW_EFI_INFO: u32 = 4;
    /// Firmware: the keyboard's shift keys.
    XEN_FW_KBD_SHIFT_FLAGS: u32 = 5;
    /// Power management: idle states.
    XEN_PM_CX: u32 = 0;
    /// Power management: frequencies.
    XEN_PM_PX: u32 = 1;
    /// Power management: throttling.
    XEN_PM_TX: u32 = 2;
    /// Power management: what the operating system can do.
    XEN_PM_PDC: u32 = 3;
    /// Resource: read a model specific register.
    XEN_RESOURCE_OP_MSR_READ: u32 = 0;
    /// Resource: write one.
    XEN_RESOURCE_OP_MSR_WRITE: u32 = 1;
    /// Quirk: do not restrict the targets of I/O APIC entries.
    QUIRK_NOIRQBALANCING: u32 = 1;
    /// Quirk: the I/O APIC forgets its register select.
    QUIRK_IOAPIC_BAD_REGSEL: u32 = 2;
    /// Quirk: it does not.
    QUIRK_IOAPIC_GOOD_REGSEL: u32 = 3;
    /// The CPU is up.
    XEN_PCPU_FLAGS_ONLINE: u32 = 1;
    /// There is no such CPU.
    XEN_PCPU_FLAGS_INVALID: u32 = 2;
    /// Core parking: set.
    XEN_CORE_PARKING_SET: u32 = 1;
    /// Core parking: tell.
    XEN_CORE_PARKING_GET: u32 = 2;
}
