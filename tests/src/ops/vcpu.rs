//! Random operations on vCPUs: bring-up, scheduling, timers, traps, descriptors.

use pv_abi::hypercall as nr;
use pv_abi::sched::*;
use pv_abi::vcpu::*;
use pv_abi::x86_32::{self, VcpuGuestContext};
use zerocopy::{FromZeros, IntoBytes};

use super::call::{Call, Field};
use super::mm::{self, FrameName};
use super::source::Source;

fn time(from: &mut Source<'_>) -> u64 {
    match from.below(6) {
        0 => 0,
        1 => from.long(),
        2 => u64::MAX - u64::from(from.byte()),
        3 => 1_000_000 * u64::from(from.byte()),
        _ => u64::from(from.word()),
    }
}

fn vcpu(from: &mut Source<'_>) -> u32 {
    if from.below(10) == 0 { from.number() } else { from.below(2) as u32 }
}

/// A place for an area that the hypervisor writes: rarely one that it must refuse.
fn area(from: &mut Source<'_>) -> Field {
    let byte = from.one_of(&[0, 64, 512, 0xfe0, 0xffc, 0xfff, 3]);
    Field::Va4(from.below(48) as u16, byte)
}

fn vcpu_op(from: &mut Source<'_>) -> Call {
    let cmd = match from.below(16) {
        0..3 => VCPUOP_UP,
        3 => VCPUOP_DOWN,
        4 | 5 => VCPUOP_SET_SINGLESHOT_TIMER,
        6 => VCPUOP_SET_PERIODIC_TIMER,
        7 => VCPUOP_REGISTER_VCPU_INFO,
        8 => VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
        9 => VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA,
        10 => VCPUOP_SEND_NMI,
        _ => from.below(16) as u32,
    };
    let arg = match cmd {
        VCPUOP_SET_SINGLESHOT_TIMER => {
            vec![Field::B8(time(from)), Field::B4(from.below(3) as u32), Field::B4(0)]
        }
        VCPUOP_SET_PERIODIC_TIMER => vec![Field::B8(time(from).max(1_000))],
        VCPUOP_REGISTER_VCPU_INFO => {
            let offset = from.one_of(&[0, 64, 0xfc0, 0xfc1, 0xfff, 8, 0xffff_ffff]);
            vec![Field::Mfn8(FrameName::data(from)), Field::B4(offset), Field::B4(0)]
        }
        VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA | VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA => {
            vec![area(from), Field::B4(0)]
        }
        // Random contexts: seldom good, never harmful. Good ones come from `initialise`.
        VCPUOP_INITIALISE => vec![Field::Zeros(512), Field::B4(from.word()), Field::Zeros(2284)],
        _ => vec![Field::Zeros(64)],
    };
    let args = vec![Field::B4(cmd), Field::B4(vcpu(from)), Field::Pointer(arg)];
    Call { number: nr::VCPU_OP, args }
}

fn sched_op(from: &mut Source<'_>) -> Call {
    let cmd = match from.below(16) {
        0..4 => SCHEDOP_YIELD,
        4..8 => SCHEDOP_BLOCK,
        8..10 => SCHEDOP_POLL,
        // The end of the domain: rarely.
        10 => {
            if from.below(8) == 0 {
                SCHEDOP_SHUTDOWN
            } else {
                SCHEDOP_YIELD
            }
        }
        11 => SCHEDOP_WATCHDOG,
        12 => SCHEDOP_SHUTDOWN_CODE,
        13 => {
            if from.below(8) == 0 {
                SCHEDOP_REMOTE_SHUTDOWN
            } else {
                SCHEDOP_BLOCK
            }
        }
        _ => from.below(10) as u32 + 3,
    };
    let arg = match cmd {
        SCHEDOP_POLL => {
            let ports = Field::array(from.below(4), || vec![Field::B4(from.below(12) as u32)]);
            vec![ports, Field::B4(from.number()), Field::B8(time(from))]
        }
        SCHEDOP_WATCHDOG => vec![Field::B4(from.below(4) as u32), Field::B4(from.below(4) as u32)],
        SCHEDOP_REMOTE_SHUTDOWN => {
            vec![Field::domain(from), Field::B2(0), Field::B4(from.number())]
        }
        _ => vec![Field::B4(from.below(6) as u32)],
    };
    Call::of(nr::SCHED_OP, cmd, arg)
}

/// Code and data segments, call gates, and junk.
fn descriptor(from: &mut Source<'_>) -> u64 {
    let sensible = [
        0x00cf_ba00_0000_ffff,
        0x00cf_b200_0000_ffff,
        0x00cf_fa00_0000_ffff,
        0x00cf_f200_0000_ffff,
        0x0000_ec00_0000_0000,
        0x0000_8900_0000_0000,
    ];
    if from.below(4) == 0 { from.long() } else { from.one_of(&sensible) }
}

