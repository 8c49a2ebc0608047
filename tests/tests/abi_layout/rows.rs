//! Rows of the comparison: what `pv-abi` states beside the C expression for it.

use crate::compile::Bits;
use pv_abi::io::xs_wire;
use pv_abi::manifest::{Layout, Table, Width};
use pv_abi::{cpuid, memory, types, x86_32, x86_64};

/// How a value has to relate to C's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The same.
    Equal,
    /// C's value is no larger: a member of a union that shares its first byte.
    AtMost,
}

/// One comparison.
pub struct Row {
    /// What is compared, for the report.
    pub label: String,
    /// C expression.
    pub c: String,
    /// What `pv-abi` states.
    stated: i128,
    relation: Relation,
}

impl Row {
    /// The C expression has to have this value.
    pub fn equal(label: impl Into<String>, c: impl Into<String>, stated: i128) -> Self {
        Self { label: label.into(), c: c.into(), stated, relation: Relation::Equal }
    }

    /// What is wrong, given the value by the headers.
    fn fault(&self, value: u64) -> Option<String> {
        // Signed in C's eyes if stated as such, or if it can only be so.
        let signed = i128::from(value.cast_signed());
        let unsigned = i128::from(value);
        let holds = match self.relation {
            Relation::Equal => self.stated == if self.stated < 0 { signed } else { unsigned },
            Relation::AtMost => unsigned <= self.stated,
        };
        let shown = if signed < 0 && signed > -4096 { signed } else { unsigned };
        (!holds).then(|| format!("{}: pv-abi {}, C `{}` {shown}", self.label, self.stated, self.c))
    }
}

/// What the headers say otherwise, in the order of the rows.
pub fn mismatches(rows: &[Row], values: &[u64]) -> Vec<String> {
    assert_eq!(rows.len(), values.len(), "the object file holds one value a row");
    rows.iter().zip(values).filter_map(|(row, value)| row.fault(*value)).collect()
}

/// The rows of the tables that hold for a width.
pub fn of_tables(tables: &[Table], bits: Bits) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in tables {
        if table.width == Width::Both || table.width == bits.width() {
            for constant in table.constants {
                let label = format!("{}::{}", table.module, constant.rust);
                rows.push(Row::equal(label, constant.c, constant.value));
            }
            for layout in table.layouts {
                of_layout(&mut rows, table.module, layout);
            }
        }
    }
    rows
}

fn of_layout(rows: &mut Vec<Row>, module: &str, layout: &Layout) {
    let c = layout.c;
    let name = format!("{module}::{}", layout.rust);
    let number = |n: usize| i128::try_from(n).expect("sizes are small");
    rows.push(Row::equal(format!("size of {name}"), format!("sizeof({c})"), number(layout.size)));
    for field in layout.fields {
        for (index, path) in field.c.iter().enumerate() {
            let label = format!("{name}.{}", field.rust);
            rows.push(Row::equal(
                format!("offset of {label}"),
                format!("offsetof({c}, {path})"),
                number(field.offset),
            ));
            rows.push(Row {
                label: format!("size of {label}"),
                c: format!("sizeof((({c} *)0)->{path})"),
                stated: number(field.size),
                relation: if index == 0 { Relation::Equal } else { Relation::AtMost },
            });
        }
    }
}

