//! The grammar by example, and by random texts: every value survives being written and read, and
//! no text at all makes the reader panic or lose its place.

use super::*;
use proptest::prelude::*;
use std::string::ToString;
use std::vec;

fn parse(text: &str) -> (Vec<Setting>, Vec<String>) {
    let (mut settings, mut wrong) = (Vec::new(), Vec::new());
    read(0, text, &mut settings, &mut wrong);
    let wrong = wrong
        .into_iter()
        .map(|wrong| {
            let at = wrong.position.unwrap();
            format!("{}:{}: {}", at.line, at.column, wrong.message)
        })
        .collect();
    (settings, wrong)
}

/// The settings of a text without errors, written canonically.
fn settings(text: &str) -> Vec<String> {
    let (settings, wrong) = parse(text);
    assert_eq!(wrong, Vec::<String>::new(), "{text}");
    settings
        .iter()
        .map(|setting| format!("{}={}", setting.key, write(&setting.value.data)))
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    parse(text).1
}

/// A value in the syntax of files.
fn write(data: &Data) -> String {
    match data {
        Data::Number(number) => number.clone(),
        Data::String(text) => {
            let mut quoted = String::from("\"");
            for character in text.chars() {
                match character {
                    '"' | '\\' => quoted.extend(['\\', character]),
                    '\n' => quoted.push_str("\\n"),
                    '\u{1}'..='\u{1f}' | '\u{7f}' => {
                        quoted.push_str(&format!("\\x{:02x}", u32::from(character)));
                    }
                    _ => quoted.push(character),
                }
            }
            quoted.push('"');
            quoted
        }
        Data::List(values) => {
            let values: Vec<_> = values.iter().map(|value| write(&value.data)).collect();
            format!("[{}]", values.join(","))
        }
    }
}

#[test]
fn settings_are_parted_by_newlines_and_semicolons() {
    assert_eq!(settings(""), Vec::<String>::new());
    assert_eq!(settings("\n;;\n # nothing\n"), Vec::<String>::new());
    assert_eq!(settings("name=\"h0\"; type='hvm'\n"), ["name=\"h0\"", "type=\"hvm\""]);
    assert_eq!(settings(" memory = 64 # MiB\r\n\tvcpus=0x2"), ["memory=64", "vcpus=0x2"]);
    assert_eq!(settings("extra='a;b#c'"), ["extra=\"a;b#c\""]);
}

#[test]
fn lists_nest_span_lines_and_end_in_commas() {
    assert_eq!(settings("a=[]"), ["a=[]"]);
    assert_eq!(settings("a = [ 'x', 2,\n # why\n\n ['y'], ]"), ["a=[\"x\",2,[\"y\"]]"]);
    assert_eq!(settings("a=[\n]\nb=1"), ["a=[]", "b=1"]);
    assert_eq!(settings("a=[[[[[[[[]]]]]]]]"), ["a=[[[[[[[[]]]]]]]]"]);
    assert_eq!(errors("a=[[[[[[[[[]]]]]]]]]"), ["1:11: lists nest 8 deep at most"]);
}

#[test]
fn strings_have_the_escapes_of_c() {
    let text = r#"a="\"\'\\\a\b\f\n\r\t\v\x41\101\7z""#;
    let (settings, wrong) = parse(text);
    assert_eq!(wrong, Vec::<String>::new());
    let expected = "\"'\\\u{7}\u{8}\u{c}\n\r\t\u{b}AA\u{7}z";
    assert_eq!(settings[0].value.data, Data::String(expected.into()));
    assert_eq!(errors(r"a='\q'"), [r"1:4: no such escape: \\ stands for a backslash"]);
    assert_eq!(errors(r"a='\x4'"), [r"1:4: \x takes two digits, 01 to 7f"]);
    assert_eq!(errors(r"a='\x80'"), [r"1:4: \x takes two digits, 01 to 7f"]);
    assert_eq!(errors(r"a='\0'"), [r"1:4: octal escapes are \1 to \177"]);
    assert_eq!(
        errors("a='\\\n'b=1"),
        ["1:4: nothing follows this backslash", "2:1: expected a key, found '\\''"]
    );
}

#[test]
fn the_last_setting_of_a_key_counts_and_more_can_be_added() {
    assert_eq!(settings("a=1\nb=2\na='x'"), ["a=\"x\"", "b=2"]);
    assert_eq!(settings("a='x'\na+='y'"), ["a=\"xy\""]);
    assert_eq!(settings("a=[1]\na += [2,3]"), ["a=[1,2,3]"]);
    assert_eq!(settings("a+=[1]"), ["a=[1]"]);
    assert_eq!(
        errors("a=[1]\na+='x'"),
        ["2:4: a: += adds a string to a string or a list to a list"]
    );
    assert_eq!(errors("a=1\na+=2"), ["2:4: a: += adds a string to a string or a list to a list"]);
}

