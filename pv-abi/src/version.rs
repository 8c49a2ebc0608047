//! `xen_version(cmd, arg)`: what the hypervisor is.
//!
//! All commands return zero on success, except [`XENVER_VERSION`],
//! [`XENVER_PAGESIZE`] and [`XENVER_BUILD_ID`]. `PlatformParameters` has the
//! guest's width: see [`crate::x86_32`], [`crate::x86_64`].

layouts! { in "version.h";
    /// OUT argument of [`XENVER_COMPILE_INFO`]: NUL-terminated strings.
    struct CompileInfo("struct xen_compile_info", 144) {
        /// The compiler.
        compiler: [u8; 64],
        /// Who compiled.
        compile_by: [u8; 16],
        /// Where.
        compile_domain: [u8; 32],
        /// When.
        compile_date: [u8; 32],
    }

    /// Argument of [`XENVER_GET_FEATURES`].
    struct FeatureInfo("struct xen_feature_info", 8) {
        /// IN: which 32 features: 0 is the only one that exists.
        submap_idx: u32,
        /// OUT: bit n is feature `32 * submap_idx + n` of [`crate::features`].
        submap: u32,
    }

    /// Head of the argument of [`XENVER_BUILD_ID`]; the id's bytes follow.
    struct BuildId("struct xen_build_id", 4) {
        /// IN: room for the id, in bytes.
        len: u32,
    }
}

constants! { in "version.h";
    /// Returns major << 16 | minor. No argument.
    XENVER_VERSION: u32 = 0 => "XENVER_version";
    /// Copies out [`XEN_EXTRAVERSION_LEN`] bytes.
    XENVER_EXTRAVERSION: u32 = 1 => "XENVER_extraversion";
    /// Copies out a [`CompileInfo`].
    XENVER_COMPILE_INFO: u32 = 2 => "XENVER_compile_info";
    /// Copies out [`XEN_CAPABILITIES_INFO_LEN`] bytes: names as
    /// `xen-3.0-x86_32p`, separated by blanks.
    XENVER_CAPABILITIES: u32 = 3 => "XENVER_capabilities";
    /// Copies out [`XEN_CHANGESET_INFO_LEN`] bytes.
    XENVER_CHANGESET: u32 = 4 => "XENVER_changeset";
    /// Copies out a `PlatformParameters` of the guest's width.
    XENVER_PLATFORM_PARAMETERS: u32 = 5 => "XENVER_platform_parameters";
    /// Fills a [`FeatureInfo`].
    XENVER_GET_FEATURES: u32 = 6 => "XENVER_get_features";
    /// Returns the page size, 4096. No argument.
    XENVER_PAGESIZE: u32 = 7 => "XENVER_pagesize";
    /// Copies out the domain's 16-byte handle (UUID).
    XENVER_GUEST_HANDLE: u32 = 8 => "XENVER_guest_handle";
    /// Copies out the hypervisor's command line, [`XEN_COMMANDLINE_LEN`] bytes.
    XENVER_COMMANDLINE: u32 = 9 => "XENVER_commandline";
    /// Copies out the build id; returns its length.
    XENVER_BUILD_ID: u32 = 10 => "XENVER_build_id";
    /// Bytes of the extra version, its NUL included.
    XEN_EXTRAVERSION_LEN: usize = 16;
    /// Bytes of the capabilities, their NUL included.
    XEN_CAPABILITIES_INFO_LEN: usize = 1024;
    /// Bytes of the changeset, its NUL included.
    XEN_CHANGESET_INFO_LEN: usize = 64;
    /// Bytes of the command line, its NUL included.
    XEN_COMMANDLINE_LEN: usize = 1024 => "sizeof(xen_commandline_t)";
    /// Bytes of a domain's handle (UUID).
    XEN_DOMAIN_HANDLE_LEN: usize = 16 => "sizeof(xen_domain_handle_t)";
    /// The interface version that the headers of Xen 4.17 state.
    XEN_LATEST_INTERFACE_VERSION: u32 = 0x0004_0e00 => "__XEN_LATEST_INTERFACE_VERSION__";
}
