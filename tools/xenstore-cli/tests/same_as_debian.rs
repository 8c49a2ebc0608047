//! What `xenstore-cli` prints and returns is what Debian's xenstore-* tools do, to the byte.
//!
//! Sentences on standard error are better ones, so of these only their being there is compared.

mod support;

use std::process::Output;

use support::{Server, run, text};

/// Nothing but what a store begins with.
const BARE: &[(&str, &str)] = &[];

/// As a machine with a domain looks.
const MACHINE: &[(&str, &str)] = &[
    ("/local/domain/0/name", "Domain-0"),
    ("/local/domain/0/memory/target", "262144"),
    ("/local/domain/1/name", "shell"),
    ("/local/domain/1/console/limit", "65536"),
    ("/local/domain/1/device/vif/0/backend", "/local/domain/0/backend/vif/1/0"),
    ("/local/domain/1/device/vif/0/state", "4"),
    ("/vm/6a1e9d2c-0000-4000-8000-123456789abc/name", "shell"),
    ("relative", "to domain 0's home"),
];

/// Values with every kind of byte, and lines around the widths where layouts change.
const ODD: &[(&str, &str)] = &[
    ("/odd/bytes", "\\000\\001\\007\\x08\\t\\n\\r\\x1b\\x7f\\x80\\xff\\\\\"' ~"),
    ("/odd/empty", ""),
    ("/odd/w57", "123456789012345678901234567890123456789012345678901234567"),
    ("/odd/w70", "1234567890123456789012345678901234567890123456789012345678901234567890"),
    ("/odd/w69", "123456789012345678901234567890123456789012345678901234567890123456789"),
    ("/odd/w68", "12345678901234567890123456789012345678901234567890123456789012345678"),
    (
        "/odd/escaped",
        "\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n",
    ),
    (
        "/a-name-that-is-longer-than-a-line-of-eighty-columns/\
         and-another-name-that-is-longer-than-a-line-of-eighty-columns-so-that-nothing-fits",
        "value",
    ),
    ("/d/e/e/p/e/r/t/h/a/n/m/o/s/t/t/r/e/e/s/e/v/e/r/a/r/e", "the bottom"),
    ("/with-_@", "signs"),
];

const TREES: &[&[(&str, &str)]] = &[BARE, MACHINE, ODD];

/// Command lines that change nothing.
const LOOKS: &[&[&str]] = &[
    &["ls"],
    &["ls", "/"],
    &["ls", "-f"],
    &["ls", "-p"],
    &["ls", "-f", "-p"],
    &["ls", "-fp", "/local", "/odd"],
    &["ls", "/odd"],
    &["ls", "--flat", "--prefix", "/odd"],
    &["ls", "-p", "/local/domain/1"],
    &["ls", "device"],
    &["ls", "/nowhere"],
    &["ls", "-s", "/tool"],
    &["list", "/"],
    &["list", "-p", "/", "/local/domain"],
    &["list", "/local/domain/1", "/local/domain/0", "/odd"],
    &["list", "/local", "/nowhere", "/tool"],
    &["list"],
    &["read", "/local/domain/0/name"],
    &["read", "-p", "/local/domain/0/name", "/local/domain/1/name"],
    &["read", "relative"],
    &["read", "/odd/bytes", "/odd/empty"],
    &["read", "-R", "/odd/bytes"],
    &["read", "-p", "-R", "/odd/bytes", "/odd/empty"],
    &["read", "/local", "/nowhere", "/tool"],
    &["read", "/nowhere"],
    &["read", "/odd//bytes"],
    &["read", "/odd/"],
    &["read", ""],
    &["read"],
    &["exists", "/local"],
    &["exists", "/local", "/tool", "relative"],
    &["exists", "/local", "/nowhere"],
    &["exists"],
    &["watch", "-n", "0", "/local"],
    &["watch", "-n", "1", "/local"],
    &["watch", "-n", "3", "/local", "relative", "@introduceDomain"],
    &["watch", "-n", "1", "bad path"],
    &["watch"],
];

