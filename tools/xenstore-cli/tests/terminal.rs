//! On a terminal: lines fit into its width as those of Debian's tool do, and are coloured.

mod support;

use std::fs::File;
use std::io::Read;
use std::process::Command;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use support::{Server, run, text};

/// What a program prints on a terminal of so many columns.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).unwrap();
    let mut modes = tcgetattr(&theirs).unwrap();
    // Newlines as they are.
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&theirs, OptionalActions::Now, &modes).unwrap();
    let mut child = command.stdout(theirs).spawn().unwrap();
    // The command holds the terminal's other end, and would keep it open.
    drop(command);
    let mut printed = Vec::new();
    // The end of the stream is an error (EIO) on a terminal.
    let _ = File::from(ours).read_to_end(&mut printed);
    child.wait().unwrap();
    text(&printed)
}

const NODES: &[(&str, &str)] = &[
    ("/a/short", "value"),
    ("/a/long", "123456789012345678901234567890123456789012345678901234567890"),
    ("/a/a-name-of-forty-characters-with-a-child/child", "\\n\\n"),
];

#[test]
fn lines_fit_into_the_terminal_as_those_of_debians_tool() {
    let server = Server::with(NODES);
    for columns in [3, 8, 10, 11, 20, 40, 63, 80, 200] {
        for words in [&["ls"][..], &["ls", "-p"], &["ls", "-f"], &["ls", "-f", "-p"]] {
            let mut cli = server.cli(words);
            cli.env("NO_COLOR", "1");
            let debian = on_terminal(server.debian(words), columns);
            assert_eq!(on_terminal(cli, columns), debian, "{words:?} in {columns} columns");
        }
    }
}

#[test]
fn colours_are_for_terminals_unless_someone_says_otherwise() {
    let server = Server::with(NODES);
    let command = |words: &[&str]| {
        let mut command = server.cli(words);
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        command
    };
    let coloured = |printed: &str| printed.contains("\u{1b}[");
    for words in [&["ls"][..], &["ls", "-f", "-p"], &["read", "-p", "/a/short"], &["list", "/a"]] {
        assert!(coloured(&on_terminal(command(words), 80)), "{words:?}");
        assert!(!coloured(&text(&run(command(words)).stdout)), "{words:?}");
        let always = [words, &["--color", "always"]].concat();
        assert!(coloured(&text(&run(command(&always)).stdout)), "{words:?}");
        let never = [words, &["--color", "never"]].concat();
        assert!(!coloured(&on_terminal(command(&never), 80)), "{words:?}");
        let mut dumb = command(words);
        dumb.env("TERM", "dumb");
        assert!(!coloured(&on_terminal(dumb, 80)), "{words:?}");
        // JSON is for programs.
        let json = [words, &["--json"]].concat();
        assert!(!coloured(&on_terminal(command(&json), 80)), "{words:?}");
    }
}
