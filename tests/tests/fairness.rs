//! Shares of CPU time, over seconds of virtual time on a machine with two CPUs.

use std::sync::Arc;

use hypervisor::platform::Clock;
use hypervisor::sched::affinity::set_affinity;
use hypervisor::sched::domain::set_cap;
use hypervisor::sched::{self, hold};
use hypervisor::system::System;
use pv_abi::errno::Errno;
use pv_abi::types::{DomId, VcpuId};
use pv_tests::boot;
use pv_tests::cpus::Cpus;
use pv_tests::guest::{Guest, Spec};
use pv_tests::machine::FakeMachine;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A machine of two CPUs with domains of so many vCPUs and such weights, all computing.
fn machine(domains: &[(u32, u32)]) -> (Cpus, Vec<Guest>) {
    let sys = boot::system(6000, 2);
    let mut guests = Vec::new();
    for (id, (vcpus, weight)) in domains.iter().enumerate() {
        let spec = Spec { id: id as u16, pages: 64, vcpus: *vcpus, ..Spec::default() };
        let guest = Guest::idle_on(Arc::clone(&sys), spec);
        guest.domain().run.set_weight(*weight).unwrap();
        guests.push(guest);
    }
    let cpus = Cpus::new(&sys);
    for guest in &mut guests {
        for vcpu in 0..guest.domain().vcpus().count() as u32 {
            guest.prepare_vcpu(vcpu);
            let domain = guest.domain();
            sched::start(&sys, domain, domain.vcpu(VcpuId::new(vcpu)).unwrap());
        }
    }
    (cpus, guests)
}

/// CPU time of each domain so far.
fn times(sys: &System<FakeMachine>, domains: usize) -> Vec<u64> {
    let now_ns = sys.platform.now_ns();
    (0..domains)
        .map(|id| {
            let domain = sys.domain(DomId::new(id as u16)).unwrap();
            domain.vcpus().map(|vcpu| vcpu.run.runstate(now_ns).time_ns[0]).sum()
        })
        .collect()
}

/// CPU time of each domain in `ns`.
fn used(cpus: &mut Cpus, domains: usize, ns: u64) -> Vec<u64> {
    let before = times(&cpus.sys, domains);
    cpus.run_for(ns);
    times(&cpus.sys, domains).iter().zip(before).map(|(after, before)| after - before).collect()
}

/// Fails unless each share is within 2 % of what it should be, and nothing is wasted.
fn check_shares(cpus: &mut Cpus, shares: &[f64], ns: u64) {
    let used = used(cpus, shares.len(), ns);
    let total: u64 = used.iter().sum();
    assert!(total >= 2 * ns - MS && total <= 2 * ns, "{total} of {}: not work-conserving", 2 * ns);
    let all: f64 = shares.iter().sum();
    for (domain, (used, share)) in used.iter().zip(shares).enumerate() {
        let due = 2.0 * ns as f64 * share / all;
        let off = (*used as f64 - due).abs() / due;
        println!("d{domain}: {used} of {due}, {:.2} % off", 100.0 * off);
        assert!(off < 0.02, "d{domain} got {used} ns, due are {due}");
    }
}

#[test]
fn two_vcpus_have_a_cpu_each_whatever_their_weights() {
    let (mut cpus, _guests) = machine(&[(1, 256), (1, 1024)]);
    check_shares(&mut cpus, &[1.0, 1.0], 2 * SECOND);
}

#[test]
fn three_equal_ones_share_two_cpus() {
    let (mut cpus, _guests) = machine(&[(1, 256), (1, 256), (1, 256)]);
    check_shares(&mut cpus, &[1.0, 1.0, 1.0], 4 * SECOND);
}

#[test]
fn four_vcpus_share_by_weight() {
    let (mut cpus, _guests) = machine(&[(2, 256), (2, 512)]);
    check_shares(&mut cpus, &[1.0, 2.0], 4 * SECOND);
}

#[test]
fn eight_vcpus_share_by_weight() {
    let (mut cpus, _guests) = machine(&[(2, 128), (2, 256), (2, 512), (2, 1024)]);
    check_shares(&mut cpus, &[1.0, 2.0, 4.0, 8.0], 8 * SECOND);
    // And once more, from where they are now.
    check_shares(&mut cpus, &[1.0, 2.0, 4.0, 8.0], 4 * SECOND);
}

#[test]
fn an_odd_number_shares_by_weight() {
    let (mut cpus, _guests) = machine(&[(1, 300), (2, 200), (4, 100)]);
    check_shares(&mut cpus, &[3.0, 4.0, 4.0], 8 * SECOND);
}

#[test]
fn more_weight_than_a_cpu_has_is_a_whole_cpu() {
    let (mut cpus, _guests) = machine(&[(1, 10_000), (1, 256), (1, 256)]);
    check_shares(&mut cpus, &[2.0, 1.0, 1.0], 4 * SECOND);
}

#[test]
fn weights_can_change() {
    let (mut cpus, guests) = machine(&[(2, 256), (2, 256)]);
    check_shares(&mut cpus, &[1.0, 1.0], 2 * SECOND);
    let weight = |weight| guests[1].domain().run.set_weight(weight);
    assert_eq!(weight(0), Err(Errno::EINVAL));
    assert_eq!(weight(65536), Err(Errno::EINVAL));
    assert_eq!(weight(768), Ok(()));
    check_shares(&mut cpus, &[1.0, 3.0], 4 * SECOND);
    assert_eq!(weight(1), Ok(()));
    assert_eq!(weight(65535), Ok(()));
}

