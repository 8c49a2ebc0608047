//! Pages that outlived their device, since the peer has them mapped still.

use crate::grant::Own;
use crate::sync::Guarded;
use alloc::vec::Vec;
use xenbus::access::Shared;

static PAGES: Guarded<Vec<Shared<Own>>> = Guarded::new(Vec::new());

/// Takes pages whose grants cannot be ended now.
pub(super) fn take(pages: Vec<Shared<Own>>) {
    PAGES.with(|all| all.extend(pages));
}

/// Frees those whose grants can be ended by now.
pub(super) fn retry() {
    let all = PAGES.with(core::mem::take);
    let kept = all.into_iter().filter_map(|shared| Own::end(shared).err()).collect();
    take(kept);
}

/// How many pages are kept now.
pub fn pages() -> usize {
    PAGES.with(|all| all.iter().map(|shared| shared.grants.len()).sum())
}
