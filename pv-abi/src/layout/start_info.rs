//! What a guest finds at its start.

use super::width::{ULong, by_width};
use crate::start_info::MAX_GUEST_CMDLINE;

layouts! { in "xen.h";
    /// The start info page; its address is in ESI or RSI at entry.
    ///
    /// Fields up to `console` are filled in on boot and on resume, the others on
    /// boot only.
    struct StartInfo("struct start_info", by_width(1112, 1168)) {
        /// `xen-3.0-x86_32p` or `xen-3.0-x86_64`, NUL-terminated.
        magic: [u8; 32],
        /// Pages allocated to the domain.
        nr_pages: ULong,
        /// Machine address of `SharedInfo`.
        shared_info: ULong,
        /// Bits `SIF_*` of [`crate::start_info`].
        flags: u32,
        /// Padding.
        _pad0: [u8; by_width(0, 4)] => [],
        /// Machine frame of the XenStore page.
        store_mfn: ULong,
        /// Event channel of XenStore.
        store_evtchn: u32,
        /// Padding.
        _pad1: [u8; by_width(0, 4)] => [],
        /// The console; domain 0's form is [`StartInfo::console_dom0`].
        console: ConsoleDomU => ["console", "console.domU", "console.dom0"],
        /// Virtual address of the page-table root.
        pt_base: ULong,
        /// Number of frames of the boot page tables.
        nr_pt_frames: ULong,
        /// Virtual address of the p2m list.
        mfn_list: ULong,
        /// Virtual address of the module (initrd), or its PFN with
        /// `SIF_MOD_START_PFN`; 0: none.
        mod_start: ULong,
        /// Bytes of the module.
        mod_len: ULong,
        /// NUL-terminated command line.
        cmd_line: [u8; MAX_GUEST_CMDLINE],
        /// First PFN of the p2m list's frames, with `XEN_ELFNOTE_INIT_P2M`.
        first_p2m_pfn: ULong,
        /// Number of those frames, their page tables included.
        nr_p2m_frames: ULong,
    }

    /// A domU's console in [`StartInfo`].
    struct ConsoleDomU("__typeof__(((struct start_info *)0)->console.domU)", by_width(8, 16)) {
        /// Machine frame of the console page.
        mfn: ULong,
        /// Event channel of the console.
        evtchn: u32,
        /// Padding.
        _pad: [u8; by_width(0, 4)] => [],
    }

    /// Domain 0's console in [`StartInfo`].
    struct ConsoleDom0("__typeof__(((struct start_info *)0)->console.dom0)", 8) {
        /// Offset of the video information from the start of [`StartInfo`].
        info_off: u32,
        /// Its size in bytes.
        info_size: u32,
    }
}

impl StartInfo {
    /// The console in domain 0's form.
    #[must_use]
    pub fn console_dom0(&self) -> ConsoleDom0 {
        match zerocopy::FromBytes::read_from_prefix(zerocopy::IntoBytes::as_bytes(&self.console)) {
            Ok((console, _)) => console,
            Err(_) => unreachable!("domain 0's form is the smaller one"),
        }
    }
}
