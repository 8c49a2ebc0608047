//! `top`: tables, screens, and what ends it.

use super::{FAILED, OK, Scene, window};
use crate::terminal::{Input, InputMode};

const FIRST: &str = "\
xl top - 02:00:00   Xen 4.17-ferrule
2 domains: 1 running, 1 blocked, 0 paused, 0 crashed, 0 dying, 0 shutdown
Mem: 1048576k total, 833536k used, 215040k free    CPUs: 4 @ 2400MHz
      NAME  STATE   CPU(sec) CPU(%)    MEM(k) MEM(%) VCPUS  EVENTS/s    CALLS/s
  Domain-0 r-----    11794.3   11.7    768000   73.2     1         1         10
       web -b----        0.3    0.0     65536    6.2     2        53        537
";

#[test]
fn the_first_look_is_an_average() {
    let mut scene = Scene::new();
    assert_eq!(scene.out("top -b -i 1"), FIRST);
    // Without a terminal there are no screens either.
    assert_eq!(scene.out("top -i1"), FIRST);
}

#[test]
fn later_looks_are_differences() {
    let mut scene = Scene::new();
    scene.machine.meanwhile.push_back(|machine| machine.web().cpu_ns += 1_000_000_000);
    let out = scene.out("top -b -i 2 -d 2");
    let last: std::vec::Vec<_> = out.lines().skip(10).collect();
    let expected = [
        "  Domain-0 r-----    11794.3    0.0    768000   73.2     1         1         10",
        "       web -b----        1.3   50.0     65536    6.2     2         2         20",
    ];
    assert_eq!(last, expected);
    scene.machine.counts = false;
    assert!(scene.out("top -bi1").ends_with("     2         -          -\n"));
}

#[test]
fn a_terminal_gets_screens_until_q() {
    let mut scene = Scene::new();
    scene.terminal.size = window(5, 30);
    scene.terminal.keys.extend([b"x".to_vec(), b"q".to_vec()]);
    let out = scene.out("top");
    assert!(out.starts_with("\x1b[Hxl top - 02:00:00   Xen 4.17-f\r\n"), "{out:?}");
    assert!(out.ends_with("\r\n  Domain-0 r-----    11794.3  "), "{out:?}");
    assert_eq!(scene.terminal.modes, [InputMode::Screen, InputMode::Line, InputMode::Line]);
    // Where there is room, what was there before is cleared.
    scene.terminal.size = window(9, 80);
    scene.terminal.keys.push_back(b"q".to_vec());
    let out = scene.out("top");
    assert!(out.starts_with("\x1b[Hxl top - 02:00:03   Xen 4.17-ferrule\x1b[K\r\n"), "{out:?}");
    assert!(out.ends_with("537\x1b[K\r\n\x1b[J"), "{out:?}");
    for key in [b"\x1b", b"\x03", b"Q"] {
        scene.terminal.keys.push_back(key.to_vec());
        assert_eq!(scene.run("top"), OK);
    }
    scene.terminal.ended = Some(Input::Gone);
    assert_eq!(scene.run("top"), OK);
}

#[test]
fn keys_and_the_window_cut_the_wait_short() {
    let mut scene = Scene::new();
    scene.terminal.size = window(9, 80);
    let before = scene.machine.now_ns;
    // An arrow is neither Esc nor a wish; a space bar is one.
    for keys in [&b"\x1b[A"[..], b" ", b"", b"q"] {
        scene.terminal.keys.push_back(keys.to_vec());
    }
    let out = scene.out("top");
    assert_eq!(out.matches("xl top").count(), 2, "{out:?}");
    assert_eq!(scene.machine.now_ns - before, 6_000_000_000);
    scene.terminal.resizes.extend(window(2, 20));
    scene.terminal.keys.extend([b"".to_vec(), b"q".to_vec()]);
    let out = scene.out("top");
    assert!(out.contains("\x1b[Hxl top - 02:00:06   \r\n2 domains: 1 running"), "{out:?}");
}

#[test]
fn numbers_are_checked() {
    let mut scene = Scene::new();
    assert_eq!(scene.fails("top -d 0"), "0 is no delay in seconds: 1 to 86400 are\n");
    assert_eq!(scene.run("top -i x"), FAILED);
}
