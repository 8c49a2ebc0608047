//! The person's terminal as the machine's console.
//!
//! Every key goes to the serial port, Ctrl-C and Ctrl-a included: the terminal
//! is in raw mode as far as input goes. Output processing stays as it was. The
//! terminal is put back however the program ends: on return, on an error, on a
//! signal. One combination stays ours, for a machine that answers nothing any
//! more: Ctrl-] three times in a row.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, Once};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::scratch;

/// Ctrl-].
const ESCAPE: u8 = 0x1d;
/// How the terminal was.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw input for as long as it lives.
pub struct Raw(());

impl Raw {
    /// Takes the terminal, if standard input is one.
    pub fn take() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        raw.output_modes = before.output_modes;
        *SAVED.lock().ok()? = Some(before);
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Ok(mut saved) = SAVED.lock()
        && let Some(before) = saved.take()
    {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// On SIGINT, SIGTERM and SIGHUP: terminal back, scratch folders away, exit code 130.
/// Emulators end with us (see [`crate::child`]).
pub fn clean_up_on_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = ctrlc::set_handler(|| {
            restore();
            scratch::remove_all();
            std::process::exit(130);
        });
    });
}

/// Carries standard input to the serial port, from the moment `open` says that the machine
/// listens. Calls `escape` when the person typed Ctrl-] three times.
pub fn forward_keys(
    mut serial: Box<dyn Write + Send>,
    open: Receiver<()>,
    escape: impl FnOnce() + Send + 'static,
) {
    thread::spawn(move || {
        if open.recv().is_err() {
            return;
        }
        let mut escapes = 0;
        let mut keys = [0; 256];
        while let Ok(size @ 1..) = io::stdin().lock().read(&mut keys) {
            for key in &keys[..size] {
                escapes = if *key == ESCAPE { escapes + 1 } else { 0 };
                if escapes == 3 {
                    escape();
                    return;
                }
            }
            if serial.write_all(&keys[..size]).and_then(|()| serial.flush()).is_err() {
                return;
            }
        }
    });
}