#[test]
fn who_slept_is_not_paid_for_it() {
    let (mut cpus, guests) = machine(&[(2, 256), (2, 256)]);
    let sys = Arc::clone(&cpus.sys);
    let sleepers = guests[1].domain();
    hold::hold(&sys, sleepers);
    cpus.run_for(10 * SECOND);
    hold::release(&sys, sleepers);
    check_shares(&mut cpus, &[1.0, 1.0], 2 * SECOND);
}

#[test]
fn a_cap_holds_though_a_cpu_is_free() {
    for percent in [1, 10, 50, 99, 100, 150] {
        let (mut cpus, guests) = machine(&[(2, 256)]);
        cpus.run_for(35 * MS);
        set_cap(&cpus.sys, guests[0].domain(), percent);
        let used = used(&mut cpus, 1, 4 * SECOND)[0] as f64;
        let due = 4.0 * SECOND as f64 * f64::from(percent) / 100.0;
        assert!((used - due).abs() / due < 0.02, "{percent} %: {used} ns, due are {due}");
        set_cap(&cpus.sys, guests[0].domain(), 0);
        check_shares(&mut cpus, &[1.0], SECOND);
    }
}

#[test]
fn a_capped_domain_leaves_the_rest_to_others() {
    let (mut cpus, guests) = machine(&[(2, 65535), (2, 1)]);
    set_cap(&cpus.sys, guests[0].domain(), 50);
    assert_eq!(guests[0].domain().run.cap(), 50);
    check_shares(&mut cpus, &[0.5, 1.5], 4 * SECOND);
}

#[test]
fn affinity_is_kept_and_the_rest_is_shared() {
    let (mut cpus, guests) = machine(&[(1, 256), (1, 256), (2, 256)]);
    let sys = Arc::clone(&cpus.sys);
    let vcpu = |domain: usize, id: u32| guests[domain].domain().vcpu(VcpuId::new(id)).unwrap();
    assert_eq!(set_affinity(&sys, vcpu(0, 0), 0b100), Err(Errno::EINVAL), "there is no such CPU");
    assert_eq!(set_affinity(&sys, vcpu(0, 0), 0), Err(Errno::EINVAL));
    // Three on CPU 0, one alone on CPU 1.
    for pinned in [vcpu(0, 0), vcpu(1, 0), vcpu(2, 0)] {
        assert_eq!(set_affinity(&sys, pinned, 0b01), Ok(()));
    }
    set_affinity(&sys, vcpu(2, 1), 0b10).unwrap();
    cpus.settle();
    for _ in 0..100 {
        cpus.run_for(7 * MS);
        let (_, second) = cpus.current(1).unwrap();
        assert_eq!((second.domain, second.id), (DomId::new(2), VcpuId::new(1)));
    }
    check_shares(&mut cpus, &[1.0, 1.0, 4.0], 3 * SECOND);
    // Let loose, all are equal soon, though virtual times have drifted apart.
    for free in [vcpu(0, 0), vcpu(1, 0), vcpu(2, 0), vcpu(2, 1)] {
        set_affinity(&sys, free, u32::MAX).unwrap();
    }
    cpus.run_for(SECOND);
    check_shares(&mut cpus, &[1.0, 1.0, 2.0], 4 * SECOND);
}

#[test]
fn a_free_cpu_that_is_preferred_is_taken_before_others() {
    let (mut cpus, guests) = machine(&[(1, 256), (1, 256)]);
    let sys = Arc::clone(&cpus.sys);
    cpus.run_for(MS);
    let sleeper = guests[0].vcpu();
    let wakes_on = |cpus: &mut Cpus, preferred: u32| {
        sleeper.run.set_preferred(preferred);
        hold::hold(&sys, guests[0].domain());
        cpus.settle();
        hold::release(&sys, guests[0].domain());
        cpus.settle();
        let runs_on =
            |cpu: &u32| cpus.current(*cpu).is_some_and(|(_, vcpu)| vcpu.domain.raw() == 0);
        let cpu = (0..2).find(runs_on).unwrap();
        cpus.run_for(MS);
        cpu
    };
    // The other runs on one of them, and is preferred in vain.
    let first = wakes_on(&mut cpus, u32::MAX);
    assert_eq!(wakes_on(&mut cpus, 1 << (1 - first)), first);
    assert_eq!(wakes_on(&mut cpus, 0), first);
    // With both free it goes where it is to be, and to and fro.
    hold::hold(&sys, guests[1].domain());
    for cpu in [1, 0, 1] {
        assert_eq!(wakes_on(&mut cpus, 1 << cpu), cpu);
    }
    assert_eq!(wakes_on(&mut cpus, u32::MAX), 1, "it stays where it was");
}

#[test]
fn a_cpu_that_becomes_idle_takes_who_waits_elsewhere() {
    let (mut cpus, guests) = machine(&[(2, 256), (2, 256)]);
    cpus.run_for(SECOND);
    // Both that run on CPU 1 or wait there go to sleep; the others have both CPUs.
    let sys = Arc::clone(&cpus.sys);
    hold::hold(&sys, guests[0].domain());
    cpus.settle();
    let used = used(&mut cpus, 2, SECOND);
    assert!(used[0] == 0 && used[1] >= 2 * SECOND - MS, "{used:?}");
    assert!(!guests[0].vcpu().run.can_run());
}
