use super::*;
use proptest::prelude::*;
use std::string::String;

/// Types `bytes`; what was echoed.
fn type_in(discipline: &mut Discipline, bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    for &byte in bytes {
        discipline.input(byte, &mut |echo| shown.extend_from_slice(echo));
    }
    String::from_utf8(shown).unwrap()
}

fn read(discipline: &mut Discipline) -> Option<String> {
    discipline.readable()?;
    let mut buffer = [0; 64];
    let count = discipline.read(&mut buffer);
    Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
}

fn with(change: impl FnOnce(&mut Termios)) -> Discipline {
    let mut discipline = Discipline::new();
    let mut termios = Termios::new();
    change(&mut termios);
    discipline.set_termios(termios);
    discipline
}

#[test]
fn lines_are_edited_and_read_one_by_one() {
    let mut tty = Discipline::new();
    assert_eq!(type_in(&mut tty, b"helo\x7flo"), "helo\x08 \x08lo");
    assert_eq!(read(&mut tty), None);
    assert_eq!(type_in(&mut tty, b"\rnext\n"), "\nnext\n");
    assert_eq!(read(&mut tty).as_deref(), Some("hello\n"));
    assert_eq!(read(&mut tty).as_deref(), Some("next\n"));
    assert_eq!(read(&mut tty), None);
}

#[test]
fn a_line_may_be_read_in_pieces() {
    let mut tty = Discipline::new();
    type_in(&mut tty, b"abcdef\n");
    let mut two = [0; 2];
    assert_eq!((tty.read(&mut two), &two), (2, b"ab"));
    assert_eq!(tty.readable(), Some(5));
    assert_eq!(read(&mut tty).as_deref(), Some("cdef\n"));
}

#[test]
fn the_end_of_input_gives_what_there_is_or_nothing() {
    let mut tty = Discipline::new();
    type_in(&mut tty, b"ab\x04");
    assert_eq!(read(&mut tty).as_deref(), Some("ab"));
    type_in(&mut tty, b"\x04");
    assert_eq!(read(&mut tty).as_deref(), Some(""));
    assert_eq!(read(&mut tty), None);
}

#[test]
fn words_lines_and_characters_of_many_bytes_are_erased() {
    let mut tty = Discipline::new();
    assert_eq!(type_in(&mut tty, b"a bc \x17").matches('\x08').count(), 6);
    assert_eq!(type_in(&mut tty, "ö\x7f".as_bytes()).matches('\x08').count(), 2);
    // A control character takes two columns.
    assert_eq!(type_in(&mut tty, b"\x01\x7f"), "^A\x08 \x08\x08 \x08");
    type_in(&mut tty, b"xyz\x15end\n");
    assert_eq!(read(&mut tty).as_deref(), Some("end\n"));
}

#[test]
fn quoted_characters_are_themselves() {
    let mut tty = Discipline::new();
    type_in(&mut tty, b"\x16");
    assert_eq!(tty.signal(3), None);
    assert_eq!(type_in(&mut tty, b"\x03\x16\x7f\n"), "^C^\x08^?\n");
    assert_eq!(read(&mut tty).as_deref(), Some("\x03\x7f\n"));
}

#[test]
fn signals_are_found_and_forget_what_was_typed() {
    let mut tty = Discipline::new();
    assert_eq!([3, 28, 26].map(|byte| tty.signal(byte)), [SIGINT, SIGQUIT, SIGTSTP].map(Some));
    assert_eq!(tty.signal(b'c'), None);
    type_in(&mut tty, b"line\nhalf");
    let mut shown = Vec::new();
    tty.interrupt(3, &mut |echo| shown.extend_from_slice(echo));
    assert_eq!((shown.as_slice(), read(&mut tty)), (&b"^C"[..], None));
    let keeps = with(|termios| termios.local |= Local::NOFLSH);
    assert!(!keeps.signals_flush());
    let raw = with(|termios| termios.local -= Local::ISIG);
    assert_eq!(raw.signal(3), None);
}

#[test]
fn bytes_are_readable_at_once_without_lines() {
    let mut tty = with(|termios| termios.local -= Local::ICANON | Local::ECHO);
    assert_eq!(type_in(&mut tty, b"\x7f\x04\r"), "");
    assert_eq!(read(&mut tty).as_deref(), Some("\x7f\x04\n"));
    let mut three = with(|termios| {
        termios.local -= Local::ICANON;
        termios.characters[place::MIN] = 3;
    });
    type_in(&mut three, b"ab");
    assert_eq!((three.readable(), three.waiting()), (None, 2));
    type_in(&mut three, b"c");
    assert_eq!(three.readable(), Some(3));
}

#[test]
fn what_is_typed_ahead_survives_a_change_of_settings() {
    let mut tty = Discipline::new();
    type_in(&mut tty, b"one\ntw");
    let raw = *with(|termios| termios.local -= Local::ICANON).termios();
    tty.set_termios(raw);
    type_in(&mut tty, b"o");
    tty.set_termios(Termios::new());
    type_in(&mut tty, b"three\n");
    assert_eq!(read(&mut tty).as_deref(), Some("one\ntwo"));
    assert_eq!(read(&mut tty).as_deref(), Some("three\n"));
    type_in(&mut tty, b"four\nfi");
    assert!(tty.take_all().eq(*b"four\nfi"));
    assert_eq!((tty.readable(), tty.waiting()), (None, 0));
}

#[test]
fn without_echo_only_line_feeds_are_shown_if_asked_for() {
    let mut tty = with(|termios| termios.local -= Local::ECHO);
    assert_eq!(type_in(&mut tty, b"secret\x7f\n"), "");
    let mut tty = with(|termios| {
        termios.local -= Local::ECHO;
        termios.local |= Local::ECHONL;
    });
    assert_eq!(type_in(&mut tty, b"secret\n"), "\n");
}

#[test]
fn no_flood_fills_the_memory() {
    let mut tty = Discipline::new();
    type_in(&mut tty, &[b'x'; LINE * 2]);
    type_in(&mut tty, b"\n");
    assert_eq!(tty.readable(), Some(LINE));
    for _ in 0..WAITING * 2 {
        type_in(&mut tty, b"\n\x04");
    }
    assert!(tty.ready.len() <= WAITING && tty.lines.len() <= WAITING);
    let mut raw = with(|termios| termios.local -= Local::ICANON);
    type_in(&mut raw, &[b'x'; WAITING * 2]);
    assert_eq!(raw.waiting(), WAITING);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is typed under whatever settings: lines and bytes agree with each other.
    #[test]
    fn lengths_of_lines_add_up(
        steps in proptest::collection::vec((any::<u8>(), 0u8..20, any::<u32>()), 1..200),
    ) {
        let mut tty = Discipline::new();
        for (byte, step, bits) in steps {
            match step {
                0 => {
                    let mut termios = *tty.termios();
                    termios.local = Local::from_bits_retain(bits);
                    termios.input = Input::from_bits_retain(bits >> 8);
                    tty.set_termios(termios);
                }
                1 => {
                    let readable = tty.readable();
                    let count = tty.read(&mut [0; 8]);
                    prop_assert!(count <= readable.unwrap_or(count));
                }
                _ => tty.input(byte, &mut |_| ()),
            }
            let total: usize = tty.lines.iter().sum();
            prop_assert!(total <= tty.ready.len());
            prop_assert!(!tty.termios.is_canonical() || total == tty.ready.len());
        }
    }
}