/// Command lines that change something, in this order.
const CHANGES: &[&[&str]] = &[
    &["write", "/w/one", "value"],
    &["write", "/w/two", "a\\tb\\x41\\101\\q\\\\", "/w/three", "", "rel/four", "x"],
    &["write", "-R", "/w/raw", "a\\tb\\"],
    &["write", "/w/one", "again"],
    &["write", "/w/odd"],
    &["write", "/w/all", "or", "/w/none!", "of it"],
    &["write", "bad path", "x"],
    &["write"],
    &["chmod", "/w/one", "n0", "r1", "b2", "w3"],
    &["chmod", "-r", "/w", "r1"],
    &["chmod", "-u", "/w/two", "n0", "r5"],
    &["chmod", "-u", "-r", "/local/domain", "b0"],
    &["chmod", "/nowhere", "n0"],
    &["chmod", "/w", "x1"],
    &["chmod", "/w"],
    &["rm", "/w/one"],
    &["rm", "/w/one"],
    &["rm", "/nowhere/at/all"],
    &["rm", "/w/two", "/w/three", "/nowhere/at/all"],
    &["rm", "/w/two", "rel"],
    &["rm", "/"],
    &["rm"],
    &["write", "/t/a/b/c", "", "/t/x", "y"],
    &["rm", "-t", "/t/a/b/c"],
    &["rm", "-t", "/t/x"],
    &["write", "/t/a/b", "full", "/t/a/b/c", ""],
    &["rm", "-t", "/t/a/b/c"],
    &["rm", "-t", "t/nowhere/at/all"],
];

/// What must be the same.
fn essence(output: &Output) -> (Option<i32>, String, bool) {
    let printed = output.stdout.escape_ascii().to_string();
    (output.status.code(), printed, output.stderr.is_empty())
}

fn compare(words: &[&str], debian: &Output, cli: &Output) {
    assert_eq!(
        essence(cli),
        essence(debian),
        "{words:?}; xenstore-cli says: {}; Debian's tool says: {}",
        text(&cli.stderr),
        text(&debian.stderr)
    );
}

#[test]
fn trees_look_the_same() {
    for tree in TREES {
        let server = Server::with(tree);
        for words in LOOKS {
            compare(words, &run(server.debian(words)), &run(server.cli(words)));
        }
    }
}

#[test]
fn changes_do_the_same() {
    for tree in TREES {
        let (debian, cli) = (Server::with(tree), Server::with(tree));
        for words in CHANGES {
            compare(words, &run(debian.debian(words)), &run(cli.cli(words)));
            assert_eq!(cli.dump(), debian.dump(), "{words:?}");
        }
    }
}

#[test]
fn what_one_writes_the_other_reads() {
    let server = Server::start();
    for (path, value) in ODD {
        assert!(run(server.debian(&["write", path, value])).status.success());
        assert_eq!(text(&run(server.cli(&["read", path])).stdout), format!("{value}\n"));
        assert!(run(server.cli(&["write", path, value])).status.success());
        assert_eq!(text(&run(server.debian(&["read", path])).stdout), format!("{value}\n"));
    }
}

#[test]
fn a_list_longer_than_a_message_is_whole() {
    let server = Server::start();
    let names: Vec<String> = (0..300).map(|n| format!("/long/child-with-a-name-{n:03}")).collect();
    let words = names.iter().flat_map(|name| [name.as_str(), "x"]);
    let words: Vec<&str> = std::iter::once("write").chain(words).collect();
    assert!(run(server.cli(&words)).status.success());
    for words in [&["list", "/long"][..], &["ls", "/long"]] {
        let output = run(server.cli(words));
        assert_eq!(text(&output.stdout).lines().count(), names.len());
        compare(words, &run(server.debian(words)), &output);
    }
}
