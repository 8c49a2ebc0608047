//! The editor against a small model of a VT100 screen.

use super::*;
use crate::shell::complete::Candidate;
use proptest::prelude::*;
use std::string::{String as StdString, ToString};
use std::vec::Vec as StdVec;

/// A terminal with input from a list and a screen of one line, the current one.
#[derive(Default)]
struct Screen {
    input: StdVec<u8>,
    next: usize,
    /// As if the input came faster than the editor reads.
    paste: bool,
    row: StdVec<u8>,
    column: usize,
    above: StdVec<StdString>,
    bells: usize,
    escape: StdVec<u8>,
}

impl Screen {
    fn new(input: &[u8]) -> Self {
        Self { input: input.to_vec(), ..Self::default() }
    }

    fn shown(&self) -> &str {
        std::str::from_utf8(&self.row).unwrap().trim_end()
    }

    fn put(&mut self, byte: u8) {
        if !self.escape.is_empty() {
            self.escape.push(byte);
            if self.escape.len() > 2 && byte.is_ascii_alphabetic() {
                let sequence = std::mem::take(&mut self.escape);
                self.control(&sequence[2..]);
            }
            return;
        }
        match byte {
            0x1b => self.escape.push(byte),
            7 => self.bells += 1,
            b'\r' => self.column = 0,
            b'\n' => {
                self.above.push(self.shown().to_string());
                self.row.clear();
                self.column = 0;
            }
            0x20..=0x7e => {
                if self.row.len() <= self.column {
                    self.row.resize(self.column + 1, b' ');
                }
                self.row[self.column] = byte;
                self.column += 1;
                assert!(self.column < WIDTH, "the last column stays free");
            }
            _ => panic!("the editor wrote {byte:#x}"),
        }
    }

    fn control(&mut self, sequence: &[u8]) {
        match sequence {
            b"K" => self.row.truncate(self.column),
            b"H" | b"2J" => {
                self.row.clear();
                self.column = 0;
            }
            [number @ .., b'C'] => {
                let number = std::str::from_utf8(number).unwrap().parse::<usize>().unwrap();
                assert!(number > 0, "0 means 1 to a terminal");
                self.column += number;
            }
            _ => panic!("unknown sequence {sequence:?}"),
        }
    }
}

impl core::fmt::Write for Screen {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.put(byte));
        Ok(())
    }
}

impl Terminal for Screen {
    fn read_byte(&mut self) -> Option<u8> {
        self.next += 1;
        self.input.get(self.next - 1).copied()
    }

    fn has_input(&mut self) -> bool {
        self.paste && self.next < self.input.len()
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.put(byte));
    }

    fn at_line_start(&self) -> bool {
        self.column == 0
    }
}

/// Completes from a fixed list of words.
struct Words(&'static [&'static str]);

impl Complete for Words {
    fn word_start(&self, before: &str) -> usize {
        before.rfind(' ').map_or(0, |space| space + 1)
    }

