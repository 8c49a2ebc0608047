//! The person's terminal: output, raw keys, its window, and the signals that end or change it.
//!
//! In raw mode keys are the verb's, Ctrl-C included. However the program ends, the terminal is put
//! back as it was: on return, on an error, and on a signal, which [`Signals`] turns into something
//! that can be waited for.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;
use xl::terminal::{Input, InputMode, Size, Stream, Terminal};

/// Standard output and standard error of this program, for what it says itself.
pub struct Standard;

impl Terminal for Standard {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        // If nobody listens any more there is nobody to tell.
        let _ = show(stream, bytes);
    }

    fn read(&mut self, _: &mut [u8]) -> Input {
        Input::Nothing
    }

    fn has_input(&mut self) -> bool {
        false
    }

    fn set_input_mode(&mut self, _: InputMode) {}

    fn size(&self) -> Option<Size> {
        window()
    }
}

/// Writes bytes out at once.
pub fn show(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let write = |output: &mut dyn Write| output.write_all(bytes).and_then(|()| output.flush());
    match stream {
        Stream::Out => write(&mut io::stdout().lock()),
        Stream::Err => write(&mut io::stderr().lock()),
    }
}

/// The window that output goes to; `None` if it goes elsewhere.
pub fn window() -> Option<Size> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok())??;
    // A serial terminal does not say how large it is.
    let or = |number: u16, usual: u16| if number == 0 { usual } else { number };
    Some(Size { rows: or(size.ws_row, 24), columns: or(size.ws_col, 80) })
}

/// Raw input for as long as it lives, if standard input is a terminal.
pub struct Raw(Option<Termios>);

impl Raw {
    /// Takes the terminal. Output is processed as before: a guest's line feeds stay lines.
    pub fn take() -> Self {
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut raw = before.clone();
        raw.make_raw();
        raw.output_modes = before.output_modes;
        let taken = tcsetattr(&stdin, OptionalActions::Now, &raw);
        Self(taken.is_ok().then_some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }
}

/// Signals, as streams that become readable.
pub struct Signals {
    /// The window has another size.
    pub window: UnixStream,
    /// The program is to end.
    pub end: UnixStream,
}

impl Signals {
    /// Takes them from here on.
    pub fn take() -> io::Result<Self> {
        let (window, window_end) = UnixStream::pair()?;
        pipe::register(SIGWINCH, window_end)?;
        let (end, end_end) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            pipe::register(signal, end_end.try_clone()?)?;
        }
        window.set_nonblocking(true)?;
        Ok(Self { window, end })
    }

    /// Forgets that the window changed: it is looked at now.
    pub fn clear_window(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.window.read(&mut bytes), Ok(1..)) {}
    }
}
