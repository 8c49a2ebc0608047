//! blkback: disks of this domain for others.
//!
//! The half itself is `xenbus`'s [`BackEnd`], its task `crate::device`'s; here they meet. A disk's
//! interrupt rings the bell of the device's task, as an event of the front end does.

use super::backing::Finder;
use crate::device::{self, Device, Domain, Serve, Served};
use crate::grant::Granted;
use pv_abi::errno::Errno;
use xenbus::block::{BackEnd, Protocol};
use xenbus::device::Fault;

/// From now on this domain serves disks.
pub fn start() {
    device::back("vbd", open);
}

fn open(device: &Device) -> BackEnd<Granted, Finder> {
    BackEnd::new(Finder(device.bell), Protocol::X86_32)
}

impl Serve for BackEnd<Granted, Finder> {
    fn serve(&mut self, domain: &mut Domain) -> Result<Served, Fault> {
        match BackEnd::serve(self, domain) {
            Ok(served) if served.more => Ok(Served::More),
            Ok(_) => Ok(Served::Idle),
            Err(broken) => Err(Fault {
                errno: Errno::EINVAL,
                what: alloc::format!("the front end broke its ring: {broken:?}"),
            }),
        }
    }
}
