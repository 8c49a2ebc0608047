//! Why no domain can be made of an image, in sentences.

use core::fmt;

use pv_abi::start_info::MAX_GUEST_CMDLINE;

use crate::elf::ElfError;
use crate::kernel::AddressError;
use crate::layout::LayoutError;
use crate::notes::NotesError;

/// Why no domain can be made of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The kernel's file.
    Elf(ElfError),
    /// The kernel's notes.
    Notes(NotesError),
    /// The kernel's addresses.
    Address(AddressError),
    /// Sizes.
    Layout(LayoutError),
    /// The command line is too long.
    CommandLine {
        /// Its length in bytes.
        length: usize,
    },
}

impl Refusal {
    /// Writes the sentence about `domain` ("domain 0"), whose kernel is `its` ("domain 0's") kernel.
    pub fn explain(&self, f: &mut fmt::Formatter<'_>, domain: &str, its: &str) -> fmt::Result {
        match self {
            Self::Elf(why) => write!(f, "{its} kernel is refused: {why}"),
            Self::Notes(why) => write!(f, "{its} kernel is refused: {why}"),
            Self::Address(why) => write!(f, "{its} kernel is refused: {why}"),
            Self::Layout(why) => write!(f, "{domain} does not fit: {why}"),
            Self::CommandLine { length } => write!(
                f,
                "{its} command line is too long: {length} bytes, at most {} are passed on",
                MAX_GUEST_CMDLINE - 1
            ),
        }
    }
}

macro_rules! from {
    ($($error:ident => $variant:ident),*) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Refusal {
                Refusal::$variant(error)
            }
        }
    )*};
}

from!(ElfError => Elf, NotesError => Notes, AddressError => Address, LayoutError => Layout);
