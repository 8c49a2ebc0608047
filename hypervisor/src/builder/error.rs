//! Why domain 0 could not be built, in sentences.

use core::fmt;

use pv_image::refusal::Refusal;

/// Why domain 0 could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// Kernel, sizes or command line.
    Image(Refusal),
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
            Self::Image(refusal) => refusal.explain(f, "domain 0", "domain 0's"),
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

impl From<Refusal> for BuildError {
    fn from(refusal: Refusal) -> BuildError {
        BuildError::Image(refusal)
    }
}
