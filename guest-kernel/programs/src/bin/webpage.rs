//! A web page that says which domain answers, as a CGI program: Debian's `httpd` runs it for each
//! request of `/`, as `/www/cgi-bin/index.cgi`.
//!
//! Expected: a header, an empty line, and the page, with the host's name, what its root is on, and the
//! client's address.
#![no_std]
#![no_main]
#![allow(unsafe_code)] // UNSAFETY: raw system calls that write to a buffer lent to them.

use guest_programs::{Args, println, sys};

guest_programs::entry!(main);

/// Bytes of each of the six names that `uname` tells.
const NAME: usize = 65;

/// The second of the names: the host's.
fn host_name(names: &[[u8; NAME]; 6]) -> &str {
    let [_, host, ..] = names;
    let end = host.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    core::str::from_utf8(&host[..end]).unwrap_or("?")
}

/// What is mounted on `/`, and its kind, by a list as that of `/proc/mounts`.
fn root(mounts: &[u8]) -> Option<(&str, &str)> {
    let mounts = core::str::from_utf8(mounts).ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (source, on, kind) = (words.next()?, words.next()?, words.next()?);
        (on == "/").then_some((source, kind))
    })
}

/// As much as `buffer` holds of a file.
fn read<'a>(path: &core::ffi::CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    let Ok(file) = sys::open(path) else { return &[] };
    let count = sys::read(file, buffer).unwrap_or(0);
    let _ = sys::close(file);
    buffer.get(..count).unwrap_or_default()
}

fn main(args: Args) -> u8 {
    let mut names = [[0; NAME]; 6];
    let place = (&raw mut names).expose_provenance();
    // SAFETY: 1. It writes to `names` alone.
    if unsafe { sys::call(sys::nr::UNAME, &[place]) }.is_err() {
        return 1;
    }
    let host = host_name(&names);
    let client = args.environment().find_map(|word| word.strip_prefix("REMOTE_ADDR="));
    let seconds = sys::now_ms() / 1000;
    let mut buffer = [0; 1024];
    let (source, kind) = root(read(c"/proc/mounts", &mut buffer)).unwrap_or(("nothing", "?"));
    println!("Content-Type: text/html\r\n\r");
    println!("<!doctype html><title>{host}</title>");
    println!("<h1>Domain {host} answers</h1>");
    println!(
        "<p>It runs on Ferrule, in Ring 1; Debian's busybox serves this page from Ring 3.</p>"
    );
    println!("<p>Its root is {source} ({kind}).</p>");
    println!(
        "<p>It has been up for {seconds} seconds, and you are {}.</p>",
        client.unwrap_or("nobody")
    );
    0
}
