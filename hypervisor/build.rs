//! Hands the linker script to the bare-metal program.
//!
//! Only the binary built for the bare target is linked by it: the library's host tests and
//! the other packages keep the host's own layout.

use std::env;

fn main() {
    let script = "src/arch/x86_64/link.ld";
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rerun-if-changed=build.rs");
    let bare = env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none");
    if !bare || env::var_os("CARGO_FEATURE_IMAGE").is_none() {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let linker_arguments = [
        format!("-T{root}/{script}"),
        // The target asks for a self-relocating program. Ours is loaded where it is linked,
        // so every relocation is resolved now and none is left for run time.
        "--no-pie".to_owned(),
        "--no-dynamic-linker".to_owned(),
        "--build-id=none".to_owned(),
        "--gc-sections".to_owned(),
        "--orphan-handling=error".to_owned(),
    ];
    for argument in linker_arguments {
        println!("cargo::rustc-link-arg-bin=ferrule={argument}");
    }
}
