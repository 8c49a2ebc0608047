//! Every key of xl.cfg(5), and what becomes of it here.
//!
//! A file that runs with Xen should run here, or be told why not: what only concerns HVM domains or
//! a device model has no effect, and a warning says so; what a domain could not do without (a boot
//! loader, a PCI device) is refused.

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// It counts.
    Used,
    /// It says what is so here in any case.
    Idle,
    /// It has no effect, and a warning says why, in words that follow "has no effect: ".
    Ignored(&'static str),
    /// The domain is refused, in words that follow "cannot be had: ".
    Refused(&'static str),
}

const HVM: Use = Use::Ignored("it is about HVM domains");
const MODEL: Use = Use::Ignored("there is no device model");
const DISPLAY: Use = Use::Ignored("there are no displays");
const DEVICE: Use = Use::Refused("there is no back end for it");
const HARDWARE: Use = Use::Refused("hardware is domain 0's");

/// What becomes of a key; `None` for a key that xl does not have either.
pub fn find(key: &str) -> Option<Use> {
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, what)| *what)
}

/// The keys, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

static KEYS: &[(&str, Use)] = &[
    ("acpi", HVM),
    ("acpi_firmware", HVM),
    ("acpi_laptop_slate", HVM),
    ("acpi_s3", HVM),
    ("acpi_s4", HVM),
    ("altp2m", HVM),
    ("altp2mhvm", HVM),
    ("apic", HVM),
    ("bios", HVM),
    ("bios_path_override", HVM),
    ("boot", HVM),
    ("bootloader", Use::Refused("there are no boot loaders: name a kernel")),
    ("bootloader_args", Use::Refused("there are no boot loaders: name a kernel")),
    ("builder", Use::Used),
    ("cap", Use::Used),
    ("channel", DEVICE),
    ("cmdline", Use::Used),
    ("cpu_weight", Use::Used),
    ("cpuid", Use::Ignored("CPUID is the hypervisor's")),
    ("cpus", Use::Used),
    ("cpus_soft", Use::Used),
    ("device_model_args", MODEL),
    ("device_model_args_hvm", MODEL),
    ("device_model_args_pv", MODEL),
    ("device_model_override", MODEL),
    ("device_model_stubdomain_override", MODEL),
    ("device_model_stubdomain_seclabel", MODEL),
    ("device_model_user", MODEL),
    ("device_model_version", MODEL),
    ("device_tree", HARDWARE),
    ("disk", Use::Used),
    ("dm_restrict", MODEL),
    ("driver_domain", Use::Used),
    ("dtdev", HARDWARE),
    ("e820_host", Use::Ignored("a domain has no hardware whose addresses it must avoid")),
    ("extra", Use::Used),
    ("firmware", Use::Refused("there is no firmware: name a kernel")),
    ("gfx_passthru", HVM),
    ("hap", HVM),
    ("hdtype", HVM),
    ("hpet", HVM),
    ("init_seclabel", Use::Ignored("there are no security labels")),
    ("iomem", HARDWARE),
    ("ioports", HARDWARE),
    ("irqs", HARDWARE),
    ("kernel", Use::Used),
    ("keymap", DISPLAY),
    ("localtime", Use::Ignored("the machine's clock has no time zone: use rtc_timeoffset")),
    ("max_event_channels", Use::Used),
    ("max_grant_frames", Use::Used),
    ("max_grant_version", Use::Used),
    ("max_maptrack_frames", Use::Used),
    ("maxmem", Use::Used),
    ("maxvcpus", Use::Used),
    ("mca_caps", HVM),
    ("memory", Use::Used),
    ("mmio_hole", HVM),
    ("ms_vm_genid", HVM),
    ("msr_relaxed", Use::Ignored("MSRs are as Xen 4.17 has them")),
    ("name", Use::Used),
    ("nestedhvm", HVM),
    ("nographic", DISPLAY),
    ("nomigrate", Use::Idle),
    ("nx", HVM),
    ("on_crash", Use::Used),
    ("on_poweroff", Use::Used),
    ("on_reboot", Use::Used),
    ("on_soft_reset", Use::Used),
    ("on_watchdog", Use::Used),
    ("oos", HVM),
    ("opengl", DISPLAY),
    ("p9", DEVICE),
    ("pae", HVM),
    ("passthrough", HARDWARE),
    ("pci", HARDWARE),
    ("pci_msitranslate", HARDWARE),
    ("pci_permissive", HARDWARE),
    ("pci_power_mgmt", HARDWARE),
    ("pci_seize", HARDWARE),
    ("pool", Use::Ignored("there is one pool of CPUs")),
    ("pvcalls", DEVICE),
    ("pvshim", HVM),
    ("pvshim_cmdline", HVM),
    ("pvshim_extra", HVM),
    ("pvshim_path", HVM),
    ("ramdisk", Use::Used),
    ("rdm", HARDWARE),
    ("rdm_mem_boundary", HVM),
    ("root", Use::Used),
    ("rtc_timeoffset", Use::Used),
    ("sdl", DISPLAY),
    ("seclabel", Use::Ignored("there are no security labels")),
    ("serial", HVM),
    ("shadow_memory", HVM),
    ("smbios_firmware", HVM),
    ("soundhw", HVM),
    ("spice", DISPLAY),
    ("spice_clipboard_sharing", DISPLAY),
    ("spice_image_compression", DISPLAY),
    ("spice_streaming_video", DISPLAY),
    ("spiceagent_mouse", DISPLAY),
    ("spicedisable_ticketing", DISPLAY),
    ("spicehost", DISPLAY),
    ("spicepasswd", DISPLAY),
    ("spiceport", DISPLAY),
    ("spicetls_port", DISPLAY),
    ("spiceusbredirection", DISPLAY),
    ("spicevdagent", DISPLAY),
    ("stdvga", HVM),
    ("stubdomain_cmdline", MODEL),
    ("stubdomain_kernel", MODEL),
    ("stubdomain_memory", MODEL),
    ("stubdomain_ramdisk", MODEL),
    ("timer_mode", HVM),
    ("tsc_mode", Use::Ignored("the time stamp counter is native")),
    ("type", Use::Used),
    ("usb", HVM),
    ("usbctrl", DEVICE),
    ("usbdev", DEVICE),
    ("usbdevice", HVM),
    ("usbversion", HVM),
    ("uuid", Use::Used),
    ("vcpus", Use::Used),
    ("vdispl", DEVICE),
    ("vendor_device", HVM),
    ("vfb", DISPLAY),
    ("vga", HVM),
    ("videoram", HVM),
    ("vif", Use::Used),
    ("viridian", HVM),
    ("vkb", DEVICE),
    ("vmtrace_buf_kb", HVM),
    ("vnc", DISPLAY),
    ("vncdisplay", DISPLAY),
    ("vnclisten", DISPLAY),
    ("vncpasswd", DISPLAY),
    ("vncunused", DISPLAY),
    ("vnuma", Use::Refused("there is no NUMA")),
    ("vpt_align", HVM),
    ("vsnd", DEVICE),
    ("vtpm", DEVICE),
    ("xen_platform_pci", HVM),
    ("xend_suspend_evtchn_compat", Use::Ignored("there is no suspend event channel")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn keys_are_in_order_and_found() {
        let names: Vec<_> = names().collect();
        assert!(names.is_sorted());
        assert_eq!(find("memory"), Some(Use::Used));
        assert_eq!(find("apic"), Some(HVM));
        assert_eq!(find("colour"), None);
    }
}
