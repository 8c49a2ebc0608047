//! Why domain 0 could not be built, in sentences.

use core::fmt;

use pv_abi::start_info::MAX_GUEST_CMDLINE;
use pv_image::elf::ElfError;
use pv_image::kernel::AddressError;
use pv_image::layout::LayoutError;
use pv_image::notes::NotesError;

/// Why domain 0 could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
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
    /// There is a domain 0 already.
    Exists,
    /// There is no memory left.
    NoMemory,
    /// There is no memory left below 4 GiB.
    NoLowMemory,
    /// Free memory consists of too many pieces.
    TooFragmented,
    /// The page tables did not get their type: a mistake of the builder's.
    TablesRefused,
    /// Something was to be written outside of the domain: a mistake of the builder's.
    Outside {
        /// Where.
        address: u64,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf(why) => write!(f, "domain 0's kernel is refused: {why}"),
            Self::Notes(why) => write!(f, "domain 0's kernel is refused: {why}"),
            Self::Address(why) => write!(f, "domain 0's kernel is refused: {why}"),
            Self::Layout(why) => write!(f, "domain 0 does not fit: {why}"),
            Self::CommandLine { length } => write!(
                f,
                "domain 0's command line is too long: {length} bytes, at most {} are passed on",
                MAX_GUEST_CMDLINE - 1
            ),
            Self::Exists => write!(f, "there is a domain 0 already"),
            Self::NoMemory => write!(f, "there is too little memory for domain 0"),
            Self::NoLowMemory => {
                write!(f, "there is no memory below 4 GiB left, which domain 0 needs")
            }
            Self::TooFragmented => {
                write!(f, "free memory consists of too many pieces for domain 0")
            }
            Self::TablesRefused => {
                write!(f, "domain 0's first page tables are refused (a bug of the builder)")
            }
            Self::Outside { address } => write!(
                f,
                "domain 0 has no memory at {address:#x}, where it is built (a bug of the builder)"
            ),
        }
    }
}

macro_rules! from {
    ($($error:ident => $variant:ident),*) => {$(
        impl From<$error> for BuildError {
            fn from(error: $error) -> BuildError {
                BuildError::$variant(error)
            }
        }
    )*};
}

from!(ElfError => Elf, NotesError => Notes, AddressError => Address, LayoutError => Layout);
