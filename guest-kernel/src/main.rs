//! The Ring 1 kernel's image: brings the parts up in order and becomes the shell.
#![no_std]
#![no_main]

use guest_kernel::services::{Serial, Services};
use guest_kernel::shell::Script;
use guest_kernel::socket::plan::Plan;
use guest_kernel::task::{context, scheduler};
use guest_kernel::{
    block, domu, fs, host, mm, net, ports, shell, socket, store, time, toolstack, traps, tty,
};
use ring1::abi::StartInfo;
use ring1::{calls, entry, events, println};

/// Word of the command line with lines (percent-encoded) that are run at the start, before somebody can
/// type others.
const START: &str = "start=";
/// Word of the command line with which domain 0 makes no domain at its start.
const NO_DOMAINS: &str = "nodomains";

entry!(main);

/// What is known of a domain once its devices are there.
struct Start {
    /// How it gets an address unless its command line says so.
    plan: Plan,
    /// It is a driver domain.
    serves: bool,
}

fn main(start_info: &'static StartInfo) -> ! {
    time::init();
    mm::init(start_info);
    scheduler::init("shell");
    traps::init();
    context::init();
    fs::init(start_info);
    let is_domu = domu::is_domu(start_info);
    if is_domu {
        domu::console::attach(start_info);
    }
    match calls::evtchn_bind_virq(pv_abi::virq::VIRQ_TIMER) {
        Ok(port) => {
            ports::set(port, scheduler::timer);
            events::unmask_port(port);
        }
        Err(errno) => panic!("no timer: {errno:?}"),
    }
    tty::init();
    events::unmask();

    let megabytes = u64::from(start_info.nr_pages) * 4096 / (1 << 20);
    println!("Ferrule guest kernel {} in ring 1, {megabytes} MiB", env!("CARGO_PKG_VERSION"));
    if start_info.nr_pages > mm::direct::LIMIT {
        println!("only the first {} MiB are used", mm::direct::LIMIT / 256);
    }

    let Start { plan, serves } = if is_domu { start_domu(start_info) } else { start_domain_0() };
    let line = start_info.cmd_line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default();
    fs::root::mount_root(line);
    if serves {
        domu::driver::serve();
    }
    let mut kernel = Services::new(start_info);
    socket::task::start(line, plan);
    match line.split_whitespace().find_map(|word| word.strip_prefix("exec=")) {
        Some(lines) => {
            let script = if is_domu { Script::Plain } else { Script::Transcript };
            shell::exec(&mut kernel, &mut Serial, lines, script);
        }
        None => {
            if !is_domu && !line.split_whitespace().any(|word| word == NO_DOMAINS) {
                toolstack::command::start_automatic(&mut Serial);
            }
            if let Some(lines) = line.split_whitespace().find_map(|word| word.strip_prefix(START)) {
                shell::exec(&mut kernel, &mut Serial, lines, Script::Plain);
            }
            shell::run(&mut kernel, &mut Serial);
        }
    }
    fs::root::stop();
    ring1::console::flush();
    calls::poweroff()
}

fn start_domain_0() -> Start {
    net::start_domain_0();
    if host::init() {
        store::start();
        host::verbs::start();
        host::open();
    }
    block::drives::init();
    // It asks nobody for an address: the first that is given out is to be a domU's.
    Start { plan: Plan::Off, serves: false }
}

fn start_domu(start_info: &'static StartInfo) -> Start {
    domu::store::start(start_info);
    domu::control::start(start_info);
    let serves = domu::driver::is_one();
    let plan = if serves { domu::driver::start_network() } else { net::start_guest() };
    block::front::start();
    block::front::wait_for_all();
    Start { plan, serves }
}
