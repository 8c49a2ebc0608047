//! `info`: the machine and its hypervisor, `name : value`.

use alloc::format;
use alloc::string::{String, ToString};

use super::arguments::Arguments;
use super::{Failure, Outcome, Session};

pub fn info(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let host = session
        .toolstack
        .host()
        .map_err(|error| Failure::because("libxl_physinfo failed", &error))?;
    let wanted = arguments.operand(0);
    let mut line = |name: &str, value: String| {
        // xl does not put a blank before an empty value of this one.
        let blank = if name == "virt_caps" && value.is_empty() { "" } else { " " };
        if wanted.is_empty() {
            session.out(format_args!("{name:<23}:{blank}{value}\n"));
        } else if name.starts_with(wanted) {
            session.out(format_args!("{value}\n"));
        }
    };
    line("host", host.host);
    line("release", host.release);
    line("version", host.version);
    line("machine", host.machine);
    line("nr_cpus", host.nr_cpus.to_string());
    line("max_cpu_id", host.max_cpu_id.to_string());
    line("nr_nodes", host.nr_nodes.to_string());
    line("cores_per_socket", host.cores_per_socket.to_string());
    line("threads_per_core", host.threads_per_core.to_string());
    line("cpu_mhz", format!("{}.{:03}", host.cpu_khz / 1000, host.cpu_khz % 1000));
    let words = host.hw_caps.map(|word| format!("{word:08x}"));
    line("hw_caps", words.join(":"));
    line("virt_caps", host.virt_caps);
    line("total_memory", (host.total_kib / 1024).to_string());
    line("free_memory", (host.free_kib.saturating_sub(host.outstanding_kib) / 1024).to_string());
    line("sharing_freed_memory", 0.to_string());
    line("sharing_used_memory", 0.to_string());
    line("outstanding_claims", (host.outstanding_kib / 1024).to_string());
    line("free_cpus", host.free_cpus.to_string());
    line("xen_major", host.xen_major.to_string());
    line("xen_minor", host.xen_minor.to_string());
    line("xen_extra", host.xen_extra.clone());
    line("xen_version", format!("{}.{}{}", host.xen_major, host.xen_minor, host.xen_extra));
    line("xen_caps", host.xen_caps);
    line("xen_scheduler", host.xen_scheduler);
    line("xen_pagesize", 4096.to_string());
    line("platform_params", format!("virt_start=0x{:x}", host.virt_start));
    line("xen_changeset", host.xen_changeset);
    line("xen_commandline", host.xen_commandline);
    line("cc_compiler", host.cc_compiler);
    line("cc_compile_by", host.cc_compile_by);
    line("cc_compile_domain", host.cc_compile_domain);
    line("cc_compile_date", host.cc_compile_date);
    line("build_id", host.build_id);
    line("xend_config_format", 4.to_string());
    Ok(())
}
