//! Rows of the comparison: what `pv-abi` states beside the C expression for it.

use super::compile::Bits;
use pv_abi::io::{protocols, xs_wire};
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

/// What is neither a constant nor a structure.
pub fn by_hand(bits: Bits) -> Vec<Row> {
    let mut rows = sizes(bits);
    rows.extend(texts());
    rows.extend(memory_flags());
    rows.extend(folded_roots(bits));
    rows
}

/// Sizes of newtypes and of the types that width-dependent layouts are made of.
fn sizes(bits: Bits) -> Vec<Row> {
    fn row<T>(rust: &str, c: &str) -> Row {
        let size = i128::try_from(size_of::<T>()).expect("sizes are small");
        Row::equal(format!("size of {rust}"), format!("sizeof({c})"), size)
    }
    let mut rows = vec![
        row::<types::DomId>("types::DomId", "domid_t"),
        row::<types::Port>("types::Port", "evtchn_port_t"),
        row::<types::GrantRef>("types::GrantRef", "grant_ref_t"),
        row::<types::GrantHandle>("types::GrantHandle", "grant_handle_t"),
    ];
    let longs = ["unsigned long", "xen_ulong_t", "xen_pfn_t"];
    match bits {
        Bits::B32 => {
            rows.extend(longs.map(|c| row::<x86_32::ULong>("x86_32::ULong", c)));
            rows.push(row::<x86_32::Handle>("x86_32::Handle", "XEN_GUEST_HANDLE(void)"));
            rows.push(row::<x86_32::U64>("x86_32::U64", "uint64_t"));
            let align = "__alignof__(struct { uint64_t x; })";
            let stated = i128::try_from(align_of::<x86_32::U64>()).expect("alignments are small");
            rows.push(Row::equal("alignment of x86_32::U64", align, stated));
        }
        Bits::B64 => {
            rows.extend(longs.map(|c| row::<x86_64::ULong>("x86_64::ULong", c)));
            rows.push(row::<x86_64::Handle>("x86_64::Handle", "XEN_GUEST_HANDLE(void)"));
            rows.push(row::<x86_64::U64>("x86_64::U64", "uint64_t"));
            rows.push(row::<x86_64::Callback>("x86_64::Callback", "xen_callback_t"));
        }
    }
    rows
}

/// Strings, and bytes that the headers have as an assembler's string.
fn texts() -> Vec<Row> {
    let bytes: Vec<_> = cpuid::EMULATE_PREFIX.iter().map(|b| format!("{b:#04x}")).collect();
    let prefix = format!(".byte {} ; ", bytes.join(","));
    [
        ("XEN_EMULATE_PREFIX", prefix.as_str()),
        ("XEN_IO_PROTO_ABI_X86_32", protocols::XEN_IO_PROTO_ABI_X86_32),
        ("XEN_IO_PROTO_ABI_X86_64", protocols::XEN_IO_PROTO_ABI_X86_64),
        ("XS_WRITE_NONE", xs_wire::XS_WRITE_NONE),
        ("XS_WRITE_CREATE", xs_wire::XS_WRITE_CREATE),
        ("XS_WRITE_CREATE_EXCL", xs_wire::XS_WRITE_CREATE_EXCL),
    ]
    .map(|(c, text)| {
        let differs = format!("__builtin_strcmp({c}, \"{text}\") != 0");
        Row::equal(format!("text of {c}"), differs, 0)
    })
    .into()
}

/// The functions of `memory` against the macros that they stand for.
fn memory_flags() -> Vec<Row> {
    let mut rows = Vec::new();
    for x in [0u8, 1, 31, 63, 255] {
        for (c, stated) in [
            ("XENMEMF_address_bits", memory::memf_address_bits(x)),
            ("XENMEMF_node", memory::memf_node(x)),
        ] {
            rows.push(Row::equal(format!("{c}({x})"), format!("{c}({x})"), stated.into()));
        }
    }
    for x in [0u32, 0x104, 0x2_0020, 0x3f00, u32::MAX] {
        for (c, stated) in [
            ("XENMEMF_get_address_bits", memory::memf_get_address_bits(x)),
            ("XENMEMF_get_node", memory::memf_get_node(x)),
        ] {
            rows.push(Row::equal(format!("{c}({x})"), format!("{c}({x}u)"), stated.into()));
        }
    }
    rows
}

/// Page-table roots in CR3's form.
fn folded_roots(bits: Bits) -> Vec<Row> {
    let mut rows = Vec::new();
    for x in [0u32, 1, 0xf_ffff, 0x10_0000, 0x12_3456, 0xff_ffff] {
        let wide = u64::from(x);
        let (to, from): (i128, i128) = match bits {
            Bits::B32 => (x86_32::pfn_to_cr3(x).into(), x86_32::cr3_to_pfn(x).into()),
            Bits::B64 => (x86_64::pfn_to_cr3(wide).into(), x86_64::cr3_to_pfn(wide).into()),
        };
        rows.push(Row::equal(format!("pfn_to_cr3({x})"), format!("xen_pfn_to_cr3({x})"), to));
        rows.push(Row::equal(format!("cr3_to_pfn({x})"), format!("xen_cr3_to_pfn({x})"), from));
    }
    rows
}
