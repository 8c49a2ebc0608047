//! Interrupts as domains name them.

use pv_abi::errno::Errno;
use pv_abi::physdev as abi;
use pv_abi::physdev::{PhysdevEoi, PhysdevGetFreePirq, PhysdevIrqStatusQuery, PhysdevUnmapPirq};
use pv_abi::types::{DomId, Mfn};
use pv_abi::{x86_32, x86_64};

use super::must_be_privileged;
use crate::domain::Domain;
use crate::error::Stop;
use crate::guest::Ctx;
use crate::irq::msi::MsiRequest;
use crate::irq::pci::Function;
use crate::irq::pirq::{self, Want};
use crate::irq::{NR_PIRQS, bind, eoi_page};
use crate::platform::Platform;
use crate::width::Width;

/// `PHYSDEVOP_eoi`. `EINVAL`: no such pirq, or it stands for nothing.
pub(super) fn eoi<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevEoi { irq } = ctx.read(at)?;
    bind::end(ctx.sys, ctx.domain, irq)
}

/// `PHYSDEVOP_IRQ_UNMASK_NOTIFY`, whose argument nobody looks at.
pub(super) fn unmask_notify<P: Platform>(ctx: &Ctx<'_, P>) {
    bind::end_unmasked(ctx.sys, ctx.domain);
}

/// `PHYSDEVOP_irq_status_query`: every pirq needs an end, as far as a guest has to know that does
/// not look at the page of [`mod@eoi_page`]. None is shared. `EINVAL`: no such pirq.
pub(super) fn status_query<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let query: PhysdevIrqStatusQuery = ctx.read(at)?;
    if query.irq >= NR_PIRQS {
        return Err(Errno::EINVAL);
    }
    ctx.write(at, &PhysdevIrqStatusQuery { flags: abi::XENIRQSTAT_NEEDS_EOI, ..query })
}

/// `PHYSDEVOP_pirq_eoi_gmfn_v1`, `_v2`: see [`eoi_page::register`].
pub(super) fn eoi_page<P: Platform>(
    ctx: &Ctx<'_, P>,
    at: u64,
    end_unmasks: bool,
) -> Result<(), Stop> {
    // A PV guest's "gmfn" is a machine frame.
    let mfn = Mfn::new(ctx.read_long(at, 0)?);
    eoi_page::register(ctx.sys, ctx.domain, mfn, end_unmasks)
}

/// `PHYSDEVOP_map_pirq`, in numbers of any width.
struct MapPirq {
    domid: DomId,
    kind: i32,
    index: i32,
    pirq: i32,
    bus: i32,
    devfn: i32,
    entry_nr: i32,
    table_base: u64,
}

/// The argument as the guest has it.
enum MapArgument {
    Pv32(x86_32::PhysdevMapPirq),
    Pv64(x86_64::PhysdevMapPirq),
}

impl MapArgument {
    fn read<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<MapArgument, Errno> {
        Ok(match ctx.width() {
            Width::Pv32 => MapArgument::Pv32(ctx.read(at)?),
            Width::Pv64 => MapArgument::Pv64(ctx.read(at)?),
        })
    }

    fn numbers(&self) -> MapPirq {
        macro_rules! numbers {
            ($a:ident, $table_base:expr) => {
                MapPirq {
                    domid: $a.domid,
                    kind: $a.r#type,
                    index: $a.index,
                    pirq: $a.pirq,
                    bus: $a.bus,
                    devfn: $a.devfn,
                    entry_nr: $a.entry_nr,
                    table_base: $table_base,
                }
            };
        }
        match self {
            MapArgument::Pv32(a) => numbers!(a, a.table_base.get()),
            MapArgument::Pv64(a) => numbers!(a, a.table_base),
        }
    }

