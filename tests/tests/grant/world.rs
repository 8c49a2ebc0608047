//! Three domains on one machine, each with a grant table.

use std::sync::Arc;

use hypervisor::domain::limits::Limits;
use hypervisor::system::System;
use pv_tests::guest::grants::GrantTable;
use pv_tests::guest::{Guest, Spec};
use pv_tests::machine::FakeMachine;
use pv_tests::{boot, check};

pub const EPERM: i64 = -1;
pub const ESRCH: i64 = -3;
pub const EAGAIN: i64 = -11;
pub const EFAULT: i64 = -14;
pub const EBUSY: i64 = -16;
pub const EINVAL: i64 = -22;
pub const ERANGE: i64 = -34;
pub const ENOSYS: i64 = -38;
pub const EILSEQ: i64 = -84;
pub const EOPNOTSUPP: i64 = -95;

/// Domain 0, privileged, and domains 1 and 2, each on a CPU of its own.
pub struct World {
    pub sys: Arc<System<FakeMachine>>,
    pub zero: Guest,
    pub one: Guest,
    pub two: Guest,
    /// Domain 1's table, of version 1 unless a test changes it.
    pub table: GrantTable,
}

pub fn world() -> World {
    world_with(Limits::default())
}

/// The same; what the domains may have.
pub fn world_with(limits: Limits) -> World {
    let sys = boot::system(4096, 3);
    let guest = |id: u16| {
        let spec = Spec {
            id,
            privileged: id == 0,
            base: 0x8000_0000,
            pages: 320,
            limits,
            ..Spec::default()
        };
        Guest::on(sys.clone(), spec)
    };
    let (zero, mut one, two) = (guest(0), guest(1), guest(2));
    let table = one.grant_table(1);
    World { sys: sys.clone(), zero, one, two, table }
}

impl World {
    /// Panics unless all invariants hold, and every grant in use says so.
    pub fn check(&self) {
        check::invariants(&self.sys);
        if let Err(violation) = self.sys.check_grants(true) {
            panic!("{violation:?}");
        }
    }
}
