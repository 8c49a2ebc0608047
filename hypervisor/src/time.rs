//! Guest time.

/// A vCPU's timers.
pub struct VcpuTime {}

impl VcpuTime {
    /// No timers.
    pub const fn new() -> VcpuTime {
        VcpuTime {}
    }
}

impl Default for VcpuTime {
    fn default() -> Self {
        VcpuTime::new()
    }
}