/// One hypercall.
pub fn decode(from: &mut Source<'_>) -> Call {
    let (word, half) = (|w: u32| Field::B4(w), |from: &mut Source<'_>| Field::B4(from.number()));
    match from.below(32) {
        0..10 => vcpu_op(from),
        10..18 => sched_op(from),
        18 | 19 => {
            let at = time(from);
            Call { number: nr::SET_TIMER_OP, args: vec![word(at as u32), word((at >> 32) as u32)] }
        }
        20 => {
            let one = |vector: u8, flags: u8, cs: u16, address: u32| {
                vec![Field::B1(vector), Field::B1(flags), Field::B2(cs), Field::B4(address)]
            };
            let count = from.below(6);
            let list = (0..count).flat_map(|_| {
                let cs = from.one_of(&[x86_32::FLAT_KERNEL_CS, x86_32::FLAT_USER_CS, 0, 0x10, 7]);
                one(from.byte(), from.byte() % 8, cs, 0xc000_1000 | u32::from(from.byte()))
            });
            let list = list.collect::<Vec<_>>().into_iter().chain(one(0, 0, 0, 0)).collect();
            Call { number: nr::SET_TRAP_TABLE, args: vec![Field::Pointer(list)] }
        }
        21 => {
            let cs = Field::B4(x86_32::FLAT_KERNEL_CS.into());
            let at = || Field::Va4(8, 16);
            Call { number: nr::SET_CALLBACKS, args: vec![cs.clone(), at(), cs, at()] }
        }
        22 => {
            let (kind, flags) = (from.below(9) as u16, from.below(3) as u16);
            let target = [Field::B4(x86_32::FLAT_KERNEL_CS.into()), Field::Va4(8, 32)];
            let arg = [Field::B2(kind), Field::B2(flags)].into_iter().chain(target).collect();
            Call::of(nr::CALLBACK_OP, from.below(3) as u32, arg)
        }
        23 => Call { number: nr::VM_ASSIST, args: vec![half(from), half(from)] },
        24 => {
            let ss = from.one_of(&[x86_32::FLAT_KERNEL_SS, 0, 0x13, 0x7b]).into();
            Call { number: nr::STACK_SWITCH, args: vec![word(ss), Field::Va4(7, 4080)] }
        }
        25 => Call { number: nr::SET_DEBUGREG, args: vec![word(from.below(9) as u32), half(from)] },
        26 => Call { number: nr::GET_DEBUGREG, args: vec![half(from)] },
        27 => Call { number: nr::FPU_TASKSWITCH, args: vec![half(from)] },
        28 | 29 => {
            let at = Field::Entry8(FrameName::data(from), from.half(), 0);
            let value = descriptor(from);
            // The address goes in two registers; here it fits into the first.
            let args = vec![at, word(0), word(value as u32), word((value >> 32) as u32)];
            Call { number: nr::UPDATE_DESCRIPTOR, args }
        }
        30 => {
            let frames = Field::array(from.below(16), || vec![Field::Mfn4(FrameName::data(from))]);
            Call { number: nr::SET_GDT, args: vec![frames, half(from)] }
        }
        _ => Call { number: nr::IRET, args: vec![] },
    }
}

/// What a kernel gives its second vCPU: a state that is good, but for one byte in `spoiled`.
pub fn initialise(
    world: &mut mm::World,
    target: u32,
    spoiled: Option<(u16, u8)>,
) -> Option<Vec<u64>> {
    let mut context = VcpuGuestContext::new_zeroed();
    context.flags = pv_abi::traps::VGCF_IN_KERNEL;
    context.user_regs.eip = world.page_va(8) as u32;
    context.user_regs.esp = world.page_va(7) as u32 + 4080;
    context.user_regs.cs = x86_32::FLAT_KERNEL_CS;
    context.user_regs.ss = x86_32::FLAT_KERNEL_SS;
    context.user_regs.ds = x86_32::FLAT_KERNEL_DS;
    context.user_regs.es = x86_32::FLAT_KERNEL_DS;
    context.kernel_ss = x86_32::FLAT_KERNEL_SS.into();
    context.kernel_sp = context.user_regs.esp;
    context.event_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    context.event_callback_eip = context.user_regs.eip;
    context.failsafe_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    context.failsafe_callback_eip = context.user_regs.eip;
    context.ctrlreg[3] = x86_32::pfn_to_cr3(world.guest.root.raw() as u32);
    if let Some((at, value)) = spoiled {
        let bytes = context.as_mut_bytes();
        let at = usize::from(at) % bytes.len();
        bytes[at] = value;
    }
    let at = world.guest.try_arg(&context)?;
    Some(vec![VCPUOP_INITIALISE.into(), target.into(), at])
}