/// What is not a constant or a structure: sizes of newtypes, values of
/// functions.
pub fn by_hand(bits: Bits) -> Vec<Row> {
    fn same_size<T>(rows: &mut Vec<Row>, rust: &str, c: &str) {
        let size = i128::try_from(size_of::<T>()).expect("sizes are small");
        rows.push(Row::equal(format!("size of {rust}"), format!("sizeof({c})"), size));
    }
    let mut rows = Vec::new();
    same_size::<types::DomId>(&mut rows, "types::DomId", "domid_t");
    same_size::<types::Port>(&mut rows, "types::Port", "evtchn_port_t");
    same_size::<types::GrantRef>(&mut rows, "types::GrantRef", "grant_ref_t");
    same_size::<types::GrantHandle>(&mut rows, "types::GrantHandle", "grant_handle_t");
    let prefix: Vec<_> = cpuid::EMULATE_PREFIX.iter().map(|b| format!("{b:#04x}")).collect();
    let prefix = format!(".byte {} ; ", prefix.join(","));
    for (rust, c, text) in [
        ("cpuid::EMULATE_PREFIX", "XEN_EMULATE_PREFIX", prefix.as_str()),
        ("io::xs_wire::XS_WRITE_NONE", "XS_WRITE_NONE", xs_wire::XS_WRITE_NONE),
        ("io::xs_wire::XS_WRITE_CREATE", "XS_WRITE_CREATE", xs_wire::XS_WRITE_CREATE),
        (
            "io::xs_wire::XS_WRITE_CREATE_EXCL",
            "XS_WRITE_CREATE_EXCL",
            xs_wire::XS_WRITE_CREATE_EXCL,
        ),
    ] {
        let c = format!("__builtin_strcmp({c}, \"{text}\") != 0");
        rows.push(Row::equal(format!("text of {rust}"), c, 0));
    }
    for (x, flags) in [(0u8, 0u32), (1, 0x104), (31, 0x2_0020), (63, 0x3f00), (255, u32::MAX)] {
        for (c, stated) in [
            (format!("XENMEMF_address_bits({x})"), memory::memf_address_bits(x).into()),
            (format!("XENMEMF_node({x})"), memory::memf_node(x).into()),
            (
                format!("XENMEMF_get_address_bits({flags}u)"),
                memory::memf_get_address_bits(flags).into(),
            ),
            (format!("XENMEMF_get_node({flags}u)"), memory::memf_get_node(flags).into()),
        ] {
            rows.push(Row::equal("a function of pv_abi::memory", c, stated));
        }
    }
    for pfn in [0u32, 1, 0xf_ffff, 0x10_0000, 0x12_3456, 0xff_ffff] {
        let (to, from) = (format!("xen_pfn_to_cr3({pfn:#x})"), format!("xen_cr3_to_pfn({pfn:#x})"));
        let (cr3, back): (i128, i128) = match bits {
            Bits::B32 => (x86_32::pfn_to_cr3(pfn).into(), x86_32::cr3_to_pfn(pfn).into()),
            Bits::B64 => {
                (x86_64::pfn_to_cr3(pfn.into()).into(), x86_64::cr3_to_pfn(pfn.into()).into())
            }
        };
        rows.push(Row::equal(format!("pfn_to_cr3({pfn:#x})"), to, cr3));
        rows.push(Row::equal(format!("cr3_to_pfn({pfn:#x})"), from, back));
    }
    match bits {
        Bits::B32 => {
            for c in ["unsigned long", "xen_ulong_t", "xen_pfn_t"] {
                same_size::<x86_32::ULong>(&mut rows, "x86_32::ULong", c);
            }
            same_size::<x86_32::Handle>(&mut rows, "x86_32::Handle", "XEN_GUEST_HANDLE(void)");
            same_size::<x86_32::U64>(&mut rows, "x86_32::U64", "uint64_t");
            let align = "__alignof__(struct { uint64_t x; })";
            let stated = i128::try_from(align_of::<x86_32::U64>()).expect("alignments are small");
            rows.push(Row::equal("alignment of x86_32::U64", align, stated));
        }
        Bits::B64 => {
            for c in ["unsigned long", "xen_ulong_t", "xen_pfn_t"] {
                same_size::<x86_64::ULong>(&mut rows, "x86_64::ULong", c);
            }
            same_size::<x86_64::Handle>(&mut rows, "x86_64::Handle", "XEN_GUEST_HANDLE(void)");
            same_size::<x86_64::U64>(&mut rows, "x86_64::U64", "uint64_t");
            same_size::<x86_64::Callback>(&mut rows, "x86_64::Callback", "xen_callback_t");
        }
    }
    rows
}
