//! `xen_version`: who the hypervisor says it is.
//!
//! Kernels check for 4.x before they use newer interfaces, so the version is that of the
//! Xen whose ABI this is, 4.17; the extra version tells Ferrule apart.

use pv_abi::errno::Errno;
use pv_abi::version::{
    CompileInfo, FeatureInfo, XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN,
    XEN_COMMANDLINE_LEN, XEN_DOMAIN_HANDLE_LEN, XEN_EXTRAVERSION_LEN, XENVER_BUILD_ID,
    XENVER_CAPABILITIES, XENVER_CHANGESET, XENVER_COMMANDLINE, XENVER_COMPILE_INFO,
    XENVER_EXTRAVERSION, XENVER_GET_FEATURES, XENVER_GUEST_HANDLE, XENVER_PAGESIZE,
    XENVER_PLATFORM_PARAMETERS, XENVER_VERSION,
};
use pv_abi::vm_assist::VMASST_TYPE_PAE_EXTENDED_CR3;
use pv_abi::{features, x86_64};

use super::Args;
use crate::error::HypercallResult;
use crate::guest::Ctx;
use crate::platform::Platform;
use crate::support::{Limit, refused};
use crate::width::Width;

/// What is not whole.
pub const LIMITS: &[Limit] =
    &[refused(XENVER_BUILD_ID, Errno::ENODATA, "there is no build id, as in many a Xen")];

/// The version of Xen whose ABI this is.
pub const MAJOR: u32 = 4;
/// Its minor number.
pub const MINOR: u32 = 17;
/// What follows the minor number.
const EXTRA: &str = ".0-ferrule";
/// The ABIs of guests that can be started.
const CAPABILITIES: &str = "xen-3.0-x86_32p";
/// What a guest may not know.
const DENIED: &str = "<denied>";

/// `xen_version(cmd, arg)`.
///
/// `EFAULT`: the argument. `EINVAL`: a feature word that does not exist, an argument where
/// there is none. `EPERM`: the build id, for unprivileged callers; `ENODATA`: there is
/// none. `ENOSYS`: an unknown command.
#[inline(always)]
pub fn xen_version<P: Platform>(ctx: &mut Ctx<'_, P>, args: &mut Args) -> HypercallResult {
    if args[0] as u32 == XENVER_VERSION {
        return Ok(u64::from(MAJOR << 16 | MINOR));
    }
    other(ctx, args[0] as u32, args[1])
}

#[inline(never)]
fn other<P: Platform>(ctx: &mut Ctx<'_, P>, command: u32, at: u64) -> HypercallResult {
    match command {
        XENVER_EXTRAVERSION => ctx.write(at, &text::<XEN_EXTRAVERSION_LEN>(EXTRA))?,
        XENVER_COMPILE_INFO => ctx.write(at, &COMPILED)?,
        XENVER_CAPABILITIES => {
            ctx.write(at, const { &text::<XEN_CAPABILITIES_INFO_LEN>(CAPABILITIES) })?
        }
        XENVER_CHANGESET => {
            ctx.write(at, const { &text::<XEN_CHANGESET_INFO_LEN>("unavailable") })?
        }
        XENVER_PLATFORM_PARAMETERS => ctx.write_long(at, 0, virt_start(ctx))?,
        XENVER_GET_FEATURES => get_features(ctx, at)?,
        XENVER_PAGESIZE if at != 0 => return Err(Errno::EINVAL.into()),
        XENVER_PAGESIZE => return Ok(4096),
        XENVER_GUEST_HANDLE => {
            let handle: [u8; XEN_DOMAIN_HANDLE_LEN] = *ctx.domain.handle.lock();
            ctx.write(at, &handle)?
        }
        XENVER_COMMANDLINE if ctx.domain.privileged => command_line(ctx, at)?,
        XENVER_COMMANDLINE => ctx.write(at, &text::<9>(DENIED))?,
        XENVER_BUILD_ID if ctx.domain.privileged => return Err(Errno::ENODATA.into()),
        XENVER_BUILD_ID => return Err(Errno::EPERM.into()),
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// Copies out the hypervisor's command line.
#[inline(never)]
fn command_line<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let line = ctx.sys.command_line.get().map_or("", |line| line.as_str());
    ctx.write(at, &text::<XEN_COMMANDLINE_LEN>(line))
}

/// The first address that is the hypervisor's, as the guest sees it.
fn virt_start<P: Platform>(ctx: &Ctx<'_, P>) -> u64 {
    match ctx.width() {
        Width::Pv32 => ctx.domain.hv_start,
        Width::Pv64 => x86_64::HYPERVISOR_VIRT_START,
    }
}

#[inline(always)]
fn get_features<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let mut info: FeatureInfo = ctx.read(at)?;
    if info.submap_idx != 0 {
        return Err(Errno::EINVAL);
    }
    info.submap = FEATURES;
    if ctx.domain.privileged {
        info.submap |= 1 << features::XENFEAT_DOM0;
    }
    if ctx.domain.assists(VMASST_TYPE_PAE_EXTENDED_CR3) {
        info.submap |= 1 << features::XENFEAT_PAE_PGDIR_ABOVE_4GB;
    }
    ctx.write(at, &info)
}

/// What every PV guest may rely on.
const FEATURES: u32 = 1 << features::XENFEAT_MMU_PT_UPDATE_PRESERVE_AD
    | 1 << features::XENFEAT_HIGHMEM_ASSIST
    | 1 << features::XENFEAT_GNTTAB_MAP_AVAIL_BITS
    | 1 << features::XENFEAT_MEMORY_OP_VNODE_SUPPORTED
    | 1 << features::XENFEAT_DIRECT_MAPPED;

/// Built reproducibly: by which compiler, but nobody's name and no date.
static COMPILED: CompileInfo = CompileInfo {
    compiler: text(env!("FERRULE_COMPILER")),
    compile_by: text("ferrule"),
    compile_domain: text(""),
    compile_date: text(""),
};

/// `words` in a field of `N` bytes, NUL-terminated: cut short if need be.
const fn text<const N: usize>(words: &str) -> [u8; N] {
    let mut field = [0; N];
    let Some((_end, mut room)) = field.split_last_mut() else { return field };
    let mut words = words.as_bytes();
    while let (Some((byte, rest)), Some((slot, left))) =
        (words.split_first(), room.split_first_mut())
    {
        *slot = *byte;
        words = rest;
        room = left;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn fields_end_in_nul() {
        assert_eq!(text::<4>("ab"), *b"ab\0\0");
        assert_eq!(text::<4>("abcdef"), *b"abc\0");
        assert_eq!(text::<0>("ab"), []);
    }
}
