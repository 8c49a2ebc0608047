//! Numbers of the boot contract; `StartInfo` itself has the guest's width: see
//! [`crate::x86_32::StartInfo`], [`crate::x86_64::StartInfo`].

layouts! { in "xen.h";
    /// One entry of a multiboot module list at `mod_start`
    /// ([`SIF_MULTIBOOT_MOD`]); the last one has `mod_start` 0. Addresses are
    /// relative to the list.
    struct MultibootModList("struct xen_multiboot_mod_list", 16) {
        /// Address of the module's first byte.
        mod_start: u32,
        /// Address of the module's last byte (inclusive).
        mod_end: u32,
        /// Address of its NUL-terminated command line.
        cmdline: u32,
        /// Zero.
        pad: u32,
    }

    /// Domain 0's screen, at `ConsoleDom0::info_off` of its start info page.
    struct Dom0VgaConsoleInfo("struct dom0_vga_console_info", 40) {
        /// One of `XEN_VGATYPE_*`; says which form `u` has.
        video_type: u8,
        /// Padding.
        _pad: [u8; 3] => [],
        /// [`VgaTextMode3`] or [`VgaVesaLfb`], from its first byte on.
        u: [u8; 36] => ["u", "u.text_mode_3", "u.vesa_lfb"],
    }

    /// A text screen, in [`Dom0VgaConsoleInfo::u`].
    struct VgaTextMode3("__typeof__(((struct dom0_vga_console_info *)0)->u.text_mode_3)", 10) {
        /// Height of a character in pixels.
        font_height: u16,
        /// Column of the cursor.
        cursor_x: u16,
        /// Row of the cursor.
        cursor_y: u16,
        /// Number of rows.
        rows: u16,
        /// Number of columns.
        columns: u16,
    }

    /// A linear frame buffer, in [`Dom0VgaConsoleInfo::u`].
    struct VgaVesaLfb("__typeof__(((struct dom0_vga_console_info *)0)->u.vesa_lfb)", 36) {
        /// Pixels in a line.
        width: u16,
        /// Number of lines.
        height: u16,
        /// Bytes from line to line.
        bytes_per_line: u16,
        /// Bits of a pixel.
        bits_per_pixel: u16,
        /// Physical address, bits 31..0.
        lfb_base: u32,
        /// Size in units of 64 KiB.
        lfb_size: u32,
        /// Lowest bit of red.
        red_pos: u8,
        /// Number of bits of red.
        red_size: u8,
        /// Lowest bit of green.
        green_pos: u8,
        /// Number of bits of green.
        green_size: u8,
        /// Lowest bit of blue.
        blue_pos: u8,
        /// Number of bits of blue.
        blue_size: u8,
        /// Lowest bit of the unused ones.
        rsvd_pos: u8,
        /// Number of unused bits.
        rsvd_size: u8,
        /// VESA capabilities.
        gbl_caps: u32,
        /// VESA mode attributes.
        mode_attrs: u16,
        /// Padding.
        pad: u16,
        /// Physical address, bits 63..32.
        ext_lfb_base: u32,
    }
}

constants! { in "xen.h";
    /// Bytes of `StartInfo::cmd_line`, its NUL included.
    MAX_GUEST_CMDLINE: usize = 1024;
    /// Flag: the domain is privileged.
    SIF_PRIVILEGED: u32 = 1 << 0;
    /// Flag: the domain is the initial one, domain 0.
    SIF_INITDOMAIN: u32 = 1 << 1;
    /// Flag: `mod_start` is a list of modules.
    SIF_MULTIBOOT_MOD: u32 = 1 << 2;
    /// Flag: `mod_start` is a PFN, not an address.
    SIF_MOD_START_PFN: u32 = 1 << 3;
    /// Flag: the tools understand a virtually mapped p2m list.
    SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4;
    /// Byte of the flags for power management options.
    SIF_PM_MASK: u32 = 0xFF << 8;
    /// Number of vCPUs whose `VcpuInfo` is in `SharedInfo`.
    XEN_LEGACY_MAX_VCPUS: usize = 32;

    /// A text screen.
    XEN_VGATYPE_TEXT_MODE_3: u8 = 0x03;
    /// A VESA frame buffer.
    XEN_VGATYPE_VESA_LFB: u8 = 0x23;
    /// An EFI frame buffer, described like a VESA one.
    XEN_VGATYPE_EFI_LFB: u8 = 0x70;
}
