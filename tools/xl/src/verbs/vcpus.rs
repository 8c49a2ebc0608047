//! `vcpu-list`, `vcpu-pin`, `vcpu-set`.

use super::arguments::Arguments;
use super::numbers::{Seconds, decimal};
use super::{Failure, Outcome, Session, list as listing};
use crate::cpu_set::CpuSet;
use crate::toolstack::{DomainInfo, Error};

pub fn list(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let cpus = cpus(session)?;
    let domains = listing::chosen(session, arguments)?;
    session.out(format_args!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} {}\n",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity (Hard / Soft)"
    ));
    for domain in &domains {
        list_one(session, domain, cpus)?;
    }
    Ok(())
}

fn list_one(session: &mut Session<'_>, domain: &DomainInfo, cpus: u32) -> Outcome {
    let vcpus = match session.toolstack.vcpus(domain.id) {
        // It has gone since it was listed.
        Err(Error::NoSuchDomain) => return Ok(()),
        vcpus => vcpus.map_err(|error| Failure::because("libxl_list_vcpu failed", &error))?,
    };
    for vcpu in vcpus {
        let (name, id) = (listing::name(domain), domain.id.raw());
        session.out(format_args!("{name:<32} {id:>5} {:>5}", vcpu.id));
        if vcpu.online {
            let running = if vcpu.running { 'r' } else { '-' };
            let blocked = if vcpu.blocked { 'b' } else { '-' };
            session.out(format_args!("{:>5} {running:>3}{blocked}- ", vcpu.cpu));
        } else {
            session.out(format_args!("{:>5} {:>3}-p ", '-', '-'));
        }
        session.out(format_args!(
            "{:>9}  {} / {}\n",
            Seconds(vcpu.cpu_ns),
            vcpu.affinity.display(cpus),
            vcpu.soft_affinity.display(cpus)
        ));
    }
    Ok(())
}

pub fn pin(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let which = arguments.operand(1);
    let hard = affinity(arguments.operand(2))?;
    let soft = affinity(arguments.operands.get(3).copied().unwrap_or("-"))?;
    let vcpus = match (which, decimal::<u32>(which)) {
        ("all", _) => {
            let vcpus = session.toolstack.vcpus(domain);
            let vcpus =
                vcpus.map_err(|error| Failure::because("libxl_list_vcpu failed", &error))?;
            vcpus.iter().map(|vcpu| vcpu.id).collect()
        }
        (_, Some(vcpu)) => alloc::vec![vcpu],
        (_, None) => {
            return Err(Failure::new(format_args!("Error: Invalid argument {which} as VCPU.")));
        }
    };
    for vcpu in vcpus {
        session.toolstack.set_affinity(domain, vcpu, hard, soft).map_err(|error| {
            Failure::because(format_args!("Could not set affinity for vcpu `{vcpu}'"), &error)
        })?;
    }
    Ok(())
}

/// A CPU list; `-` leaves it as it is.
fn affinity(text: &str) -> Result<Option<CpuSet>, Failure> {
    if text == "-" {
        return Ok(None);
    }
    let set = CpuSet::parse(text);
    set.map(Some).map_err(|why| Failure::new(format_args!("{text}: a CPU list {why}")))
}

pub fn set(session: &mut Session<'_>, arguments: &Arguments<'_>) -> Outcome {
    let domain = session.domain(arguments.operand(0))?;
    let Some(wanted) = decimal::<u32>(arguments.operand(1)) else {
        return Err(Failure::new("Error: Invalid argument."));
    };
    // As with xl, fewer than one is passed over in silence.
    if wanted == 0 {
        return Ok(());
    }
    let failed = |error: Error| {
        let id = domain.raw();
        Failure::because(
            format_args!("libxl_set_vcpuonline failed domid={id} max_vcpus={wanted}"),
            &error,
        )
    };
    let info = session.toolstack.domain(domain).map_err(failed)?;
    let cpus = cpus(session)?;
    if !arguments.has('i') && wanted > info.vcpus && wanted > cpus {
        return Err(Failure::new(format_args!(
            "You are overcommmitting! You have {cpus} physical CPUs and want {wanted} vCPUs! \
             Aborting, use --ignore-host to continue"
        )));
    }
    if wanted > info.max_vcpus {
        let (id, most) = (domain.raw(), info.max_vcpus);
        return Err(Failure::new(format_args!(
            "Domain {id} has {most} vCPUs, {wanted} are too many."
        )));
    }
    session.toolstack.set_vcpus(domain, wanted).map_err(failed)
}

fn cpus(session: &mut Session<'_>) -> Result<u32, Failure> {
    let host = session.toolstack.host();
    host.map(|host| host.nr_cpus).map_err(|error| Failure::because("libxl_physinfo failed", &error))
}
