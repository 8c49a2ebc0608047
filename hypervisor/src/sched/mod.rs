//! Which vCPU runs where.

/// What the scheduler knows of a vCPU.
pub struct VcpuRun {}

impl VcpuRun {
    /// A vCPU that is down.
    pub const fn new() -> VcpuRun {
        VcpuRun {}
    }
}

impl Default for VcpuRun {
    fn default() -> Self {
        VcpuRun::new()
    }
}

/// The run queues of all CPUs.
pub struct Scheduler {}

impl Scheduler {
    /// Empty queues.
    pub const fn new() -> Scheduler {
        Scheduler {}
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Scheduler::new()
    }
}
