//! The person's terminal: output, raw keys, its window, and the signals that end or change it.
//!
//! In raw mode keys are the verb's, Ctrl-C included; a verb may have a screen of its own, too. However
//! the program ends, the terminal is put back as it was: on return, on an error, and on a signal,
//! which [`Signals`] turns into something that can be waited for.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;
use xl::terminal::{ENTER_SCREEN, Input, InputMode, LEAVE_SCREEN, Size, Stream, Terminal};

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

/// The terminal as a verb wants it, for as long as this lives.
pub struct Taken {
    /// How standard input was, if that is a terminal.
    before: Option<Termios>,
    /// Standard output shows another screen.
    screen: bool,
}

impl Taken {
    /// Takes the terminal: raw input, with a screen of its own for [`InputMode::Screen`].
    pub fn take(mode: InputMode) -> Self {
        let screen = mode == InputMode::Screen && io::stdout().is_terminal();
        if screen {
            let _ = show(Stream::Out, ENTER_SCREEN.as_bytes());
        }
        Self { before: make_raw(), screen }
    }
}

/// Makes standard input raw; how it was before, if it is a terminal. Output is processed as before: a
/// guest's line feeds stay lines.
fn make_raw() -> Option<Termios> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).ok()?;
    let mut raw = before.clone();
    raw.make_raw();
    raw.output_modes = before.output_modes;
    tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
    Some(before)
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.screen {
            // A terminal that has gone has no screen either.
            let _ = show(Stream::Out, LEAVE_SCREEN.as_bytes());
        }
        if let Some(before) = self.before.take() {
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