    fn candidates(&mut self, before: &str, found: &mut dyn FnMut(Candidate<'_>)) {
        let word = &before[self.word_start(before)..];
        for name in self.0.iter().filter(|name| name.starts_with(word)) {
            found(Candidate { name, tail: ' ' });
        }
    }
}

fn words() -> Words {
    Words(&["forktest", "fpu", "help", "hello", "spin"])
}

/// Types `input` and returns the line that Return gave, with the screen.
fn typed(input: &[u8]) -> (StdString, Screen) {
    let mut screen = Screen::new(input);
    let mut editor = Editor::new();
    let mut line = StdString::new();
    while let Ended::Entered = editor.read_line("$ ", &mut screen, &mut words()) {
        line = editor.line().to_string();
    }
    (line, screen)
}

#[test]
fn keys_edit_the_line() {
    let cases: &[(&[u8], &str)] = &[
        (b"ls /etc\r", "ls /etc"),
        (b"lx\x7fs\r", "ls"),
        (b"s\x1b[Dl\r", "ls"),
        (b"s\x01l\x05 x\r", "ls x"),
        (b"abc\x1b[D\x1b[D\x0b\r", "a"),
        (b"abc\x1b[D\x15\r", "c"),
        (b"one two  \x17\r", "one "),
        (b"one two\x1b[1;5D\x17\r", "two"),
        (b"one two\x01\x1b[1;5Cx\r", "onex two"),
        (b"abc\x1b[D\x1b[3~\r", "ab"),
        (b"abc\x01\x04\r", "bc"),
        (b"abc\x1b[H\x1b[F.\r", "abc."),
        (b"a\x0cb\r", "ab"),
        ("grün\r".as_bytes(), "grn"),
    ];
    for (input, expected) in cases {
        assert_eq!(typed(input).0, *expected, "{:?}", StdString::from_utf8_lossy(input));
    }
}

#[test]
fn history_goes_up_and_down_and_keeps_the_draft() {
    assert_eq!(typed(b"one\rtwo\r\x1b[A\x1b[A\r").0, "one");
    assert_eq!(typed(b"one\rtwo\r\x1b[A\x1b[A\x1b[A\x1b[A\x1b[B\r").0, "two");
    assert_eq!(typed(b"one\rdraft\x1b[A\x1b[B!\r").0, "draft!");
    assert_eq!(typed(b"one\r\x1b[A!\rx\x1b[A\x1b[A\r").0, "one");
}

#[test]
fn tab_completes_as_far_as_it_can() {
    assert_eq!(typed(b"sp\t7\r").0, "spin 7");
    assert_eq!(typed(b"run fo\t\r").0, "run forktest ");
    assert_eq!(typed(b"he\tl\r").0, "hell");
    let (line, screen) = typed(b"f\t\t\r");
    assert_eq!(line, "f");
    assert!(screen.above.iter().any(|row| row == "forktest  fpu"), "{:?}", screen.above);
    assert!(screen.bells > 0);
    assert_eq!(typed(b"zz\t\t\r").0, "zz");
}

#[test]
fn ends_of_a_line() {
    let mut editor = Editor::new();
    let mut screen = Screen::new(b"abc\x03\x04");
    assert_eq!(editor.read_line("$ ", &mut screen, &mut words()), Ended::Interrupted);
    assert_eq!(screen.above, ["$ abc^C"]);
    assert_eq!(editor.read_line("$ ", &mut screen, &mut words()), Ended::EndOfInput);
    assert_eq!(editor.read_line("$ ", &mut screen, &mut words()), Ended::Closed);
}

#[test]
fn a_line_has_an_end() {
    let mut input = [b'x'; LINE_MAX + 100].to_vec();
    input.push(b'\r');
    let (line, screen) = typed(&input);
    assert_eq!(line.len(), LINE_MAX);
    assert_eq!(screen.bells, 100);
    // As much of its end as fits stays on the screen.
    assert_eq!(screen.above[0], std::format!("$ {}", "x".repeat(room("$ "))));
}

proptest! {
    /// E1 and E2 after random bytes, one key at a time and pasted.
    #[test]
    fn the_screen_shows_the_line(
        keys in prop::collection::vec(prop_oneof![
            4 => (0x20u8..0x7f).prop_map(|byte| std::vec![byte]),
            2 => prop::sample::select(std::vec![
                b"\x1b[A".to_vec(), b"\x1b[B".to_vec(), b"\x1b[C".to_vec(), b"\x1b[D".to_vec(),
                b"\x1b[H".to_vec(), b"\x1b[3~".to_vec(), b"\x1b[1;5D".to_vec(), b"\x1bf".to_vec(),
                b"hel\t".to_vec(), b"\x17".to_vec(), b"\r".to_vec(),
                b"a long piece of text that goes on for quite a while".to_vec(),
            ]),
            1 => any::<u8>().prop_map(|byte| std::vec![byte]),
        ], 0..60),
        paste: bool,
    ) {
        let mut screen = Screen::new(&keys.concat());
        screen.paste = paste;
        let mut editor = Editor::new();
        let prompt = "ferrule# ";
        loop {
            let ended = editor.read_line(prompt, &mut screen, &mut words());
            prop_assert!(editor.cursor <= editor.line.len() && editor.line.len() <= LINE_MAX);
            prop_assert!(editor.line.iter().all(|byte| (0x20..0x7f).contains(byte)));
            match ended {
                Ended::Entered => {
                    let room = room(prompt);
                    let tail = &editor.line()[editor.line.len().saturating_sub(room)..];
                    let shown = std::format!("{prompt}{tail}");
                    prop_assert_eq!(screen.above.last().unwrap().trim_end(), shown.trim_end());
                }
                Ended::Closed => break,
                _ => {}
            }
        }
        let room = room(prompt);
        let first = editor.first_visible(room);
        let last = editor.line.len().min(first + room);
        let shown = std::format!("{prompt}{}", &editor.line()[first..last]);
        prop_assert_eq!(screen.shown(), shown.trim_end());
        prop_assert_eq!(screen.column, prompt.len() + editor.cursor - first);
    }
}
