//! Bytes as a source of decisions.
//!
//! The soak run fills them by a generator, libFuzzer by what it learned of coverage, proptest by
//! its own means: all decode operations by the same code. A source that is used up answers zero.

/// What is left of the bytes.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Source<'a> {
        Source { bytes }
    }

    /// Whether every byte was used.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// The next two.
    pub fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next four.
    pub fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }

    /// The next eight.
    pub fn long(&mut self) -> u64 {
        u64::from(self.word()) | u64::from(self.word()) << 32
    }

    /// A number below `end`: of one byte if that is enough.
    pub fn below(&mut self, end: u64) -> u64 {
        let raw = if end <= 256 { u64::from(self.byte()) } else { u64::from(self.word()) };
        raw % end.max(1)
    }

    /// One of some values.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// A number as code that checks its arguments badly dislikes it: mostly small, else at an edge.
    pub fn number(&mut self) -> u32 {
        match self.below(8) {
            0..5 => self.below(8) as u32,
            5 => self.below(256) as u32,
            6 => self.one_of(&[
                0x1f,
                0x20,
                0x3ff,
                0x400,
                0xfff,
                0x1000,
                0x7fef,
                0x7ff0,
                0x7ff1,
                0x7ff2,
                0x7fff,
                0xffff,
                0x1_0000,
                0x1_ffff,
                0x2_0000,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_f000,
                0xffff_fffe,
                0xffff_ffff,
            ]),
            _ => self.word(),
        }
    }
}
