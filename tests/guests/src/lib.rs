//! What the micro-guests share.
//!
//! A micro-guest is a Ring 1 program that tries one behaviour of the PV ABI, says what it found and
//! powers off. Its head comment is its documentation: the behaviour, where the ABI says so, the
//! expected outcome. It runs on any hypervisor with this ABI; Xen 4.17 with 32-bit PV support gives
//! the same verdicts but where a head comment says otherwise.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use pv_guests::{Outcome, StartInfo, check, guest};
//!
//! guest!(run);
//!
//! fn run(start: &'static StartInfo) -> Outcome {
//!     check!(start.nr_pages > 0, "no memory");
//!     Ok(())
//! }
//! ```
//!
//! The verdict is a line `Test result: WORD reason`:
//!
//! | word | says | how |
//! |---|---|---|
//! | `SUCCESS` | every check held | return `Ok(())` |
//! | `SKIP` | the machine lacks what the test needs | `Err(Stop::Skip(why))` |
//! | `FAILURE` | the hypervisor is wrong | a failed [`check!`], or [`must`] |
//! | `ERROR` | the test itself is wrong | `Err(Stop::Error(why))` |
//!
//! No verdict, or another end than a poweroff, is a crash. `tests/guests/manifest` names the
//! verdicts that are not `SUCCESS`.
//!
//! | module | gives |
//! |---|---|
//! | [`verdict`] | checks and the verdict |
//! | [`expect`] | faults that must happen, with vector and error code |
//! | [`code`] | instructions in assembly, as functions that faults may end |
//! | [`pages`] | spare pages, their frames and mappings; page-table entries |
//! | [`roots`] | address spaces beside the builder's |
//! | [`fifo`] | a guest's half of the FIFO ABI |
//! | [`call`] | any hypercall with any arguments |
//! | [`pci`] | PCI functions, their registers and interrupts |
//! | [`grants`] | the grant table, and the uses of others' |
//! | [`user`] | stays in Ring 3 |
//! | [`domu`] | a second domain, made out of this one |
//! | [`vcpus`] | vCPUs beside the first |
//! | [`clock`] | system time |
//! | [`machine`] | which emulator this is |
#![no_std]

pub mod call;
pub mod clock;
pub mod code;
pub mod domu;
pub mod expect;
pub mod fifo;
pub mod grants;
pub mod machine;
pub mod pages;
pub mod pci;
pub mod roots;
pub mod user;
pub mod vcpus;
pub mod verdict;

pub use call::{hypercall, with_argument};
pub use ring1::abi::StartInfo;
pub use verdict::{Outcome, Stop, must};

/// Makes `$run`, a `fn(&'static StartInfo) -> Outcome`, the whole of a micro-guest.
#[macro_export]
macro_rules! guest {
    ($run:path) => {
        $crate::__entry!(main);

        fn main(start: &'static $crate::StartInfo) -> ! {
            $crate::pages::init(start);
            if let Some(main) = $crate::domu::own_main() {
                main(start)
            }
            $crate::verdict::end($run(start))
        }
    };
}

#[doc(hidden)]
pub use ring1::entry as __entry;
#[doc(hidden)]
pub use ring1::println as __println;