#[test]
fn errors_tell_what_was_expected_where() {
    for (text, error) in [
        ("memory", "1:7: expected = after memory, found the end of the file"),
        ("memory 64", "1:8: expected = after memory, found '6'"),
        ("memory + 64", "1:9: expected = after +, found ' '"),
        ("memory =", "1:9: expected a value, found the end of the file"),
        ("memory =\n", "1:9: expected a value, found the end of the line"),
        ("memory = 64 65", "1:13: expected the end of the line or ;, found '6'"),
        ("= 3", "1:1: expected a key, found '='"),
        ("Memory = 3", "1:1: Memory is no key: a lower-case letter, then those, digits and _"),
        ("_a = 3", "1:1: _a is no key: a lower-case letter, then those, digits and _"),
        ("a = b", "1:5: a string needs quotes"),
        ("a = /x", "1:5: a string needs quotes"),
        ("a = -1", "1:5: a negative number needs quotes"),
        ("a = 'x\nb", "1:5: this ' is not closed in its line"),
        ("a = [ 1", "1:5: this [ is never closed"),
        ("a = [ 1 2 ]", "1:9: expected , or ], found '2'"),
        ("a = [ , ]", "1:7: expected a value, found ','"),
        ("\u{e4} = 1", "1:1: expected a key, found '\u{e4}'"),
    ] {
        assert_eq!(errors(text).first().map(String::as_str), Some(error), "{text}");
    }
}

#[test]
fn reading_goes_on_after_an_error() {
    let (settings, wrong) = parse("a = = 1\nb = 2\nc\nd = 'x'");
    let keys: Vec<_> = settings.iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(keys, ["b", "d"]);
    assert_eq!(wrong.len(), 2);
    assert_eq!(errors("a = [ 1\nb = 2\nc = 3"), ["2:1: expected , or ], found 'b'"]);
}

#[test]
fn positions_count_characters() {
    let (settings, _) = parse("# \u{e4}\n  a = [ '\u{e4}', 'b' ]");
    assert_eq!((settings[0].position.line, settings[0].position.column), (2, 3));
    let Data::List(values) = &settings[0].value.data else { panic!("{settings:?}") };
    let columns: Vec<_> = values.iter().map(|value| value.position.column).collect();
    assert_eq!(columns, [9, 14]);
}

fn data() -> impl Strategy<Value = Data> {
    let leaf = prop_oneof![
        "[1-9][0-9]{0,5}|0x[0-9a-f]{1,4}".prop_map(Data::Number),
        "[^\u{0}]{0,12}".prop_map(Data::String),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let position = Position { source: 0, line: 1, column: 1 };
        prop::collection::vec(inner, 0..4).prop_map(move |values| {
            Data::List(values.into_iter().map(|data| Value { position, data }).collect())
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(values in prop::collection::vec(data(), 1..5)) {
        let text: Vec<_> =
            values.iter().enumerate().map(|(n, data)| format!("k{n} = {}", write(data))).collect();
        let (settings, wrong) = parse(&text.join("\n"));
        prop_assert_eq!(wrong, Vec::<String>::new());
        for (n, (setting, data)) in settings.iter().zip(&values).enumerate() {
            prop_assert_eq!(&setting.key, &format!("k{n}"));
            prop_assert_eq!(write(&setting.value.data), write(data));
            prop_assert_eq!(setting.position.line as usize, n + 1);
        }
    }

    #[test]
    fn no_text_confuses_the_reader(text in "[a-c=+\\[\\],;'\"\\\\#x0-9 \n\u{e4}]{0,60}") {
        let (mut settings, mut wrong) = (vec![], vec![]);
        read(0, &text, &mut settings, &mut wrong);
        let lines: Vec<_> = text.split('\n').collect();
        let places = settings.iter().map(|setting| setting.value.position);
        for at in places.chain(wrong.iter().filter_map(|wrong| wrong.position)) {
            let line = lines.get(at.line as usize - 1).map_or(0, |line| line.chars().count());
            prop_assert!(at.column as usize <= line + 1, "{} {:?}", text, at);
        }
    }

    #[test]
    fn any_text_can_be_read(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse(&format!("a = [{text}"));
        let _ = parse(&("a=".to_string() + &text));
    }
}
