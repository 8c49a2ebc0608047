//! A terminal's rules, apart from the machine: what becomes of typed bytes before a process reads
//! them.
//!
//! [`termios`] is what `tcgetattr` and `tcsetattr` exchange; [`discipline`] edits lines, echoes, and
//! finds the bytes that are signals. Who may read, who is interrupted and who sleeps is `tty`'s part.

pub mod discipline;
pub mod termios;