    /// Writes the argument back: with `pirq`, if there is one, and the type as it was understood.
    fn write<P: Platform>(
        mut self,
        ctx: &Ctx<'_, P>,
        at: u64,
        kind: i32,
        pirq: Option<u32>,
    ) -> Result<(), Errno> {
        let (old_kind, old_pirq) = match &mut self {
            MapArgument::Pv32(a) => (&mut a.r#type, &mut a.pirq),
            MapArgument::Pv64(a) => (&mut a.r#type, &mut a.pirq),
        };
        *old_kind = kind;
        if let Some(pirq) = pirq {
            // Below NR_PIRQS.
            *old_pirq = pirq as i32;
        }
        match &self {
            MapArgument::Pv32(a) => ctx.write(at, a),
            MapArgument::Pv64(a) => ctx.write(at, a),
        }
    }
}

/// `PHYSDEVOP_map_pirq`: gives an input, or a new MSI, a number in a domain.
///
/// `ESRCH`: no such domain, or it is dying; `EPERM`: the caller is not privileged; `EINVAL`: an unknown type, or
/// MSI of several vectors with a table, or an irq that cannot be; `EPERM`, too: an MSI by the
/// number of an irq; `EOPNOTSUPP`: MSI of several vectors, `EDOM`: of none or more than 32; else
/// see [`pirq::map_irq`] and [`pirq::map_msi`]. The argument is written back whatever happens, as on Xen.
pub(super) fn map_pirq<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument = MapArgument::read(ctx, at)?;
    let mut map = argument.numbers();
    let mut segment = 0;
    match map.kind {
        abi::MAP_PIRQ_TYPE_MSI_SEG => {
            map.kind = abi::MAP_PIRQ_TYPE_MSI;
            segment = map.bus >> 16;
        }
        abi::MAP_PIRQ_TYPE_MULTI_MSI if map.table_base != 0 => return Err(Errno::EINVAL),
        abi::MAP_PIRQ_TYPE_MULTI_MSI => segment = map.bus >> 16,
        _ => {}
    }
    let outcome = named(ctx, map.domid).and_then(|domain| {
        must_be_privileged(ctx)?;
        // What it has is being taken away.
        if domain.end.is_dying() {
            return Err(Errno::ESRCH);
        }
        map_for(ctx, domain, &map, segment)
    });
    argument.write(ctx, at, map.kind, outcome.ok())?;
    outcome.map(|_| ())
}

fn map_for<P: Platform>(
    ctx: &Ctx<'_, P>,
    domain: &Domain,
    map: &MapPirq,
    segment: i32,
) -> Result<u32, Errno> {
    let sys = ctx.sys;
    let wanted = u32::try_from(map.pirq).ok();
    match map.kind {
        abi::MAP_PIRQ_TYPE_GSI => {
            let index = u32::try_from(map.index).map_err(|_| Errno::EINVAL)?;
            if index >= sys.irq_inputs() {
                return Err(Errno::EINVAL);
            }
            // What the caller calls it, if it calls it anything.
            let irq = ctx.domain.pirqs.get(index).and_then(|entry| entry.irq()).unwrap_or(index);
            pirq::map_irq(sys, ctx.domain, domain, irq, wanted)
        }
        abi::MAP_PIRQ_TYPE_MSI | abi::MAP_PIRQ_TYPE_MULTI_MSI => {
            // An irq by number would have to be one that exists, which is in use.
            if map.index != -1 && map.kind == abi::MAP_PIRQ_TYPE_MSI {
                return Err(msi_by_number(sys.irq_inputs(), map.index));
            }
            if map.kind == abi::MAP_PIRQ_TYPE_MULTI_MSI {
                match map.entry_nr {
                    1 => {}
                    2..=32 => return Err(Errno::EOPNOTSUPP),
                    _ => return Err(Errno::EDOM),
                }
            }
            // No device is anybody's but domain 0's yet, and there is one segment.
            if segment != 0 || !domain.privileged {
                return Err(Errno::ENODEV);
            }
            let function = Function { bus: map.bus as u8, devfn: map.devfn as u8 };
            let entry = match map.table_base {
                0 => None,
                _ => Some(u32::try_from(map.entry_nr).map_err(|_| Errno::EINVAL)?),
            };
            pirq::map_msi(sys, domain, &MsiRequest { function, entry }, wanted)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Why an MSI cannot be mapped to the irq `index`.
fn msi_by_number(inputs: u32, index: i32) -> Errno {
    match u32::try_from(index) {
        Ok(irq) if irq >= inputs && (irq as usize) < crate::irq::IRQS => Errno::EPERM,
        _ => Errno::EINVAL,
    }
}

/// `PHYSDEVOP_unmap_pirq`. `ESRCH`: no such domain; `EPERM`: the caller is not privileged;
/// `EINVAL`: no such pirq, or it stands for nothing.
pub(super) fn unmap_pirq<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let PhysdevUnmapPirq { domid, pirq, .. } = ctx.read(at)?;
    let domain = named(ctx, domid)?;
    must_be_privileged(ctx)?;
    let pirq = u32::try_from(pirq).map_err(|_| Errno::EINVAL)?;
    pirq::unmap(ctx.sys, domain, pirq)
}

/// `PHYSDEVOP_get_free_pirq`, of the caller's. `ENOSPC`: none is free.
pub(super) fn get_free_pirq<P: Platform>(ctx: &Ctx<'_, P>, at: u64) -> Result<(), Errno> {
    let argument: PhysdevGetFreePirq = ctx.read(at)?;
    let want = match argument.r#type {
        abi::MAP_PIRQ_TYPE_GSI => Want::Input,
        _ => Want::Message,
    };
    let pirq = pirq::take_free(ctx.sys, ctx.domain, want)?;
    ctx.write(at, &PhysdevGetFreePirq { pirq, ..argument })
}

/// The domain with number `domid`, or the caller. `ESRCH` if there is none.
fn named<'a, P: Platform>(ctx: &Ctx<'a, P>, domid: DomId) -> Result<&'a Domain, Errno> {
    if domid == DomId::SELF {
        return Ok(ctx.domain);
    }
    ctx.sys.domain(domid).ok_or(Errno::ESRCH)
}
