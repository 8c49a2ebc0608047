//! `pv-abi` says what Debian's Xen headers say, for both guest widths.
//!
//! A C program is generated from `pv_abi::manifest` and compiled against the
//! headers, once with `-m32` and once with `-m64`. It is one array: for each
//! number, size and offset that `pv-abi` states, the value by the headers. The
//! array is read back from the object file, never run, as 32-bit programs need
//! not link here.
//!
//! Two more questions keep the comparison honest. [`sources`]: is anything
//! public in `pv-abi` declared outside of the table? [`headers`]: is anything in
//! the headers, a number, a structure or a member, missing in `pv-abi` without a
//! reason being written down?

mod compile;
mod headers;
mod omitted;
mod rows;
mod sources;

use compile::Bits;
use pv_abi::manifest::{Constant, Field, Layout, TABLES, Table, Width};
use rows::{Row, mismatches};

/// Everything that the headers say otherwise.
fn compare(tables: &[Table], bits: Bits) -> Vec<String> {
    let mut rows = rows::of_tables(tables, bits);
    rows.extend(rows::by_hand(bits));
    let values = compile::evaluate(&rows, bits);
    mismatches(&rows, &values)
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

#[test]
fn x86_32_agrees_with_the_headers() {
    assert_none("pv-abi and the headers differ (x86_32)", &compare(TABLES, Bits::B32));
}

#[test]
fn x86_64_agrees_with_the_headers() {
    assert_none("pv-abi and the headers differ (x86_64)", &compare(TABLES, Bits::B64));
}

#[test]
fn everything_public_is_in_the_manifest() {
    assert_none("declared outside of the table", &sources::undeclared());
}

#[test]
fn every_module_with_declarations_is_in_the_manifest() {
    assert_none("not in pv_abi::manifest::TABLES", &sources::unlisted());
}

#[test]
fn fields_cover_every_byte() {
    let mut faults = Vec::new();
    for table in TABLES {
        for layout in table.layouts {
            let mut end = 0;
            for field in layout.fields {
                if field.offset != end {
                    faults.push(format!(
                        "{}::{}.{}: bytes {end}..{} belong to no field",
                        table.module, layout.rust, field.rust, field.offset
                    ));
                }
                end = field.offset + field.size;
            }
            if end != layout.size {
                faults.push(format!("{}::{}: ends at {end}", table.module, layout.rust));
            }
        }
    }
    assert_none("holes", &faults);
}

#[test]
fn every_number_of_the_headers_is_stated_or_left_out_for_a_reason() {
    assert_none("numbers missing in pv-abi", &headers::missing_macros());
}

#[test]
fn every_structure_of_the_headers_is_stated_or_left_out_for_a_reason() {
    assert_none("structures missing in pv-abi", &headers::missing_structs());
}

#[test]
fn every_member_of_a_structure_is_named() {
    assert_none("members that pv-abi takes for padding", &headers::missing_members());
}

/// The comparison can fail: a table with one fault of each kind is reported,
/// fault by fault, and nothing else is.
#[test]
fn a_wrong_statement_is_reported() {
    const RIGHT: Field = Field { rust: "val", c: &["val"], offset: 8, size: 8 };
    const FIELDS: &[Field] = &[
        RIGHT,
        Field { rust: "ptr", c: &["ptr"], offset: 4, size: 8 },
        Field { rust: "ptr", c: &["ptr"], offset: 0, size: 4 },
        Field { rust: "both", c: &["ptr", "val"], offset: 0, size: 8 },
    ];
    const TABLE: Table = Table {
        module: "wrong",
        width: Width::Both,
        constants: &[
            Constant { rust: "RIGHT", c: "EVTCHNOP_send", value: 4 },
            Constant { rust: "WRONG", c: "EVTCHNOP_send", value: 5 },
            Constant { rust: "SIGN", c: "-1", value: 1 },
        ],
        layouts: &[Layout { rust: "Mmu", c: "struct mmu_update", size: 20, fields: FIELDS }],
    };
    for bits in [Bits::B32, Bits::B64] {
        assert_eq!(
            compare(&[TABLE], bits),
            [
                "wrong::WRONG: pv-abi 5, C `EVTCHNOP_send` 4",
                "wrong::SIGN: pv-abi 1, C `-1` -1",
                "size of wrong::Mmu: pv-abi 20, C `sizeof(struct mmu_update)` 16",
                "offset of wrong::Mmu.ptr: pv-abi 4, C `offsetof(struct mmu_update, ptr)` 0",
                "size of wrong::Mmu.ptr: pv-abi 4, C `sizeof(((struct mmu_update *)0)->ptr)` 8",
                "offset of wrong::Mmu.both: pv-abi 0, C `offsetof(struct mmu_update, val)` 8",
            ]
        );
    }
}

/// A name that the headers do not have stops the compiler with the row's name.
#[test]
fn an_unknown_name_is_reported() {
    let row = Row::equal("sched::NO_SUCH_NAME", "NO_SUCH_NAME", 0);
    let error = compile::try_evaluate(&[row], Bits::B32).expect_err("there is no such name");
    assert!(error.contains("sched::NO_SUCH_NAME"), "{error}");
}
