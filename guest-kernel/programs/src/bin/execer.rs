//! `execve`: replaces itself by another program.
//!
//! `execer`: checks what must fail, then becomes `/bin/args one two` with an environment of its own,
//! in a child. Expected: `ok` lines and the lines of `args`; status 0.
#![no_std]
#![no_main]

use guest_programs::Args;
use guest_programs::check::Checks;
use guest_programs::sys::{self, Ended, Errno};

guest_programs::entry!(main);

fn main(_args: Args) -> u8 {
    let mut checks = Checks::new();
    let none = [core::ptr::null()];
    let exec = |path| sys::execve(path, &[c"x".as_ptr(), core::ptr::null()], &none);
    checks.same(exec(c"/bin/nothing"), Errno::ENOENT, "no such program");
    checks.same(exec(c""), Errno::ENOENT, "no name");
    checks.that(
        matches!(exec(c"/etc/motd"), Errno::ENOEXEC | Errno::EACCES),
        format_args!("a text is not a program"),
    );
    checks.same(exec(c"/bin"), Errno::EACCES, "a directory is not a program");

    let arguments = [c"args".as_ptr(), c"one".as_ptr(), c"two words".as_ptr(), core::ptr::null()];
    let environment = [c"COLOUR=blue".as_ptr(), core::ptr::null()];
    let become_args = || {
        sys::execve(c"/bin/args", &arguments, &environment);
        99
    };
    checks.child(become_args, Ended::Exited(2), "a child became /bin/args");
    checks.status()
}
