//! Prints the support table of ARCHITECTURE.md: what `cargo xtask support` runs.

use pv_tests::support::{cover::Sources, table};

fn main() -> Result<(), String> {
    print!("{}", table::make(&Sources::read())?);
    Ok(())
}
