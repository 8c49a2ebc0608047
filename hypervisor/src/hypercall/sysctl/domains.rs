//! All domains at once.

use pv_abi::domctl::Getdomaininfo;
use pv_abi::errno::Errno;
use pv_abi::sysctl::Getdomaininfolist;

use super::element;
use crate::guest::Ctx;
use crate::hypercall::domctl::info::about;
use crate::platform::Platform;

/// `XEN_SYSCTL_getdomaininfolist`: about the domains from a number on, as many as there is room
/// for. Who wants more asks again, from beyond the last on. `EFAULT`: the array.
pub(super) fn list<P: Platform>(
    ctx: &Ctx<'_, P>,
    arg: &mut Getdomaininfolist,
) -> Result<(), Errno> {
    let domains = ctx.sys.domains.from(arg.first_domain);
    arg.num_domains = 0;
    for (domain, index) in domains.zip(0..arg.max_domains) {
        ctx.write(element::<Getdomaininfo>(arg.buffer, index), &about(ctx, domain))?;
        arg.num_domains = index.saturating_add(1);
    }
    Ok(())
}
