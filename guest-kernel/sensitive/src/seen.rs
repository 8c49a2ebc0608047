//! What an instruction was seen to do, and what is expected of it.

use core::fmt;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A descriptor table register, as stored in compatibility mode.
    Table {
        /// The low 32 bits of the address.
        base: u32,
        /// Its size in bytes, minus 1.
        limit: u16,
    },
    /// A segment selector.
    Selector(u16),
    /// The machine status word, the low half of CR0.
    Status(u32),
    /// The flags register.
    Flags(u32),
    /// ZF clear: the instruction denies that there is such a segment.
    Hidden,
    /// ZF set: the segment is there and can be used.
    Visible,
    /// ZF set, with the segment's access rights or limit.
    Value(u32),
    /// It did what it would do anywhere, without a trap.
    Done,
    /// It trapped.
    Trap {
        /// The vector.
        vector: u32,
        /// The error code; 0 where the vector has none.
        error: u32,
    },
    /// The process was killed for it, by this Linux signal.
    Signal(u8),
}

/// EFLAGS.IF.
pub const IF: u32 = 1 << 9;
/// EFLAGS.IOPL.
pub const IOPL: u32 = 3 << 12;

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Table { base, limit } => write!(f, "base {base:#010x}, limit {limit:#06x}"),
            Self::Selector(selector) if selector < 4 => write!(f, "{selector:#06x} (none)"),
            Self::Selector(selector) => write!(f, "{selector:#06x} (RPL {})", selector & 3),
            Self::Status(word) => {
                write!(f, "{word:#x}: PE {}, TS {}", word & 1, word >> 3 & 1)
            }
            Self::Flags(flags) => {
                write!(f, "IF {}, IOPL {}", u32::from(flags & IF != 0), (flags & IOPL) >> 12)
            }
            Self::Hidden => f.write_str("ZF 0: no such segment"),
            Self::Visible => f.write_str("ZF 1: usable"),
            Self::Value(value) => write!(f, "{value:#010x}"),
            Self::Done => f.write_str("done, no trap"),
            Self::Trap { vector: 13, error } => write!(f, "#GP({error:#x})"),
            Self::Trap { vector, error: 0 } => write!(f, "trap {vector:#x}"),
            Self::Trap { vector, error } => write!(f, "trap {vector:#x}, error {error:#x}"),
            Self::Signal(11) => f.write_str("killed: SIGSEGV"),
            Self::Signal(signal) => write!(f, "killed: signal {signal}"),
        }
    }
}

/// What must be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Exactly this.
    Exactly(Seen),
    /// A table with a limit in this range, wherever it lies.
    Limit(u16, u16),
    /// A selector of the hypervisor's part of the GDT (0xe000 to 0xefff), RPL 0.
    Reserved,
    /// A status word with these bits, looked at through this mask.
    Status(u32, u32),
    /// Flags with these bits, looked at through this mask.
    Flags(u32, u32),
    /// Access rights or a limit with these bits, looked at through this mask.
    Value(u32, u32),
}

impl Expect {
    /// Whether `seen` is as expected.
    pub fn holds(self, seen: Seen) -> bool {
        match (self, seen) {
            (Self::Exactly(expected), seen) => expected == seen,
            (Self::Limit(least, most), Seen::Table { limit, .. }) => {
                (least..=most).contains(&limit)
            }
            (Self::Reserved, Seen::Selector(selector)) => {
                (0xe000..0xf000).contains(&selector) && selector & 3 == 0
            }
            (Self::Status(mask, bits), Seen::Status(word))
            | (Self::Flags(mask, bits), Seen::Flags(word))
            | (Self::Value(mask, bits), Seen::Value(word)) => word & mask == bits,
            _ => false,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exactly(seen) => seen.fmt(f),
            Self::Limit(least, most) if least == most => write!(f, "limit {least:#06x}"),
            Self::Limit(least, most) => write!(f, "limit {least:#06x} to {most:#06x}"),
            Self::Reserved => f.write_str("a selector from 0xe000 on, RPL 0"),
            Self::Flags(_, bits) => Seen::Flags(bits).fmt(f),
            Self::Status(mask, bits) | Self::Value(mask, bits) => {
                write!(f, "{bits:#x} in the bits {mask:#x}")
            }
        }
    }
}
