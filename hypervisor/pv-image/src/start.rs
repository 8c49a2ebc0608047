//! What the start info page says.

use pv_abi::start_info::{MAX_GUEST_CMDLINE, SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED};
use pv_abi::types::{Mfn, Port};
use pv_abi::{x86_32, x86_64};
use zerocopy::FromZeros;

use crate::layout::Layout;
use crate::notes::Role;

/// What start info says, without its width.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What was laid out.
    pub layout: &'a Layout,
    /// Whose it is.
    pub role: Role,
    /// Pages of the domain.
    pub pages: u64,
    /// Its shared info page, below 4 GiB for a 32-bit guest.
    pub shared_info: Mfn,
    /// Bytes of the initrd; 0: none.
    pub initrd_len: u64,
    /// Whether the kernel takes it unmapped.
    pub mod_start_pfn: bool,
    /// The kernel's command line without a NUL, shorter than [`MAX_GUEST_CMDLINE`].
    pub command_line: &'a [u8],
    /// The ring of XenStore.
    pub store: Option<Ring>,
    /// The ring of the console.
    pub console: Option<Ring>,
}

/// A ring that a domain shares with domain 0 from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring {
    /// Its machine frame.
    pub mfn: Mfn,
    /// The domain's own port, which domain 0 may bind to.
    pub port: Port,
}

macro_rules! start_info {
    ($(#[$doc:meta])* $name:ident, $module:ident, $long:ty, $magic:literal) => {
        $(#[$doc])*
        pub fn $name(facts: &Facts<'_>) -> $module::StartInfo {
            // Addresses and counts fit: the layout ends below the guest's last address, and
            // the frames named to a narrow guest are below 16 TiB.
            let layout = facts.layout;
            let mut info = $module::StartInfo::new_zeroed();
            info.magic = padded($magic);
            info.nr_pages = facts.pages as $long;
            info.shared_info = (facts.shared_info.raw() << 12) as $long;
            info.flags = match facts.role {
                Role::Domain0 => SIF_PRIVILEGED | SIF_INITDOMAIN,
                Role::DomU => 0,
            };
            if let Some(store) = facts.store {
                info.store_mfn = store.mfn.raw() as $long;
                info.store_evtchn = store.port.raw();
            }
            if let Some(console) = facts.console {
                info.console.mfn = console.mfn.raw() as $long;
                info.console.evtchn = console.port.raw();
            }
            info.pt_base = layout.tables as $long;
            info.nr_pt_frames = layout.table_count as $long;
            info.mfn_list = layout.p2m as $long;
            if facts.initrd_len != 0 {
                info.mod_len = facts.initrd_len as $long;
                info.mod_start = if facts.mod_start_pfn {
                    info.flags |= SIF_MOD_START_PFN;
                    layout.pfn(layout.initrd) as $long
                } else {
                    layout.initrd as $long
                };
            }
            info.cmd_line = padded::<MAX_GUEST_CMDLINE>(facts.command_line);
            info
        }
    };
}

start_info!(
    /// For a 32-bit guest.
    info32, x86_32, u32, b"xen-3.0-x86_32p"
);
start_info!(
    /// For a 64-bit guest.
    info64, x86_64, u64, b"xen-3.0-x86_64"
);

/// `bytes`, with zeros behind them. At least one: the caller has checked the length.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut to = [0; N];
    for (to, from) in to.iter_mut().zip(bytes).take(N.saturating_sub(1)) {
        *to = *from;
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Wanted;
    use crate::width::Width;

    fn layout() -> Layout {
        Layout::new(&Wanted {
            width: Width::Pv32,
            virt_base: 0x8000_0000,
            kernel_end: 0x8011_0000,
            initrd_len: 5000,
            initrd_unmapped: false,
            ring_pages: 2,
            pages: 4096,
            limit: 1 << 32,
        })
        .unwrap()
    }

    fn facts<'a>(layout: &'a Layout, command_line: &'a [u8]) -> Facts<'a> {
        Facts {
            layout,
            role: Role::DomU,
            pages: 4096,
            shared_info: Mfn::new(0x1234),
            initrd_len: 5000,
            mod_start_pfn: false,
            command_line,
            store: Some(Ring { mfn: Mfn::new(7), port: Port::new(1) }),
            console: Some(Ring { mfn: Mfn::new(8), port: Port::new(2) }),
        }
    }

    #[test]
    fn a_domu_is_told_its_rings_and_has_no_privilege() {
        let layout = layout();
        let info = info32(&facts(&layout, b"quiet"));
        assert_eq!((info.flags, info.nr_pages, info.shared_info), (0, 4096, 0x0123_4000));
        assert_eq!((info.store_mfn, info.store_evtchn), (7, 1));
        assert_eq!((info.console.mfn, info.console.evtchn), (8, 2));
        assert_eq!((info.mod_start, info.mod_len), (layout.initrd as u32, 5000));
        assert_eq!(&info.cmd_line[..6], b"quiet\0");
        assert_eq!(&info.magic[..16], b"xen-3.0-x86_32p\0");
    }

    #[test]
    fn domain_0_is_privileged_and_has_no_rings() {
        let layout = layout();
        let info = info64(&Facts {
            role: Role::Domain0,
            store: None,
            console: None,
            mod_start_pfn: true,
            ..facts(&layout, b"")
        });
        assert_eq!(info.flags, SIF_PRIVILEGED | SIF_INITDOMAIN | SIF_MOD_START_PFN);
        assert_eq!((info.store_mfn, info.console.mfn), (0, 0));
        assert_eq!(info.mod_start, layout.pfn(layout.initrd));
    }

    #[test]
    fn a_command_line_always_ends_in_a_nul() {
        let layout = layout();
        let info = info32(&facts(&layout, &[b'x'; 2000]));
        assert_eq!(info.cmd_line[MAX_GUEST_CMDLINE - 1], 0);
    }
}
