//! Passes the linker script and options to the programs when they are built for bare metal.

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T{directory}/link.ld");
        // They lie in an initrd: symbols are enough.
        println!("cargo:rustc-link-arg-bins=--strip-debug");
    }
}
