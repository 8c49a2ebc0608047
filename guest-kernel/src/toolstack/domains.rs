//! Making a domain ready to run, and ending it: what goes with a domain beside the domain itself.

use super::build::{self, BuildError, Built, Request};
use super::new_domain::Limits;
use super::records::{self, Record};
use super::{consoles, devices, driver_domains, given, store, watchers};
use crate::control::domctl::{self, Affinity};
use crate::restarts::ShortLives;
use crate::store_nodes::Domain;
use crate::time;
use alloc::vec::Vec;
use pv_abi::types::DomId;
use ring1::hypercall;
use xl::config::DomainConfig;
use xl::terminal::Blob;
use xl::toolstack::{Creation, Error, Result};
use xl::uuid::Uuid;

/// The highest event channel that a domain gets unless its file says otherwise.
const EVENT_CHANNEL: u32 = 1023;
/// The latest grant table version unless its file says otherwise.
const GRANT_VERSION: u8 = 2;
/// The largest kernel that is read, bytes: they are all in domain 0's memory at once.
const LARGEST_KERNEL: u64 = 64 << 20;

/// Makes a domain, paused. The caller has the [turn](super::turn).
pub fn create(creation: Creation) -> Result<DomId> {
    let Creation { mut config, kernel, ramdisk } = creation;
    if config.name == "Domain-0" || records::find(&config.name).is_some() {
        return Err(Error::NameTaken);
    }
    super::start();
    devices::complete(&mut config);
    let uuid = config.uuid.unwrap_or_else(fresh_uuid);
    // Only what came in pieces has to be put together.
    let read = match kernel.as_slice() {
        Some(_) => Vec::new(),
        None => read(&*kernel)?,
    };
    let built = build::build(&Request {
        kernel: kernel.as_slice().unwrap_or(&read),
        ramdisk: ramdisk.as_deref(),
        command_line: config.command_line.as_bytes(),
        memory_kib: config.memory_kib,
        handle: uuid.0,
        limits: limits(&config),
    });
    drop(read);
    let built = built.map_err(error)?;
    let ready = make_ready(&built, &config, uuid);
    consoles::note(format_args!("{} is {}", built.id, config.name));
    let (made_ns, short_lives) = (time::now(), ShortLives::default());
    let record = Record { config, kernel, ramdisk, uuid, made_ns, ended: false, short_lives };
    records::insert(built.id, record);
    if let Err(error) = ready {
        let _ = destroy(built.id);
        return Err(error);
    }
    driver_domains::succeed(built.id);
    watchers::wake();
    Ok(built.id)
}

/// Gives a domain what it needs beside memory.
fn make_ready(built: &Built, config: &DomainConfig, uuid: Uuid) -> Result<()> {
    let id = built.id;
    consoles::attach(id, built.console.port).map_err(refused("taking up the console"))?;
    store::announce(&Domain {
        id,
        name: &config.name,
        uuid,
        memory_kib: config.memory_kib,
        max_memory_kib: config.max_memory_kib,
        vcpus: config.vcpus,
        max_vcpus: config.max_vcpus,
        store: built.store,
        console: built.console,
        is_driver: config.driver_domain,
    })?;
    if config.time_offset_s != 0 {
        domctl::set_time_offset(id, config.time_offset_s.into())
            .map_err(refused("domctl settimeoffset"))?;
    }
    for vcpu in 0..config.max_vcpus {
        for (which, cpus) in
            [(Affinity::Hard, &config.affinity), (Affinity::Soft, &config.soft_affinity)]
        {
            if let Some(cpus) = cpus.of(vcpu) {
                domctl::set_affinity(id, vcpu, which, cpus.0)
                    .map_err(refused("domctl setvcpuaffinity"))?;
            }
        }
    }
    if config.weight.is_some() || config.cap.is_some() {
        let mut share = domctl::share(id).map_err(refused("domctl scheduler_op"))?;
        share.weight = config.weight.unwrap_or(share.weight);
        share.cap = config.cap.unwrap_or(share.cap);
        domctl::set_share(id, share).map_err(refused("domctl scheduler_op"))?;
    }
    devices::give_all(id, config)
}

/// Ends a domain and takes back what it had. The caller has the turn.
pub fn destroy(id: DomId) -> Result<()> {
    // Nothing of its memory may be mapped any more, or the frames would stay.
    devices::take_all(id);
    consoles::detach(id);
    store::release(id);
    let ended = domctl::destroy(id).map_err(refused("domctl destroydomain"));
    if let Some(Record { config, uuid, .. }) = records::remove(id) {
        // Last: to those that it served this says that it has nothing of theirs any more.
        store::withdraw(id, uuid);
        given::lose(id, &config.name);
    }
    watchers::wake();
    ended
}

/// Makes an error of what `call` returned.
pub fn refused(call: &'static str) -> impl Fn(pv_abi::errno::Errno) -> Error {
    move |errno| match errno {
        pv_abi::errno::Errno::ESRCH => Error::NoSuchDomain,
        errno => Error::Hypervisor { call, errno },
    }
}

/// A builder's error, as verbs know it.
fn error(error: BuildError) -> Error {
    match error {
        BuildError::Call { call, errno } => Error::Hypervisor { call, errno },
        BuildError::NoMemory { wanted_kib } => {
            let free_pages = crate::control::sysctl::physinfo().map_or(0, |info| info.free_pages);
            Error::NoMemory { wanted_kib, free_kib: free_pages * 4 }
        }
        BuildError::OwnMemory | BuildError::Outside { .. } => {
            Error::Other(alloc::format!("{error}"))
        }
        error => Error::Image(alloc::format!("{error}")),
    }
}

fn limits(config: &DomainConfig) -> Limits {
    Limits {
        vcpus: config.max_vcpus.max(1),
        event_channel: config.max_event_channels.unwrap_or(EVENT_CHANNEL),
        grant_frames: config.max_grant_frames,
        maptrack_frames: config.max_maptrack_frames,
        grant_version: config.max_grant_version.unwrap_or(GRANT_VERSION),
    }
}

/// Reads a kernel's file.
fn read(file: &dyn Blob) -> Result<Vec<u8>> {
    if file.len() > LARGEST_KERNEL {
        return Err(Error::Image(alloc::format!("the kernel's file has {} bytes", file.len())));
    }
    let mut bytes = Vec::new();
    let length = file.len() as usize;
    bytes
        .try_reserve_exact(length)
        .map_err(|_| Error::Other("domain 0 has too little memory for the kernel's file".into()))?;
    bytes.resize(length, 0);
    let count = file.read_at(0, &mut bytes);
    bytes.truncate(count);
    Ok(bytes)
}

/// A handle that no other domain has: what it is made of is the time, to the tick.
pub fn fresh_uuid() -> Uuid {
    let words = [time::now(), hypercall::rdtsc()];
    let mut state = words[0] ^ words[1].rotate_left(32);
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        // Steele, Lea, Flood: "splitmix64".
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = (mixed >> 56) as u8;
    }
    Uuid::from_random(bytes)
}
