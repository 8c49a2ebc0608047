//! Random event channel operations.

use pv_abi::event_channel::*;
use pv_abi::hypercall::EVENT_CHANNEL_OP;

use super::call::{Call, Field};
use super::mm::FrameName;
use super::source::Source;

/// Ports that sequences meet again.
fn port(from: &mut Source<'_>) -> Field {
    let number = from.number();
    Field::B4(if from.below(4) == 0 { number } else { from.below(12) as u32 })
}

fn vcpu(from: &mut Source<'_>) -> Field {
    Field::B4(if from.below(10) == 0 { from.number() } else { from.below(2) as u32 })
}

/// One operation.
pub fn decode(from: &mut Source<'_>) -> Call {
    let cmd = match from.below(24) {
        0..3 => EVTCHNOP_ALLOC_UNBOUND,
        3..7 => EVTCHNOP_BIND_INTERDOMAIN,
        7 => EVTCHNOP_BIND_VIRQ,
        8 => EVTCHNOP_BIND_IPI,
        9 => EVTCHNOP_BIND_PIRQ,
        10..12 => EVTCHNOP_CLOSE,
        12..17 => EVTCHNOP_SEND,
        17 => EVTCHNOP_UNMASK,
        18 => EVTCHNOP_BIND_VCPU,
        19 => EVTCHNOP_INIT_CONTROL,
        20 => EVTCHNOP_EXPAND_ARRAY,
        21 => EVTCHNOP_SET_PRIORITY,
        22 => EVTCHNOP_STATUS,
        _ => from.one_of(&[EVTCHNOP_RESET, EVTCHNOP_STATUS, 14, u32::MAX]),
    };
    let arg = match cmd {
        EVTCHNOP_ALLOC_UNBOUND => vec![Field::domain(from), Field::domain(from), Field::B4(0)],
        EVTCHNOP_BIND_INTERDOMAIN => {
            vec![Field::domain(from), Field::B2(0), port(from), Field::B4(0)]
        }
        EVTCHNOP_BIND_VIRQ => vec![Field::B4(from.number() % 32), vcpu(from), Field::B4(0)],
        EVTCHNOP_BIND_IPI => vec![vcpu(from), Field::B4(0)],
        EVTCHNOP_BIND_PIRQ => {
            vec![Field::B4(from.number()), Field::B4(from.below(2) as u32), Field::B4(0)]
        }
        EVTCHNOP_STATUS => vec![Field::domain(from), Field::B2(0), port(from), Field::Zeros(16)],
        EVTCHNOP_RESET => vec![Field::domain(from), Field::Zeros(6)],
        EVTCHNOP_INIT_CONTROL => {
            let offset = from.one_of(&[0, 0, 0x48, 0x90, 0xfb8, 0xfc0, 4, 0xffff_ffff]);
            let frame = Field::Mfn8(FrameName::data(from));
            vec![frame, Field::B4(offset), vcpu(from), Field::Zeros(8)]
        }
        EVTCHNOP_EXPAND_ARRAY => vec![Field::Mfn8(FrameName::data(from))],
        EVTCHNOP_BIND_VCPU => vec![port(from), vcpu(from)],
        EVTCHNOP_SET_PRIORITY => vec![port(from), Field::B4(from.below(18) as u32)],
        _ => vec![port(from), Field::B4(from.number())],
    };
    Call::of(EVENT_CHANNEL_OP, cmd, arg)
}
