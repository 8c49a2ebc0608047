//! sysctl, as a toolstack in domain 0 uses it: the machine, all domains, the log, counters.
//!
//! `xen/include/public/sysctl.h`; Xen 4.17 `common/sysctl.c`. Expected: memory that a new domain
//! takes is missing from the free memory and comes back; the list has both domains; the log
//! begins with the boot and ends with what a debug key printed; hypercalls are counted (Xen's
//! counters have other names); the CPU idles while this domain sleeps.
#![no_std]
#![no_main]
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use pv_abi::domctl::Getdomaininfo;
use pv_abi::errno::Errno;
use pv_abi::hypercall::{SYSCTL, XEN_VERSION};
use pv_abi::sysctl::*;
use pv_abi::types::DomId;
use pv_guests::call::address_of;
use pv_guests::domu::Domu;
use pv_guests::{Outcome, StartInfo, check, check_eq, clock, guest, hypercall, must};
use ring1::calls;
use ring1::calls::outcome;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

guest!(run);

/// Words for values of counters.
const ROOM: usize = 4096;
/// Where the hypervisor writes them.
static VALUES: [AtomicU32; ROOM] = [const { AtomicU32::new(0) }; ROOM];
/// How long the CPU is to idle.
const IDLE_NS: u64 = 10_000_000;
/// When it should have.
const MOST_NS: u64 = 10_000_000_000;

#[repr(align(8))]
struct Aligned(Sysctl);

/// Makes a sysctl; the argument is read and written.
fn sysctl<T>(cmd: u32, argument: &mut T) -> Result<u32, Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    let interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    let mut op = Aligned(Sysctl { cmd, interface_version, u: [0; 128] });
    let size = size_of::<T>();
    op.0.u[..size].copy_from_slice(argument.as_bytes());
    let result = hypercall(SYSCTL, &[address_of(&mut op)]);
    compiler_fence(Ordering::SeqCst);
    argument.as_mut_bytes().copy_from_slice(&op.0.u[..size]);
    outcome(result)
}

fn run(_: &'static StartInfo) -> Outcome {
    let mut machine = Physinfo::new_zeroed();
    must(sysctl(XEN_SYSCTL_PHYSINFO, &mut machine), "physinfo")?;
    check!(machine.nr_cpus > 0 && machine.cpu_khz > 0, "{} CPUs", machine.nr_cpus);
    check!(machine.free_pages < machine.total_pages, "{} pages free", machine.free_pages);
    domains(machine.free_pages)?;
    log()?;
    counters()?;
    idle()
}

fn domains(free_before: u64) -> Outcome {
    let other = Domu::create(1)?;
    let mut list = [Getdomaininfo::new_zeroed(), Getdomaininfo::new_zeroed()];
    let mut argument = Getdomaininfolist::new_zeroed();
    argument.max_domains = 2;
    argument.buffer = address_of(&mut list).into();
    must(sysctl(XEN_SYSCTL_GETDOMAININFOLIST, &mut argument), "getdomaininfolist")?;
    compiler_fence(Ordering::SeqCst);
    check_eq!(argument.num_domains, 2, "domains");
    check_eq!((list[0].domain, list[1].domain), (DomId::new(0), other.id), "who is there");
    let mut heap = Availheap::new_zeroed();
    heap.node = -1;
    must(sysctl(XEN_SYSCTL_AVAILHEAP, &mut heap), "availheap")?;
    let with_it = heap.avail_bytes >> 12;
    other.destroy()?;
    argument.first_domain = other.id;
    must(sysctl(XEN_SYSCTL_GETDOMAININFOLIST, &mut argument), "getdomaininfolist again")?;
    check_eq!(argument.num_domains, 0, "domains from there on");
    must(sysctl(XEN_SYSCTL_AVAILHEAP, &mut heap), "availheap again")?;
    // Another CPU may only now give back what the boot loader's files lay in.
    let free = heap.avail_bytes >> 12;
    check!(free >= free_before, "{free} pages free of {free_before}");
    check!(free >= with_it + list[1].tot_pages, "{free} pages free, {with_it} before");
    Ok(())
}

