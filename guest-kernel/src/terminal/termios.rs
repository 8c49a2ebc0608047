//! A terminal's settings: the kernel's `struct termios` of i386 (Linux
//! `uapi/asm-generic/termbits.h`), with those of the flags that this kernel heeds.

use bitflags::bitflags;

/// Bytes in memory.
pub const BYTES: usize = 36;
/// Special characters.
pub const CHARACTERS: usize = 19;

bitflags! {
    /// `c_iflag`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Input: u32 {
        /// The eighth bit is dropped.
        const ISTRIP = 0o40;
        /// Line feed becomes carriage return.
        const INLCR = 0o100;
        /// Carriage return is dropped.
        const IGNCR = 0o200;
        /// Carriage return becomes line feed.
        const ICRNL = 0o400;
        /// Characters are UTF-8, for erasing.
        const IUTF8 = 0o40000;
        const _ = !0;
    }
}

bitflags! {
    /// `c_lflag`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Local: u32 {
        /// Some characters are signals.
        const ISIG = 0o1;
        /// Lines, with editing.
        const ICANON = 0o2;
        /// What is typed is shown.
        const ECHO = 0o10;
        /// Erased characters vanish.
        const ECHOE = 0o20;
        /// A new line after the line was erased.
        const ECHOK = 0o40;
        /// Line feeds are shown even if nothing else is.
        const ECHONL = 0o100;
        /// A signal does not forget what was typed before.
        const NOFLSH = 0o200;
        /// Processes in the background may not write.
        const TOSTOP = 0o400;
        /// Control characters are shown as `^X`.
        const ECHOCTL = 0o1000;
        /// The erased line vanishes.
        const ECHOKE = 0o4000;
        /// Words can be erased, and characters quoted.
        const IEXTEN = 0o100_000;
        const _ = !0;
    }
}

/// Places of the special characters.
pub mod place {
    /// Interrupts.
    pub const INTR: usize = 0;
    /// Quits.
    pub const QUIT: usize = 1;
    /// Erases a character.
    pub const ERASE: usize = 2;
    /// Erases the line.
    pub const KILL: usize = 3;
    /// Ends the input.
    pub const EOF: usize = 4;
    /// Tenths of a second that a raw read waits.
    pub const TIME: usize = 5;
    /// Bytes that a raw read waits for.
    pub const MIN: usize = 6;
    /// Stops the process.
    pub const SUSP: usize = 10;
    /// Ends a line, too.
    pub const EOL: usize = 11;
    /// Erases a word.
    pub const WERASE: usize = 14;
    /// Quotes the next character.
    pub const LNEXT: usize = 15;
    /// Ends a line, too.
    pub const EOL2: usize = 16;
}

/// The settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Termios {
    /// About what comes in.
    pub input: Input,
    /// `c_oflag`: kept, not heeded. The console ends lines by itself.
    pub output: u32,
    /// `c_cflag`: kept, not heeded. There is no line with a speed.
    pub control: u32,
    /// About lines, echo, signals.
    pub local: Local,
    /// `c_line`.
    pub line: u8,
    /// The special characters; 0: none.
    pub characters: [u8; CHARACTERS],
}

impl Termios {
    /// As a terminal begins: lines with editing and echo, signals.
    pub const fn new() -> Self {
        let mut characters = [0; CHARACTERS];
        characters[place::INTR] = 3;
        characters[place::QUIT] = 28;
        characters[place::ERASE] = 127;
        characters[place::KILL] = 21;
        characters[place::EOF] = 4;
        characters[place::MIN] = 1;
        characters[place::SUSP] = 26;
        characters[place::WERASE] = 23;
        characters[place::LNEXT] = 22;
        let local = Local::ISIG
            .union(Local::ICANON)
            .union(Local::ECHO)
            .union(Local::ECHOE)
            .union(Local::ECHOK)
            .union(Local::ECHOCTL)
            .union(Local::ECHOKE)
            .union(Local::IEXTEN);
        Self {
            input: Input::ICRNL.union(Input::IUTF8),
            output: 0o5,    // OPOST, ONLCR
            control: 0o277, // B38400, CS8, CREAD
            local,
            line: 0,
            characters,
        }
    }

    /// As memory has them.
    pub fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let words = [self.input.bits(), self.output, self.control, self.local.bits()];
        for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        bytes[16] = self.line;
        bytes[17..].copy_from_slice(&self.characters);
        bytes
    }

    /// From memory.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        let input = Input::from_bits_retain(word());
        let (output, control) = (word(), word());
        let local = Local::from_bits_retain(word());
        let mut characters = [0; CHARACTERS];
        characters.copy_from_slice(&bytes[17..]);
        Self { input, output, control, local, line: bytes[16], characters }
    }

    /// Whether `byte` is the special character at this place.
    pub fn is(&self, byte: u8, place: usize) -> bool {
        let character = self.characters.get(place).copied().unwrap_or(0);
        character != 0 && character == byte
    }

    /// Whether input comes by lines.
    pub fn is_canonical(&self) -> bool {
        self.local.contains(Local::ICANON)
    }
}

impl Default for Termios {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_them_as_linux_lays_them_out() {
        let bytes = Termios::new().bytes();
        assert_eq!(bytes[..4], 0o40400u32.to_le_bytes());
        assert_eq!(bytes[12..16], 0o105073u32.to_le_bytes());
        assert_eq!(bytes[17..22], [3, 28, 127, 21, 4]);
        assert_eq!((bytes[23], bytes[27]), (1, 26));
        assert_eq!(Termios::from_bytes(&bytes), Termios::new());
        // What is not heeded is kept all the same.
        let all = [0xff; BYTES];
        assert_eq!(Termios::from_bytes(&all).bytes(), all);
    }
}
