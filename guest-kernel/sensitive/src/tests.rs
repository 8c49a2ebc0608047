//! The table's data and text; the instructions themselves need Ring 1 and Ring 3.

use super::*;
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

/// What a machine would have to show for `expected` to hold.
fn model(expected: Expect) -> Seen {
    match expected {
        Expect::Exactly(seen) => seen,
        Expect::Limit(least, _) => Seen::Table { base: 0x8320_f000, limit: least },
        Expect::Reserved => Seen::Selector(0xe040),
        Expect::Status(_, bits) => Seen::Status(bits),
        Expect::Flags(_, bits) => Seen::Flags(bits),
        Expect::Value(_, bits) => Seen::Value(bits),
    }
}

fn table(ring: Ring, run: &mut dyn FnMut(Act, Expect) -> Seen) -> (String, u32) {
    let mut text = String::new();
    let expected = |act| {
        let row = ROWS.iter().find(|row| row.act == act).unwrap();
        row.expected(ring).unwrap()
    };
    let differences = report(ring, &mut text, &mut |act| run(act, expected(act))).unwrap();
    (text, differences)
}

#[test]
fn every_instruction_of_the_literature_is_there() {
    let named: BTreeSet<_> = ROWS.iter().map(|row| row.instruction).collect();
    let listed = [
        "SGDT", "SIDT", "SLDT", "SMSW", "PUSHF", "POPF", "LAR", "LSL", "VERR", "VERW", "POP",
        "PUSH", "CALL", "JMP", "INT n", "RET", "STR", "MOV",
    ];
    assert_eq!(named, BTreeSet::from(listed));
    for name in listed {
        let in_ring1 = ROWS.iter().any(|row| row.instruction == name && row.ring1.is_some());
        assert!(in_ring1, "{name}");
    }
    for (index, row) in ROWS.iter().enumerate() {
        assert!(ROWS[..index].iter().all(|other| other.act != row.act), "{:?} twice", row.act);
        assert!(row.ring1.is_some() || row.ring3.is_some());
    }
}

#[test]
fn the_table_fits_and_counts() {
    for (ring, rows) in [(Ring::One, 24), (Ring::Three, 18)] {
        let (text, differences) = table(ring, &mut |_, expected| model(expected));
        assert_eq!(differences, 0, "{text}");
        assert!(text.contains(&std::format!("{rows} rows, all as expected")), "{text}");
        assert_eq!(text.matches("\nok").count(), rows);
        assert!(text.is_ascii());
        for line in text.lines() {
            assert!(line.len() < 80 && line.trim_end() == line, "{line:?}");
        }
    }
}

#[test]
fn no_words_are_lost_by_wrapping() {
    let (text, _) = table(Ring::One, &mut |_, expected| model(expected));
    for row in ROWS.iter().filter(|row| row.ring1.is_some()) {
        for word in row.native.split(' ').chain(row.instead.split(' ')).chain(row.form.split(' ')) {
            assert!(text.contains(word), "{word}");
        }
    }
}

#[test]
fn each_row_can_fail() {
    for row in ROWS.iter().filter(|row| row.ring1.is_some()) {
        let wrong = Seen::Trap { vector: 6, error: 0 };
        let (text, differences) = table(Ring::One, &mut |act, expected| {
            if act == row.act { wrong } else { model(expected) }
        });
        assert_eq!(differences, 1);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("DIFFERS")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert!(text.contains("23 rows") || text.contains("24 rows, 1 DIFFER"), "{text}");
        assert!(text.contains("expected"), "{text}");
    }
}

#[test]
fn expectations_look_at_what_matters() {
    let limit = Expect::Limit(0xe000, 0xefff);
    assert!(limit.holds(Seen::Table { base: 1, limit: 0xe07f }));
    assert!(!limit.holds(Seen::Table { base: 1, limit: 0x7f }));
    assert!(Expect::Reserved.holds(Seen::Selector(0xe040)));
    assert!(!Expect::Reserved.holds(Seen::Selector(0xe043)));
    assert!(!Expect::Reserved.holds(Seen::Selector(0x40)));
    let open = Expect::Flags(seen::IF | seen::IOPL, seen::IF);
    assert!(open.holds(Seen::Flags(0x202)) && open.holds(Seen::Flags(0x246)));
    assert!(!open.holds(Seen::Flags(0x002)) && !open.holds(Seen::Flags(0x3202)));
    let gp = Expect::Exactly(Seen::Trap { vector: 13, error: 0x102 });
    assert!(!gp.holds(Seen::Trap { vector: 13, error: 0x202 }));
}