/// Reads the log from `index` on; the text and where it ended.
fn read_log(buffer: &mut [u8], incremental: u8, index: u32) -> Outcome<(u32, u32)> {
    let mut argument = Readconsole::new_zeroed();
    (argument.incremental, argument.index) = (incremental, index);
    argument.count = buffer.len() as u32;
    argument.buffer = address_of(buffer).into();
    must(sysctl(XEN_SYSCTL_READCONSOLE, &mut argument), "readconsole")?;
    compiler_fence(Ordering::SeqCst);
    Ok((argument.count, argument.index))
}

fn log() -> Outcome {
    let mut text = [0; 1024];
    let (count, _) = read_log(&mut text, 0, 0)?;
    check!(text[..count as usize].windows(5).any(|word| word == b"(FR) "), "the log's beginning");
    // To the end, and then what is new.
    let (mut index, mut more) = (0, 1);
    while more > 0 {
        (more, index) = read_log(&mut text, 1, index)?;
    }
    let mut key = *b"m";
    let mut keys = DebugKeys { keys: address_of(&mut key).into(), nr_keys: 1, _pad: 0 };
    must(sysctl(XEN_SYSCTL_DEBUG_KEYS, &mut keys), "debug_keys")?;
    let (count, _) = read_log(&mut text, 1, index)?;
    check!(text[..count as usize].starts_with(b"heap: "), "what the key printed");
    Ok(())
}

fn counters() -> Outcome {
    let before = hypercalls()?;
    for _ in 0..100 {
        hypercall(XEN_VERSION, &[0, 0]);
    }
    let calls = hypercalls()?.wrapping_sub(before);
    check!((100..110).contains(&calls), "{calls} hypercalls counted");
    Ok(())
}

/// How many this domain made; they are the first counter's first value.
fn hypercalls() -> Outcome<u32> {
    let mut names = [PerfcDesc::new_zeroed(); 16];
    let mut argument = PerfcOp::new_zeroed();
    argument.cmd = XEN_SYSCTL_PERFCOP_QUERY;
    must(sysctl(XEN_SYSCTL_PERFC_OP, &mut argument), "perfc_op")?;
    check!(argument.nr_counters <= 16 && argument.nr_vals as usize <= ROOM, "counters");
    argument.desc = address_of(&mut names).into();
    argument.val = u64::from(VALUES.as_ptr().expose_provenance() as u32);
    must(sysctl(XEN_SYSCTL_PERFC_OP, &mut argument), "perfc_op with arrays")?;
    compiler_fence(Ordering::SeqCst);
    check!(names[0].name.starts_with(b"hypercalls\0"), "the first counter's name");
    Ok(VALUES[0].load(Ordering::Relaxed))
}

fn idle() -> Outcome {
    let (before, start) = (idle_ns()?, clock::now());
    // The emulator itself may not run while this domain means to sleep; so it tries again.
    while idle_ns()? - before < IDLE_NS {
        check!(clock::now() < start + MOST_NS, "the CPU does not idle while this domain sleeps");
        must(calls::poll(&[], clock::now() + IDLE_NS), "sleeping")?;
    }
    Ok(())
}

/// How long the first CPUs have idled, together.
fn idle_ns() -> Outcome<u64> {
    let mut cpus = [Cpuinfo::new_zeroed(); 8];
    let mut argument = Getcpuinfo::new_zeroed();
    argument.max_cpus = 8;
    argument.info = address_of(&mut cpus).into();
    must(sysctl(XEN_SYSCTL_GETCPUINFO, &mut argument), "getcpuinfo")?;
    compiler_fence(Ordering::SeqCst);
    Ok(cpus.iter().map(|cpu| cpu.idletime).sum())
}
